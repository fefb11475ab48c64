"""What several tests share: weights by rule, small models, audio made here."""

from __future__ import annotations

import dataclasses
import json
import os
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor, nn

from common.config import run
from fastpitch import FastPitch, FastPitchConfig
from hifigan import Generator, discriminators
from hifigan.config import GeneratorConfig

PARITY = Path(__file__).with_name("parity")
REPOSITORY = Path(__file__).parents[1]
TINY = GeneratorConfig(
    upsample_rates=(8, 8, 4),
    upsample_kernel_sizes=(16, 16, 8),
    upsample_initial_channel=16,
    resblock="2",
    resblock_kernel_sizes=(3, 5),
    resblock_dilation_sizes=((1, 2), (2, 6)),
)
SETUP = {
    "sampling_rate": 22050,
    "filter_length": 1024,
    "hop_length": 256,
    "win_length": 1024,
    "num_mels": 80,
    "mel_fmin": 0.0,
    "mel_fmax": 8000.0,
}
# Two heads, three voices, and every kind of layer.
TINY_FASTPITCH = FastPitchConfig(
    n_mel_channels=8,
    n_symbols=20,
    symbols_embedding_dim=16,
    in_fft_n_layers=2,
    in_fft_n_heads=2,
    in_fft_d_head=8,
    in_fft_conv1d_filter_size=32,
    in_fft_output_size=16,
    out_fft_n_layers=2,
    out_fft_n_heads=2,
    out_fft_d_head=8,
    out_fft_conv1d_filter_size=32,
    out_fft_output_size=16,
    dur_predictor_filter_size=16,
    pitch_predictor_filter_size=16,
    energy_predictor_filter_size=16,
    n_speakers=3,
)
# For audio of the recipe and English texts: 80 bands, 148 symbols, two voices.
SMALL_FASTPITCH = dataclasses.replace(TINY_FASTPITCH, n_mel_channels=80, n_symbols=148, n_speakers=2)


def real_speech() -> Path | None:
    """The folder of real LJSpeech clips, where the environment names one."""
    folder = os.environ.get("HIFIGAN_TEST_DATA")
    return Path(folder) if folder else None


def rule_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights that depend on tensor names and shapes alone: normal numbers seeded by the CRC of the name."""
    return {name: _by_rule(name, tensor) for name, tensor in state.items()}


def by_rule(config: GeneratorConfig) -> Generator:
    """A generator with `rule_weights`, in evaluation mode, weight norm removed."""
    generator = Generator(config)
    generator.load_state_dict(rule_weights(generator.state_dict()))
    generator.remove_weight_norm()
    return generator.eval()


def snr_db(exact: Tensor, made: Tensor) -> float:
    return 10 * torch.log10(exact.square().sum() / (made - exact).square().sum()).item()


def fastpitch_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The rule for FastPitch: names get a prefix, some tensors stay, and durations become lifelike."""
    kept = ("inv_freq", "pitch_mean", "pitch_std")
    weights = {
        name: tensor.clone() if name.endswith(kept) else _by_rule(f"fastpitch/{name}", tensor)
        for name, tensor in state.items()
    }
    weights["duration_predictor.fc.bias"] += 1.2
    weights["duration_predictor.fc.weight"] *= 0.3
    return weights


def _by_rule(name: str, tensor: Tensor) -> Tensor:
    noise = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode()))).standard_normal(tuple(tensor.shape))
    kind = name.split(".")[-1]
    is_vector = tensor.dim() == 1
    if kind == "weight_g":
        noise = 1 + np.abs(noise) / 10
    elif kind == "weight_u" or (kind == "weight_v" and is_vector):
        noise = noise / np.sqrt((noise**2).sum())
    elif kind in ("weight", "weight_orig") and not is_vector:
        noise = noise / np.sqrt(noise[0].size)
    elif kind == "weight":
        noise = 1 + noise / 10
    elif kind != "weight_v":
        noise = noise / 10
    return torch.tensor(noise, dtype=torch.float32)


