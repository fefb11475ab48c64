#!/usr/bin/env bash
# Measures the speed of training: the plain recipe (train.py --fast off) and the default, in turn. Prints Markdown tables,
# and writes them to OUTPUT_DIR as train_benchmark.md and .json after each variant, and every measurement at once in .jsonl.
# Needs no data set. Further arguments go to benchmarks/training/benchmark.py (--help). On a GPU it also measures the default
# without CUDA graphs, and ways to compute the discriminators' layers. What matters most comes first, and a variant that
# fails or hangs is named and skipped.
#
#   HIFIGAN_CONFIG  one or several generators: v1, v2, v3, or JSON files (default: v1, or "v1 v3" without a GPU)
#   BATCH_SIZE      one batch size or several (default: "16 128", or 4 without a GPU)
#   AMP             true: full and mixed precision. false: only full precision (default: true)
#   STEPS           steps in a burst (default: 10 on a GPU, 3 without)
#   REPEATS         measured bursts (default: 5)
#   AGREEMENT       first steps whose losses are compared (default: 50 on a GPU, all measured steps without)
#   NUM_WORKERS     processes that load audio for the plain recipe (default: as in train.py)
#   MINUTES         time of the whole benchmark, divided among the variants (default: 4.25 on a GPU, no limit without)
#   CUDA            true or false (default: whether there is a GPU)
#   OUTPUT_DIR      default: output/train_benchmark
set -euo pipefail
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib/env.sh
source scripts/lib/python.sh
source scripts/lib/variables.sh
name_unread_variables scripts/train_benchmark.sh

require_true_or_false AMP CUDA
default_cuda

args=()
[[ $CUDA == true ]] && args+=(--cuda --layers) && MINUTES=${MINUTES:-4.25}
add_flags STEPS:steps REPEATS:repeats AGREEMENT:agreement-steps NUM_WORKERS:num-workers OUTPUT_DIR:output MINUTES:minutes
add_list_flags HIFIGAN_CONFIG:hifigan-config BATCH_SIZE:batch-size
[[ ${AMP:-true} == false ]] && args+=(--no-amp)
exec "$PYTHON" -m benchmarks.training.benchmark ${args[@]+"${args[@]}"} "$@"
