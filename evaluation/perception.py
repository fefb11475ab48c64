"""Models of hearing by the field's own libraries, which are optional: requirements-evaluation.txt."""

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
    """Wideband PESQ (ITU-T P.862.2), 1.0 to 4.64, of [T] samples converted to 16 kHz.

    Raises:
        ValueError: PESQ finds no speech, or the clip is too short.
    """
    from pesq import PesqError, pesq

    one, other = (resample(wav, sampling_rate, PESQ_RATE_HZ) for wav in (real, fake))
    try:
        return float(pesq(PESQ_RATE_HZ, one, other, "wb"))
    except PesqError as error:
        reason = error.args[0] if error.args else error
        raise ValueError(reason.decode() if isinstance(reason, bytes) else str(reason)) from error


def short_time_intelligibility(real: np.ndarray, fake: np.ndarray, sampling_rate: int) -> float:
    """STOI (Taal et al. 2011), up to 1.

    Raises:
        ValueError: too little of the recording is loud enough.
    """
    from pystoi import stoi

    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # that is how pystoi says that it has too few frames
        try:
            return float(stoi(real, fake, sampling_rate))
        except RuntimeWarning as warning:
            raise ValueError(str(warning).splitlines()[0]) from warning


def opinion_score(fake: np.ndarray, sampling_rate: int) -> float:
    """Mean opinion score that Distill-MOS (Stahl and Gamper 2025) predicts from the copy alone, 1 to 5."""
    wav = torch.from_numpy(resample(fake, sampling_rate, MOS_RATE_HZ)).float()
    with torch.inference_mode():
        return float(_opinion_model()(wav[None]))


@functools.cache
def _opinion_model() -> Any:
    with contextlib.redirect_stdout(None):  # it says where its weights are
        return _distillmos().ConvTransformerSQAModel().eval()


@functools.cache
def _distillmos() -> Any:
    """The package; where torchaudio cannot be loaded, as beside PyTorch's CPU builds, without it.

    Only its reading of files and its training need torchaudio, not the model.
    """
    try:
        importlib.import_module("torchaudio")
    except (ImportError, OSError):
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchaudio"]:
            del sys.modules[name]  # half loaded
        stand_in, transforms = types.ModuleType("torchaudio"), types.ModuleType("torchaudio.transforms")
        stand_in.transforms, transforms.MFCC = transforms, None  # type: ignore[attr-defined]
        with unittest.mock.patch.dict(sys.modules, {"torchaudio": stand_in, "torchaudio.transforms": transforms}):
            return importlib.import_module("distillmos")
    return importlib.import_module("distillmos")


def why_not(package: str) -> str | None:
    """Why a package cannot be used, in one line; None if it can."""
    try:
        _distillmos() if package == "distillmos" else importlib.import_module(package)
    except ModuleNotFoundError as error:
        missing = "" if error.name == package else f" (it needs {error.name})"
        return f"{package} is not installed{missing}: pip install -r requirements-evaluation.txt"
    except (ImportError, OSError) as error:  # a library inside that does not fit this machine
        return f"{package} cannot be loaded: {str(error).splitlines()[0]}"
    return None
