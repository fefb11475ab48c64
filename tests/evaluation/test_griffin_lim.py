"""The transform against its inverse, and the theorem of Griffin and Lim."""

import pytest
import torch

from common.audio import AudioConfig
from evaluation import griffin_lim
from evaluation.griffin_lim import GriffinLim
from tests.support.data_sets import swelling_noise

AUDIO = AudioConfig()


@pytest.mark.parametrize("win_length", [1024, 800])
def test_the_inverse_gives_the_audio_back(win_length):
    transform = GriffinLim(AudioConfig(win_length=win_length))
    wav = torch.from_numpy(swelling_noise(1024 + 20 * 256))
    margin = 1024 - win_length // 2  # the windows are 0 or tiny at the ends
    inner = slice(margin, -margin)
    torch.testing.assert_close(transform.invert(transform.transform(wav))[inner], wav[inner], atol=1e-9, rtol=0)


def test_each_iteration_comes_nearer(monkeypatch):
    """Griffin and Lim, equation 8: the distance between the magnitudes never rises."""
    transform = GriffinLim(AUDIO)
    magnitude = transform.transform(torch.from_numpy(swelling_noise(1024 + 30 * 256))).abs()
    distances = []
    for iterations in (0, 1, 2, 5, 20, 60):
        monkeypatch.setattr(griffin_lim, "GRIFFIN_LIM_ITERATIONS", iterations)
        made = transform(magnitude, seed=0)
        distances.append(((transform.transform(made).abs() - magnitude).norm() / magnitude.norm()).item())
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < 0.4 * distances[0]


def test_the_seed_decides():
    magnitude = GriffinLim(AUDIO).transform(torch.from_numpy(swelling_noise(4096))).abs()
    first, again, other = (GriffinLim(AUDIO)(magnitude, seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)
