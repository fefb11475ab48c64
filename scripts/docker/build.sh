#!/usr/bin/env bash
# Builds the container image. Further arguments go to `docker build`.
#
# IMAGE       name of the image (default: hifigan)
# FROM_IMAGE  NGC PyTorch image to start from (default: see Dockerfile)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

args=()
[[ -z "${FROM_IMAGE:-}" ]] || args+=(--build-arg "FROM_IMAGE=$FROM_IMAGE")
exec docker build --tag "${IMAGE:-hifigan}" ${args[@]+"${args[@]}"} "$@" .
