"""Mels and batches that a backend refuses."""

import pytest
import torch

from common.errors import InputError
from hifigan import Generator
from hifigan.backend import Backend, eager_backend
from hifigan.synthesis.vocoder import Vocoder
from tests.support.models import TINY

BAD_MELS = {
    "NaN": (torch.full((80, 5), float("nan")), "not finite numbers"),
    "infinite": (torch.full((80, 5), -float("inf")), "not finite numbers"),
    "bands": (torch.zeros(40, 5), r"expected shape \[80, frames\], got \[40, 5\]; this model takes 80 bands"),
    "layout": (torch.zeros(5, 80), r"got \[5, 80\]; transpose it"),
    "empty": (torch.zeros(80, 0), r"it is empty, \[80, 0\]"),
    "float64": (torch.zeros(80, 5, dtype=torch.float64), "it is float64; convert it to float32"),
    "float16": (torch.zeros(80, 5, dtype=torch.float16), "it is float16; convert it to float32"),
    "integers": (torch.zeros(80, 5, dtype=torch.int64), "it is int64; convert it to float32"),
}


@pytest.mark.parametrize("kind", BAD_MELS)
def test_bad_mels(kind):
    mel, message = BAD_MELS[kind]
    generator = Generator(TINY).eval()
    generator.remove_weight_norm()
    with pytest.raises(InputError, match=message):
        eager_backend(generator)(mel[None])
    with pytest.raises(InputError, match=message):
        Vocoder(generator)([torch.zeros(80, 7), mel])


def test_batches_that_are_none():
    backend = eager_backend(Generator(TINY).eval())
    with pytest.raises(InputError, match=r"expected shape \[batch, 80, frames\], got \[80, 5\]"):
        backend(torch.zeros(80, 5))
    with pytest.raises(InputError, match=r"expected shape \[80, frames\], got \[1, 80, 5\]"):
        Vocoder(backend)([torch.zeros(1, 80, 5)])
    for none in (lambda: backend(torch.zeros(0, 80, 5)), lambda: Vocoder(backend)([])):
        with pytest.raises(InputError, match="the batch is empty"):
            none()


def test_a_denoiser_inside_needs_its_frames_and_tolerates_no_other():
    backend = Backend(lambda mel: mel[:, 0], TINY, torch.device("cpu"), denoising_strength=0.1, min_frames=3)
    with pytest.raises(InputError, match="2 frames are too few for this model, give 3"):
        backend(torch.zeros(1, 80, 2))
    with pytest.raises(InputError, match=r"--denoising-strength: the exported model has a denoiser inside \(0.1\)"):
        Vocoder(backend, denoising_strength=0.2)
