#!/usr/bin/env bash
# The recipe on 8 x A100 80GB in TF32 (the default for convolutions in PyTorch). Variables and arguments: scripts/train_lj22khz.sh.
set -euo pipefail
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/.."

export NUM_GPUS=${NUM_GPUS:-8} BATCH_SIZE=${BATCH_SIZE:-16} GRAD_ACCUMULATION=${GRAD_ACCUMULATION:-1} AMP=${AMP:-false}
export OUTPUT_DIR=${OUTPUT_DIR:-output/DGXA100_HiFi-GAN_TF32_8GPU} # no other configuration continues this run
exec bash scripts/train_lj22khz.sh "$@"
