"""How optimiser steps are computed on each device."""

import dataclasses

import pytest
import torch

from common import distributed
from common.machine import triton_kernels
from common.machine.precision import mixed_precision
from hifigan.convolutions.passes import CONVOLUTION, PRODUCTS, Ways
from hifigan.convolutions.rows import are_rows
from hifigan.discriminators import build_discriminators
from hifigan.training import step_computation
from hifigan.training.flags import VocoderRunConfig
from hifigan.training.step_computation import StepComputation

WAV = torch.zeros(2, 3, 8)


def computation(device="cpu", world_size=1, **run):
    place = dataclasses.replace(distributed.init(cuda=False), device=torch.device(device), world_size=world_size)
    return StepComputation(VocoderRunConfig(**run), place)


@pytest.mark.parametrize(
    ("settings", "calls"),
    [
        ({}, {"mpd": True, "msd": False}),
        ({"concat_fwd": True}, {"mpd": True, "msd": True}),
        ({"fast": "off"}, {"mpd": False, "msd": False}),
        ({"fast": "off", "concat_fwd": True}, {"mpd": True, "msd": True}),
        ({"device": "cuda"}, {"mpd": True, "msd": True}),
        ({"device": "cuda", "without": "activation"}, {"mpd": True, "msd": False}),
        ({"device": "cuda", "without": "activation", "concat_fwd": True}, {"mpd": True, "msd": True}),
    ],
)
def test_discriminators_that_judge_real_and_fake_in_one_call(settings, calls, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    settings = dict(settings)
    without = settings.pop("without", None)
    monkeypatch.setattr(triton_kernels, "proved", lambda kernel, check, device: kernel != without)
    chosen = computation(**settings)
    assert {name: chosen.in_one_call(module) for name, module in build_discriminators().items()} == calls


def test_memory_layout_on_a_cpu():
    assert are_rows(computation().lay_out(WAV))
    assert computation(fast="off").lay_out(WAV) is WAV


def test_steps_on_gpus_become_graphs(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    assert computation("cuda").graphed
    assert torch.backends.cudnn.benchmark
    assert computation("cuda", world_size=2).graphed
    assert not computation("cuda", cuda_graphs=False).graphed
    assert not computation("cuda", fast="off").graphed
    assert not computation().graphed


PRODUCTS_ONLY, CONVOLUTIONS_ONLY = Ways(*[PRODUCTS] * 3), Ways(*[CONVOLUTION] * 3)


@pytest.fixture
def chosen(monkeypatch):
    """Ways of every layer, instead of a measurement. The list counts how many layers each call chooses for."""

    def choose(cases):
        calls.append(len(cases))
        return dict.fromkeys(cases, PRODUCTS_ONLY)

    calls = []
    monkeypatch.setattr(step_computation, "choose", choose)
    monkeypatch.setattr("hifigan.convolutions.choices.MIN_FLOP", 0)
    return calls


def choosing(computation, discriminators):
    with mixed_precision(torch.device("cpu")):
        computation.choose_convolutions(discriminators, batch_size=2, segment_size=512)
    return {layer.ways for layer in discriminators.modules() if hasattr(layer, "ways")}


def in_16_bits(dtype, **run):
    return StepComputation(VocoderRunConfig(**run), distributed.init(cuda=False), dtype)


def in_bf16(**run):
    return in_16_bits(torch.bfloat16, **run)


@pytest.mark.medium
def test_convolutions_in_bf16_are_chosen_once(chosen):
    discriminators = build_discriminators(width=1 / 8)
    vectors = {key: value.clone() for key, value in discriminators.state_dict().items()}
    first = in_bf16()
    assert choosing(first, discriminators) == {PRODUCTS_ONLY}
    assert all(torch.equal(value, vectors[key]) for key, value in discriminators.state_dict().items())
    assert all(module.training for module in discriminators.modules())
    assert choosing(first, discriminators) == {PRODUCTS_ONLY}
    assert chosen == [5 * 6 + 3 * 8]


@pytest.mark.parametrize("make", [computation, lambda: in_bf16(fast="off"), lambda: in_16_bits(torch.float16)])
def test_no_choice_in_other_precisions_nor_in_the_plain_recipe(make, chosen):
    assert choosing(make(), build_discriminators(width=1 / 8)) == {None}
    assert chosen == []
    assert make().state_dict() == {}


def test_a_resumed_run_keeps_its_choices(chosen):
    first, resumed, elsewhere = in_bf16(), in_bf16(), in_bf16()
    choosing(first, build_discriminators(width=1 / 8))
    stored = first.state_dict()
    stored["ways"]["msd.discriminators.0.convs.1"] = list(CONVOLUTIONS_ONLY)  # as measured at the time
    resumed.load_state_dict(stored)
    discriminators = build_discriminators(width=1 / 8)
    assert choosing(resumed, discriminators) == {PRODUCTS_ONLY, CONVOLUTIONS_ONLY}
    assert discriminators["msd"].discriminators[0].convs[1].ways == CONVOLUTIONS_ONLY
    assert len(chosen) == 1
    elsewhere.load_state_dict({**stored, "setting": "another processor"})
    assert choosing(elsewhere, build_discriminators(width=1 / 8)) == {PRODUCTS_ONLY}
    assert len(chosen) == 2


def test_all_processes_take_the_first_ones_choice(chosen, monkeypatch):
    theirs = {"mpd.discriminators.0.convs.1": CONVOLUTIONS_ONLY}
    monkeypatch.setattr(distributed, "gather", lambda own: [theirs, own])
    place = dataclasses.replace(distributed.init(cuda=False), rank=1, world_size=2)
    second = StepComputation(VocoderRunConfig(), place, torch.bfloat16)
    assert choosing(second, build_discriminators(width=1 / 8)) == {None, CONVOLUTIONS_ONLY}
    assert chosen == [], "only the first process measures"


@pytest.mark.medium
def test_chosen_ways_do_what_the_usual_ones_do(chosen):
    usual, ours = build_discriminators(width=1 / 8), build_discriminators(width=1 / 8)
    ours.load_state_dict(usual.state_dict())
    computation = in_bf16()
    choosing(computation, ours)
    wav = computation.lay_out(torch.randn(2, 1, 512))
    gradients = []
    for discriminators in (usual, ours):
        with mixed_precision(torch.device("cpu")), computation.shared_weights(discriminators):
            scores = [score for module in discriminators.values() for score in module(wav)[0]]
            loss = sum((1 - score).square().mean() for score in scores)
        loss.backward()
        gradients.append([parameter.grad for parameter in discriminators.parameters()])
    for expected, actual in zip(*gradients, strict=True):
        assert (actual - expected).norm() < 0.03 * expected.norm()
