#!/usr/bin/env bash
# Speed of training: the recipe written plainly (train.py --fast off) against the default, in turn: Markdown tables and
# JSON, printed and written to OUTPUT_DIR as train_benchmark.md and .json. No data set is needed. Further arguments go to
# benchmarks/training/benchmark.py (--help). On a GPU it also measures the default without CUDA graphs and ways to compute
# the discriminators' layers, and leaves out what has not begun after MINUTES: all within 10 minutes.
#
#   HIFIGAN_CONFIG  generators: one or several of v1 v2 v3 and JSON files (default: v1; without a GPU "v1 v3")
#   BATCH_SIZE      one batch size or several (default: "16 128"; without a GPU 4)
#   AMP             true: full and mixed precision; false: full precision alone (default: true)
#   STEPS           steps of a burst (default: 10 on a GPU, 3 without); REPEATS: measured bursts (default: 5)
#   AGREEMENT       first steps whose losses are compared (default: 50 on a GPU; without, those that are made anyway)
#   NUM_WORKERS     processes that load audio for the plain recipe (default: that of train.py)
#   MINUTES         see above (default: 8 on a GPU; without, no limit)
#   CUDA            true or false (default: whether there is a GPU)
#   OUTPUT_DIR      default: output/train_benchmark
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib/env.sh
source scripts/lib/python.sh

for variable in AMP CUDA; do
    if [[ ! ${!variable:-true} =~ ^(true|false)$ ]]; then
        echo "error: $variable: '${!variable}' is not true or false" >&2
        exit 1
    fi
done
if [[ -z ${CUDA:-} ]]; then
    if has_gpu; then CUDA=true; else CUDA=false; fi
fi

args=()
[[ $CUDA == true ]] && args+=(--cuda --layers) && MINUTES=${MINUTES:-8}
for setting in STEPS:steps REPEATS:repeats AGREEMENT:agreement-steps NUM_WORKERS:num-workers OUTPUT_DIR:output MINUTES:minutes; do
    variable=${setting%%:*}
    [[ -n ${!variable:-} ]] && args+=("--${setting#*:}" "${!variable}")
done
for setting in HIFIGAN_CONFIG:hifigan-config BATCH_SIZE:batch-size; do
    variable=${setting%%:*}
    read -ra values <<<"${!variable:-}"
    ((${#values[@]})) && args+=("--${setting#*:}" "${values[@]}")
done
[[ ${AMP:-true} == false ]] && args+=(--no-amp)
exec "$PYTHON" -m benchmarks.training.benchmark ${args[@]+"${args[@]}"} "$@"
