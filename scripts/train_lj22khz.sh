#!/usr/bin/env bash
# Trains HiFi-GAN V1 on LJSpeech with the published recipe. Further arguments go to train.py.
#
#   NUM_GPUS             GPUs of this machine to use (default: all; 0: train on the CPU)
#   BATCH_SIZE, or BS    segments per GPU in one pass (default: 16)
#   GRAD_ACCUMULATION    passes per optimiser step
#                        (default: what makes NNODES x NUM_GPUS x BATCH_SIZE x GRAD_ACCUMULATION 128)
#   AMP                  true: mixed precision
#   EPOCHS               epochs of the whole run (default: 6500); EPOCHS_THIS_JOB: of this process
#   OUTPUT_DIR           checkpoints and logs (default: output); LOG_FILE: DLLogger file
#   DATASET_DIR          data set (default: data/LJSpeech-1.1); TRAIN_FILELIST, VAL_FILELIST: its lists
#   VAL_INTERVAL, SAMPLES_INTERVAL, CHECKPOINT_INTERVAL   in epochs
#   LEARNING_RATE, LEARNING_RATE_DECAY, SEED
#   FINE_TUNE_DIR        fine-tune on the mels of this directory, from --checkpoint-path-gen (EPOCHS is then 10000);
#                        FINE_TUNE_LR_FACTOR: factor of the learning rate (default: 3)
#   BMARK_EPOCHS_NUM     at the end, record the throughput of so many last epochs
#   RESUME               false: refuse a directory that holds checkpoints (default: go on from them)
#
# Several machines, each of which runs this script with the same variables (docs/multi-node.md):
#   NNODES               their number (default: 1), or a range MIN:MAX: train on as many as there are, within it. Without
#                        GRAD_ACCUMULATION a range passes --global-batch-size 128, so that the number changes nothing.
#   RDZV_ENDPOINT        host:port of the first of them, where they meet; needed unless NNODES is 1
#   RDZV_ID              name of the job, the same on all of them (default: SLURM_JOB_ID, else hifigan)
#   MAX_RESTARTS         how often processes that failed are started again (default: 10; on a single machine 0)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib/python.sh

for variable in NUM_GPUS BATCH_SIZE BS GRAD_ACCUMULATION MAX_RESTARTS; do
    value=${!variable:-1}
    if [[ ! $value =~ ^(0|[1-9][0-9]*)$ || ($value == 0 && ! $variable =~ ^(NUM_GPUS|MAX_RESTARTS)$) ]]; then
        echo "error: $variable: '$value' is not a whole number above 0 (NUM_GPUS and MAX_RESTARTS may be 0)" >&2
        exit 1
    fi
done
for variable in AMP RESUME; do
    if [[ ! ${!variable:-true} =~ ^(true|false)$ ]]; then
        echo "error: $variable: '${!variable}' is not true or false" >&2
        exit 1
    fi
done

