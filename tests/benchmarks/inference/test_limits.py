"""Arithmetic work of a generator and arithmetic limit of a machine."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.inference.limits import ArithmeticLimit, flop_per_frame
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


def test_limit(monkeypatch):
    from benchmarks.inference import limits

    monkeypatch.setitem(limits.PRODUCT_SIZES, "cpu", (64, 2))
    times = iter([0.0, 9.0, 0.0, 1.0, 0.0, 3.0, 0.0, 2.0])
    monkeypatch.setattr(limits, "now_sec", lambda device: next(times))
    limit = ArithmeticLimit(torch.device("cpu"), ["fp32", "fp32"])
    limit.measure()
    limit.forget()
    for _ in range(3):
        limit.measure()
    assert limit.flop_per_sec == {"fp32": 2 * 2 * 64**3 / 2.0}
