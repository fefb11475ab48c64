# Sourced by the scripts, from the repository root. Sets PYTHON, unless it is set, to .venv/bin/python or else python3.
# shellcheck shell=bash

if [[ -z "${PYTHON:-}" ]]; then
    if [[ -x .venv/bin/python ]]; then PYTHON=.venv/bin/python; else PYTHON=python3; fi
fi
if ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
    echo "error: $PYTHON is not Python 3.10 or newer; set PYTHON to one that is" >&2
    exit 1
fi
