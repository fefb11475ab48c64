#!/usr/bin/env bash
# Builds the container image, which contains the code. Further arguments go to `docker build`.
#
# VARIANT     gpu (default), or cpu: a small image without CUDA
# IMAGE       name of the image (default: hifigan, and hifigan:cpu with VARIANT=cpu)
# FROM_IMAGE  image to start from (default: see Dockerfile; for Volta, nvcr.io/nvidia/pytorch:24.12-py3)
set -euo pipefail
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source scripts/lib/variables.sh
name_unread_variables scripts/docker/build.sh

case ${VARIANT:=gpu} in
    gpu) image=hifigan base=FROM_IMAGE ;;
    cpu) image=hifigan:cpu base=CPU_IMAGE ;;
    *)
        echo "error: VARIANT: $VARIANT is neither gpu nor cpu" >&2
        exit 1
        ;;
esac
args=(--build-arg "VARIANT=$VARIANT")
[[ -z "${FROM_IMAGE:-}" ]] || args+=(--build-arg "$base=$FROM_IMAGE")
exec docker build --tag "${IMAGE:-$image}" "${args[@]}" "$@" .
