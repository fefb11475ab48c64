#!/usr/bin/env bash
# Opens a shell in the container, or runs the given command. It runs as you, with all GPUs, if there are any. The clone's
# folders data, output and pretrained_models are mounted, so downloads and results stay on the host.
#
# MOUNT     true also mounts the clone over the code in the image, to run code that you change
# IMAGE     name of the image (default: hifigan, built by scripts/docker/build.sh)
# GPUS      value of docker's --gpus, or empty for none (default: all if nvidia-smi finds a GPU)
# DATA_DIR  folder of the host to use as data (default: data, in the clone)
set -euo pipefail
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source scripts/lib/variables.sh
name_unread_variables scripts/docker/interactive.sh

if [[ -z "${GPUS+set}" ]]; then
    GPUS=
    if nvidia-smi --list-gpus 2>/dev/null | grep -q GPU; then GPUS=all; fi
fi

inside=/workspace/hifigan
data=${DATA_DIR:-data}
mkdir -p "$data" output pretrained_models # Docker would create them for root
# PyTorch's loader workers share memory through /dev/shm, which would be only 64 MB without --ipc=host.
args=(--rm --ipc=host --ulimit memlock=-1 --ulimit stack=67108864 --user "$(id -u):$(id -g)")
[[ "${MOUNT:-false}" != true ]] || args+=(--volume "$PWD:$inside")
args+=(
    --volume "$(CDPATH='' cd "$data" && pwd -P):$inside/data"
    --volume "$PWD/output:$inside/output"
    --volume "$PWD/pretrained_models:$inside/pretrained_models"
)
[[ -z "$GPUS" ]] || args+=(--gpus "$GPUS")
[[ ! -t 0 || ! -t 1 ]] || args+=(--interactive --tty)
if [[ $# -eq 0 ]]; then set -- bash; fi
exec docker run "${args[@]}" "${IMAGE:-hifigan}" "$@"
