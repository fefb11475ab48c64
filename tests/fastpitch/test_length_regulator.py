"""From symbols to frames and back, counted in integers."""

import numpy as np
import pytest
import torch

from fastpitch.length_regulator import (
    MAX_DURATION,
    durations_from_log,
    frame_symbols,
    mean_per_symbol,
    regulate,
    round_durations,
)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("autocast", [False, True])
def test_frames_past_4000_show_their_own_symbol(dtype, autocast):
    rng = np.random.default_rng(0)
    durations = rng.integers(0, 75, (2, 150))
    x = torch.from_numpy(rng.standard_normal((2, 150, 4))).to(dtype)
    num_frames = int(durations.sum(1).max())
    assert num_frames > 5000
    with torch.autocast("cpu", torch.float16 if dtype == torch.float16 else torch.bfloat16, enabled=autocast):
        frames = regulate(x, torch.from_numpy(durations), num_frames)
    assert frames.dtype == dtype
    for i in range(2):
        expected = x[i].repeat_interleave(torch.from_numpy(durations[i]), dim=0)
        assert torch.equal(frames[i, : len(expected)], expected)
        assert not frames[i, len(expected) :].any()


def test_durations_are_rounded_half_up_and_clamped():
    durations = torch.tensor([[0.0, 0.49, 0.5, 1.5, 2.5, 3.49, 75.0]])
    assert round_durations(durations).tolist() == [[0, 0, 1, 2, 3, 3, 75]]
    assert round_durations(durations.half(), 2.0).tolist() == [[0, 0, 0, 1, 1, 2, 38]]
    logs = torch.tensor([[-3.0, 0.0, np.log(11.0), 4.4, 300.0]])
    assert durations_from_log(logs).tolist() == [[0.0, 0.0, pytest.approx(10.0, abs=1e-5), MAX_DURATION, MAX_DURATION]]


def test_symbols_of_frames():
    durations = torch.tensor([[2, 0, 3], [0, 1, 0]])
    assert frame_symbols(durations, 6).tolist() == [[0, 0, 2, 2, 2, 3], [1, 3, 3, 3, 3, 3]]


def test_gradients_are_sums_over_frames():
    x = torch.zeros(1, 3, 1, requires_grad=True)
    regulate(x, torch.tensor([[2, 0, 3]]), 6).sum().backward()
    assert x.grad.flatten().tolist() == [2, 0, 3]


def test_means_over_the_voiced_frames_of_a_symbol():
    values = torch.tensor([[1.0, 0.0, 3.0, 0.0, 0.0, 7.0, 100.0]])
    durations = torch.tensor([[3, 2, 0, 1]])
    assert mean_per_symbol(values, durations, values != 0).tolist() == [[2.0, 0.0, 0.0, 7.0]]
    assert mean_per_symbol(values, durations, values > 2).tolist() == [[3.0, 0.0, 0.0, 7.0]]
    assert mean_per_symbol(values, durations, values >= 0)[0].tolist() == pytest.approx([4 / 3, 0.0, 0.0, 7.0])