nnodes=${NNODES:-1}
least=${nnodes%:*} most=${nnodes#*:}
if [[ ! $nnodes =~ ^[1-9][0-9]*(:[1-9][0-9]*)?$ ]] || ((least > most)); then
    echo "error: NNODES: '$nnodes' is not a number of machines, nor a range MIN:MAX of it" >&2
    exit 1
fi
if ((most > 1)) && [[ ! ${RDZV_ENDPOINT:-} =~ ^[^[:space:]]+:[1-9][0-9]*$ ]]; then
    echo "error: RDZV_ENDPOINT: '${RDZV_ENDPOINT:-}' is not the host:port of the first machine, needed for NNODES=$nnodes" >&2
    exit 1
fi

num_gpus=${NUM_GPUS:-$("$PYTHON" -c 'import torch; print(torch.cuda.device_count())')}
batch_size=${BATCH_SIZE:-${BS:-16}}
processes=$((num_gpus > 0 ? num_gpus : 1)) # of this machine
one_pass=$((processes * batch_size))       # segments, of this machine
global_batch=128
if [[ $* =~ --global[-_]batch[-_]size ]]; then
    batch=() # a further argument decides it
elif ((least < most)) && [[ -z ${GRAD_ACCUMULATION:-} ]]; then
    for ((n = least; n <= most; n++)); do
        if ((global_batch % (n * one_pass))); then
            echo "error: NNODES: '$nnodes' includes $n, but $n x $processes x $batch_size segments cannot share a global" \
                "batch of $global_batch; give --global-batch-size, or GRAD_ACCUMULATION (the batch then follows the number)" >&2
            exit 1
        fi
    done
    batch=(--global-batch-size "$global_batch")
else
    accumulation=$((global_batch / (most * one_pass)))
    accumulation=${GRAD_ACCUMULATION:-$((accumulation > 0 ? accumulation : 1))}
    batch=(--grad-accumulation "$accumulation")
    if ((least * one_pass * accumulation != global_batch || most * one_pass * accumulation != global_batch)); then
        names="NUM_GPUS x BATCH_SIZE x GRAD_ACCUMULATION" values="$processes x $batch_size x $accumulation"
        if ((most > 1)); then
            names="NNODES x $names" values="${nnodes/:/ to } x $values"
        fi
        total=$((least * one_pass * accumulation))
        ((least < most)) && total+=" to $((most * one_pass * accumulation))"
        echo "warning: $names = $values = $total, the recipe's global batch is $global_batch" >&2
    fi
fi

default_epochs=6500
if [[ -n ${FINE_TUNE_DIR:-} ]]; then
    default_epochs=10000
    FINE_TUNE_LR_FACTOR=${FINE_TUNE_LR_FACTOR:-3}
fi
args=(
    --output "${OUTPUT_DIR:-output}"
    --dataset-path "${DATASET_DIR:-data/LJSpeech-1.1}"
    --training-files "${TRAIN_FILELIST:-data/filelists/ljs_audio_train_v3.txt}"
    --validation-files "${VAL_FILELIST:-data/filelists/ljs_audio_val.txt}"
    --batch-size "$batch_size"
    --epochs "${EPOCHS:-$default_epochs}"
)
[[ -n ${batch:-} ]] && args+=("${batch[@]}")
((num_gpus > 0)) && args+=(--cuda)
[[ ${AMP:-false} == true ]] && args+=(--amp)
[[ ${RESUME:-true} == false ]] && args+=(--no-resume)
for setting in LOG_FILE:log-file EPOCHS_THIS_JOB:epochs-this-job VAL_INTERVAL:validation-interval \
    SAMPLES_INTERVAL:samples-interval CHECKPOINT_INTERVAL:checkpoint-interval LEARNING_RATE:learning-rate \
    LEARNING_RATE_DECAY:learning-rate-decay SEED:seed BMARK_EPOCHS_NUM:benchmark-epochs-num \
    FINE_TUNE_DIR:input-mels-dir FINE_TUNE_LR_FACTOR:fine-tune-lr-factor; do
    variable=${setting%%:*}
    [[ -n ${!variable:-} ]] && args+=("--${setting#*:}" "${!variable}")
done

max_restarts=${MAX_RESTARTS:-$((most > 1 ? 10 : 0))}
if ((max_restarts > 0)) && [[ ${RESUME:-true} == false ]]; then
    echo "error: RESUME: 'false', but processes that are started again go on from checkpoints; set MAX_RESTARTS=0" >&2
    exit 1
fi
launch=()
if ((most > 1)); then
    launch+=(--rdzv-backend c10d --rdzv-endpoint "$RDZV_ENDPOINT" --rdzv-id "${RDZV_ID:-${SLURM_JOB_ID:-hifigan}}")
    launch+=(--nnodes "$nnodes")
    # Where rank 0 listens is announced anew after each restart. By default PyTorch does so only once, and a machine that
    # comes back waits for it in vain (pytorch/pytorch#135712).
    export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1
    # On SIGTERM torchrun gives its processes 30 seconds by default: little for a step and a checkpoint on a busy disk.
    export TORCH_ELASTIC_SHUTDOWN_TIMEOUT=${TORCH_ELASTIC_SHUTDOWN_TIMEOUT:-120}
elif ((processes > 1 || max_restarts > 0)); then
    launch+=(--standalone) # on a free port
else
    exec "$PYTHON" train.py "${args[@]}" "$@"
fi
launch+=(--nproc-per-node "$processes")
((max_restarts > 0)) && launch+=(--max-restarts "$max_restarts")
exec "$PYTHON" -m torch.distributed.run "${launch[@]}" train.py "${args[@]}" "$@"
