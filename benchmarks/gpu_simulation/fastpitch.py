"""Simulated FastPitch: optimiser steps over 16 clips of 150 symbols and 800 frames, and synthesis."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator
from typing import Any
from unittest import mock

import torch
from torch import Tensor

import fastpitch.model
import fastpitch.train
from benchmarks.gpu_simulation.counter import Tally
from benchmarks.gpu_simulation.device import DEVICE, simulated_gpu
from common.distributed import Distributed
from fastpitch.config import FastPitchConfig
from fastpitch.model import FastPitch
from fastpitch.synthesis.pieces import Piece
from fastpitch.synthesis.synthesiser import Synthesiser
from fastpitch.training.flags import parse_train_config
from fastpitch.training.recordings import Batch
from fastpitch.training.state import FastPitchTrainState

CLIPS, SYMBOLS, FRAMES, MELS = 16, 150, 800, 80
PITCH_HZ = 214.7, 65.7
ANSWERS = {"speaker": 0, "mel_lens": FRAMES, "frames": FRAMES}  # numbers that the model reads

STEPS = {
    f"fastpitch-training-{precision}-{optimiser}": (precision, optimiser)
    for precision in ("fp16", "fp32")
    for optimiser in ("lamb", "adamw")
}
SYNTHESIS = {"fastpitch-synthesis-1": 1, "fastpitch-synthesis-16": 16}
NAMES = (*STEPS, *SYNTHESIS)


def measure(names: set[str]) -> Iterator[tuple[str, Tally]]:
    """Yield the tallies of scenarios: of the second step or run."""
    for name, (precision, optimiser) in STEPS.items():
        if name in names:
            yield name, _measure_step(precision, optimiser)
    for name, texts in SYNTHESIS.items():
        if name in names:
            yield name, _measure_synthesis(texts)


def _measure_step(precision: str, optimiser: str) -> Tally:
    words = ["--cuda", "-d", "-", "--training-files", "-", "--validation-files", "-", "--optimizer", optimiser]
    cfg = parse_train_config([*words, *([] if precision == "fp32" else ["--amp", "--amp-dtype", precision])])
    with simulated_gpu(ANSWERS) as counter, _searching_on_cpu():
        state = FastPitchTrainState(cfg, Distributed(0, 0, 1, DEVICE), PITCH_HZ)
        state.load_base()
        unused: Any = None
        loop = fastpitch.train.FastPitchLoop(state, unused, unused, unused, unused)
        loop.step([_new_batch()])
        with counter.counting() as tally:
            loop.step([_new_batch()])
    return tally


def _measure_synthesis(texts: int) -> Tally:
    with simulated_gpu(ANSWERS) as counter:
        model = FastPitch(FastPitchConfig()).to(DEVICE).eval().requires_grad_(False)
        synthesise = Synthesiser(model, amp=True)
        pieces = [Piece(name=str(number), ids=[1] * SYMBOLS) for number in range(texts)]
        synthesise(pieces)
        with counter.counting() as tally:
            synthesise(pieces)
    return tally


def _new_batch() -> Batch:
    """Return a batch in the CPU's memory, as it comes from the loader."""
    return Batch(
        torch.empty(CLIPS, SYMBOLS, dtype=torch.long),
        torch.empty(CLIPS, MELS, FRAMES),
        torch.empty(CLIPS, dtype=torch.long),
        torch.empty(CLIPS, 1, FRAMES),
        torch.empty(CLIPS, FRAMES, SYMBOLS),
        torch.empty(CLIPS, dtype=torch.long),
    )


def _searching_on_cpu() -> contextlib.AbstractContextManager[Any]:
    """In checkouts that search the alignment in NumPy, which needs memory, only count its copies."""
    if importlib.util.find_spec("fastpitch.gpu") is not None:
        return contextlib.nullcontext()

    def search(log_soft: Tensor, text_lens: Tensor, mel_lens: Tensor) -> Tensor:
        for values in (log_soft, mel_lens, text_lens):
            values.cpu()
        return torch.empty(log_soft.size(0), log_soft.size(2), dtype=torch.long).to(log_soft.device)

    return mock.patch.object(fastpitch.model, "monotonic_durations", search)
