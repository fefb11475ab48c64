#!/usr/bin/env bash
# Trains FastPitch on LJSpeech with the published recipe. Further arguments go to fastpitch/train.py. First run
# scripts/prepare_dataset.sh, and python prepare_dataset.py --extract-pitch.
#
#   NUM_GPUS             GPUs of this machine to use (default: all), or 0 to train on the CPU
#   BATCH_SIZE, or BS    clips per GPU in one pass (default: 16)
#   GRAD_ACCUMULATION    passes per optimiser step
#                        (default: so that NNODES x NUM_GPUS x BATCH_SIZE x GRAD_ACCUMULATION is 256)
#   AMP                  true: mixed precision
#   EPOCHS               epochs of the whole run (default: 1000)
#   EPOCHS_THIS_JOB      epochs of this process
#   OUTPUT_DIR           checkpoints and logs (default: output/fastpitch)
#   LOG_FILE             DLLogger file
#   DATASET_DIR          data set (default: data/LJSpeech-1.1)
#   TRAIN_FILELIST, VAL_FILELIST   its lists, wav|pitch|text
#   VAL_INTERVAL, SAMPLES_INTERVAL, CHECKPOINT_INTERVAL   in epochs
#   OPTIMIZER            lamb or adamw (default: lamb)
#   LEARNING_RATE, WARMUP_STEPS, SEED
#   P_ARPABET            probability that a word is replaced by its phonemes (default: 1.0)
#   BMARK_EPOCHS_NUM     number of last epochs whose throughput is recorded at the end
#   RESUME               false: refuse a directory with checkpoints (default: resume from them)
#   NNODES, RDZV_ENDPOINT, RDZV_ID, MAX_RESTARTS   several machines, as in scripts/train_lj22khz.sh
set -euo pipefail
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib/python.sh
source scripts/lib/variables.sh
source scripts/lib/train.sh
name_unread_variables scripts/train_fastpitch.sh

choose_batch 256 16 "$@"
args=(
    --output "${OUTPUT_DIR:-output/fastpitch}"
    --dataset-path "${DATASET_DIR:-data/LJSpeech-1.1}"
    --training-files "${TRAIN_FILELIST:-data/filelists/ljs_audio_pitch_text_train_v3.txt}"
    --validation-files "${VAL_FILELIST:-data/filelists/ljs_audio_pitch_text_val.txt}"
    --epochs "${EPOCHS:-1000}"
)
add_settings LOG_FILE:log-file EPOCHS_THIS_JOB:epochs-this-job VAL_INTERVAL:validation-interval \
    SAMPLES_INTERVAL:samples-interval CHECKPOINT_INTERVAL:checkpoint-interval OPTIMIZER:optimizer \
    LEARNING_RATE:learning-rate WARMUP_STEPS:warmup-steps P_ARPABET:p-arpabet SEED:seed \
    BMARK_EPOCHS_NUM:benchmark-epochs-num
launch -m fastpitch.train "${args[@]}" "$@"
