"""Choice of ways by measurement, with a clock that the ways themselves advance, and its cache."""

import json
import logging

import pytest
import torch
from torch import nn

from common.machine.precision import mixed_precision
from common.project import user_cache
from hifigan.convolutions import choices
from hifigan.convolutions.choices import (
    CACHE_FILE,
    ConvolutionCase,
    choose,
    describe_setting,
    find_cases,
    measure,
    time_each,
)
from hifigan.convolutions.passes import CONVOLUTION, IN_FP32, PRODUCTS, Geometry, Ways
from hifigan.convolutions.rows import to_rows
from hifigan.discriminators import build_discriminators
from hifigan.layers import WeightNormConv1d

CASE = ConvolutionCase((1, 4, 16, 1), 8, Geometry(5, 1, 2, 1, 1), torch.bfloat16)
FAST = Ways(PRODUCTS, CONVOLUTION, PRODUCTS)


class FakeClock:
    """Clock that only `spend` advances."""

    def __init__(self):
        self.now_sec = 0.0

    def __call__(self):
        return self.now_sec

    def spend(self, seconds):
        self.now_sec += seconds


@pytest.fixture
def clock(monkeypatch):
    """Ways that take 1 s, or 3 s in the pass where the other one is in `FAST`, and 10 s in fp32."""
    clock = FakeClock()
    clock.in_fp32_sec = 10.0

    def slowed(number, work):
        def run(way, *arguments):
            clock.spend(1.0 if way == FAST[number] else 3.0)
            return work(way, *arguments)

        return run

    for number, name in enumerate(("output", "input_gradient", "weight_gradient")):
        monkeypatch.setattr(choices, name, slowed(number, getattr(choices, name)))
    run_in_fp32 = choices._run_in_fp32

    def run_slowly(*arguments):
        clock.spend(clock.in_fp32_sec)
        run_in_fp32(*arguments)

    monkeypatch.setattr(choices, "_run_in_fp32", run_slowly)
    return clock


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return user_cache() / CACHE_FILE


@pytest.mark.parametrize("shape", [(1, 4, 16, 1), (1, 4, 16, 3)])
def test_the_fastest_way_of_each_pass(clock, shape):
    assert measure(CASE._replace(shape=shape), clock) == FAST
    clock.in_fp32_sec = 2.9  # less than all three passes in 16 bits
    assert measure(CASE._replace(shape=shape), clock) == (IN_FP32, IN_FP32, IN_FP32)


def test_ways_run_in_turn_and_their_shortest_time_counts():
    clock, order = FakeClock(), []
    taken = {"a": iter([4.0, 2.0, 5.0]), "b": iter([3.0, 3.0, 3.0]), "slow": iter([9.0])}

    def run(name):
        order.append(name)
        clock.spend(next(taken[name]))

    seconds = time_each({name: lambda name=name: run(name) for name in taken}, clock)
    assert seconds == {"a": 2.0, "b": 3.0, "slow": 9.0}
    assert order == ["a", "b", "slow", "a", "b", "a", "b"]


def test_choices_are_measured_once(clock, cache):
    assert choose({"layer": CASE, "its twin": CASE}, clock) == {"layer": FAST, "its twin": FAST}
    measured_sec = clock()
    assert choose({"another": CASE}, clock) == {"another": FAST}
    assert clock() == measured_sec
    assert json.loads(cache.read_text()) == {describe_setting(): {CASE.key(): list(FAST)}}


def test_another_setting_is_measured_and_the_old_one_kept(clock, cache, monkeypatch):
    choose({"layer": CASE}, clock)
    measured_sec, before = clock(), describe_setting()
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    choose({"layer": CASE}, clock)
    assert clock() > measured_sec
    assert {*json.loads(cache.read_text())} == {before, describe_setting()}


@pytest.mark.parametrize(
    "content", ["{", "[1]", '{"a": {"b": ["unknown", "products", "products"]}}', '{"a": {"b": 1}}']
)
def test_a_damaged_cache_is_mentioned_and_replaced(clock, cache, content, caplog):
    cache.parent.mkdir(parents=True)
    cache.write_text(content)
    assert choose({"layer": CASE}, clock) == {"layer": FAST}
    assert caplog.text.count("is damaged") == 1
    caplog.clear()
    assert choose({"layer": CASE}, clock) == {"layer": FAST}
    assert not caplog.text


def test_a_cache_that_cannot_be_written(clock, cache, caplog, monkeypatch):
    cache.parent.parent.mkdir(parents=True, exist_ok=True)
    cache.parent.write_text("a file in place of the folder")
    with caplog.at_level(logging.WARNING):
        assert choose({"layer": CASE}, clock) == {"layer": FAST}
    assert "cannot be written" in caplog.text


def test_large_convolutions_are_found_with_their_shapes(monkeypatch):
    modules = nn.ModuleDict({"a": nn.Sequential(WeightNormConv1d(4, 8, 5, 2, 2), WeightNormConv1d(8, 1, 1))})
    monkeypatch.setattr(choices, "MIN_FLOP", 1000)
    with mixed_precision(torch.device("cpu")), torch.no_grad():
        found = find_cases(modules, lambda: modules["a"](to_rows(torch.zeros(1, 4, 10))), {"a": 6})
    assert found == {"a.0": ConvolutionCase((6, 4, 10, 1), 8, Geometry(5, 2, 2, 1, 1), torch.bfloat16)}
    assert found["a.0"].flop == 2 * 6 * 5 * 8 * 4 * 5


def test_small_models_need_no_measurement():
    modules = build_discriminators(width=1 / 8)
    wav = to_rows(torch.zeros(1, 1, 2048))
    with mixed_precision(torch.device("cpu")), torch.no_grad():
        assert not find_cases(modules, lambda: [module(wav) for module in modules.values()], {"mpd": 4, "msd": 2})
