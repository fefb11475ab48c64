#!/usr/bin/env bash
# Opens a shell in the container, or runs the given command. The repository is mounted at /workspace/hifigan, so files in
# data/ and output/ stay on the host. Uses all GPUs, if there are any.
#
# IMAGE     name of the image (default: hifigan, built by scripts/docker/build.sh)
# GPUS      value of docker's --gpus, or empty for none (default: all if nvidia-smi finds a GPU)
# DATA_DIR  folder of the host to mount at /workspace/hifigan/data (default: data, in the repository)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

if [[ -z "${GPUS+set}" ]]; then
    GPUS=
    if nvidia-smi --list-gpus 2>/dev/null | grep -q GPU; then GPUS=all; fi
fi

# PyTorch's loader workers share memory through /dev/shm, which would be only 64 MB without --ipc=host.
args=(--rm --ipc=host --ulimit memlock=-1 --ulimit stack=67108864)
args+=(--volume "$PWD:/workspace/hifigan" --workdir /workspace/hifigan)
[[ -z "$GPUS" ]] || args+=(--gpus "$GPUS")
[[ ! -t 0 || ! -t 1 ]] || args+=(--interactive --tty)
if [[ -n "${DATA_DIR:-}" ]]; then
    mkdir -p "$DATA_DIR"
    args+=(--volume "$(cd "$DATA_DIR" && pwd -P):/workspace/hifigan/data")
fi
if [[ $# -eq 0 ]]; then set -- bash; fi
exec docker run "${args[@]}" "${IMAGE:-hifigan}" "$@"
