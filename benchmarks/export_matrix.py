"""Every export of a checkpoint on real speech: how far from eager fp32, and how fast. Prints a Markdown table.

python -m benchmarks.export_matrix --hifigan CKPT --wavs DIR [--exports DIR]

Speed is that of one clip at a time, relative to eager fp32: every backend makes a clip, one after the other, before the
next clip's turn, and the table has the median of the ratios over all clips and rounds.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from common import distributed
from common.audio import AudioConfig, MelSpectrogram
from common.audio_files import load_wav_at
from common.cli import ArgumentParser, positive, run
from common.errors import InputError
from common.machine import hardware
from common.machine.precision import half_precision
from common.machine.timing import now_sec
from common.markdown import table
from hifigan import Generator, load_generator
from hifigan.backend import Backend, eager_backend
from hifigan.checkpoint import GeneratorInfo
from hifigan.engine.select import engine_backend, list_precisions
from hifigan.export.files import load_export
from hifigan.export.formats import FORMATS
from hifigan.export.write import ExportDifference, check_exportable, compare, eager_reference, export

WARM_UP_ROUNDS = 2  # TorchScript optimises itself in the second
PACKAGES = ("onnxruntime", "onnxruntime-gpu", "onnx", "onnxscript", "torch-tensorrt")
COLUMNS = ("backend", "precision", "denoiser inside", "maximum error", "SNR (dB)", "speed-up", "file (MB)")
NOTE = (
    "Error and SNR are against eager fp32 (rows with a denoiser: against `Denoiser` outside), full amplitude being 1. "
    "Speed-up: time of eager fp32 without a denoiser divided by that of the row, for one clip in one round; the "
    "median over clips and rounds; above 1 is faster."
)


@dataclasses.dataclass(frozen=True)
class Variant:
    """One row of the table: a backend, and the eager fp32 model that it is to equal."""

    backend: str
    precision: str
    strength: float
    size_mb: float | None
    run: Backend
    reference: Callable[[Tensor], Tensor]


def main(argv: Sequence[str] | None = None) -> int:
    parser = ArgumentParser(
        prog="export_matrix", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hifigan", required=True, help="generator checkpoint")
    parser.add_argument("--wavs", required=True, help="folder of recordings at the checkpoint's sampling rate")
    parser.add_argument("--clips", type=int, default=4, help="how many of them, in order (default: 4)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each, from its beginning (default: 3)")
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds (default: 5)")
    parser.add_argument("--denoising-strength", type=float, default=0.01, help="of the rows with it (default: 0.01)")
    parser.add_argument("--exports", default="", help="folder that keeps the exported files for the next time")
    parser.add_argument("--cuda", action="store_true", help="on the GPU")
    words = list(sys.argv[1:] if argv is None else argv)
    args = parser.parse_args(words)
    positive(clips=args.clips, seconds=args.seconds, rounds=args.rounds, denoising_strength=args.denoising_strength)
    generator, info = load_generator(args.hifigan, device=distributed.device_of(args.cuda))
    made_on = hardware.describe(generator.device, "benchmarks.export_matrix", words, PACKAGES)
    mels = read_mels(Path(args.wavs), args.clips, args.seconds, info.audio, generator.device)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(args.exports or scratch)
        folder.mkdir(parents=True, exist_ok=True)
        exported, left_out = exports(generator, info, folder, args.denoising_strength)
        variants = [*eager_variants(generator), *engine_variants(generator), *exported]
        differences = [compare(variant.run, variant.reference, mels) for variant in variants]
        seconds = measure([variant.run for variant in variants], mels, args.rounds)
    header = {
        **made_on,
        "HiFi-GAN": str(info.path),
        "input": f"{len(mels)} clips of {args.seconds:g} s at most, one at a time",
        "rounds": f"{args.rounds} after {WARM_UP_ROUNDS} of warm-up; in each, every row made every clip once, in turn",
    }
    if left_out:
        header["left out"] = "; ".join(dict.fromkeys(left_out))
    print("\n".join(["# Exports beside eager PyTorch", "", *hardware.markdown(header), "", NOTE, ""]))
    print("\n".join(comparison_table(variants, differences, seconds)))
    return 0


def read_mels(folder: Path, clips: int, seconds: float, audio: AudioConfig, device: torch.device) -> list[Tensor]:
    """Mels [1, M, L] of the beginnings of the first clips."""
    files = sorted(folder.glob("*.wav"))[:clips]
    if not files:
        raise InputError(f"--wavs: {folder} has no wav files")
    spectrogram = MelSpectrogram(audio).to(device)
    wavs = [load_wav_at(path, audio.sampling_rate)[: int(seconds * audio.sampling_rate)] for path in files]
    return [spectrogram(torch.from_numpy(wav).float().to(device)[None]) for wav in wavs]


def eager_variants(generator: Generator) -> list[Variant]:
    """The model itself, first in fp32: what the others are measured by."""
    half = half_precision(generator.device)

    def plain(mel: Tensor) -> Tensor:
        return generator(mel).squeeze(1)

    return [
        Variant("eager", "fp32", 0.0, None, eager_backend(generator), plain),
        Variant("eager --amp", half, 0.0, None, eager_backend(generator, amp=True), plain),
    ]


def engine_variants(generator: Generator) -> list[Variant]:
    """What `inference.py` runs for checkpoints, in each precision of the device."""

    def plain(mel: Tensor) -> Tensor:
        return generator(mel).squeeze(1)

    return [
        Variant("engine", precision, 0.0, None, engine_backend(generator, precision), plain)
        for precision in list_precisions(generator.device)
    ]


def exports(
    generator: Generator, info: GeneratorInfo, folder: Path, strength: float
) -> tuple[list[Variant], list[str]]:
    """All that can be exported here, each format in each precision and in fp32 with the denoiser; why others cannot."""
    variants, left_out = [], []
    for name, kind in FORMATS.items():
        for precision, inside in [*((precision, 0.0) for precision in kind.precisions), ("fp32", strength)]:
            path = folder / f"{name}-{precision}{f'-denoiser-{inside:g}' if inside else ''}{kind.suffix}"
            try:
                check_exportable(name, precision, generator.device)
                if not path.is_file():
                    export(generator, info, path, name, precision, inside)
            except InputError as error:
                left_out.append(f"{name} ({error})")
                continue
            backend, contract = load_export(path, generator.device, name)
            reference = eager_reference(generator, contract)
            variants.append(Variant(name, precision, inside, path.stat().st_size / 1e6, backend, reference))
    return variants, left_out


def measure(backends: Sequence[Backend], mels: Sequence[Tensor], rounds: int) -> np.ndarray:
    """Seconds of each backend for each clip in each round, [rounds * clips, backends]."""
    seconds = np.zeros((WARM_UP_ROUNDS + rounds, len(mels), len(backends)))
    for round in range(len(seconds)):
        for clip, mel in enumerate(mels):
            for i, backend in enumerate(backends):
                began = now_sec(backend.device)
                backend(mel)
                seconds[round, clip, i] = now_sec(backend.device) - began
    return seconds[WARM_UP_ROUNDS:].reshape(-1, len(backends))


def comparison_table(
    variants: Sequence[Variant], differences: Sequence[ExportDifference], seconds: np.ndarray
) -> list[str]:
    """The lines of the Markdown table."""
    speeds = np.median(seconds[:, :1] / seconds, axis=0)
    rows = []
    for variant, difference, speed in zip(variants, differences, speeds, strict=True):
        size = "" if variant.size_mb is None else f"{variant.size_mb:.1f}"
        strength = f"{variant.strength:g}" if variant.strength else "no"
        error, snr = f"{difference.max_error:.1e}", f"{difference.snr_db:.1f}"
        rows.append((variant.backend, variant.precision, strength, error, snr, f"{speed:.2f}", size))
    return table(COLUMNS, rows)


if __name__ == "__main__":
    run(main, "export_matrix")
