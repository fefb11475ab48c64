"""Arithmetic work of a generator."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.inference.models import flop_per_frame
from hifigan.config import PRESETS
from hifigan.generator import Generator
from tests.support.models import TINY


@pytest.mark.parametrize("config", [TINY, *PRESETS.values()], ids=["tiny", *PRESETS])
def test_work(config):
    """Our count of operations equals PyTorch's."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        generator = Generator(config)
        generator.output(generator.hidden(torch.zeros(1, 80, 10)))
    assert flop_per_frame(config) * 10 == counter.get_total_flops()


def test_work_per_second():
    known = {"v1": 52.9, "v2": 3.3, "v3": 3.9}
    for name, expected in known.items():
        assert flop_per_frame(PRESETS[name]) * 22050 / 256 / 1e9 == pytest.approx(expected, abs=0.05)
