"""One variant of training in its own process, which takes steps on request.

The benchmark sends a request through a pipe and waits for the answer, so that only one variant works at a time.
"""

from __future__ import annotations

import contextlib
import copy
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
from torch.utils.flop_counter import FlopCounterMode

import train
from common import distributed
from common.machine.loader_processes import stop_loader_processes
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

MATMUL_SIZE = {"cuda": 8192, "cpu": 2048}


@dataclasses.dataclass
class Burst:
    """Some optimiser steps: their total seconds by the clock and of the processor, and the losses of each."""

    seconds: float
    processor_sec: float
    losses: list[list[float]]


class Worker:
    """A training run as `train.py` starts it, without validation and checkpoints."""

    def __init__(self, argv: Sequence[str]) -> None:
        cfg = parse_train_config(argv)
        place = distributed.init(cfg.run.cuda)
        self.device = place.device
        train_set, _ = open_datasets(cfg)
        optim = cfg.optim
        self.sampler = MicroBatchSampler(len(train_set), optim.batch_size, optim.grad_accumulation, 0, 1, cfg.run.seed)
        self.state = VocoderTrainState(cfg, place, data_fingerprint(train_set, cfg))
        self.state.load_base()
        both_steps = functools.partial(train.both_steps, self.state)
        self.both_steps = self.state.computation.accelerated(both_steps, self.state.changing())
        self.loader = training_loader(train_set, self.sampler, cfg, place)
        self.batches = self._endless()
        self.group: list[Segment] = []

    def _endless(self) -> Iterator[list[Segment]]:
        for epoch in itertools.count(1):
            self.sampler.epoch = epoch
            yield from groups(self.loader, self.sampler.grad_accumulation)

    def precision(self) -> torch.dtype:
        with self.state.autocast():
            kind = self.device.type
            return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float32

    def flop(self) -> int:
        """Return the floating-point operations of a step (multiply and add are two), derived from forward passes.

        The generator runs forward and backward, which costs three forward passes. The discriminators' step costs three
        for real and three for fake. The generator's step costs one for real, and two for fake, since weights get no
        gradients.
        """
        with torch.no_grad():
            real, mel = train.to_batch(next(self.batches)[0], self.state)
            generator, *judges = (
                _count_flop(module, mel if i == 0 else real) for i, module in enumerate(self._modules())
            )
        return self.sampler.grad_accumulation * (3 * generator + 9 * sum(judges))

    def _modules(self) -> tuple[torch.nn.Module, ...]:
        return tuple(module.eval() for module in copy.deepcopy(self.state.modules()))

    def _step(self) -> None:
        self.state.set_learning_rate()
        self.group = next(self.batches)
        losses = dict(self.both_steps(self.group))
        self.state.meter.add(losses, made=losses.pop(MADE))
        self.state.steps += 1

    def burst(self, steps: int) -> Burst:
        values = []
        processor_sec = -time.process_time()
        began = now_sec(self.device)
        for _ in range(steps):
            self._step()
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
                fake = state.generator(mel)
            fake.backward(signal)

        timed("G", generate)
        fake = state.computation.lay_out((real * 0.9 + signal).requires_grad_())

        def compare() -> None:
            with state.autocast():
                losses = state.losses.reconstruction(real, fake)
            torch.stack([*losses.values()]).sum().backward()

        def judge(module: torch.nn.Module, in_one_call: bool) -> None:
            with state.autocast(), state.computation.shared_weights(module):
                loss = discriminator_losses([judge_both(module, real, fake.detach(), in_one_call)])["d_loss"]
            loss.backward()
            with state.frozen_discriminators(), state.computation.shared_weights(module):
                with state.autocast():
                    with torch.no_grad():
                        _, real_fmaps = module(real)
                    fake_scores, fake_fmaps = module(fake)
                    loss = feature_matching_loss(real_fmaps, fake_fmaps) + generator_loss(fake_scores)
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
        """Return the operations per second of a large matrix product in the precision of this variant."""
        size = MATMUL_SIZE[self.device.type]
        a, b = torch.randn(2, size, size, device=self.device).to(self.precision()).unbind()
        best = float("inf")
        for _ in range(5):
            began = now_sec(self.device)
            a @ b
            best = min(best, now_sec(self.device) - began)
        return 2 * size**3 / best

    def graphs(self) -> bool:
        """Return whether steps are CUDA graphs by now."""
        return isinstance(self.both_steps, GraphedStep) and self.both_steps.recorded

    def peak_bytes(self) -> int:
        """Return the peak memory on the GPU, or of the process without one."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _count_flop(module: torch.nn.Module, x: torch.Tensor) -> int:
    # Forward passes alone: for gradients of grouped convolutions the counter returns too many.
    with FlopCounterMode(display=False) as counter:
        module(x)
    return counter.get_total_flops()


def serve(requests: Connection, argv: Sequence[str], threads: int) -> None:
    """Answer (method, arguments) with (result, error) until the other side closes the pipe."""
    torch.set_num_threads(threads)
    worker: Worker | None = None
    # The other side closes the pipe when it is done, or when it is killed.
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError, KeyboardInterrupt):
        while True:
            method, arguments = requests.recv()
            try:
                worker = worker or Worker(argv)
                requests.send((getattr(worker, method)(*arguments), ""))
            except Exception as error:
                traceback.print_exc()
                requests.send((None, (str(error).splitlines() or [type(error).__name__])[0]))
    stop_loader_processes()
