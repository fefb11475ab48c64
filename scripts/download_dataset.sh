#!/usr/bin/env bash
# Downloads LJSpeech-1.1 (2.7 GB) and extracts it (3.8 GB) to $DATA_DIR/LJSpeech-1.1. An interrupted download continues
# when run again; a data set that is complete already returns at once.
#
# DATA_DIR         parent folder (default: data, in the repository)
# LJSPEECH_URL     address of the archive
# LJSPEECH_SHA256  its checksum; empty for an archive of your own without one
# LJSPEECH_CLIPS   number of wavs in it (default: 13100)
# KEEP_ARCHIVE     true keeps the archive after extraction (default: false)
# PYTHON           interpreter (default: .venv/bin/python, else python3)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib/python.sh

DATA_DIR=${DATA_DIR:-data}
LJSPEECH_URL=${LJSPEECH_URL:-https://data.keithito.com/data/speech/LJSpeech-1.1.tar.bz2}
# As published with torchaudio's data set of the same address.
LJSPEECH_SHA256=${LJSPEECH_SHA256-be1a30453f28eb8dd26af4101ae40cbf2c50413b1bb21936cbcdc6fae3de8aa5}
LJSPEECH_CLIPS=${LJSPEECH_CLIPS:-13100}
KEEP_ARCHIVE=${KEEP_ARCHIVE:-false}

dataset=$DATA_DIR/LJSpeech-1.1
archive=$DATA_DIR/LJSpeech-1.1.tar.bz2

if [[ -e $dataset ]]; then
    clips=$(find "$dataset/wavs/" -name '*.wav' -size +0c 2>/dev/null | wc -l) || clips=0
    if [[ $clips -eq $LJSPEECH_CLIPS && -s $dataset/metadata.csv ]]; then
        echo "$dataset: complete, $LJSPEECH_CLIPS clips"
        exit 0
    fi
    echo "error: $dataset: incomplete ($((clips)) of $LJSPEECH_CLIPS clips, or no metadata.csv); move it away" \
        "and run again" >&2
    exit 1
fi

"$PYTHON" -m common.download.http "$LJSPEECH_URL" "$archive" --sha256 "$LJSPEECH_SHA256"
echo "$dataset: extracting, this takes some minutes"
"$PYTHON" -m common.download.archives "$archive" "$dataset" --root LJSpeech-1.1 --expect 'wavs/*.wav' --count "$LJSPEECH_CLIPS"
[[ $KEEP_ARCHIVE == true ]] || rm -f "$archive"
echo "$dataset: complete, $LJSPEECH_CLIPS clips"
