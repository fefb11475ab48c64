#!/usr/bin/env bash
# Trains a voice from recordings with texts: checks the data, says what time and disk it takes, splits by prompt and
# text, extracts pitch, fine-tunes a published vocoder, trains FastPitch, fine-tunes the vocoder on FastPitch's mels if
# wanted, packs both into the voice's folder, evaluates it on held-out clips, and writes its model card.
#
#   bash scripts/train_voice.sh DATASET -o voices/NAME                      # DATASET: LJSpeech layout, wavs/ metadata.csv
#   ESTIMATE_ONLY=true bash scripts/train_voice.sh DATASET -o voices/NAME   # only say what it would take
#
# Finished stages are skipped, so the same command continues after any interruption, even by kill -9. SIGTERM and Ctrl-C
# save first. Further arguments go to python -m voice.training (--help).
#
#   WORK_DIR            folder of everything besides the voice: lists, pitch, checkpoints, logs, evaluations
#                       (default: the voice's folder with -training at its end)
#   ESTIMATE_ONLY       true: check the data, say what it takes, and stop
#   NUM_GPUS            GPUs of this machine to train on (default: 0, the CPU). On GPUs, discriminators have full width, and
#                       the vocoder's batch is larger. Not yet run on a GPU.
#   PARALLEL            true: train both models at the same time, with half of the cores each (OMP_NUM_THREADS overrides)
#   NUM_WORKERS         processes that extract pitch and evaluate (default: one per core)
#   SEED                seed of both trainings (default: 1234)
#   BASE_GENERATOR      generator to fine-tune: a file, or a name of scripts/download_models.sh, which is downloaded
#                       (default: hifigan-lj-v2; its address: HIFIGAN_LJ_V2_URL, as described in that script)
#   HIFIGAN_CONFIG      its architecture: v1, v2, v3 or a JSON file (default: v2)
#   DISCRIMINATOR_WIDTH   of train.py (default: 0.125, on GPUs 1)
#   VOCODER_EPOCHS (40) VOCODER_BATCH_SIZE (4, on each GPU 16) VOCODER_LEARNING_RATE (3e-4)
#   VOCODER_LEARNING_RATE_DECAY (0.93) VOCODER_WARMUP_STEPS (500) VOCODER_EMA (0.999)
#   BASE_SHARE (0.15)   share of the generator's first weights in the voice: more of it sounds cleaner, but less like the
#                       speaker
#   FINE_TUNING_EPOCHS (0) FINE_TUNING_LEARNING_RATE (1e-4)   further epochs of the vocoder, on recordings and on
#                       FastPitch's mels of them
#   FASTPITCH_CONFIG    small (platform/fastpitch_small.json), recipe, or a JSON file (default: small)
#   FASTPITCH_EPOCHS (80) FASTPITCH_BATCH_SIZE (16) FASTPITCH_LEARNING_RATE (0.03) FASTPITCH_WARMUP_STEPS (400)
#   FASTPITCH_EMA (0.998) BINARIZATION_WARMUP_EPOCHS (10)
#   EVALUATION_CLIPS    evaluate only this number of test clips (default: all)
#   COMPARE             further generators to evaluate beside the voice and its base, NAME=FILE, separated by spaces
#   RECOGNISER          recogniser of the evaluation of speech (evaluate.py --recogniser)
#   DESCRIPTION, LICENCE   of the recordings, for the model card
#   KNOWN_FAULTS        file with the known faults, for the model card
#   PYTHON              interpreter (default: .venv/bin/python, or else python3)
set -euo pipefail
started_in=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."
repository=$PWD
source scripts/lib/python.sh
source scripts/lib/variables.sh
name_unread_variables scripts/train_voice.sh

require_true_or_false ESTIMATE_ONLY PARALLEL
require_whole_numbers 0 NUM_WORKERS EVALUATION_CLIPS
NUM_GPUS=${NUM_GPUS:-0}
choose_num_gpus # refuses more than there are
args=()
add_list_flags COMPARE:compare # a flag has to follow, so that the list ends before DATASET: --num-gpus always does
add_flags WORK_DIR:work NUM_GPUS:num-gpus NUM_WORKERS:n-workers SEED:seed BASE_GENERATOR:vocoder-base \
    HIFIGAN_CONFIG:vocoder-config DISCRIMINATOR_WIDTH:discriminator-width VOCODER_EPOCHS:vocoder-epochs \
    VOCODER_BATCH_SIZE:vocoder-batch-size VOCODER_LEARNING_RATE:vocoder-learning-rate \
    VOCODER_LEARNING_RATE_DECAY:vocoder-learning-rate-decay VOCODER_WARMUP_STEPS:vocoder-warmup-steps \
    VOCODER_EMA:vocoder-ema BASE_SHARE:base-share FINE_TUNING_EPOCHS:fine-tuning-epochs \
    FINE_TUNING_LEARNING_RATE:fine-tuning-learning-rate FASTPITCH_CONFIG:fastpitch-config \
    FASTPITCH_EPOCHS:fastpitch-epochs FASTPITCH_BATCH_SIZE:fastpitch-batch-size \
    FASTPITCH_LEARNING_RATE:fastpitch-learning-rate FASTPITCH_WARMUP_STEPS:fastpitch-warmup-steps \
    FASTPITCH_EMA:fastpitch-ema BINARIZATION_WARMUP_EPOCHS:binarization-warmup-epochs \
    EVALUATION_CLIPS:evaluation-clips RECOGNISER:recogniser DESCRIPTION:description LICENCE:licence \
    KNOWN_FAULTS:known-faults
[[ ${ESTIMATE_ONLY:-false} == true ]] && args+=(--estimate-only)
[[ ${PARALLEL:-false} == true ]] && args+=(--parallel)

[[ $PYTHON != */* || $PYTHON == /* ]] || PYTHON=$repository/$PYTHON
export PYTHONPATH=$repository${PYTHONPATH:+:$PYTHONPATH}
cd "$started_in" # the user's paths are relative to it
exec "$PYTHON" -m voice.training ${args[@]+"${args[@]}"} "$@"
