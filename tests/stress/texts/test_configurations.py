"""Damaged configurations: each is taken, or refused in one line, and none makes a model that takes gigabytes."""

from __future__ import annotations

import functools
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from common.audio_config import MEL_CONFIG_FILE, AudioConfig
from common.data.pitch import PITCH_STATISTICS_FILE, read_statistics
from common.errors import InputError
from common.files.model_folders import CONFIG_FILE
from common.files.yaml_files import read_yaml
from common.mel_contract import read_contract, read_description
from common.synthesis.resume import JOB_FILE, start_job
from common.text.settings import TextConfig
from fastpitch import FastPitch, load_fastpitch
from fastpitch.config import MOST_PARAMETERS
from fastpitch.speakers import read_names
from fastpitch.training.flags import parse_train_config
from hifigan import Generator, load_generator
from hifigan.config import read_config_file
from tests.support.fuzzing.bounded import check_message, run_bounded
from tests.support.fuzzing.mutations import mutate_settings, write_json, write_yaml
from tests.support.models import SETUP, TINY, TINY_FASTPITCH, make_checkpoint, make_fastpitch
from tests.support.paths import REPOSITORY
from tests.support.stress import cases, record

FORMATS = REPOSITORY / "tests" / "formats"
YAML_MODELS = {  # folders of other programs' models: weights, settings
    "pwg-v1": ("checkpoint-2500000steps.pkl", "config.yml"),
    "espnet2-joint-v1": ("train.total_count.ave_10best.pth", "config.yaml"),
    "natspeech-v1": ("model_ckpt_steps_2076000.ckpt", "config.yaml"),
    "speechbrain-v1": ("generator.ckpt", "hyperparams.yaml"),
}
ALPHABET = {"symbols": "abcdefghijklmnopqrstuvwxyzäöüß.,!?'-", "replace": {"z. B.": "zum Beispiel", "&": "und"}}
JOB = {
    "kind": "speech synthesis of inference.py",
    "settings": {"amp": False},
    "made_of": {"a.wav": "1", "b/c.wav": "2"},
    "outdated": {"a.wav": [1, 2]},
}


def use_generator_file(folder: Path, rng: random.Random) -> None:
    values = mutate_settings(rng, {**TINY.to_dict(), "n_fft": 1024, "hop_size": 256, **SETUP})
    path = written(folder / "g.json", write_json(rng, values))
    config, signal = read_config_file(path)
    AudioConfig.from_dict(signal)
    check_size(functools.partial(Generator, config))
    _ = config.receptive_field_frames, config.min_frames, config.surplus_samples, config.num_samples(100)


def use_fastpitch_file(folder: Path, rng: random.Random) -> None:
    values = TINY_FASTPITCH.to_dict()
    for name in ("n_symbols", "padding_idx", "n_mel_channels"):
        del values[name]
    path = written(folder / "f.json", write_json(rng, mutate_settings(rng, values)))
    words = ["--training-files", "t.txt", "--validation-files", "v.txt", "--fastpitch-config", str(path)]
    check_size(functools.partial(FastPitch, parse_train_config(words).model))


def check_size(build: Callable[[], torch.nn.Module]) -> None:
    """Build a network without memory, and raise AssertionError if its weights would take much more than 1 GiB."""
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in build().parameters()) < 1.2 * MOST_PARAMETERS


def use_alphabet(folder: Path, rng: random.Random) -> None:
    path = written(folder / "german.json", write_json(rng, mutate_settings(rng, ALPHABET)))
    text = TextConfig(symbol_set=str(path))
    json.dumps(text.to_dict(), ensure_ascii=False).encode()  # checkpoints hold it
    processor = text.processor()
    processor.decode(processor.encode("Das ist z. B. ein Satz & {noch einer}."))


def use_names(folder: Path, rng: random.Random) -> None:
    read_names(written(folder / "s.json", write_json(rng, mutate_settings(rng, {"Anna": 0, "Ben": 1, "2": 2}))))


def use_description(folder: Path, rng: random.Random) -> None:
    scaled = {"mel_mean": [0.5], "mel_scale": [2.0] * 80, "mel_clip": [-4.0, 4.0], "log_base": "log10", "gain": 20}
    path = folder / MEL_CONFIG_FILE
    written(path, write_json(rng, mutate_settings(rng, {**SETUP, "framing": "vocoder", **scaled, "epsilon": 1e-9})))
    contract = read_description(path) if rng.random() < 0.5 else read_contract(path)
    _ = contract.convention.silence, json.dumps(contract.to_dict())


