"""Start-up of inference.py: the time from process start to the first audio, and the memory."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from common.errors import InputError
from common.project import PROJECT

POLL_SEC = 0.005


@dataclasses.dataclass(frozen=True)
class Start:
    """Start-up of inference.py with certain flags.

    Attributes:
        way: the flags.
        seconds: until the first audio, per process.
        peak_mib: the largest resident memory of a process, or None except on Linux.
    """

    way: str
    seconds: list[float]
    peak_mib: float | None


def measure_starts(
    checkpoint: Path,
    config: str,
    mel: Tensor,
    ways: Sequence[str],
    times: int,
    alive: Callable[[], None] = lambda: None,
) -> list[Start]:
    """Run inference.py on one mel in fresh processes, alternating between the ways.

    Args:
        checkpoint: of the generator.
        config: `--hifigan-config`, or "".
        mel: [M, L].
        ways: further flags of inference.py.
        times: processes per way.
        alive: called before each process.

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
                alive()
                output = folder / f"{turn}-{number}"
                words = [sys.executable, "inference.py", *given, "-o", str(output), *way.split()]
                sec, peak_mib = _run(words, output / "speech.wav", folder / "log")
                seconds[number].append(sec)
                peaks[number] += [] if peak_mib is None else [peak_mib]
    return [Start(way, sec, max(peak, default=None)) for way, sec, peak in zip(ways, seconds, peaks, strict=True)]


def _run(words: Sequence[str], awaited: Path, log: Path) -> tuple[float, float | None]:
    """Return the seconds until the file exists, and the largest resident memory of the process in MiB."""
    peak_mib: float | None = None
    file_after_sec: float | None = None
    with log.open("w+") as out:
        began = time.perf_counter()
        process = subprocess.Popen(words, cwd=PROJECT, stdout=out, stderr=out)
        while process.poll() is None:
            if file_after_sec is None and awaited.is_file():
                file_after_sec = time.perf_counter() - began
            peak_mib = _read_peak_mib(process.pid) or peak_mib
            time.sleep(POLL_SEC)
        if process.returncode or not awaited.is_file():
            out.seek(0)
            last = (out.read().strip().splitlines() or ["no output"])[-1]
            raise InputError(f"inference.py failed while its start-up was measured: {last}")
    return file_after_sec or time.perf_counter() - began, peak_mib


def _read_peak_mib(pid: int) -> float | None:
    # Not from the usage of finished children: it includes the parent's memory at the time of the fork.
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    found = [int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")]
    return found[0] if found else None
