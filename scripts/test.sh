#!/usr/bin/env bash
# Sets up the environment, then runs lint, type checks and tests. Arguments are passed on to pytest.
#
#   bash scripts/test.sh                                # everything
#   FAST=true bash scripts/test.sh                      # lint, types, and tests of at most a second: two minutes
#   bash scripts/test.sh tests/hifigan -k losses        # some tests
#   bash scripts/test.sh -m "not slow"                  # tests without a marker
#
#   FAST               true: skip tests marked medium, slow or alone (default: false)
#   TEST_PROCESSES     number of tests that run at the same time (default: 2). Tests marked alone run one by one.
#   HIFIGAN_TEST_DATA  folder with LJSpeech clips. Tests of real speech are skipped without it.
#   PYTHON, VENV       as in scripts/lib/env.sh
set -euo pipefail
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib/env.sh
source scripts/lib/variables.sh
name_unread_variables scripts/test.sh

# Runs one step, and stops the script with its name and status if it fails.
step() {
    local name=$1 status=0
    shift
    "$@" || status=$?
    if ((status)); then
        echo "scripts/test.sh: $name failed (exit status $status)" >&2
        exit "$status"
    fi
}

# Runs the tests that a marker expression selects, among those that the arguments select.
selected_any=false
run_tests() {
    local markers=$1 status=0
    shift
    "$PYTHON" -m pytest -m "($markers)${expression:+ and ($expression)}" "$@" || status=$?
    if ((status == 5)); then return; fi # pytest: no test is selected
    selected_any=true
    return "$status"
}

# The last -m wins in pytest, so the expression is taken out of the arguments and joined with the script's own.
expression="" arguments=()
while (($#)); do
    case $1 in
        -m)
            expression=${2:?"-m needs a marker expression"}
            shift
            ;;
        -m*)
            expression=${1#-m}
            expression=${expression#=}
            ;;
        *) arguments+=("$1") ;;
    esac
    shift
done
set -- ${arguments[@]+"${arguments[@]}"}

require_true_or_false FAST
require_whole_numbers 1 TEST_PROCESSES

setup_env requirements.txt requirements-export.txt requirements-dev.txt
bin=$(dirname "$PYTHON")
step "lint (ruff format)" "$bin/ruff" format --check .
step "lint (ruff check)" "$bin/ruff" check .
step "type check (mypy)" "$bin/mypy"

parallel=(--numprocesses "${TEST_PROCESSES:-2}" --dist worksteal)
if [[ ${FAST:-false} == true ]]; then
    OMP_NUM_THREADS=1 step tests run_tests "not medium and not slow and not alone" "${parallel[@]}" "$@"
else
    add_optional requirements-evaluation.txt pesq pystoi jiwer whisper-normalizer # their tests are skipped without them
    add_optional requirements-formats.txt h5py # likewise
    add_optional requirements-docs.txt mkdocs mkdocs-material # likewise
    add_optional requirements-voice.txt silero-vad pyloudnorm av # likewise
    add_optional requirements-hub.txt huggingface_hub # likewise
    add_optional requirements-demo.txt gradio # likewise
    OMP_NUM_THREADS=1 step "tests that share the machine" run_tests "not alone" "${parallel[@]}" "$@"
    step "tests that run alone" run_tests alone "$@" --numprocesses 0
fi
if [[ $selected_any == false ]]; then
    echo "scripts/test.sh: these arguments select no test" >&2
    exit 5
fi
