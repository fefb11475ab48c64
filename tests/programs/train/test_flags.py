"""Flags of train.py, and the message for each impossible setting."""

import pytest
import torch

from hifigan.checkpoint import load_generator, load_trainable_generator
from hifigan.training.flags import parse_train_config
from tests.support.models import make_checkpoint
from tests.support.programs import train_arguments
from tests.support.training import run_main


@pytest.mark.parametrize(("change", "words"), [
    ({"segment_size": 2000}, "--segment-size: 2000 is not a multiple of the hop length 256"),
    ({"hop_length": 512}, "--hop-length: 512, but the upsampling rates"),
    ({"batch_size": 0}, "--batch-size: 0 is not above 0"),
    ({"batch_size": 8}, "--batch-size: one optimiser step takes 8 clips"),
    ({"learning_rate": "-1"}, "--learning-rate: -1.0 is not above 0"),
    ({"mel_fmax": 12000}, "half the sampling rate"),
    ({"cuda": True}, "--cuda: PyTorch finds no GPU"),
    ({"training_files": "nowhere.txt"}, "nowhere.txt: no such file list"),
    ({"hifigan_config": "nowhere.json"}, "nowhere.json: no such configuration file"),
    ({"checkpoint_path_gen": "nowhere.pt"}, "nowhere.pt: no such checkpoint"),
    ({"checkpoint_path_discrim": "nowhere.pt"}, "needs --checkpoint-path-gen"),
    ({"checkpoint_path_gen": "g.pt", "checkpoint_path_discrim": "org/name"}, "models for sharing have no discrim"),
    ({"adam_beta1": 2}, "--adam-beta1: 2.0 is not between 0 and 1"),
    ({"weight_decay": -1}, "--weight-decay: -1.0 is below 0"),
    ({"learning_rate": "inf"}, "--learning-rate: inf is not above 0"),
    ({"seed": 10**20}, "--seed: 100000000000000000000 is not between 0 and 2^63"),
    ({"discriminator_width": 0.3}, "--discriminator-width: 0.3 is not one of 1/8, 2/8 to 1"),
    ({"discriminator_width": 2}, "--discriminator-width: 2 is not one of 1/8, 2/8 to 1"),
    ({"discriminator_width": 0}, "--discriminator-width: 0 is not one of 1/8, 2/8 to 1"),
    ({"discriminator_width": "nan"}, "--discriminator-width: nan is not one of 1/8, 2/8 to 1"),
    ({"ema": 1.5}, "--ema: 1.5 is not between 0 and 1"),
    ({"warmup_steps": -1}, "--warmup-steps: -1 is below 0"),
    ({"no_amp_grouped_conv": True}, "--no-amp-grouped-conv: has no effect without --amp"),
    ({"amp_dtype": "bf16"}, "--amp-dtype: has no effect without --amp"),
    ({"global_batch_size": 3, "batch_size": 2}, "--global-batch-size: 3 is not a multiple of --batch-size 2 x 1 proc"),
    ({"global_batch_size": 4, "grad_accumulation": 2}, "--global-batch-size: sets --grad-accumulation"),
    ({"fine_tune_lr_factor": 3}, "--fine-tune-lr-factor: has no effect without --input-mels-dir"),
    ({"input_mels_framing": "vocoder"}, "--input-mels-framing: has no effect without --input-mels-dir"),
    ({"input_mels_dir": "mels"}, "--input-mels-dir: fine-tuning starts from a trained generator"),
])  # fmt: skip
def test_impossible_settings(change, words, data_set, tmp_path, capsys):
    if "cuda" in change and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    status, message = run_main(train_arguments(data_set, tmp_path / "out", **change), capsys)
    assert status == 1
    assert len(message.splitlines()) == 1
    assert words in message


@pytest.mark.parametrize(
    "argv", [["--no-such-flag"], ["--epochs", "many"], ["--epo", "3"], ["--dataset-cache", "disk"]]
)
def test_unknown_flags_are_errors(argv, capsys):
    status, message = run_main(argv, capsys)
    assert status == 2
    assert len(message.splitlines()) == 1
    assert argv[0] in message


def test_flags_take_dashes_and_underscores(data_set, tmp_path):
    argv = train_arguments(data_set, tmp_path, learning_rate=1e-3)
    dashed = parse_train_config(argv)
    underscored = ["--" + word[2:].replace("-", "_") if word.startswith("--") else word for word in argv]
    assert underscored != argv
    assert parse_train_config(underscored) == dashed
    assert dashed.optim.learning_rate == 1e-3


def test_training_starts_from_a_model_for_sharing(data_set, tmp_path):
    generator, _ = load_generator(make_checkpoint(tmp_path / "g.pt"))
    folder = generator.save_pretrained(tmp_path / "model")
    cfg = parse_train_config(train_arguments(data_set, tmp_path / "out", checkpoint_path_gen=folder))
    assert cfg.run.checkpoint_path_gen == str(folder / "model.safetensors")
    assert cfg.generator == generator.config
    (start, _), (same, _) = map(load_trainable_generator, (cfg.run.checkpoint_path_gen, tmp_path / "g.pt"))
    mel = torch.zeros(1, 80, 4)
    assert torch.allclose(start(mel), same(mel), atol=1e-6)
