"""Watches the process that measures: one that hangs or dies is started again without the way that it was in."""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import torch

from benchmarks.budget import Budget
from benchmarks.inference.config import VocoderBenchmarkConfig
from benchmarks.inference.session import InferenceSession
from benchmarks.journal import Journal
from common.errors import InputError

Measure = Callable[[VocoderBenchmarkConfig, Journal, Connection, int], None]
STARTING = "start"
LEAST_PATIENCE_SEC = 20.0
START_PATIENCE_SEC = 60.0  # to import PyTorch and load models
PAUSE_SEC = 0.05  # between messages of short calls


def supervise(cfg: VocoderBenchmarkConfig, journal: Journal, measure: Measure | None = None) -> None:
    """Measure in another process, which continues the journal.

    Args:
        cfg: settings.
        journal: of the results.
        measure: what the process does, by default to run an `InferenceSession`.

    Raises:
        InputError: the models or inputs cannot be used.
    """
    budget = Budget(cfg.minutes)
    patience_sec = min(60 * cfg.variant_minutes, max(LEAST_PATIENCE_SEC, 60 * cfg.minutes / 4))
    context = multiprocessing.get_context("spawn")
    while True:
        ours, theirs = context.Pipe()
        left = dataclasses.replace(cfg, minutes=max(budget.left_sec, 1.0) / 60)
        process = context.Process(target=measure or _measure, args=(left, journal, theirs, torch.get_num_threads()))
        process.start()
        theirs.close()
        task, why = _watch(ours, patience_sec, budget)
        if why == "error":
            process.join()
            raise InputError(task)
        if why:
            process.kill()
        process.join()
        ours.close()
        if not why:
            return
        if budget.is_over:
            journal.add("skipped", name=task, reason=f"{task}, and what follows (the time was over: --minutes)")
            return
        journal.add("failed", name=task, reason=why, hung=True)
        if task == STARTING:
            return


def _watch(messages: Connection, patience_sec: float, budget: Budget) -> tuple[str, str]:
    """Return the last task of a process, and why it must not go on there, or "" if all is done."""
    task = STARTING
    while True:
        try:
            patience = max(patience_sec, START_PATIENCE_SEC) if task == STARTING else patience_sec
            if not messages.poll(min(patience, budget.left_sec)):
                return task, f"a call took longer than {patience:.0f} s"
            kind, task_or_error = messages.recv()
        except (EOFError, OSError):
            return task, "the process was killed, perhaps for lack of memory"
        if kind == "end":
            return task, ""
        if kind == "error":
            return task_or_error, "error"
        task = task_or_error


def _measure(cfg: VocoderBenchmarkConfig, journal: Journal, messages: Connection, threads: int) -> None:
    torch.set_num_threads(threads)
    told: dict[str, Any] = {"name": "", "until": 0.0}

    def alive(name: str) -> None:
        now = time.monotonic()
        if name != told["name"] or now > told["until"]:
            messages.send(("task", name))
            told.update(name=name, until=now + PAUSE_SEC)

    with contextlib.suppress(BrokenPipeError, ConnectionResetError, KeyboardInterrupt):
        try:
            InferenceSession(cfg, journal, alive).run()
            messages.send(("end", ""))
        except (InputError, FileNotFoundError) as error:
            messages.send(("error", str(error)))
