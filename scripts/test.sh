#!/usr/bin/env bash
# Sets up the environment and passes lint, types and tests. Further arguments go to pytest.
#
#   PYTHON, VENV       as in scripts/lib/env.sh
#   HIFIGAN_TEST_DATA  folder with real LJSpeech clips for the tests that want them (they are skipped without it)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib/env.sh

setup_env requirements.txt requirements-export.txt requirements-dev.txt
bin=$(dirname "$PYTHON")
"$bin/ruff" format --check .
"$bin/ruff" check .
"$bin/mypy"
"$PYTHON" -m pytest "$@"
