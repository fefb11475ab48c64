"""Perceptual metrics from optional third-party packages (requirements-evaluation.txt)."""

from __future__ import annotations

import contextlib
import functools
import importlib
import sys
import types
import unittest.mock
import warnings
from typing import Any

import numpy as np
import torch

from common.audio_files import resample

PESQ_RATE_HZ = MOS_RATE_HZ = 16000


def pesq_wideband(real: np.ndarray, fake: np.ndarray, sampling_rate: int) -> float:
    """Return wideband PESQ (ITU-T P.862.2), 1.0 to 4.64, of [T] samples after conversion to 16 kHz.

    Raises:
        ValueError: PESQ detects no speech, or the clip is too short.
    """
    from pesq import PesqError, pesq

    one, other = (resample(wav, sampling_rate, PESQ_RATE_HZ) for wav in (real, fake))
    try:
        return float(pesq(PESQ_RATE_HZ, one, other, "wb"))
    except PesqError as error:
        reason = error.args[0] if error.args else error
        raise ValueError(reason.decode() if isinstance(reason, bytes) else str(reason)) from error


def short_time_intelligibility(real: np.ndarray, fake: np.ndarray, sampling_rate: int) -> float:
    """Return STOI (Taal et al. 2011), up to 1.

    Raises:
        ValueError: too little of the recording is loud enough.
    """
    from pystoi import stoi

    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # pystoi warns when it has too few frames
        try:
            return float(stoi(real, fake, sampling_rate))
        except RuntimeWarning as warning:
            raise ValueError(str(warning).splitlines()[0]) from warning


def opinion_score(fake: np.ndarray, sampling_rate: int) -> float:
    """Return the opinion score, 1 to 5, that Distill-MOS (Stahl and Gamper 2025) predicts without the recording."""
    wav = torch.from_numpy(resample(fake, sampling_rate, MOS_RATE_HZ)).float()
    with torch.inference_mode():
        return float(_opinion_model()(wav[None]))


@functools.cache
def _opinion_model() -> Any:
    with contextlib.redirect_stdout(None):  # it prints where its weights are
        return _distillmos().ConvTransformerSQAModel().eval()


@functools.cache
def _distillmos() -> Any:
    """Import distillmos, with a stand-in where torchaudio cannot be loaded, as with PyTorch's CPU builds.

    Its model does not need torchaudio. Only its file reading and training do.
    """
    try:
        importlib.import_module("torchaudio")
    except (ImportError, OSError):
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchaudio"]:
            del sys.modules[name]  # partly loaded
        stand_in, transforms = types.ModuleType("torchaudio"), types.ModuleType("torchaudio.transforms")
        stand_in.transforms, transforms.MFCC = transforms, None  # type: ignore[attr-defined]
        with unittest.mock.patch.dict(sys.modules, {"torchaudio": stand_in, "torchaudio.transforms": transforms}):
            return importlib.import_module("distillmos")
    return importlib.import_module("distillmos")


def why_not(package: str) -> str | None:
    """Return one line on why a package cannot be used, or None if it can."""
    try:
        _distillmos() if package == "distillmos" else importlib.import_module(package)
    except ModuleNotFoundError as error:
        missing = "" if error.name == package else f" (it needs {error.name})"
        return f"{package} is not installed{missing}: pip install {str(error.name).partition('.')[0]}"
    except (ImportError, OSError) as error:  # a compiled library that does not fit this machine
        return f"{package} cannot be loaded: {str(error).splitlines()[0]}"
    return None
