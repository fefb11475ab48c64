#!/usr/bin/env bash
# The recipe on 1 x V100 16GB in fp32. Variables and arguments: scripts/train_lj22khz.sh.
set -euo pipefail
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/.."

export NUM_GPUS=${NUM_GPUS:-1} BATCH_SIZE=${BATCH_SIZE:-32} GRAD_ACCUMULATION=${GRAD_ACCUMULATION:-4} AMP=${AMP:-false}
export OUTPUT_DIR=${OUTPUT_DIR:-output/DGX1_HiFi-GAN_FP32_1GPU} # no other configuration continues this run
exec bash scripts/train_lj22khz.sh "$@"
