#!/usr/bin/env bash
# Downloads the CMU Pronouncing Dictionary 0.7b (BSD licence, 3.9 MB) to $DATA_DIR/cmudict/cmudict-0.7b.
#
# DATA_DIR        parent folder (default: data, in the repository)
# CMUDICT_URL     address of the file
# CMUDICT_SHA256  its checksum, or empty for your own dictionary without one
# PYTHON          interpreter (default: .venv/bin/python, or else python3)
set -euo pipefail
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib/python.sh
source scripts/lib/variables.sh
name_unread_variables scripts/download_cmudict.sh

DATA_DIR=${DATA_DIR:-data}
# The maintainer's repository, at the commit with revision 13083 of 15 July 2015 and CRLF line ends. The checksum comes
# from another copy of this revision. Its length (3,865,710 bytes) agrees with this address, but the bytes were not compared.
CMUDICT_URL=${CMUDICT_URL:-https://raw.githubusercontent.com/Alexir/CMUdict/19b353184ea5fe46ba8b833e7ed2cd7e1d0bf9fa/cmudict-0.7b}
CMUDICT_SHA256=${CMUDICT_SHA256-fd1a4a40bf612a45d9e207ed633bf8c0238873291f774557ef14771099775c88}

"$PYTHON" -m common.download.http "$CMUDICT_URL" "$DATA_DIR/cmudict/cmudict-0.7b" --sha256 "$CMUDICT_SHA256"
echo "$DATA_DIR/cmudict/cmudict-0.7b: complete"