def use_statistics(folder: Path, rng: random.Random) -> None:
    values = mutate_settings(rng, {"mean_hz": 200.0, "std_hz": 50.0, "voiced_frames": 90, "frames": 100})
    written(folder / "pitch" / PITCH_STATISTICS_FILE, write_json(rng, values))
    read_statistics(folder / "pitch" / PITCH_STATISTICS_FILE)


def use_job_file(folder: Path, rng: random.Random) -> None:
    written(folder / "out" / JOB_FILE, write_json(rng, mutate_settings(rng, JOB)))
    start_job(folder / "out", {"amp": False}, {"a.wav": "1", "d.wav": "3"}, redo=False)


def use_generator_folder(folder: Path, rng: random.Random) -> None:
    use_model_folder(folder / "generator", rng, load_generator)


def use_fastpitch_folder(folder: Path, rng: random.Random) -> None:
    use_model_folder(folder / "fastpitch", rng, load_fastpitch)


def use_model_folder(folder: Path, rng: random.Random, load: Callable[[Path], Any]) -> None:
    values = json.loads((folder / "whole.json").read_text())
    written(folder / CONFIG_FILE, write_json(rng, mutate_settings(rng, values)))
    load(folder)


def use_yaml(folder: Path, rng: random.Random) -> None:
    values = read_yaml(written(folder / "a.yaml", write_yaml(rng, mutate_settings(rng, TINY_FASTPITCH.to_dict()))))
    assert len(repr(values)) < 10_000_000


def use_yaml_model(folder: Path, rng: random.Random) -> None:
    name, (weights, settings) = rng.choice(list(YAML_MODELS.items()))
    values = mutate_settings(rng, dict(read_yaml(FORMATS / name / settings)))
    written(folder / name / settings, write_yaml(rng, values))
    load_generator(folder / name / weights)


KINDS = [
    *(use_generator_file, use_fastpitch_file, use_alphabet, use_names, use_description, use_statistics, use_job_file),
    *(use_generator_folder, use_fastpitch_folder, use_yaml, use_yaml_model),
]


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def run_one(number: int, folder: Path, before: set[Path]) -> str:
    """Try one file. Return its kind, and whether it was taken or refused."""
    use = KINDS[number % len(KINDS)]
    try:
        use(folder, random.Random(number))
        outcome = "taken"
    except (InputError, FileNotFoundError) as error:
        check_message(str(error))
        outcome = "refused"
    added = {path for path in folder.rglob("*") if path.is_file()} - before
    assert not added, f"it wrote {added}"
    return f"{use.__name__} {outcome}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Models and folders that the cases put their settings into."""
    folder = tmp_path / "data"
    for name in ("pitch", "out"):
        (folder / name).mkdir(parents=True)
    for name in YAML_MODELS:
        shutil.copytree(FORMATS / name, folder / name, ignore=shutil.ignore_patterns("*.npy"))
    model, _ = load_generator(make_checkpoint(folder / "g.pt"))
    model.save_pretrained(folder / "generator", SETUP)
    speaking, _ = load_fastpitch(make_fastpitch(folder / "f.pt"))
    speaking.save_pretrained(folder / "fastpitch")
    for name in ("generator", "fastpitch"):
        shutil.copy(folder / name / CONFIG_FILE, folder / name / "whole.json")
    return folder


@pytest.mark.medium
@pytest.mark.timeout(14_400)
def test_damaged_configurations(folder: Path, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    for path in (folder / "g.json", folder / "f.json", folder / "german.json", folder / "s.json", folder / "a.yaml"):
        path.touch()
    for path in (folder / MEL_CONFIG_FILE, folder / "pitch" / PITCH_STATISTICS_FILE, folder / "out" / JOB_FILE):
        path.touch()
    before = set(folder.rglob("*")) | set(logs.rglob("*"))
    count = cases(220, 20_000)
    found = run_bounded(lambda number: run_one(number, folder, before), count, logs)
    found.check()
    for use in KINDS if count >= 1000 else ():  # few cases need not have both
        assert found.outcomes[f"{use.__name__} taken"]
        assert found.outcomes[f"{use.__name__} refused"]
    record("Damaged configurations are taken or refused in one line", count, found.describe())
