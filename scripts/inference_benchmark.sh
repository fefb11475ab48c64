#!/usr/bin/env bash
# Measures latency, throughput, real-time factor, quality, and start-up of all ways to run HiFi-GAN or, with FASTPITCH,
# FastPitch and HiFi-GAN: eager, TorchScript, torch.compile (with COMPILED=true), onnxruntime, OpenVINO and ncnn (if
# installed), and the engine. Prints Markdown tables.
# Writes them to OUTPUT_DIR as inference_benchmark.md, with all latencies in inference_benchmark.json, after each case of a
# model, every measurement at once in inference_benchmark.jsonl, and a plot in latency.png. What matters most comes first,
# and a way that fails or hangs is named and skipped. Needs no data set. HIFIGAN_CPU_ISA=avx2 measures as on a smaller
# processor (docs/inference.md). Further arguments go to benchmarks/inference/benchmark.py (--help).
#
#   HIFIGAN       generator checkpoints, or v1, v2, v3 for random weights of equal speed (default: V1, V2, and V3, with
#                 published weights if downloaded: bash scripts/download_models.sh hifigan-lj-v1 hifigan-lj-v2)
#   FASTPITCH     FastPitch checkpoint, to synthesise from text (default: HiFi-GAN alone, on synthetic mels)
#   PHRASES       texts for FASTPITCH (default: phrases/benchmark_8_128.tsv, of 128 characters)
#   WAVS          folder of recordings for the quality gate, which needs trained weights (default: from HIFIGAN_TEST_DATA,
#                 or else data/demo/wavs). Without either, no gate.
#   BACKENDS      files of export.py to measure too (default: none). HIFIGAN must then be their checkpoint alone.
#   BATCH_SIZE    one batch size or several (default: "1 2 4 8" on a GPU, 1 without)
#   SECONDS_LIST  lengths besides the main one of 8.05 s, in seconds (default: "1 30" on a GPU, 1 without)
#   FULL          true: every length at every batch size, with and without denoising. false: other lengths and denoising
#                 only at the smallest batch size (default: false)
#   AMP           true or false: 16-bit precisions too (default: true)
#   TORCHSCRIPT   true or false: TorchScript too (default: true)
#   COMPILED      true or false: torch.compile too, which takes minutes per model, length and precision (default: false)
#   DENOISING     strength of the denoiser in the cases with denoising, or 0 for no such cases (default: 0.01)
#   REPEATS       maximum number of measured rounds (default: 100 on a GPU, 10 without)
#   WARMUP        warm-up rounds (default: 3 on a GPU, 2 without)
#   MINUTES       time of the whole benchmark, divided among its parts (default: 3.25 on a GPU, 10 without)
#   STARTS        fresh processes of inference.py for each way (default: 2)
#   CUDA          true or false (default: whether there is a GPU)
#   OUTPUT_DIR    default: output/inference_benchmark
set -euo pipefail
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib/env.sh
source scripts/lib/python.sh
source scripts/lib/variables.sh
name_unread_variables scripts/inference_benchmark.sh

require_true_or_false FULL AMP TORCHSCRIPT COMPILED CUDA
default_cuda
if [[ -z ${WAVS:-} ]]; then
    for folder in ${HIFIGAN_TEST_DATA:+"$HIFIGAN_TEST_DATA/data/ljspeech-mini/wavs"} data/demo/wavs; do
        if [[ -d $folder ]]; then
            WAVS=$folder
            break
        fi
    done
fi

args=()
[[ $CUDA == true ]] && args+=(--cuda) && MINUTES=${MINUTES:-3.25}
add_flags FASTPITCH:fastpitch PHRASES:phrases WAVS:wavs DENOISING:denoising REPEATS:repeats WARMUP:warmup \
    MINUTES:minutes STARTS:starts OUTPUT_DIR:output
if [[ -n ${HIFIGAN:-} ]]; then
    add_list_flags HIFIGAN:hifigan
else
    args+=(--hifigan)
    models=${MODELS_DIR:-pretrained_models}
    for file in v1:hifigan-lj-v1/generator_LJSpeech.pth.tar v2:hifigan-lj-v2/generator_v2 v3:; do
        if [[ -f $models/${file#*:} ]]; then args+=("$models/${file#*:}"); else args+=("${file%%:*}"); fi
    done
fi
add_list_flags BATCH_SIZE:batch-size SECONDS_LIST:seconds-list BACKENDS:backends
[[ ${FULL:-false} == true ]] && args+=(--full)
[[ ${AMP:-true} == false ]] && args+=(--no-amp)
[[ ${TORCHSCRIPT:-true} == false ]] && args+=(--no-torchscript)
[[ ${COMPILED:-false} == true ]] && args+=(--compiled)
exec "$PYTHON" -m benchmarks.inference.benchmark "${args[@]}" "$@"
