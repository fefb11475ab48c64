#!/usr/bin/env bash
# Makes the samples in audio/: two recordings of data/demo, each resynthesised by the vocoder of the voice and by the
# published universal generator, and read by the voice from its text. Writes FLAC, so that the files are small and exact.
#
#   MODELS_DIR  as in scripts/download_models.sh
#   PYTHON      interpreter (default: .venv/bin/python, or else python3)
set -euo pipefail
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib/python.sh
source scripts/lib/variables.sh
name_unread_variables scripts/make_samples.sh

clips=(arctic_b0191_1592537018 arctic_b0497_1592526558)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

found=$(bash scripts/download_models.sh hifigan-universal-v1)
mkdir "$work/recording"
for clip in "${clips[@]}"; do
    cp "data/demo/wavs/$clip.flac" "$work/recording/"
    text=$(grep "^$clip|" data/demo/metadata.csv)
    printf '%s.wav|%s\n' "$clip" "${text##*|}" >>"$work/phrases.txt"
done
"$PYTHON" inference.py --hifigan pretrained/kathleen/hifigan.safetensors -i "$work/recording" -o "$work/kathleen"
"$PYTHON" inference.py --hifigan "${found##*--hifigan }" -i "$work/recording" -o "$work/universal-v1"
"$PYTHON" inference.py -i "$work/phrases.txt" -o "$work/spoken"

rm -f audio/*.flac
"$PYTHON" - "$work" "${clips[@]}" <<'PYTHON'
import sys
from pathlib import Path

import soundfile

work, *clips = sys.argv[1:]
for name in clips:
    for kind in ("recording", "kathleen", "universal-v1", "spoken"):
        source = next(Path(work, kind).glob(f"{name}.*"))
        samples, rate = soundfile.read(source, dtype="int16")
        soundfile.write(f"audio/{name.rsplit('_', 1)[0]}-{kind}.flac", samples, rate, subtype="PCM_16")
PYTHON
ls -l audio
