"""What who runs inference.py once waits for, from the start of the process to the first audio; and its memory."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from common.errors import InputError
from common.machine.hardware import REPOSITORY

POLL_SEC = 0.005


@dataclasses.dataclass(frozen=True)
class Start:
    """Of one way of running inference.py.

    Attributes:
        way: its flags.
        seconds: to the first audio, of each process.
        peak_mib: the largest resident memory of a process; None but on Linux.
    """

    way: str
    seconds: list[float]
    peak_mib: float | None


def measure_starts(checkpoint: Path, config: str, mel: Tensor, ways: Sequence[str], times: int) -> list[Start]:
    """Runs inference.py on one mel, in a fresh process each time, in all ways in turn.

    Args:
        checkpoint: of the generator.
        config: `--hifigan-config`, or "".
        mel: [M, L].
        ways: further flags of inference.py.
        times: processes of each.

    Raises:
        InputError: inference.py fails.
    """
    seconds: list[list[float]] = [[] for _ in ways]
    peaks: list[list[float]] = [[] for _ in ways]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        np.save(folder / "mel.npy", mel.cpu().numpy())
        (folder / "phrases.tsv").write_text("mel\toutput\nmel.npy\tspeech\n")
        given = ["--hifigan", str(checkpoint.resolve())]
        given += ["-i", str(folder / "phrases.tsv"), "-d", scratch, "--mel-log", "ln"]
        given += ["--hifigan-config", config] if config else []
        for turn in range(times):
            for number, way in enumerate(ways):
                output = folder / f"{turn}-{number}"
                words = [sys.executable, "inference.py", *given, "-o", str(output), *way.split()]
                sec, peak_mib = _run(words, output / "speech.wav", folder / "log")
                seconds[number].append(sec)
                peaks[number] += [] if peak_mib is None else [peak_mib]
    return [Start(way, sec, max(peak, default=None)) for way, sec, peak in zip(ways, seconds, peaks, strict=True)]


def _run(words: Sequence[str], awaited: Path, log: Path) -> tuple[float, float | None]:
    """Seconds until the file is there, and the largest resident memory of the process in MiB."""
    peak_mib: float | None = None
    there: float | None = None
    with log.open("w+") as out:
        began = time.perf_counter()
        process = subprocess.Popen(words, cwd=REPOSITORY, stdout=out, stderr=out)
        while process.poll() is None:
            if there is None and awaited.is_file():
                there = time.perf_counter() - began
            peak_mib = _peak_mib(process.pid) or peak_mib
            time.sleep(POLL_SEC)
        if process.returncode or not awaited.is_file():
            out.seek(0)
            last = (out.read().strip().splitlines() or ["no output"])[-1]
            raise InputError(f"inference.py, which the start-up is measured with: {last}")
    return there or time.perf_counter() - began, peak_mib


def _peak_mib(pid: int) -> float | None:
    # What the system counts for a child that has ended includes the memory of its parent, which it began as.
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    found = [int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")]
    return found[0] if found else None
