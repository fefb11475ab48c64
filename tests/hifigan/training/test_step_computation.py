"""How optimiser steps are computed on each device."""

import dataclasses

import pytest
import torch

from common import distributed
from common.machine import triton_kernels
from hifigan.convolutions.rows import are_rows
from hifigan.discriminators import build_discriminators
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
