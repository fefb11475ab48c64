#!/usr/bin/env bash
# Latency, throughput and real-time factor of HiFi-GAN or, with FASTPITCH, of FastPitch and HiFi-GAN: Markdown tables
# and JSON, printed and written to OUTPUT_DIR as inference_benchmark.md and .json (there with each single latency), a plot
# in latency.png. No data set is needed. Further arguments go to benchmarks/inference_benchmark.py (--help).
#
#   HIFIGAN       generator checkpoint (default: the published V1 weights; bash scripts/download_models.sh hifigan-lj-v1)
#   FASTPITCH     FastPitch checkpoint: texts are spoken (default: HiFi-GAN alone, on synthetic mels)
#   PHRASES       texts for FASTPITCH (default: phrases/benchmark_8_128.tsv, of 128 characters)
#   BACKENDS      files of export.py, measured beside the checkpoint (default: none)
#   BATCH_SIZE    one batch size or several (default: "1 2 4 8")
#   SECONDS_LIST  lengths in the plot beside that of the tables, in seconds (default: "1 2 4")
#   AMP           true: mixed precision too, and how much faster it is; false: fp32 (or TF32) alone (default: false)
#   TORCHSCRIPT   true or false (default: true)
#   DENOISING     strength of the denoiser in the half of the tables that has it (default: 0.01)
#   REPEATS       measured runs of everything (default: 100 on a GPU, 10 without)
#   WARMUP        runs before these (default: 3)
#   CUDA          true or false (default: whether there is a GPU)
#   OUTPUT_DIR    default: output/inference_benchmark
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib/env.sh
source scripts/lib/python.sh

for variable in AMP TORCHSCRIPT CUDA; do
    if [[ ! ${!variable:-true} =~ ^(true|false)$ ]]; then
        echo "error: $variable: '${!variable}' is not true or false" >&2
        exit 1
    fi
done
if [[ -z ${CUDA:-} ]]; then
    if has_gpu; then CUDA=true; else CUDA=false; fi
fi

args=(--hifigan "${HIFIGAN:-pretrained_models/hifigan-lj-v1/generator_LJSpeech.pth.tar}")
for setting in FASTPITCH:fastpitch PHRASES:phrases DENOISING:denoising REPEATS:repeats WARMUP:warmup OUTPUT_DIR:output; do
    variable=${setting%%:*}
    [[ -n ${!variable:-} ]] && args+=("--${setting#*:}" "${!variable}")
done
for setting in BATCH_SIZE:batch-size SECONDS_LIST:seconds-list BACKENDS:backends; do
    variable=${setting%%:*}
    read -ra values <<<"${!variable:-}"
    ((${#values[@]})) && args+=("--${setting#*:}" "${values[@]}")
done
[[ $CUDA == true ]] && args+=(--cuda)
[[ ${AMP:-false} == true ]] && args+=(--amp)
[[ ${TORCHSCRIPT:-true} == false ]] && args+=(--no-torchscript)
exec "$PYTHON" -m benchmarks.inference_benchmark "${args[@]}" "$@"
