"""One variant of training in a process of its own, which takes steps when it is told to.

The benchmark sends a request through a pipe and waits for the answer, so that one variant works at a time.
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
from common.machine.timing import now_sec
from common.training.cuda_graphs import GraphedStep
from common.training.loader_processes import stop_loader_processes
from common.training.loop import groups
from common.training.sampling import MicroBatchSampler
from hifigan import losses
from hifigan.discriminators import judge_both
from hifigan.layers import weights_kept
from hifigan.training.config import parse_train_config
from hifigan.training.loaders import fingerprint_of, open_datasets, training_loader
from hifigan.training.segments import Segment
from hifigan.training.state import TrainState

MATMUL_SIZE = {"cuda": 8192, "cpu": 2048}


@dataclasses.dataclass
class Burst:
    """Some optimiser steps: seconds of all together, by the clock and of the processor, and the losses of each."""

    seconds: float
    processor_sec: float
    losses: list[list[float]]


class Worker:
    """A training run as train.py starts it, without validation and checkpoints."""

    def __init__(self, argv: Sequence[str]) -> None:
        cfg = parse_train_config(argv)
        place = distributed.init(cfg.run.cuda)
        self.device = place.device
        train_set, _ = open_datasets(cfg)
        optim = cfg.optim
        self.sampler = MicroBatchSampler(len(train_set), optim.batch_size, optim.grad_accumulation, 0, 1, cfg.run.seed)
        self.state = TrainState(cfg, place, fingerprint_of(train_set, cfg))
        self.state.load_base()
        self.both_steps = self.state.accelerated(functools.partial(train.both_steps, self.state))
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
        """Floating-point operations that a step needs (multiply and add are two), from those of forward passes.

        The generator runs forward and backward, three passes' worth. The discriminators' step takes three for real and
        three for fake, the generator's step one for real, and two for fake, whose weights get no gradients.
        """
        with torch.no_grad():
            real, mel = train.to_batch(next(self.batches)[0], self.state)
            generator, *judges = (_flop_of(module, mel if i == 0 else real) for i, module in enumerate(self._modules()))
        return self.sampler.grad_accumulation * (3 * generator + 9 * sum(judges))

    def _modules(self) -> tuple[torch.nn.Module, ...]:
        return tuple(module.eval() for module in copy.deepcopy(self.state.modules()))

    def _step(self) -> None:
        self.state.set_learning_rate()
        self.group = next(self.batches)
        *step_losses, made = self.both_steps(self.group)
        self.state.meter.add(*step_losses, made=made)
        self.state.steps += 1

    def burst(self, steps: int) -> Burst:
        values = []
        processor_sec = -time.process_time()
        began = now_sec(self.device)
        for _ in range(steps):
            self._step()
            values.append(list(self.state.meter.since_last_log().values()))  # as train.py with --step-logs-interval 1
        seconds = now_sec(self.device) - began
        return Burst(seconds, processor_sec + time.process_time(), values)

    def parts(self) -> dict[str, float]:
        """Seconds of each part of a step, run on its own: forward and backward as both optimiser steps need them."""
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
        fake = state.as_rows((real * 0.9 + signal).requires_grad_())

        def compare() -> None:
            with state.autocast():
                loss = train.weighted_mel_loss(state, real, fake)
            loss.backward()

        def judge(module: torch.nn.Module, at_once: bool) -> None:
            with state.autocast(), weights_kept(module, when=state.fast):
                (real_scores, _), (fake_scores, _) = judge_both(module, real, fake.detach(), at_once)
                loss = losses.discriminator_loss(real_scores, fake_scores)
            loss.backward()
            with state.frozen_discriminators(), weights_kept(module, when=state.fast):
                with state.autocast():
                    with torch.no_grad():
                        _, real_fmaps = module(real)
                    fake_scores, fake_fmaps = module(fake)
                    loss = losses.feature_matching_loss(real_fmaps, fake_fmaps) + losses.generator_loss(fake_scores)
                loss.backward()

        timed("MPD", lambda: judge(state.mpd, state.in_one_call[0]))
        timed("MSD", lambda: judge(state.msd, state.in_one_call[1]))
        timed("mel", compare)

        def optimise() -> None:
            for optimiser, scaler in ((state.optim_d, state.scaler_d), (state.optim_g, state.scaler_g)):
                scaler.scale(torch.zeros((), device=device))
                state.step_optimiser(optimiser, scaler)
                optimiser.zero_grad()

        timed("optimiser", optimise)

        def log() -> None:
            state.meter.add(*torch.zeros(3, device=device), made=state.made)
            state.meter.since_last_log()

        timed("logging", log)
        return seconds

    def matmul_flops(self) -> float:
        """Operations per second of a large matrix product in the precision of this variant."""
        size = MATMUL_SIZE[self.device.type]
        a, b = torch.randn(2, size, size, device=self.device).to(self.precision()).unbind()
        best = float("inf")
        for _ in range(5):
            began = now_sec(self.device)
            a @ b
            best = min(best, now_sec(self.device) - began)
        return 2 * size**3 / best

    def graphs(self) -> bool:
        """Whether steps are CUDA graphs by now."""
        return isinstance(self.both_steps, GraphedStep) and self.both_steps.recorded

    def peak_bytes(self) -> int:
        """Of the GPU's memory; without one, of the process."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _flop_of(module: torch.nn.Module, x: torch.Tensor) -> int:
    # Of forward passes alone: of grouped convolutions' gradients the counter gives too many.
    with FlopCounterMode(display=False) as counter:
        module(x)
    return counter.get_total_flops()


def serve(requests: Connection, argv: Sequence[str], threads: int) -> None:
    """Answers (method, arguments) with (result, error) until the other side closes the pipe."""
    torch.set_num_threads(threads)
    worker: Worker | None = None
    # The other side is gone: it has what it wanted, or was killed.
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
