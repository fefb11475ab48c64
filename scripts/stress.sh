#!/usr/bin/env bash
# Runs the stress tests with full counts, and prints a table of the results. It takes hours. Arguments are passed on to
# pytest.
#
#   bash scripts/stress.sh                          # everything that docs/reliability.md promises
#   bash scripts/stress.sh tests/stress/downloads   # some promises
#
#   HIFIGAN_STRESS_RESULTS  file that results are appended to (default: output/stress.jsonl)
#   HIFIGAN_TEST_DATA       folder with LJSpeech clips. Tests of real speech are skipped without it.
#   PYTHON, VENV            as in scripts/lib/env.sh
set -euo pipefail
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib/env.sh
source scripts/lib/variables.sh
name_unread_variables scripts/stress.sh

setup_env requirements.txt requirements-export.txt requirements-dev.txt
if (($# == 0)); then set -- tests/stress; fi
status=0
HIFIGAN_STRESS=full OMP_NUM_THREADS=1 "$PYTHON" -m pytest -p no:cacheprovider --timeout 14400 "$@" || status=$?
"$PYTHON" -m tests.support.stress
exit "$status"
