"""Stages of `benchmarks.gpu_first`: training steps."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.gpu.findings import Findings
from benchmarks.training import layer_ways
from benchmarks.training.benchmark import make_clips
from benchmarks.training.config import TrainingBenchmarkConfig
from benchmarks.training.report import Course, agreement, is_finite
from benchmarks.training.worker import Worker
from common import distributed
from common.machine.loader_processes import stop_loader_processes
from common.machine.precision import DTYPES
from common.machine.timing import now_sec
from fastpitch import train as fastpitch_train
from fastpitch.training.flags import parse_train_config
from fastpitch.training.recordings import Batch
from fastpitch.training.state import FastPitchTrainState

TOP_KERNELS = 25
# Layers of the discriminators that take most of the time.
LAYERS = (
    "MPD, period 2, layer 5",
    "MPD, period 2, layer 4",
    "MPD, period 11, layer 5",
    "MSD, scale 1, layer 2",
    "MSD, scale 1, layer 5",
    "MSD, scale 1, layer 6",
    "MSD, scale 1, layer 7",
)


@contextlib.contextmanager
def _training(find: Findings, batch: int, small: bool, flags: Sequence[str]) -> Iterator[Any]:
    """Yield a training run on synthetic clips."""
    segment = 2048 if small else 8192
    cfg = TrainingBenchmarkConfig(cuda=not find.dry, segment_size=segment, num_workers=0)
    words = ["--discriminator-width", "0.125"] if small else []
    with tempfile.TemporaryDirectory() as folder:
        make_clips(Path(folder), batch)
        worker = Worker(cfg.train_arguments(Path(folder), "v3" if small else "v1", batch, *flags, *words))
        yield worker
        stop_loader_processes()


def find_record(find: Findings) -> None:
    """Does a whole step become a CUDA graph, with the losses of the plain recipe? Small models, to lose no time."""
    for name in ("fp32", "bf16") if find.dry else ("fp16", "fp32", "bf16"):
        amp = [] if name == "fp32" else ["--amp", "--amp-dtype", name]
        courses = {}
        for fast in ("off", "on"):
            with find.guarded(f"{name}, --fast {fast}"), _training(find, 2, True, ["--fast", fast, *amp]) as worker:
                made = worker.warm_up()
                courses[fast] = made.losses + worker.burst(4 if find.dry else 20).losses
                finite = is_finite(Course(name, fast, losses=courses[fast]))
                find.say(precision=name, fast=fast, recorded=worker.graphs(), finite=finite, last=courses[fast][-1])
        if len(courses) == 2:
            steps = min(map(len, courses.values()))
            find.say(precision=name, steps=steps, agreement=agreement(courses["off"], courses["on"], steps))


def _find_steps(find: Findings, batch: int, variants: dict[str, list[str]], profiled: Sequence[str]) -> None:
    for name, flags in variants.items():
        with find.guarded(name), _training(find, 1 if find.dry else batch, find.dry, flags) as worker:
            if not find.dry:
                torch.cuda.reset_peak_memory_stats()
            made = worker.warm_up()
            begun = {"start_sec": made.start_sec, "first_step_sec": made.first_step_sec}
            find.say(variant=name, batch=batch, recorded=worker.graphs(), recorded_sec=made.recorded_sec, **begun)
            steps = 1 if find.dry else 10
            bursts = [worker.burst(steps) for _ in range(3)]
            speed = {"ms": round(1e3 * float(np.median([burst.seconds for burst in bursts])) / steps, 2)}
            began = time.perf_counter()
            worker.step()  # waits for nothing
            launched = {"cpu_ms_to_launch": round(1e3 * (time.perf_counter() - began), 2)}
            memory = {"peak_gib": round(worker.peak_bytes() / 2**30, 2)}
            find.say(variant=name, batch=batch, **speed, **launched, **memory, last=bursts[-1].losses[-1])
            if name in profiled:
                find.say(variant=name, batch=batch, waits=find.waits(worker.step), **_profile(find, worker.step))


def _profile(find: Findings, work: Callable[[], Any]) -> dict[str, Any]:
    """Return the kernels of some work, those that take most time first: name, count, milliseconds."""
    from torch.profiler import ProfilerActivity, profile

    activities = [ProfilerActivity.CPU, *([] if find.dry else [ProfilerActivity.CUDA])]
    with profile(activities=activities) as profiler:
        work()
        now_sec(find.device)
    rows = []
    for event in profiler.key_averages():
        if find.dry or event.device_type.name == "CUDA":
            taken_us = event.self_cpu_time_total if find.dry else event.self_device_time_total
            rows.append((event.key[:80], event.count, round(taken_us / 1e3, 3)))
    rows.sort(key=lambda row: -row[2])
    kernels, total = sum(row[1] for row in rows), round(sum(row[2] for row in rows), 2)
    return {"kernels": kernels, "kernel_ms": total, "top": rows[:TOP_KERNELS]}


def find_step16(find: Findings) -> None:
    """Steps of V1 at the batch size of a GPU among eight."""
    amp = ["--amp", "--amp-dtype", find.half]
    variants = {
        f"on, {find.half}": ["--fast", "on", *amp],
        f"off, {find.half}": ["--fast", "off", *amp],
        f"on, no graphs, {find.half}": ["--fast", "on", "--no-cuda-graphs", *amp],
        "on, full": ["--fast", "on"],
        "off, full": ["--fast", "off"],
        "on, bf16": ["--fast", "on", "--amp", "--amp-dtype", "bf16"],
    }
    _find_steps(find, 16, variants, (f"off, {find.half}", f"on, no graphs, {find.half}"))


def find_step128(find: Findings) -> None:
    """Steps of V1 at the batch size of one GPU."""
    amp = ["--amp", "--amp-dtype", find.half]
    variants = {f"{fast}, {find.half}": ["--fast", fast, *amp] for fast in ("on", "off")}
    _find_steps(find, 128, {**variants, "on, full": ["--fast", "on"]}, tuple(variants))


def find_layout(find: Findings) -> None:
    """Which memory layout is the fastest for the discriminators' largest layers?"""
    torch.backends.cudnn.benchmark = True
    layers = {layer.name: layer for layer in layer_ways.layers(2048 if find.dry else 8192)}
    for name in LAYERS[: 1 if find.dry else None]:
        with find.guarded(name):
            batch = 2 if find.dry else 32
            seconds = layer_ways.measured(layers[name], batch, DTYPES[find.half], find.device)
            find.say(layer=name, ms={way: sec and round(1e3 * sec, 3) for way, sec in seconds.items()})


