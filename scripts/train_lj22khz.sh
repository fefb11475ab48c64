#!/usr/bin/env bash
# Trains HiFi-GAN V1 on LJSpeech with the published recipe. Further arguments go to train.py.
#
#   NUM_GPUS             GPUs of this machine to use (default: all; 0: train on the CPU)
#   BATCH_SIZE, or BS    segments per GPU in one pass (default: 16)
#   GRAD_ACCUMULATION    passes per optimiser step (default: what makes NUM_GPUS x BATCH_SIZE x GRAD_ACCUMULATION 128)
#   AMP                  true: mixed precision
#   EPOCHS               epochs of the whole run (default: 6500); EPOCHS_THIS_JOB: of this process
#   OUTPUT_DIR           checkpoints and logs (default: output); LOG_FILE: DLLogger file
#   DATASET_DIR          data set (default: data/LJSpeech-1.1); TRAIN_FILELIST, VAL_FILELIST: its lists
#   VAL_INTERVAL, SAMPLES_INTERVAL, CHECKPOINT_INTERVAL   in epochs
#   LEARNING_RATE, LEARNING_RATE_DECAY, SEED
#   BMARK_EPOCHS_NUM     at the end, record the throughput of so many last epochs
#   RESUME               false: refuse a directory that holds checkpoints (default: go on from them)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib/python.sh

for variable in NUM_GPUS BATCH_SIZE BS GRAD_ACCUMULATION; do
    value=${!variable:-1}
    if [[ ! $value =~ ^(0|[1-9][0-9]*)$ || ($value == 0 && $variable != NUM_GPUS) ]]; then
        echo "error: $variable: '$value' is not a whole number above 0 (NUM_GPUS may be 0)" >&2
        exit 1
    fi
done
for variable in AMP RESUME; do
    if [[ ! ${!variable:-true} =~ ^(true|false)$ ]]; then
        echo "error: $variable: '${!variable}' is not true or false" >&2
        exit 1
    fi
done

num_gpus=${NUM_GPUS:-$("$PYTHON" -c 'import torch; print(torch.cuda.device_count())')}
batch_size=${BATCH_SIZE:-${BS:-16}}
processes=$((num_gpus > 0 ? num_gpus : 1))
accumulation=${GRAD_ACCUMULATION:-$((128 / (processes * batch_size) > 0 ? 128 / (processes * batch_size) : 1))}
if ((processes * batch_size * accumulation != 128)); then
    echo "warning: NUM_GPUS x BATCH_SIZE x GRAD_ACCUMULATION = $processes x $batch_size x $accumulation =" \
        "$((processes * batch_size * accumulation)), the recipe's global batch is 128" >&2
fi

args=(
    --output "${OUTPUT_DIR:-output}"
    --dataset-path "${DATASET_DIR:-data/LJSpeech-1.1}"
    --training-files "${TRAIN_FILELIST:-data/filelists/ljs_audio_train_v3.txt}"
    --validation-files "${VAL_FILELIST:-data/filelists/ljs_audio_val.txt}"
    --batch-size "$batch_size"
    --grad-accumulation "$accumulation"
    --epochs "${EPOCHS:-6500}"
)
((num_gpus > 0)) && args+=(--cuda)
[[ ${AMP:-false} == true ]] && args+=(--amp)
[[ ${RESUME:-true} == false ]] && args+=(--no-resume)
for setting in LOG_FILE:log-file EPOCHS_THIS_JOB:epochs-this-job VAL_INTERVAL:validation-interval \
    SAMPLES_INTERVAL:samples-interval CHECKPOINT_INTERVAL:checkpoint-interval LEARNING_RATE:learning-rate \
    LEARNING_RATE_DECAY:learning-rate-decay SEED:seed BMARK_EPOCHS_NUM:benchmark-epochs-num; do
    variable=${setting%%:*}
    [[ -n ${!variable:-} ]] && args+=("--${setting#*:}" "${!variable}")
done

if ((processes > 1)); then
    exec "$PYTHON" -m torch.distributed.run --standalone --nproc-per-node "$processes" train.py "${args[@]}" "$@"
fi
exec "$PYTHON" train.py "${args[@]}" "$@"
