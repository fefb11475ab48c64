"""Benchmark training: the recipe computed plainly (train.py --fast off) against the default, in each precision.

Every variant trains in its own process. On a CPU, all take turns of some steps each, so that other load on the machine
affects all alike. On a GPU one runs at a time, in the order of what matters most, and the default also without CUDA
graphs. A variant that fails or hangs is named, and the others go on. All results are written as soon as they are there.
scripts/train_benchmark.sh runs it with defaults.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.training.config import PROGRAM, TrainingBenchmarkConfig
from benchmarks.training.session import TrainingSession
from common import distributed
from common.audio_files import save_wav
from common.cli import ArgumentParser, add_flags, from_flags, run
from common.errors import InputError
from common.machine import hardware

CLIP_SEC = 6.6  # LJSpeech's mean
CLIPS = 64  # synthetic clips, which the list repeats


def main(argv: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    parser = ArgumentParser(prog=PROGRAM, description=__doc__, epilog="Flags may be written with - or _.")
    add_flags(parser, TrainingBenchmarkConfig, "benchmark")
    cfg = from_flags(TrainingBenchmarkConfig, vars(parser.parse_args(words)))
    device = distributed.select_device(cfg.cuda)
    Path(cfg.output).mkdir(parents=True, exist_ok=True)
    header = {
        **hardware.describe(device, "benchmarks.training.benchmark", words),
        "input": f"segments of {cfg.segment_size} samples of synthetic clips of {CLIP_SEC} s",
        "rounds": f"{cfg.repeats} bursts of {cfg.burst} steps after {cfg.warmup} of warm-up"
        + ("" if cfg.cuda else "; all variants in turn"),
    }
    with tempfile.TemporaryDirectory() as folder:
        make_clips(Path(folder), max(size for _, size in cfg.cases))
        session = TrainingSession(cfg, header, Path(folder))
        session.run()
    if not session.rows():
        raise InputError("; ".join(session.left_out))
    print(f"{session.text()}\n```json\n{session.block()}\n```")
    return session.status


def make_clips(folder: Path, batch_size: int) -> None:
    """Write clips of tones that swell and fade with noise, and a list long enough for an epoch of several steps."""
    rng = np.random.default_rng(0)
    at_sec = np.arange(int(CLIP_SEC * 22050)) / 22050
    names = []
    for clip in range(CLIPS):
        tone = np.sin(2 * np.pi * (100 + 2 * clip) * at_sec) * (1 + np.sin(2 * np.pi * 3 * at_sec)) / 4
        save_wav(folder / f"{clip}.wav", tone + 0.05 * rng.standard_normal(len(at_sec)), 22050)
        names.append(f"{clip}.wav\n")
    (folder / "train.txt").write_text("".join(names) * max(1, 8 * batch_size // CLIPS))
    (folder / "val.txt").write_text(names[0])


if __name__ == "__main__":
    run(main, PROGRAM)
