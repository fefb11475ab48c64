"""Time `prepare_dataset.py`, compare its pitch with librosa's, and print Markdown.

python -m benchmarks.prepare_benchmark --dataset-path DATA

Measures two things, each with one process and with several. First the whole program, on several links to the data set,
as a user would start it. Then pitch alone against one call of `librosa.pyin` per file. Here the processes inherit all
modules and compiled code, so that start-up does not count. All variants take turns, round after round.
"""

from __future__ import annotations

import argparse
import dataclasses
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import librosa
import numpy as np
import soundfile
import torch

from common.audio_files import list_audio_files, load_wav
from common.cli import ArgumentParser, positive, run
from common.data.flags import FMAX_HZ, FMIN_HZ
from common.data.pitch import PitchConfig, extract_pitch
from common.errors import InputError, first_three
from common.files.arrays import save_array
from common.machine import hardware
from common.machine.processes import Report, run_over_files
from common.markdown import table
from common.project import PROJECT

DAY_SEC = 24 * 3600
F0_TOLERANCE_HZ = 1e-3
PROGRAM_COLUMNS = (
    "",
    "wall-clock s (slowest round)",
    "times real time",
    "CPU s per hour of audio",
    "24 hours of audio",
)
PITCH_COLUMNS = ("", "wall-clock s", "CPU s per hour of audio")


@dataclasses.dataclass
class PreparationVariant:
    """Work on `audio_sec` seconds of audio, and the seconds that each round took."""

    name: str
    audio_sec: float
    work: Callable[[], None]
    wall_sec: list[float] = dataclasses.field(default_factory=list)
    cpu_sec: list[float] = dataclasses.field(default_factory=list)