def find_fastpitch(find: Findings) -> None:
    """Steps of FastPitch: time, and how often the CPU waits for the GPU."""
    batch, symbols, frames = (2, 20, 100) if find.dry else (16, 150, 800)
    lists = ["--dataset-path", ".", "--training-files", "t", "--validation-files", "v", "--batch-size", str(batch)]
    small = ["--fastpitch-config", "platform/fastpitch_small.json"] if find.dry else []
    for name in ("full", find.half):
        amp = [] if name == "full" else ["--amp"]
        with find.guarded(name):
            cfg = parse_train_config([*lists, *small, *amp, *([] if find.dry else ["--cuda"])])
            state = FastPitchTrainState(cfg, distributed.init(not find.dry), (200.0, 50.0))
            state.start_ema()
            on_cpu = Batch(
                torch.randint(1, 40, (batch, symbols)),
                torch.randn(batch, cfg.model.n_mel_channels, frames),
                torch.full((batch,), frames),
                torch.randn(batch, 1, frames),
                torch.rand(batch, frames, symbols) + 0.01,
                torch.zeros(batch, dtype=torch.long),
            )

            def step(state: FastPitchTrainState = state, on_cpu: Batch = on_cpu) -> dict[str, torch.Tensor]:
                return fastpitch_train.optimiser_step(state, [fastpitch_train.to_device(state, on_cpu)])

            began = now_sec(find.device)
            losses = {key: round(value.item(), 4) for key, value in step().items()}
            first_sec = round(now_sec(find.device) - began, 2)
            ms = find.milliseconds(step, 2 if find.dry else 15)
            find.say(precision=name, first_step_sec=first_sec, ms=ms, waits=find.waits(step), losses=losses)
