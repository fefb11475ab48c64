#!/usr/bin/env bash
# Fine-tunes a trained generator on the mels of scripts/extract_fine_tune_mels.sh at three times the learning rate, in a
# separate directory. Epochs continue from those of the base model, up to 10000, or start at 0 if its file does not record
# them (such as the files of the paper's authors). Further arguments go to train.py.
#
#   BASE_CHECKPOINT      generator to start from (default: the newest hifigan_gen_checkpoint_<epoch>.pt in output/, or else
#                        in pretrained_models/hifigan/, or else the published V1 weights of
#                        `bash scripts/download_models.sh hifigan-lj-v1`). Its discriminators are used if they are in the
#                        same directory. Otherwise new ones are trained.
#   FINE_TUNE_DIR        the mels (default: data/mels-fastpitch-ljs22khz)
#   FINE_TUNE_LR_FACTOR  factor on the learning rate (default: 3)
#   OUTPUT_DIR           checkpoints and logs (default: output/fine_tuned)
#   MODELS_DIR           as in scripts/download_models.sh (default: pretrained_models)
#
# All variables of scripts/train_lj22khz.sh have the same meaning here, such as NUM_GPUS, BATCH_SIZE, GRAD_ACCUMULATION,
# AMP, EPOCHS (default: 10000), DATASET_DIR, TRAIN_FILELIST, and VAL_FILELIST.
#
#   EPOCHS=6502 bash scripts/fine_tune.sh --epochs-this-job 1    # a short experiment after 6500 epochs of the base model
set -euo pipefail
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib/variables.sh
name_unread_variables scripts/fine_tune.sh scripts/train_lj22khz.sh

# Prints the generator checkpoint of the highest epoch in a folder, or nothing.
find_newest() {
    find "$1" -maxdepth 1 -name 'hifigan_gen_checkpoint_*.pt' 2>/dev/null |
        sed -n 's/.*hifigan_gen_checkpoint_\([0-9]*\)\.pt$/\1 &/p' | sort -n | tail -n 1 | cut -d ' ' -f 2- || true
}

models=${MODELS_DIR:-pretrained_models}
base=${BASE_CHECKPOINT:-$(find_newest output)}
base=${base:-$(find_newest "$models/hifigan")}
base=${base:-$models/hifigan-lj-v1/generator_LJSpeech.pth.tar}
if [[ ! -f $base ]]; then
    echo "error: BASE_CHECKPOINT: $base: no such file; train one (scripts/train_lj22khz.sh), or" \
        "bash scripts/download_models.sh hifigan-lj-v1" >&2
    exit 1
fi
export FINE_TUNE_DIR=${FINE_TUNE_DIR:-data/mels-fastpitch-ljs22khz}
if [[ ! -d $FINE_TUNE_DIR ]]; then
    echo "error: FINE_TUNE_DIR: $FINE_TUNE_DIR: no such directory; create it with: bash scripts/extract_fine_tune_mels.sh" >&2
    exit 1
fi
export OUTPUT_DIR=${OUTPUT_DIR:-output/fine_tuned}
if [[ $OUTPUT_DIR -ef $(dirname "$base") ]]; then
    echo "error: OUTPUT_DIR: $OUTPUT_DIR contains the base model; give another directory" >&2
    exit 1
fi

args=(--checkpoint-path-gen "$base")
name=$(basename "$base")
discriminators=$(dirname "$base")/${name/hifigan_gen_/hifigan_discrim_}
if [[ $name == hifigan_gen_* && -f $discriminators ]]; then
    args+=(--checkpoint-path-discrim "$discriminators")
else
    discriminators="new ones"
fi
echo "fine-tuning $base (discriminators: $discriminators) on $FINE_TUNE_DIR, into $OUTPUT_DIR"
exec bash scripts/train_lj22khz.sh "${args[@]}" "$@"
