#!/usr/bin/env bash
# Sets up the environment and passes lint, types and tests. Further arguments go to pytest.
#
#   PYTHON, VENV       as in scripts/lib/env.sh
#   TEST_PROCESSES     tests that run at a time (default: two, if there are as many cores; each of one thread)
#   HIFIGAN_TEST_DATA  folder with real LJSpeech clips for the tests that want them (they are skipped without it)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib/env.sh

setup_env requirements.txt requirements-export.txt requirements-dev.txt
bin=$(dirname "$PYTHON")
"$bin/ruff" format --check .
"$bin/ruff" check .
"$bin/mypy"
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
"$PYTHON" -m pytest --numprocesses "${TEST_PROCESSES:-auto}" --maxprocesses 2 --dist worksteal "$@"
