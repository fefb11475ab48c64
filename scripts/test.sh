#!/usr/bin/env bash
# Sets up the environment and passes lint, types and tests. Further arguments go to pytest.
#
#   PYTHON, VENV       as in scripts/lib/env.sh
#   TEST_PROCESSES     tests that run at a time, but for those that want the machine for themselves (default: 2)
#   HIFIGAN_TEST_DATA  folder with real LJSpeech clips for the tests that want them (they are skipped without it)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib/env.sh

setup_env requirements.txt requirements-export.txt requirements-dev.txt
add_optional requirements-evaluation.txt pesq pystoi # for their tests, which are skipped without them
bin=$(dirname "$PYTHON")
"$bin/ruff" format --check .
"$bin/ruff" check .
"$bin/mypy"
run() { "$PYTHON" -m pytest "$@" || [[ $? == 5 ]]; } # 5: none of the tests that were asked for is of this kind
OMP_NUM_THREADS=1 run -m "not alone" --numprocesses "${TEST_PROCESSES:-2}" --dist worksteal "$@"
run -m alone "$@"
