#!/usr/bin/env bash
# Latency, throughput, real-time factor, quality and start-up of all ways to run HiFi-GAN or, with FASTPITCH, FastPitch and
# HiFi-GAN: eager, TorchScript, onnxruntime and OpenVINO (where installed), the engine. Markdown tables and JSON, printed
# and written to OUTPUT_DIR as inference_benchmark.md and .json (there with each single latency), a plot in latency.png. No
# data set is needed. By default about ten minutes. Further arguments go to benchmarks/inference/benchmark.py (--help).
#
#   HIFIGAN       generator checkpoints, or v1, v2, v3 for random weights, which are as fast (default: V1, V2 and V3, with
#                 published weights where downloaded: bash scripts/download_models.sh hifigan-lj-v1 hifigan-lj-v2)
#   FASTPITCH     FastPitch checkpoint: texts are spoken (default: HiFi-GAN alone, on synthetic mels)
#   PHRASES       texts for FASTPITCH (default: phrases/benchmark_8_128.tsv, of 128 characters)
#   WAVS          folder of recordings for the quality gate, which takes trained weights (default: those of
#                 HIFIGAN_TEST_DATA, else data/demo/wavs; without either, no gate)
#   BACKENDS      files of export.py, measured beside their checkpoint, the only one in HIFIGAN (default: none)
#   BATCH_SIZE    one batch size or several (default: "1 2 4 8" on a GPU, 1 without)
#   SECONDS_LIST  lengths beside the main one of 8.05 s, in seconds (default: "1 30" on a GPU, 1 without)
#   FULL          true: every length at every batch size, with and without denoising; false: lengths and denoising at
#                 the smallest batch size alone (default: false)
#   AMP           true or false: 16-bit precisions too (default: true)
#   TORCHSCRIPT   true or false: TorchScript too (default: true)
#   DENOISING     strength of the denoiser in the cases that have it; 0 for no such cases (default: 0.01)
#   REPEATS       measured rounds of everything, at most (default: 100 on a GPU, 10 without)
#   WARMUP        rounds before these (default: 3 on a GPU, 2 without)
#   MINUTES       no further round begins after these, once there are three (default: 6)
#   STARTS        fresh processes of inference.py in each way (default: 2)
#   CUDA          true or false (default: whether there is a GPU)
#   OUTPUT_DIR    default: output/inference_benchmark
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib/env.sh
source scripts/lib/python.sh

for variable in FULL AMP TORCHSCRIPT CUDA; do
    if [[ ! ${!variable:-true} =~ ^(true|false)$ ]]; then
        echo "error: $variable: '${!variable}' is not true or false" >&2
        exit 1
    fi
done
if [[ -z ${CUDA:-} ]]; then
    if has_gpu; then CUDA=true; else CUDA=false; fi
fi
if [[ -z ${HIFIGAN:-} ]]; then
    models=${MODELS_DIR:-pretrained_models}
    HIFIGAN=
    for file in v1:hifigan-lj-v1/generator_LJSpeech.pth.tar v2:hifigan-lj-v2/generator_v2 v3:; do
        if [[ -f $models/${file#*:} ]]; then HIFIGAN+=" $models/${file#*:}"; else HIFIGAN+=" ${file%%:*}"; fi
    done
fi
if [[ -z ${WAVS:-} ]]; then
    for folder in ${HIFIGAN_TEST_DATA:+"$HIFIGAN_TEST_DATA/data/ljspeech-mini/wavs"} data/demo/wavs; do
        if [[ -d $folder ]]; then
            WAVS=$folder
            break
        fi
    done
fi

args=()
for setting in FASTPITCH:fastpitch PHRASES:phrases WAVS:wavs DENOISING:denoising REPEATS:repeats WARMUP:warmup \
    MINUTES:minutes STARTS:starts OUTPUT_DIR:output; do
    variable=${setting%%:*}
    [[ -n ${!variable:-} ]] && args+=("--${setting#*:}" "${!variable}")
done
for setting in HIFIGAN:hifigan BATCH_SIZE:batch-size SECONDS_LIST:seconds-list BACKENDS:backends; do
    variable=${setting%%:*}
    read -ra values <<<"${!variable:-}"
    ((${#values[@]})) && args+=("--${setting#*:}" "${values[@]}")
done
[[ $CUDA == true ]] && args+=(--cuda)
[[ ${FULL:-false} == true ]] && args+=(--full)
[[ ${AMP:-true} == false ]] && args+=(--no-amp)
[[ ${TORCHSCRIPT:-true} == false ]] && args+=(--no-torchscript)
exec "$PYTHON" -m benchmarks.inference.benchmark "${args[@]}" "$@"
