#!/usr/bin/env bash
# Creates the demo data set: about three minutes of synthetic English speech in LJSpeech layout, from
# scripts/demo_texts.txt. Safe to run again: complete clips are not made again.
#
#   bash scripts/make_demo_data.sh [DIR]      DIR: data/demo by default, relative to the repository root
#
#   PYTHON       interpreter that creates the synthesiser's environment, .cache/piper-venv (default: python3)
#   DEMO_CLIPS   number of sentences, from the first of 40 (default: all)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

dir=${1:-data/demo}
python=${PYTHON:-python3}
venv=.cache/piper-venv
log=.cache/piper-venv.log
requirements=scripts/demo-requirements.txt

# 0: nothing to do. 3: clips are missing. For any other status the program has printed the reason.
status=0
"$python" scripts/make_demo_data.py --check "$dir" || status=$?
if ((status != 3)); then
    exit "$status"
fi

# The requirements are copied last, so the copy shows that the installation is complete and has these versions.
if ! { cmp -s "$requirements" "$venv/installed.txt" && "$venv/bin/python" -c "import piper" 2>/dev/null; }; then
    echo "demo data: installing the speech synthesiser into $venv" >&2
    rm -rf "$venv"
    mkdir -p .cache
    if ! { "$python" -m venv "$venv" &&
        "$venv/bin/python" -m pip install --disable-pip-version-check --only-binary=:all: -r "$requirements" &&
        cp "$requirements" "$venv/installed.txt"; } >"$log" 2>&1; then
        echo "make_demo_data: the speech synthesiser could not be installed ($(tail -n 1 "$log")); see $log" >&2
        exit 1
    fi
fi

"$venv/bin/python" scripts/make_demo_data.py "$dir"
