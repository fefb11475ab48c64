#!/usr/bin/env bash
# Makes a voice from a folder of recordings of any kind and length, with or without texts: cuts them at pauses, writes
# down the texts that are missing, checks everything, says what time and disk the training takes, fine-tunes FastPitch
# and then the vocoder on its mels, evaluates the voice on held-out clips, and writes its model card.
#
#   bash scripts/train_voice.sh RECORDINGS -o voices/NAME
#   PREPARE_ONLY=true bash scripts/train_voice.sh RECORDINGS -o voices/NAME    # stop before the training, to review texts
#   ESTIMATE_ONLY=true bash scripts/train_voice.sh RECORDINGS -o voices/NAME   # only say what it would take
#   HOURS=3 bash scripts/train_voice.sh RECORDINGS -o voices/NAME              # train as long as fits three hours
#
# Needs requirements.txt and requirements-voice.txt (docs/own-voice.md).
# Finished stages are skipped, so the same command continues after any interruption, even by kill -9. SIGTERM and Ctrl-C
# save first. Further arguments go to python -m voice.training (--help). Without the variables below, settings are chosen
# from the amount of data and the machine, and printed.
#
#   WORK_DIR            folder of everything besides the voice: lists, pitch, checkpoints, logs, evaluations
#                       (default: the voice's folder with -training at its end)
#   PREPARE_ONLY        true: stop after the texts and their checks, before the training
#   REVIEW              corrected texts: the file that the review page exported
#   TRANSCRIBER         Whisper model that writes the texts that are missing: a name, or a folder in CTranslate2 format
#   ESTIMATE_ONLY       true: prepare the data, say what the training takes, and stop
#   HOURS               hours that both trainings may take here (default: the usual amount of training)
#   PATIENCE            a training ends after this number of validations without improvement (0: never)
#   NUM_GPUS            GPUs of this machine to train on (default: 0, the CPU). Not yet run on a GPU.
#   PARALLEL            true, with VOCODER_EPOCHS: train both models at the same time, with half of the cores each
#                       (OMP_NUM_THREADS overrides)
#   NUM_WORKERS         processes that read recordings, extract pitch and evaluate (default: one per core)
#   SEED                seed of both trainings (default: 1234)
#   BASE                voice that both models start from: a name, folder or hub name (default: kathleen)
#   FASTPITCH_BASE      FastPitch model instead of the base's, or scratch
#   FASTPITCH_CONFIG    small (platform/fastpitch_small.json), recipe, or a JSON file (default: the base's, or small)
#   FASTPITCH_EPOCHS FASTPITCH_BATCH_SIZE FASTPITCH_LEARNING_RATE FASTPITCH_WARMUP_STEPS FASTPITCH_EMA
#   BINARIZATION_WARMUP_EPOCHS
#   BASE_GENERATOR      generator instead of the base's: a file, a name of scripts/download_models.sh, which is downloaded
#                       (as described in that script), or scratch
#   HIFIGAN_CONFIG      its architecture, if its file lacks it: v1, v2, v3 or a JSON file
#   DISCRIMINATOR_WIDTH   of train.py
#   VOCODER_EPOCHS (0) VOCODER_LEARNING_RATE (3e-4)   epochs on recordings alone, before the next ones
#   FINE_TUNING_EPOCHS FINE_TUNING_LEARNING_RATE      epochs on recordings and on FastPitch's mels of them
#   VOCODER_BATCH_SIZE VOCODER_LEARNING_RATE_DECAY VOCODER_WARMUP_STEPS VOCODER_EMA
#   BASE_SHARE (0.15)   share of the generator's first weights in the voice: more of it sounds cleaner, but less like the
#                       speaker
#   EVALUATION_CLIPS    evaluate only this number of test clips (default: all)
#   COMPARE             further generators to evaluate beside the voice and its base, NAME=FILE, separated by spaces
#   RECOGNISER          recogniser of the evaluation of speech (evaluate.py --recogniser)
#   DESCRIPTION, LICENCE   of the recordings, for the model card
#   CONSENT             whose voice this is and with what permission it may be used, for the model card
#   SENTENCES           your own sentences for the listening report, a file with one a line (default:
#                       phrases/new_voice.txt)
#   KNOWN_FAULTS        file with the known faults, for the model card
#   PYTHON              interpreter (default: .venv/bin/python, or else python3)
set -euo pipefail
started_in=$PWD
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/.."
repository=$PWD
source scripts/lib/python.sh
source scripts/lib/variables.sh
name_unread_variables scripts/train_voice.sh

require_true_or_false PREPARE_ONLY ESTIMATE_ONLY PARALLEL
require_whole_numbers 0 NUM_WORKERS EVALUATION_CLIPS
NUM_GPUS=${NUM_GPUS:-0}
choose_num_gpus # refuses more than there are
args=()
add_list_flags COMPARE:compare # a flag has to follow, so that the list ends before RECORDINGS: --num-gpus always does
add_flags WORK_DIR:work REVIEW:review TRANSCRIBER:transcriber HOURS:hours PATIENCE:patience BASE:base \
    FASTPITCH_BASE:fastpitch-base NUM_GPUS:num-gpus NUM_WORKERS:n-workers SEED:seed BASE_GENERATOR:vocoder-base \
    HIFIGAN_CONFIG:vocoder-config DISCRIMINATOR_WIDTH:discriminator-width VOCODER_EPOCHS:vocoder-epochs \
    VOCODER_BATCH_SIZE:vocoder-batch-size VOCODER_LEARNING_RATE:vocoder-learning-rate \
    VOCODER_LEARNING_RATE_DECAY:vocoder-learning-rate-decay VOCODER_WARMUP_STEPS:vocoder-warmup-steps \
    VOCODER_EMA:vocoder-ema BASE_SHARE:base-share FINE_TUNING_EPOCHS:fine-tuning-epochs \
    FINE_TUNING_LEARNING_RATE:fine-tuning-learning-rate FASTPITCH_CONFIG:fastpitch-config \
    FASTPITCH_EPOCHS:fastpitch-epochs FASTPITCH_BATCH_SIZE:fastpitch-batch-size \
    FASTPITCH_LEARNING_RATE:fastpitch-learning-rate FASTPITCH_WARMUP_STEPS:fastpitch-warmup-steps \
    FASTPITCH_EMA:fastpitch-ema BINARIZATION_WARMUP_EPOCHS:binarization-warmup-epochs \
    EVALUATION_CLIPS:evaluation-clips RECOGNISER:recogniser DESCRIPTION:description LICENCE:licence \
    CONSENT:consent SENTENCES:sentences KNOWN_FAULTS:known-faults
[[ ${PREPARE_ONLY:-false} == true ]] && args+=(--prepare-only)
[[ ${ESTIMATE_ONLY:-false} == true ]] && args+=(--estimate-only)
[[ ${PARALLEL:-false} == true ]] && args+=(--parallel)

[[ $PYTHON != */* || $PYTHON == /* ]] || PYTHON=$repository/$PYTHON
export PYTHONPATH=$repository${PYTHONPATH:+:$PYTHONPATH}
cd "$started_in" # the user's paths are relative to it
exec "$PYTHON" -m voice.training ${args[@]+"${args[@]}"} "$@"