def main(argv: Sequence[str] | None = None) -> int:
    parser = ArgumentParser(
        prog="prepare_benchmark", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset-path", required=True, help="data set with wavs/")
    parser.add_argument(
        "--copies", type=int, default=8, help="links to the data set for the whole program (default: 8)"
    )
    parser.add_argument("--clips", type=int, default=12, help="clips whose pitch librosa measures too (default: 12)")
    parser.add_argument("--n-workers", type=int, default=2, help="processes, besides a run with one (default: 2)")
    parser.add_argument("--rounds", type=int, default=3, help="measured rounds (default: 3)")
    words = list(sys.argv[1:] if argv is None else argv)
    args = parser.parse_args(words)
    positive(copies=args.copies, clips=args.clips, n_workers=args.n_workers, rounds=args.rounds)
    torch.set_num_threads(1)
    header = hardware.describe(
        torch.device("cpu"), "benchmarks.prepare_benchmark", words, ("librosa", "numba", "numpy")
    )
    wavs = list_audio_files(Path(args.dataset_path) / "wavs")
    chosen = [wavs[i] for i in np.linspace(0, len(wavs) - 1, min(args.clips, len(wavs))).round().astype(int)]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        programs = whole_programs(wavs, args.copies, args.n_workers, folder)
        pitches = pitch_variants(chosen, args.n_workers, folder)
        librosa_pitch(folder, chosen[0])  # compiles parts of itself on the first call
        for _ in range(args.rounds):
            for variant in (*programs, *pitches):
                measure(variant)
        differing, frames = count_differing_frames(chosen, folder)
    print(*hardware.markdown(header), "", sep="\n")
    print(*program_table(programs, len(wavs), args.copies), "", *pitch_table(pitches, len(chosen)), "", sep="\n")
    print(f"F0 differs by more than {F0_TOLERANCE_HZ:g} Hz, or in voicing, in {differing} of {frames} frames.")
    return 0


def whole_programs(wavs: Sequence[Path], copies: int, n_workers: int, folder: Path) -> list[PreparationVariant]:
    """Return runs of `prepare_dataset.py` on a data set of `copies` links to each wav."""
    for copy in range(copies):
        for number, wav in enumerate(wavs):
            link = folder / "data" / "wavs" / str(copy) / f"{number}{wav.suffix}"
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(wav.resolve())
    audio_sec = copies * duration_sec(wavs)
    return [
        PreparationVariant(
            f"{what}, {_processes(workers)}", audio_sec, partial(run_program, what, workers, folder / "data")
        )
        for what in ("mels", "pitch")
        for workers in sorted({1, n_workers})
    ]


def run_program(what: str, n_workers: int, data: Path) -> None:
    shutil.rmtree(data / what, ignore_errors=True)
    command = [
        sys.executable,
        "prepare_dataset.py",
        "-d",
        str(data),
        f"--extract-{what}",
        "--n-workers",
        str(n_workers),
    ]
    subprocess.run(command, cwd=PROJECT, check=True, capture_output=True)


def pitch_variants(wavs: Sequence[Path], n_workers: int, folder: Path) -> list[PreparationVariant]:
    """Return pitch extraction with one call per file, by librosa and by our own code."""
    return [
        PreparationVariant(
            f"{name}, {_processes(workers)}",
            duration_sec(wavs),
            partial(extract_all, partial(work, folder), wavs, workers, name),
        )
        for name, work in (("librosa.pyin", librosa_pitch), ("ours", our_pitch))
        for workers in sorted({1, n_workers})
    ]


def extract_all(work: Callable[[Path], Report], wavs: Sequence[Path], workers: int, name: str) -> None:
    if problems := run_over_files(work, Path(), wavs, workers, name):
        raise InputError(first_three(problems))


def librosa_pitch(folder: Path, path: Path) -> Report:
    config = PitchConfig()
    f0, _, _ = librosa.pyin(
        load_wav(path)[0],
        fmin=FMIN_HZ,
        fmax=FMAX_HZ,
        sr=config.sampling_rate,
        frame_length=config.frame_length,
        hop_length=config.hop_length,
    )
    save_array(folder / "librosa" / f"{path.stem}.npy", np.nan_to_num(f0).astype(np.float32))
    return Report(path)


def our_pitch(folder: Path, path: Path) -> Report:
    save_array(folder / "ours" / f"{path.stem}.npy", extract_pitch(load_wav(path)[0], PitchConfig()))
    return Report(path)


def count_differing_frames(wavs: Sequence[Path], folder: Path) -> tuple[int, int]:
    """Count the frames in which librosa's pitch and ours differ, and all frames."""
    pairs = [[np.load(folder / name / f"{wav.stem}.npy") for name in ("librosa", "ours")] for wav in wavs]
    return sum(int((np.abs(a - b) > F0_TOLERANCE_HZ).sum()) for a, b in pairs), sum(len(a) for a, _ in pairs)


def measure(variant: PreparationVariant) -> None:
    """Run one round and record its times. Child processes do the work."""
    wall, cpu = time.perf_counter(), _children_cpu_sec()
    variant.work()
    variant.wall_sec.append(time.perf_counter() - wall)
    variant.cpu_sec.append(_children_cpu_sec() - cpu)


def _children_cpu_sec() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def program_table(variants: Sequence[PreparationVariant], clips: int, copies: int) -> list[str]:
    lines = [
        f"`prepare_dataset.py` on {copies} x {clips} clips ({variants[0].audio_sec / 3600:.2f} h), including start-up. "
        "The last column extrapolates to 24 hours of audio:",
        "",
    ]
    rows = []
    for variant in variants:
        wall = statistics.median(variant.wall_sec)
        cpu = statistics.median(variant.cpu_sec) / variant.audio_sec * 3600
        rows.append(
            (
                variant.name,
                f"{wall:.1f} ({max(variant.wall_sec):.1f})",
                f"{variant.audio_sec / wall:.0f}",
                f"{cpu:.1f}",
                f"{wall / variant.audio_sec * DAY_SEC / 60:.1f} min",
            )
        )
    return [*lines, *table(PROGRAM_COLUMNS, rows)]


def pitch_table(variants: Sequence[PreparationVariant], clips: int) -> list[str]:
    baselines = variants[: len(variants) // 2]
    lines = [
        f"Pitch of {clips} clips ({variants[0].audio_sec:.0f} s), without start-up. Ratios are medians over rounds:",
        "",
    ]
    rows = []
    for variant in variants:
        wall = statistics.median(variant.wall_sec)
        cpu = statistics.median(variant.cpu_sec) / variant.audio_sec * 3600
        ratios = [
            statistics.median(a / b for a, b in zip(base.wall_sec, variant.wall_sec, strict=True)) for base in baselines
        ]
        rows.append((variant.name, f"{wall:.2f}", f"{cpu:.0f}", *(f"{ratio:.1f}" for ratio in ratios)))
    return [*lines, *table((*PITCH_COLUMNS, *(f"faster than {base.name}" for base in baselines)), rows)]


def duration_sec(wavs: Sequence[Path]) -> float:
    return sum(soundfile.info(str(wav)).duration for wav in wavs)


def _processes(workers: int) -> str:
    return f"{workers} process{'es' if workers > 1 else ''}"


if __name__ == "__main__":
    run(main, "prepare_benchmark")
