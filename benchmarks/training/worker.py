"""One variant of training in its own process, which takes steps on request.

The benchmark sends a request through a pipe and waits for the answer, so that only one variant works at a time.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import resource
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any

import torch

import train
from benchmarks.peak import peak_flops
from common import distributed
from common.errors import first_line
from common.machine.loader_processes import stop_loader_processes
from common.machine.precision import DTYPES, full_precision
from common.machine.timing import now_sec
from common.training.cuda_graphs import MADE, GraphedStep
from common.training.loaders import groups
from common.training.sampling import MicroBatchSampler
from hifigan.discriminators import judge_both
from hifigan.losses import discriminator_losses, feature_matching_loss, generator_loss
from hifigan.training.flags import parse_train_config
from hifigan.training.loaders import data_fingerprint, open_datasets, training_loader
from hifigan.training.segments import Segment
from hifigan.training.state import VocoderTrainState

MOST_WARM_UP_STEPS = 20  # until a step is recorded: the first ones in fp16 may be skipped


@dataclasses.dataclass
class WarmUp:
    """First steps of a run.

    Attributes:
        start_sec: time to make models, optimisers and loader, without the start of the process.
        first_step_sec: of the first step, in which libraries choose and compile kernels.
        recorded_sec: from the first step to the end of the one that was recorded as a CUDA graph, or None.
        losses: of each step.
    """

    start_sec: float
    first_step_sec: float
    recorded_sec: float | None
    losses: list[list[float]]


@dataclasses.dataclass
class Burst:
    """Some optimiser steps: their total seconds by the clock and of the processor, and the losses of each."""

    seconds: float
    processor_sec: float
    losses: list[list[float]]


class Worker:
    """A training run as `train.py` starts it, without validation and checkpoints."""

    def __init__(self, argv: Sequence[str]) -> None:
        began = time.perf_counter()
        cfg = parse_train_config(argv)
        place = distributed.init(cfg.run.cuda)
        self.device = place.device
        train_set, _ = open_datasets(cfg)
        optim = cfg.optim
        self.sampler = MicroBatchSampler(len(train_set), optim.batch_size, optim.grad_accumulation, 0, 1, cfg.run.seed)
        self.state = VocoderTrainState(cfg, place, data_fingerprint(train_set, cfg))
        self.state.load_base()
        self.state.choose_convolutions()
        both_steps = functools.partial(train.both_steps, self.state)
        self.both_steps = self.state.computation.accelerated(both_steps, self.state.changing())
        self.loader = training_loader(train_set, self.sampler, cfg, place)
        self.batches = self._endless()
        self.group: list[Segment] = []
        self._start_sec = now_sec(self.device) - began

    def _endless(self) -> Iterator[list[Segment]]:
        for epoch in itertools.count(1):
            self.sampler.epoch = epoch
            yield from groups(self.loader, self.sampler.grad_accumulation)

    def precision(self) -> torch.dtype:
        with self.state.autocast():
            kind = self.device.type
            return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float32

    def step(self) -> None:
        """Take an optimiser step, without waiting for its losses."""
        self.state.set_learning_rate()
        self.group = next(self.batches)
        losses = dict(self.both_steps(self.group))
        self.state.meter.add(losses, made=losses.pop(MADE))
        self.state.steps += 1

    def warm_up(self) -> WarmUp:
        """Take the first step, and more until steps are recorded, if they are to be."""
        first = self.burst(1)
        seconds, losses = first.seconds, first.losses
        while isinstance(self.both_steps, GraphedStep) and not self.graphs() and len(losses) < MOST_WARM_UP_STEPS:
            further = self.burst(1)
            seconds += further.seconds
            losses += further.losses
        return WarmUp(self._start_sec, first.seconds, seconds if self.graphs() else None, losses)

    def burst(self, steps: int) -> Burst:
        values = []
        processor_sec = -time.process_time()
        began = now_sec(self.device)
        for _ in range(steps):
            self.step()
            values.append(list(self.state.meter.since_last_log().values()))  # like train.py with --step-logs-interval 1
        seconds = now_sec(self.device) - began
        return Burst(seconds, processor_sec + time.process_time(), values)

    def parts(self) -> dict[str, float]:
        """Return the seconds of each part of a step, run alone, forward and backward as in both optimiser steps."""
        state, device = self.state, self.device
        seconds = {}

        def timed(name: str, work: Callable[[], Any]) -> Any:
            began = now_sec(device)
            result = work()
            seconds[name] = now_sec(device) - began
            return result

        real, mel = timed("data", lambda: train.to_batch(next(self.batches)[0], state))
        signal = torch.randn_like(real) / 100

        def generate() -> None:
            with state.autocast():
                fake = train.generate(state, mel)
            fake.backward(signal)

        timed("G", generate)
        fake = state.computation.lay_out((real * 0.9 + signal).requires_grad_())
        at_once = state.losses.at_once

        def compare() -> None:
            with state.autocast():
                losses = state.losses.reconstruction(real, fake)
            torch.stack([*losses.values()]).sum().backward()

        def judge(module: torch.nn.Module, in_one_call: bool) -> None:
            with state.autocast(), state.computation.shared_weights(module):
                judgements = [judge_both(module, real, fake.detach(), in_one_call)]
                loss = discriminator_losses(judgements, at_once)["d_loss"]
            loss.backward()
            with state.frozen_discriminators(), state.computation.shared_weights(module):
                with state.autocast():
                    with torch.no_grad():
                        _, real_fmaps = module(real)
                    fake_scores, fake_fmaps = module(fake)
                    loss = feature_matching_loss(real_fmaps, fake_fmaps, at_once) + generator_loss(fake_scores, at_once)
                loss.backward()

        for name, module in state.discriminators.items():
            timed(name.upper(), functools.partial(judge, module, state.in_one_call[name]))
        timed("mel", compare)

        def optimise() -> None:
            for optimiser, scaler in ((state.optim_d, state.scaler_d), (state.optim_g, state.scaler_g)):
                scaler.scale(torch.zeros((), device=device))
                state.step_optimiser(optimiser, scaler)
                optimiser.zero_grad()

        timed("optimiser", optimise)
        seconds["data"] = seconds.pop("data")  # a late column of the table

        names = state.meter.epoch_means()

        def log() -> None:
            state.meter.add({name: torch.zeros((), device=device) for name in names}, made=state.made)
            state.meter.since_last_log()

        timed("logging", log)
        return seconds

    def matmul_flops(self) -> float:
        """Return the peak of the device in the precision of this variant's convolutions."""
        names = {dtype: name for name, dtype in DTYPES.items()}
        dtype = self.precision()
        return peak_flops(self.device, full_precision(self.device).lower() if dtype == torch.float32 else names[dtype])

    def graphs(self) -> bool:
        """Return whether steps are CUDA graphs by now."""
        return isinstance(self.both_steps, GraphedStep) and self.both_steps.recorded

    def peak_bytes(self) -> int:
        """Return the peak memory on the GPU, or of the process without one."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def serve(requests: Connection, make: Callable[..., Any], words: tuple[Any, ...], threads: int) -> None:
    """Make an object and answer (method, arguments) with (result, error) until the other side closes the pipe."""
    torch.set_num_threads(threads)
    worker: Any = None
    # The other side closes the pipe when it is done, or when it is killed.
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError, KeyboardInterrupt):
        while True:
            method, arguments = requests.recv()
            try:
                worker = worker or make(*words)
                requests.send((getattr(worker, method)(*arguments), ""))
            except Exception as error:
                traceback.print_exc()
                requests.send((None, first_line(error)))
    stop_loader_processes()