def public_shapes(name: str) -> dict[str, list[int]]:
    """Tensor names and shapes of the public checkpoints, in order."""
    return json.loads((PARITY / f"{name}_state_dict.json").read_text())


def speechlike(seconds: float, sampling_rate: int = 22050, seed: int = 0) -> np.ndarray:
    """A gliding harmonic tone in noise that swells and fades, [T] in [-1, 1]."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * sampling_rate)) / sampling_rate
    pitch = 120 + 40 * np.sin(2 * np.pi * (0.7 * time + rng.random()))
    phase = 2 * np.pi * np.cumsum(pitch) / sampling_rate
    tone = sum(np.sin(k * phase) / k for k in range(1, 20))
    wav = tone * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * time)) + 0.05 * rng.standard_normal(len(time))
    return wav / np.abs(wav).max() * 0.7


def write_data_set(folder: Path, seconds: list[float], sampling_rate: int = 22050) -> Path:
    """A data set in LJSpeech layout with clips of these lengths, and file lists train.txt (all but two) and val.txt."""
    (folder / "wavs").mkdir(parents=True)
    names = [f"clip{i:03d}" for i in range(len(seconds))]
    for i, (name, length) in enumerate(zip(names, seconds, strict=True)):
        soundfile.write(folder / "wavs" / f"{name}.wav", speechlike(length, sampling_rate, seed=i), sampling_rate)
    (folder / "metadata.csv").write_text("".join(f"{name}|Some words.|Some words.\n" for name in names))
    (folder / "train.txt").write_text("".join(f"wavs/{name}.wav\n" for name in names[:-2]))
    (folder / "val.txt").write_text("".join(f"wavs/{name}.wav\n" for name in names[-2:]))
    return folder


def make_checkpoint(
    path: Path, change: Callable[[dict], Any] = lambda content: None, config: GeneratorConfig = TINY, **setup: Any
) -> Path:
    """A generator file; `change` edits its content or gives another, `setup` is added to its train_setup."""
    torch.manual_seed(0)
    generator = Generator(config)
    with torch.no_grad():
        for name, tensor in generator.state_dict().items():
            if name.endswith("weight_g"):
                tensor *= 1.5  # an untrained generator is nearly silent
    content = {"generator": generator.state_dict(), "config": config.to_dict(), "train_setup": {**SETUP, **setup}}
    changed = change(content)
    torch.save(content if changed is None else changed, path)
    return path


def make_fastpitch(path: Path, change: Callable[[dict], Any] = lambda content: None, **config: Any) -> Path:
    """A FastPitch file in the published format that reads english_basic letter by letter; `change` as above."""
    model = FastPitch(dataclasses.replace(TINY_FASTPITCH, **{"n_mel_channels": 80, "n_symbols": 148, **config}))
    setup = {**SETUP, "symbol_set": "english_basic", "text_cleaners": ["english_cleaners_v2"], "p_arpabet": 0.0}
    state = fastpitch_weights(model.state_dict())
    state["pitch_mean"][:], state["pitch_std"][:] = 200.0, 50.0
    content = {"state_dict": state, "config": model.config.to_dict(), "train_setup": setup}
    changed = change(content)
    torch.save(content if changed is None else changed, path)
    return path


def wavs(folder: Path) -> dict[str, np.ndarray]:
    return {
        path.relative_to(folder).with_suffix("").as_posix(): soundfile.read(path)[0] for path in folder.rglob("*.wav")
    }


def summary(output: Path) -> dict[str, float]:
    line = (output / "nvlog_infer.json").read_text().splitlines()[-1]
    return json.loads(line.removeprefix("DLLL "))["data"]


def one_line_of_error(main: Callable[[list[str]], int], argv: list[str], capsys: Any, status: int = 1) -> str:
    """Runs inference.py's `main` as from the command line; returns its one line of error."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        run(lambda: main(argv), "inference.py")
    error = capsys.readouterr().err
    assert caught.value.code == status
    assert error.count("\n") == 1, error
    assert error.startswith("inference.py: error: ")
    return error


