#!/usr/bin/env bash
# Trains HiFi-GAN V1 on LJSpeech with the published recipe. Further arguments go to train.py.
#
#   NUM_GPUS             GPUs of this machine to use (default: all), or 0 to train on the CPU
#   BATCH_SIZE, or BS    segments per GPU in one pass (default: 16)
#   GRAD_ACCUMULATION    passes per optimiser step
#                        (default: so that NNODES x NUM_GPUS x BATCH_SIZE x GRAD_ACCUMULATION is 128)
#   AMP                  true: mixed precision
#   EPOCHS               epochs of the whole run (default: 6500)
#   EPOCHS_THIS_JOB      epochs of this process
#   OUTPUT_DIR           checkpoints and logs (default: output)
#   LOG_FILE             DLLogger file
#   DATASET_DIR          data set (default: data/LJSpeech-1.1)
#   TRAIN_FILELIST, VAL_FILELIST   its lists
#   VAL_INTERVAL, SAMPLES_INTERVAL, CHECKPOINT_INTERVAL   in epochs
#   LEARNING_RATE, LEARNING_RATE_DECAY, SEED
#   FINE_TUNE_DIR        fine-tune on the mels of this directory, from --checkpoint-path-gen (EPOCHS is then 10000)
#   FINE_TUNE_LR_FACTOR  factor on the learning rate (default: 3)
#   BMARK_EPOCHS_NUM     number of last epochs whose throughput is recorded at the end
#   RESUME               false: refuse a directory with checkpoints (default: resume from them)
#
# On several machines, run this script on each one with the same variables (docs/multi-node.md):
#   NNODES               number of machines (default: 1), or a range MIN:MAX to train on the available ones. A range without
#                        GRAD_ACCUMULATION passes --global-batch-size 128, so the number does not change the result.
#   RDZV_ENDPOINT        host:port of the first machine, where all of them meet. Needed unless NNODES is 1.
#   RDZV_ID              name of the job, the same on all machines (default: SLURM_JOB_ID, or else hifigan)
#   MAX_RESTARTS         number of restarts of failed processes (default: 10, or 0 on a single machine)
set -euo pipefail
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib/python.sh
source scripts/lib/variables.sh
source scripts/lib/train.sh
name_unread_variables scripts/train_lj22khz.sh

choose_batch 128 16 "$@"
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
    --epochs "${EPOCHS:-$default_epochs}"
)
add_settings LOG_FILE:log-file EPOCHS_THIS_JOB:epochs-this-job VAL_INTERVAL:validation-interval \
    SAMPLES_INTERVAL:samples-interval CHECKPOINT_INTERVAL:checkpoint-interval LEARNING_RATE:learning-rate \
    LEARNING_RATE_DECAY:learning-rate-decay SEED:seed BMARK_EPOCHS_NUM:benchmark-epochs-num \
    FINE_TUNE_DIR:input-mels-dir FINE_TUNE_LR_FACTOR:fine-tune-lr-factor
launch train.py "${args[@]}" "$@"
