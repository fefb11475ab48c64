# Sourced by the scripts, from the repository root. `setup_env FILE...` creates the environment .venv (or $VENV) with the
# requirements of these files, unless it exists already, and sets PYTHON to its interpreter.
# `add_optional FILE NAME...` then installs packages of a requirements file, and continues if they are not available.
# shellcheck shell=bash
#
#   PYTHON           interpreter to create it with (default: the first Python 3.10 or newer among python3, python3.13 ...)
#   VENV             the environment's directory (default: .venv)
#   TORCH_CPU_INDEX  index of PyTorch's CPU builds, for Linux machines without an NVIDIA GPU

has_gpu() { command -v nvidia-smi >/dev/null && nvidia-smi -L >/dev/null 2>&1; }

# Sets CUDA, unless it is set, to whether there is a GPU.
default_cuda() {
    if [[ -z ${CUDA:-} ]]; then
        if has_gpu; then CUDA=true; else CUDA=false; fi
    fi
}

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
    # The files are copied last, so their copies show that the installation is complete and has these versions.
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
        # Of equal versions pip prefers the one with a local label, +cpu. Without it, pip would fetch gigabytes of CUDA.
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
    local file=$1 name line pins venv=${VENV:-.venv}
    shift
    for name in "$@"; do
        pins=() # several lines if versions of Python have different ones
        while read -r line; do pins+=("$line"); done < <(grep "^$name==" "$file")
        "$PYTHON" -m pip install --quiet --disable-pip-version-check --retries 1 --constraint requirements.txt \
            ${pins[@]+"${pins[@]}"} >>"$venv/install.log" 2>&1 ||
            echo "note: the optional package $name could not be installed, and parts that need it are skipped; see $venv/install.log"
    done
}
