# Sourced by the scripts, from the repository root. `setup_env FILE...` makes the environment .venv (or $VENV) with the
# requirements of these files, if it is not there already, and sets PYTHON to its interpreter.
# `add_optional FILE NAME...` then adds packages of a requirements file if they can be had; nothing fails without them.
# shellcheck shell=bash
#
#   PYTHON           interpreter to make it with (default: the first Python 3.10 or newer among python3, python3.13 ...)
#   VENV             the environment's directory (default: .venv)
#   TORCH_CPU_INDEX  where PyTorch's CPU builds are, for Linux machines without an NVIDIA GPU

has_gpu() { command -v nvidia-smi >/dev/null && nvidia-smi -L >/dev/null 2>&1; }

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.10}; do
        if "$candidate" -c 'import sys, venv; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "error: Python 3.10 to 3.13 with venv was not found (${PYTHON:-python3}); set PYTHON to one" >&2
    return 1
}

setup_env() {
    local venv=${VENV:-.venv} base file missing=false options=()
    base=$(find_python)
    for file in "$@"; do options+=(-r "$file"); done
    # The copies of the files are made last: they say that the installation is whole, and of these versions.
    for file in "$@"; do cmp -s "$file" "$venv/installed-$(basename "$file")" || missing=true; done
    if [[ -x $venv/bin/python && $missing == false ]]; then
        PYTHON=$venv/bin/python
        return
    fi
    echo "setting up $venv (a few minutes the first time)"
    [[ -x $venv/bin/python ]] || "$base" -m venv "$venv"
    PYTHON=$venv/bin/python
    rm -f "$venv"/installed-*.txt
    if [[ $(uname -s) == Linux && $(uname -m) == x86_64 ]] && ! has_gpu; then
        # Of equal versions pip takes the one with a local label, +cpu: without it, gigabytes of CUDA come along.
        options+=(--extra-index-url "${TORCH_CPU_INDEX:-https://download.pytorch.org/whl/cpu}")
    fi
    if ! "$PYTHON" -m pip install --quiet --disable-pip-version-check --retries 2 "${options[@]}" 2>"$venv/install.log"; then
        grep -E '^ERROR' "$venv/install.log" >&2 || true
        echo "error: the requirements could not be installed; see $venv/install.log" >&2
        return 1
    fi
    for file in "$@"; do cp "$file" "$venv/installed-$(basename "$file")"; done
}

add_optional() {
    local file=$1 name venv=${VENV:-.venv}
    shift
    for name in "$@"; do
        "$PYTHON" -m pip install --quiet --disable-pip-version-check --retries 1 --constraint requirements.txt \
            "$(grep "^$name==" "$file")" >>"$venv/install.log" 2>&1 ||
            echo "note: the optional package $name could not be installed, and what needs it is left out; see $venv/install.log"
    done
}
