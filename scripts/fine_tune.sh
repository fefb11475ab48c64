#!/usr/bin/env bash
# Fine-tunes a trained generator on the mels of scripts/extract_fine_tune_mels.sh at three times the learning rate, into
# a directory of its own. Epochs count on from the base model's, up to 10000; from 0 where its file does not say how many
# it had, as those of the paper's authors. Further arguments go to train.py.
#
#   BASE_CHECKPOINT      generator to start from (default: the newest hifigan_gen_checkpoint_<epoch>.pt in output/, else
#                        the newest in pretrained_models/hifigan/, else the published V1 weights of
#                        `bash scripts/download_models.sh hifigan-lj-v1`). The discriminators that were saved with it
#                        are taken too, where they lie beside it; without them new ones are trained.
#   FINE_TUNE_DIR        the mels (default: data/mels-fastpitch-ljs22khz)
#   FINE_TUNE_LR_FACTOR  factor of the learning rate (default: 3)
#   OUTPUT_DIR           checkpoints and logs (default: output/fine_tuned)
#
# NUM_GPUS, BATCH_SIZE, GRAD_ACCUMULATION, AMP, EPOCHS (default: 10000), DATASET_DIR, TRAIN_FILELIST, VAL_FILELIST and
# all other variables of scripts/train_lj22khz.sh, which this script ends in, have the same meaning as there.
#
#   EPOCHS=6502 bash scripts/fine_tune.sh --epochs-this-job 1    # a small experiment after a base of 6500 epochs
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The one of the highest epoch in a folder; nothing where there is none.
newest() {
    find "$1" -maxdepth 1 -name 'hifigan_gen_checkpoint_*.pt' 2>/dev/null |
        sed -n 's/.*hifigan_gen_checkpoint_\([0-9]*\)\.pt$/\1 &/p' | sort -n | tail -n 1 | cut -d ' ' -f 2- || true
}

base=${BASE_CHECKPOINT:-$(newest output)}
base=${base:-$(newest pretrained_models/hifigan)}
base=${base:-pretrained_models/hifigan-lj-v1/generator_LJSpeech.pth.tar}
if [[ ! -f $base ]]; then
    echo "error: BASE_CHECKPOINT: $base: no such file; train one (scripts/train_lj22khz.sh), or" \
        "bash scripts/download_models.sh hifigan-lj-v1" >&2
    exit 1
fi
export FINE_TUNE_DIR=${FINE_TUNE_DIR:-data/mels-fastpitch-ljs22khz}
if [[ ! -d $FINE_TUNE_DIR ]]; then
    echo "error: FINE_TUNE_DIR: $FINE_TUNE_DIR: no such directory; make it with: bash scripts/extract_fine_tune_mels.sh" >&2
    exit 1
fi
export OUTPUT_DIR=${OUTPUT_DIR:-output/fine_tuned}
if [[ $OUTPUT_DIR -ef $(dirname "$base") ]]; then
    echo "error: OUTPUT_DIR: $OUTPUT_DIR holds the base model; give another directory" >&2
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
