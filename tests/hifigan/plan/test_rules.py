"""The arithmetic of plans: rates, factors, kernels."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from hifigan.plan.rules import factorisations, kernel_size, upsample_rates


def smooth(number: int) -> bool:
    """Only 2, 3, 5 and 7 divide it."""
    for prime in (2, 3, 5, 7):
        while number % prime == 0:
            number //= prime
    return number == 1


def test_rates_of_hops_that_are_usual() -> None:
    expected = {
        160: (8, 5, 2, 2),
        200: (5, 5, 4, 2),
        240: (6, 5, 4, 2),
        300: (6, 5, 5, 2),
        320: (8, 5, 4, 2),
        441: (7, 7, 3, 3),
        480: (8, 6, 5, 2),
        512: (8, 8, 4, 2),
        600: (6, 5, 5, 4),
    }
    assert {hop: upsample_rates(hop, 4) for hop in expected} == expected
    assert upsample_rates(441, 3) == (9, 7, 7)
    assert upsample_rates(1152, 3) == (8, 6, 6, 4)  # three rates up to 10 do not reach


@pytest.mark.parametrize("stages", [3, 4])
def test_rates_multiply_to_the_hop(stages: int) -> None:
    for hop in range(40, 1000):
        rates = upsample_rates(hop, stages)
        if rates is None:  # only where a prime above 7 divides it, or the factors are too few
            assert not smooth(hop) or not any(True for n in (-1, 0, 1) for _ in factorisations(hop, stages + n)), hop
            continue
        assert math.prod(rates) == hop
        assert abs(len(rates) - stages) <= 1
        assert list(rates) == sorted(rates, reverse=True)
        assert all(2 <= rate <= 10 for rate in rates)


def test_factorisations_are_all_there_are() -> None:
    expected = [
        (a, b, c) for a in range(10, 1, -1) for b in range(a, 1, -1) for c in range(b, 1, -1) if a * b * c == 240
    ]
    assert list(factorisations(240, 3)) == expected != []


@pytest.mark.parametrize("rate", range(2, 11))
def test_every_sample_is_the_sum_of_equally_many_taps(rate: int) -> None:
    kernel = kernel_size(rate)
    taps = F.conv_transpose1d(torch.ones(1, 1, 20), torch.ones(1, 1, kernel), stride=rate, padding=(kernel - rate) // 2)
    assert taps.shape == (1, 1, 20 * rate)
    assert set(taps[0, 0, 2 * rate : -2 * rate].tolist()) == {kernel / rate}
    assert kernel == 2 * rate or rate % 2  # as published
