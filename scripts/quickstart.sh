#!/usr/bin/env bash
# Runs the main workflow end to end on a fresh machine without a GPU, in less than ten minutes on two cores after the
# installation. Sets up .venv, downloads published weights, creates a small data set, resynthesises it with the published
# generator, trains a small generator from scratch, fine-tunes the published one, evaluates all of them, and writes a page
# with audio. Safe to run again.
#
#   QUICKSTART_DATA    data set in LJSpeech layout (wavs/, metadata.csv, 22.05 kHz) to use instead of the synthetic one.
#                      40 of its clips are used.
#   QUICKSTART_OUTPUT  folder of the results (default: output/quickstart, plus -short, plus the name of QUICKSTART_DATA)
#   QUICKSTART_SHORT   true: only a few clips and steps, to check that everything works
#   PYTHON, VENV       as in scripts/lib/env.sh
set -euo pipefail
[[ -z ${QUICKSTART_DATA:-} || $QUICKSTART_DATA == /* ]] || QUICKSTART_DATA=$PWD/$QUICKSTART_DATA
[[ -z ${QUICKSTART_OUTPUT:-} || $QUICKSTART_OUTPUT == /* ]] || QUICKSTART_OUTPUT=$PWD/$QUICKSTART_OUTPUT
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib/env.sh

scratch_epochs=6 tune_epochs=3 # of 9 optimiser steps each
train_clips=36 val_clips=4 form=""
data=${QUICKSTART_DATA:-data/demo}
if [[ ${QUICKSTART_SHORT:-false} == true ]]; then
    scratch_epochs=1 tune_epochs=1 train_clips=8 val_clips=2 form=-short
    export DEMO_CLIPS=10
    [[ -n ${QUICKSTART_DATA:-} ]] || data=data/demo-short
fi
out=${QUICKSTART_OUTPUT:-output/quickstart$form${QUICKSTART_DATA:+-$(basename "$QUICKSTART_DATA")}}
lists=$out/filelists
universal=pretrained_models/hifigan-universal-v1/generator_universal.pth.tar

say() { printf '\n== %s\n' "$*"; }

say "1/8 environment"
setup_env requirements.txt
add_optional requirements-evaluation.txt pesq pystoi
export PYTHON

say "2/8 published weights"
bash scripts/download_models.sh hifigan-universal-v1

say "3/8 data set: $data"
[[ -n ${QUICKSTART_DATA:-} ]] || bash scripts/make_demo_data.sh "$data"
"$PYTHON" prepare_dataset.py --dataset-path "$data" --write-filelists "$lists" --name all --validation-clips "$val_clips"
head -n "$train_clips" "$lists/all_audio_train.txt" >"$lists/train.txt"
cp "$lists/all_audio_val.txt" "$lists/val.txt"
rm -rf "$out/original" "$out/validation"
mkdir -p "$out/original" "$out/validation"
# Keep their times: when this script runs again, files with new times would be synthesised again.
cat "$lists/train.txt" "$lists/val.txt" | while read -r wav; do cp -p "$data/$wav" "$out/original/"; done
while read -r wav; do cp -p "$data/$wav" "$out/validation/"; done <"$lists/val.txt"
cp -p "$data/metadata.csv" "$out/" # the texts, for the page

say "4/8 copy synthesis with the published universal generator"
"$PYTHON" inference.py --hifigan "$universal" --input "$out/original" --output "$out/copy-synthesis" --batch-size 1

train() {
    "$PYTHON" train.py --dataset-path "$data" --training-files "$lists/train.txt" \
        --validation-files "$lists/val.txt" --batch-size 4 --segment-size 4096 \
        --num-workers 0 --checkpoint-interval 1000 --validation-interval 1000 --samples-interval 1000 "$@"
}
say "5/8 training a small generator (V3) from scratch, for a few steps only"
train --output "$out/scratch" --hifigan-config v3 --learning-rate 1e-3 --epochs "$scratch_epochs"

say "6/8 fine-tuning the published generator"
train --output "$out/fine-tuned" --checkpoint-path-gen "$universal" --learning-rate 3e-5 --epochs "$tune_epochs"

say "7/8 synthesis of the validation clips with both"
for run in scratch:$scratch_epochs fine-tuned:$tune_epochs; do
    name=${run%:*}
    "$PYTHON" inference.py --hifigan "$out/$name/hifigan_gen_checkpoint_${run#*:}.pt" --batch-size 1 \
        --input "$out/validation" --output "$out/$name/wavs"
done

say "8/8 evaluation, and a page with audio"
rm -rf "$out/report"
# The output of a barely trained generator may be too quiet to evaluate. evaluate.py then reports this and writes the page
# for the others.
"$PYTHON" evaluate.py --reference "$out/validation" --clips 4 --output "$out/evaluation" --report "$out/report" \
    --system "scratch=$out/scratch/wavs" "universal=$out/copy-synthesis" "fine-tuned=$out/fine-tuned/wavs" griffin-lim \
    --baseline universal --logs "$out/scratch" "$out/fine-tuned" || [[ -f $out/report/index.html ]]

say "done"
"$PYTHON" -m scripts.quickstart_report "$out"
