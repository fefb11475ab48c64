"""Plans for other sampling rates in data preparation, one training step, checkpoints and copy synthesis."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import soundfile
import torch

import inference
import prepare_dataset
import train
from common.audio import AudioConfig
from common.errors import InputError
from hifigan import Generator, discriminators
from hifigan.config import PRESETS, read_config_file
from hifigan.plan import __main__
from hifigan.training.flags import parse_train_config
from tests.support.data_sets import write_data_set
from tests.support.models import thin_layers
from tests.support.programs import command_line

PLANS = [
    (16000, None, "v1"),
    (16000, 200, "v1"),
    (22050, None, "v1"),
    (22050, 300, "v3"),
    (24000, None, "v1"),
    (24000, 300, "v1"),
    (44100, None, "v2"),
    (44100, 441, "v3"),
    (48000, None, "v3"),
    (48000, 600, "v1"),
]


def planned(folder: Path, rate: int, hop: int | None, like: str = "v1") -> Path:
    """Write a configuration with the planner, and reduce its channels."""
    file = folder / "plan.json"
    hops = [] if hop is None else ["--hop-length", str(hop)]
    assert __main__.main(["--sampling-rate", str(rate), "--like", like, *hops, "-o", str(file)]) == 0
    file.write_text(json.dumps({**json.loads(file.read_text()), "upsample_initial_channel": 16}))
    return file


@pytest.fixture
def train_words(tmp_path: Path) -> dict[str, object]:
    return {
        "training_files": tmp_path / "set" / "train.txt",
        "validation_files": tmp_path / "set" / "val.txt",
        "dataset_path": tmp_path / "set",
        "output": tmp_path / "run",
    }


@pytest.mark.parametrize(("rate", "hop", "like"), PLANS)
def test_from_plan_to_speech(
    rate: int,
    hop: int | None,
    like: str,
    train_words: dict[str, object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, layer in thin_layers().items():
        monkeypatch.setattr(discriminators, name, layer)
    config = planned(tmp_path, rate, hop, like)
    stated = json.loads(config.read_text())
    data_set = write_data_set(tmp_path / "set", [0.4, 0.1, 0.1], rate)
    (data_set / "val.txt").write_text("wavs/clip001.wav\n")
    wav = data_set / "wavs" / "clip000.wav"
    samples = soundfile.info(wav).frames

    words = ["-d", str(data_set), "--hifigan-config", str(config), "--extract-mels", "--n-workers", "1"]
    assert prepare_dataset.main(words) == 0
    mel = torch.load(data_set / "mels" / "clip000.pt", weights_only=True)
    assert mel.shape == (stated["num_mels"], samples // stated["hop_length"])

    argv = command_line({**train_words, "hifigan_config": config, "batch_size": 1, "num_workers": 0, "epochs": 1})
    cfg = parse_train_config(argv)
    assert cfg.audio == AudioConfig.from_dict(stated)
    assert (cfg.data.segment_size, cfg.mel_fmax_loss) == (stated["segment_size"], None)
    assert train.main(argv) == 0
    checkpoint = tmp_path / "run" / "hifigan_gen_checkpoint_1.pt"
    stored = torch.load(checkpoint, weights_only=True)
    assert stored["train_state"]["steps"] == 1
    signal = {name: value for name, value in stated.items() if name not in stored["config"]}
    assert signal.items() <= stored["train_setup"].items()

    prepared = tmp_path / "phrases.tsv"
    prepared.write_text("mel\toutput\nmels/clip000.pt\tfrom_mel\n")
    for source in (wav, prepared):
        words = command_line({"hifigan": checkpoint, "input": source, "output": tmp_path / "speech"})
        assert inference.main([*words, "--dataset-path", str(data_set), "--denoising-strength", "0.01"]) == 0
    copy, made = (soundfile.info(tmp_path / "speech" / f"{name}.wav") for name in ("clip000", "from_mel"))
    assert (copy.samplerate, made.samplerate) == (rate, rate)
    assert copy.frames == samples
    assert made.frames == mel.size(1) * stated["hop_length"]


def test_data_of_another_rate_is_refused_by_name(
    train_words: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_data_set(tmp_path / "set", [0.2] * 3, 22050)
    config = planned(tmp_path, 24000, None)
    with pytest.raises(InputError, match=r"clip000\.wav: sampling rate is 22050 Hz, expected 24000 Hz"):
        train.main(command_line({**train_words, "hifigan_config": config}))
    with pytest.raises(InputError, match=r"clip000\.wav: sampling rate is 22050 Hz, expected 24000 Hz"):
        prepare_dataset.main(["-d", str(tmp_path / "set"), "--hifigan-config", str(config), "--extract-mels"])


def test_conversion_takes_the_rate_of_the_plan(tmp_path: Path) -> None:
    write_data_set(tmp_path / "set", [0.2] * 3, 22050)
    words = [
        "-d",
        tmp_path / "set",
        "--hifigan-config",
        planned(tmp_path, 48000, None),
        "--convert-to",
        tmp_path / "48k",
    ]
    assert prepare_dataset.main([*map(str, words), "--n-workers", "1"]) == 0
    assert soundfile.info(tmp_path / "48k" / "wavs" / "clip000.wav").samplerate == 48000


def test_flags_of_preparation_do_not_contradict_the_plan(tmp_path: Path) -> None:
    write_data_set(tmp_path / "set", [0.2] * 3, 24000)
    config = planned(tmp_path, 24000, None)
    words = ["-d", str(tmp_path / "set"), "--hifigan-config", str(config), "--extract-mels", "--n-workers", "1"]
    with pytest.raises(InputError, match=rf"--hop-length: 300 contradicts {config}, which has 256"):
        prepare_dataset.main([*words, "--hop-length", "300"])
    assert prepare_dataset.main([*words, "--hop-length", "256"]) == 0


def test_published_weights_start_a_run_at_another_rate(train_words: dict[str, object], tmp_path: Path) -> None:
    """A base model without a sampling rate takes the plan's. A base model with one must agree."""
    config = planned(tmp_path, 24000, None)
    generator, _ = read_config_file(config)
    base = tmp_path / "g_base"
    torch.save({"generator": Generator(generator).state_dict()}, base)
    argv = command_line({**train_words, "hifigan_config": config, "checkpoint_path_gen": base})
    cfg = parse_train_config(argv)
    assert (cfg.audio.sampling_rate, cfg.generator) == (24000, generator)
    content = {"generator": Generator(generator).state_dict(), "train_setup": {"sampling_rate": 22050}}
    torch.save(content, base)
    with pytest.raises(InputError, match=f"--hifigan-config: sampling_rate 24000 contradicts {base}, which has 22050"):
        parse_train_config(argv)


def test_v1_at_24_khz_is_the_published_generator() -> None:
    assert __main__.make_plan(__main__.Request(24000)).generator == PRESETS["v1"]
