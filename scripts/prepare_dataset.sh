#!/usr/bin/env bash
# Writes file lists of LJSpeech's published split, and mel spectrograms of all clips. Further arguments go to
# prepare_dataset.py.
#
#   DATASET_PATH   the data set (default: data/LJSpeech-1.1)
#   FILELISTS_DIR  folder of the file lists (default: data/filelists)
#   NUM_WORKERS    worker processes (default: one per core)
set -euo pipefail
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib/python.sh
source scripts/lib/variables.sh
name_unread_variables scripts/prepare_dataset.sh

exec "$PYTHON" prepare_dataset.py \
    --dataset-path "${DATASET_PATH:-data/LJSpeech-1.1}" \
    --write-filelists "${FILELISTS_DIR:-data/filelists}" \
    --split ljspeech \
    --extract-mels \
    ${NUM_WORKERS:+--n-workers "$NUM_WORKERS"} \
    "$@"
