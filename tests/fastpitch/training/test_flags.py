"""Every flag of fastpitch.train arrives in the configuration."""

import dataclasses
import typing

import pytest

from common.data.flags import SignalFlags
from common.text.settings import TextConfig
from fastpitch import load_fastpitch
from fastpitch.training.flags import FastPitchDataConfig, FastPitchOptimConfig, FastPitchRunConfig, parse_train_config
from tests.support.models import make_fastpitch

PARTS = (FastPitchRunConfig, FastPitchOptimConfig, FastPitchDataConfig, TextConfig, SignalFlags)
HINTS = {name: hint for part in PARTS for name, hint in typing.get_type_hints(part).items()}
FIELDS = {field.name: field for part in PARTS for field in dataclasses.fields(part) if field.metadata}
REQUIRED = {"training_files": "a.txt", "validation_files": "b.txt"}
POSSIBLE = {  # where not just any other value than the default will do
    "adam_beta1": "0.5", "adam_beta2": "0.5", "ema": "0.5", "p_arpabet": "0.25", "filter_length": "2048",
    "win_length": "512", "hop_length": "128", "symbol_set": "english_expanded", "keep_milestones": "7",
    "text_cleaners": "basic_cleaners",
}  # fmt: skip
COMPANIONS = {"amp_dtype": ["--amp"], "pitch_mean": ["--pitch-std", "9"], "pitch_std": ["--pitch-mean", "9"]}
NEED_FILES = {"checkpoint_path", "fastpitch_config", "speaker_names"}  # tested where there are some


@pytest.mark.parametrize("name", sorted(FIELDS.keys() - NEED_FILES))
def test_flag_arrives(name):
    default, hint, choices = FIELDS[name].default, HINTS[name], FIELDS[name].metadata["choices"]
    if hint is bool:
        words, expected = [], not default
    else:
        number = float if hint in (float, float | None) else int if hint is int else None
        word = POSSIBLE.get(name) or (choices[-1] if choices else str((default or 1) + 1) if number else "a_b-c")
        words, expected = [word], number(word) if number else word
        if typing.get_origin(hint) is tuple:
            expected = (typing.get_args(hint)[0](word),)
    assert expected != default
    flag = "--" + "no-" * (default is True) + name.replace("_", "-")
    required = [word for other, value in REQUIRED.items() if other != name for word in (f"--{other}", value)]
    cfg = parse_train_config([*required, *COMPANIONS.get(name, []), flag, *words])
    parts = (cfg.run, cfg.optim, cfg.data, cfg.text, cfg.audio)
    assert next(getattr(part, name) for part in parts if hasattr(part, name)) == expected


def test_training_starts_from_a_model_for_sharing(tmp_path):
    model, _ = load_fastpitch(make_fastpitch(tmp_path / "f.pt"))
    folder = model.save_pretrained(tmp_path / "model")
    required = [word for name, value in REQUIRED.items() for word in (f"--{name}", value)]
    cfg = parse_train_config([*required, "--checkpoint-path", str(folder)])
    assert cfg.run.checkpoint_path == str(folder / "model.safetensors")
    assert cfg.model == model.config
