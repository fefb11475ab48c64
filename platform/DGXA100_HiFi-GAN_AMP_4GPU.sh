#!/usr/bin/env bash
# The recipe on 4 x A100 80GB in mixed precision. Variables and arguments: scripts/train_lj22khz.sh.
set -euo pipefail
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/.."

export NUM_GPUS=${NUM_GPUS:-4} BATCH_SIZE=${BATCH_SIZE:-32} GRAD_ACCUMULATION=${GRAD_ACCUMULATION:-1} AMP=${AMP:-true}
export OUTPUT_DIR=${OUTPUT_DIR:-output/DGXA100_HiFi-GAN_AMP_4GPU} # no other configuration continues this run
exec bash scripts/train_lj22khz.sh --no-amp-grouped-conv "$@"
