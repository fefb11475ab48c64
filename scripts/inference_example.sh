#!/usr/bin/env bash
# Synthesises the validation phrases of LJSpeech from their mels or, with FASTPITCH, from their texts. Further arguments
# go to inference.py.
#
#   FASTPITCH     FastPitch checkpoint, to speak the texts without a data set (bash scripts/download_models.sh fastpitch)
#   HIFIGAN       generator checkpoint (default: what scripts/download_models.sh has downloaded, hifigan or else
#                 hifigan-lj-v1; with FASTPITCH preferably hifigan-finetuned-fastpitch)
#   MODELS_DIR    as in scripts/download_models.sh
#   PHRASES       phrase file (default: phrases/devset10.tsv)
#   DATASET_PATH  data set with mels/ (default: data/LJSpeech-1.1, from bash scripts/prepare_dataset.sh)
#   OUTPUT_DIR    folder of the wav files (default: output/audio_<name of the phrase file>, plus _fastpitch with FASTPITCH,
#                 and _amp, _torchscript and _bs<BATCH_SIZE> if these are set)
#   BATCH_SIZE, DENOISING, REPEATS, WARMUP   numbers (defaults: 8, 0.01, 1, 0)
#   AMP, TORCHSCRIPT   true enables them
#   CUDA          true or false (default: whether there is a GPU)
set -euo pipefail
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib/env.sh
source scripts/lib/python.sh
source scripts/lib/variables.sh
name_unread_variables scripts/inference_example.sh
require_true_or_false AMP TORCHSCRIPT CUDA

models=${MODELS_DIR:-pretrained_models}
hifigan=$models/hifigan-lj-v1/generator_LJSpeech.pth.tar
for file in hifigan_gen_checkpoint_6500.pt ${FASTPITCH:+hifigan_gen_checkpoint_10000_ft.pt}; do
    [[ ! -f $models/hifigan/$file ]] || hifigan=$models/hifigan/$file
done
phrases=${PHRASES:-phrases/devset10.tsv}
name=$(basename "$phrases")
suffix= # outputs of other precisions and batches are not taken for these
[[ ${AMP:-false} == true ]] && suffix+=_amp
[[ ${TORCHSCRIPT:-false} == true ]] && suffix+=_torchscript
suffix+=${BATCH_SIZE:+_bs$BATCH_SIZE}
args=(
    --hifigan "${HIFIGAN:-$hifigan}"
    --input "$phrases"
    --dataset-path "${DATASET_PATH:-data/LJSpeech-1.1}"
    --output "${OUTPUT_DIR:-output/audio_${name%.*}${FASTPITCH:+_fastpitch}$suffix}"
    --batch-size "${BATCH_SIZE:-8}"
    --denoising-strength "${DENOISING:-0.01}"
    --repeats "${REPEATS:-1}"
    --warmup-steps "${WARMUP:-0}"
)
[[ -n ${FASTPITCH:-} ]] && args+=(--fastpitch "$FASTPITCH")
default_cuda
[[ $CUDA == true ]] && args+=(--cuda)
[[ ${AMP:-false} == true ]] && args+=(--amp)
[[ ${TORCHSCRIPT:-false} == true ]] && args+=(--torchscript)
exec "$PYTHON" inference.py "${args[@]}" "$@"
