#!/usr/bin/env bash
# Downloads LJSpeech-1.1 (2.7 GB) and extracts it (3.8 GB) to $DATA_DIR/LJSpeech-1.1. Run it again to continue an
# interrupted download. If the data set is already complete, it returns at once. To add a data set, see
# common/download/datasets.py.
#
#   bash scripts/download_dataset.sh [NAME]    NAME: ljspeech by default
#
# DATA_DIR         parent folder (default: data, in the repository)
# LJSPEECH_URL     address of the archive
# LJSPEECH_SHA256  its checksum, or empty for your own archive without one
# LJSPEECH_CLIPS   number of wav files in it (default: 13100)
# KEEP_ARCHIVE     true: keep the archive after extraction (default: false)
# PYTHON           interpreter (default: .venv/bin/python, or else python3)
set -euo pipefail
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib/python.sh
source scripts/lib/variables.sh
name_unread_variables scripts/download_dataset.sh

exec "$PYTHON" -m common.download.datasets "${@:-ljspeech}"