def train_arguments(data_set: Path, output: Path, **changes: object) -> list[str]:
    """A command line of train.py for a data set of `write_data_set`: TINY, the smallest segments, one process.

    A change of True is a flag without a value.
    """
    if "hifigan_config" not in changes:
        (data_set / "tiny.json").write_text(json.dumps(TINY.to_dict()))
    options: dict[str, object] = {
        "output": output,
        "dataset_path": data_set,
        "training_files": data_set / "train.txt",
        "validation_files": data_set / "val.txt",
        "hifigan_config": data_set / "tiny.json",
        "batch_size": 1,
        "segment_size": 2048,
        "num_workers": 0,
        "epochs": 1,
        **changes,
    }
    return command_line(options)


def command_line(options: Mapping[str, object]) -> list[str]:
    """Flags and their values; True is for a flag without a value."""
    words = []
    for name, value in options.items():
        words += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    return words


def thin_layers() -> dict[str, type[nn.Module]]:
    """Layers with an eighth of the channels, for `hifigan.discriminators`: pairs of 14 MB instead of 850."""

    def thin(layer: Any) -> Any:
        class Thin(layer):
            def __init__(self, inputs: int, outputs: int, *args: Any, **kwargs: Any) -> None:
                super().__init__(max(1, inputs // 8), max(1, outputs // 8), *args, **kwargs)

        return Thin

    names = ("WeightNormConv1d", "WeightNormConv2d", "SpectralNormConv1d")
    return {name: thin(getattr(discriminators, name)) for name in names}


def write_speech_set(folder: Path, seconds: list[float], n_speakers: int = 1) -> Path:
    """`write_data_set` with texts and pitch, in speech_train.txt (all but two) and speech_val.txt, and statistics."""
    write_data_set(folder, seconds)
    (folder / "pitch").mkdir()
    rows = []
    for i, length in enumerate(seconds):
        pitch = 120 + 40 * torch.rand(1, int(length * 22050) // 256 + 1, generator=torch.Generator().manual_seed(i))
        pitch[:, ::4] = 0  # unvoiced
        torch.save(pitch, folder / "pitch" / f"clip{i:03d}.pt")
        text = "".join("abcdefgh "[(i + k * k) % 9] for k in range(5 + 3 * i)).strip() + "."
        rows.append(f"wavs/clip{i:03d}.wav|pitch/clip{i:03d}.pt|{text}" + (f"|{i % n_speakers}" * (n_speakers > 1)))
    (folder / "speech_train.txt").write_text("\n".join(rows[:-2]))
    (folder / "speech_val.txt").write_text("\n".join(rows[-2:]))
    statistics = {"mean_hz": 140.0, "std_hz": 12.0, "voiced_frames": 100, "frames": 120}
    (folder / "pitch" / "pitch_statistics.json").write_text(json.dumps(statistics))
    return folder


def fastpitch_arguments(data_set: Path, output: Path, **changes: object) -> list[str]:
    """A command line of fastpitch.train for a data set of `write_speech_set`: a tiny model of letters, one process."""
    tiny = TINY_FASTPITCH.to_dict()
    for name in ("n_symbols", "padding_idx", "n_mel_channels", "n_speakers"):
        del tiny[name]
    (data_set / "tiny_fastpitch.json").write_text(json.dumps(tiny))
    options: dict[str, object] = {
        "output": output,
        "dataset_path": data_set,
        "training_files": data_set / "speech_train.txt",
        "validation_files": data_set / "speech_val.txt",
        "fastpitch_config": data_set / "tiny_fastpitch.json",
        "p_arpabet": 0,
        "batch_size": 1,
        "num_workers": 0,
        "epochs": 1,
        **changes,
    }
    return command_line(options)
