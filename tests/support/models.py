"""Small models and their checkpoint files."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from common.audio import AudioConfig
from common.files.model_folders import write_model_folder
from fastpitch import FastPitch, FastPitchConfig
from fastpitch.checkpoint import FastPitchInfo
from hifigan import Generator, discriminators
from hifigan.config import GeneratorConfig
from tests.support.weights import fastpitch_weights
from voice.pack import pack
from voice.pack_flags import PackConfig

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


# Content of `make_model_folder`.
FOLDER_TENSORS = {"a.weight": torch.tensor([[1.0, 0.1]]), "a.bias": torch.tensor([0.1])}
FOLDER_VALUES = {"config": {"resblock": "2"}, "train_setup": {"sampling_rate": 16000}}


def make_checkpoint(
    path: Path, change: Callable[[dict], Any] = lambda content: None, config: GeneratorConfig = TINY, **setup: Any
) -> Path:
    """Write a generator file. `change` edits its content or returns another, `setup` is added to its train_setup."""
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
    """Write a FastPitch file in the published format that reads english_basic letter by letter. `change` as above."""
    model = FastPitch(dataclasses.replace(TINY_FASTPITCH, **{"n_mel_channels": 80, "n_symbols": 148, **config}))
    setup = {**SETUP, "symbol_set": "english_basic", "text_cleaners": ["english_cleaners_v2"], "p_arpabet": 0.0}
    state = fastpitch_weights(model.state_dict())
    state["pitch_mean"][:], state["pitch_std"][:] = 200.0, 50.0
    content = {"state_dict": state, "config": model.config.to_dict(), "train_setup": setup}
    changed = change(content)
    torch.save(content if changed is None else changed, path)
    return path


def make_model_folder(folder: Path, precision: str = "fp32", state: str = "generator") -> Path:
    """Write a folder with `FOLDER_TENSORS` and `FOLDER_VALUES`, which do not make a network."""
    write_model_folder(folder, state, FOLDER_TENSORS, FOLDER_VALUES, precision, "# Card\n")
    return folder


def make_voice(folder: Path) -> Path:
    """Pack the generator and the FastPitch model of the functions above as a voice."""
    folder.mkdir(parents=True, exist_ok=True)
    hifigan, fastpitch = make_checkpoint(folder / "g.pt"), make_fastpitch(folder / "f.pt")
    pack(PackConfig(hifigan=str(hifigan), fastpitch=str(fastpitch), output=str(folder)))
    for path in (hifigan, fastpitch):
        path.unlink()
    return folder


def fastpitch_info(setup: dict[str, Any], **config: Any) -> FastPitchInfo:
    """Return the description of a FastPitch file with this train_setup and these changes of the configuration."""
    model = dataclasses.replace(FastPitchConfig(), **config)
    return FastPitchInfo(Path("f.pt"), model, AudioConfig(framing="tacotron"), setup, None, False)


def thin_layers() -> dict[str, type[nn.Module]]:
    """Return layers for `hifigan.discriminators` with an eighth of the channels: files of 14 MB instead of 850."""

    def thin(layer: Any) -> Any:
        class Thin(layer):
            def __init__(self, inputs: int, outputs: int, *args: Any, **kwargs: Any) -> None:
                super().__init__(max(1, inputs // 8), max(1, outputs // 8), *args, **kwargs)

        return Thin

    names = ("WeightNormConv1d", "WeightNormConv2d", "SpectralNormConv1d")
    return {name: thin(getattr(discriminators, name)) for name in names}
