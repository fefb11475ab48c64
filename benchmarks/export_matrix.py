"""Compare every export of a checkpoint with eager fp32 on real speech: error and speed. Print a Markdown table.

python -m benchmarks.export_matrix --hifigan CKPT --wavs DIR [--exports DIR]

Speed is relative to eager fp32, for one clip at a time. For each clip, all backends take turns. The table shows the
median of the ratios over all clips and rounds.
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
from common.audio_files import list_audio_files, load_wav_at
from common.cli import ArgumentParser, positive, run
from common.errors import InputError
from common.machine import hardware
from common.machine.hardware import half_precision
from common.machine.timing import now_sec
from common.markdown import table
from hifigan import Generator, load_generator
from hifigan.backend import Backend, eager_backend
from hifigan.checkpoint import GeneratorInfo
from hifigan.engine.select import engine_backend, list_precisions
from hifigan.export.files import load_export
from hifigan.export.formats import FORMATS
from hifigan.export.write import ExportDifference, check_exportable, compare, eager_reference, export

WARM_UP_ROUNDS = 2  # TorchScript optimises in the second
PACKAGES = ("onnxruntime", "onnxruntime-gpu", "onnx", "onnxscript", "torch-tensorrt")
COLUMNS = ("backend", "precision", "denoiser inside", "maximum error", "SNR (dB)", "speed-up", "file (MB)")
NOTE = (
    "Error and SNR are relative to eager fp32 (rows with a denoiser: to eager fp32 and `Denoiser`); full scale is 1. "
    "Speed-up: time of eager fp32 without a denoiser divided by the row's time, for one clip in one round; the median "
    "over clips and rounds; above 1 is faster."
)


@dataclasses.dataclass(frozen=True)
class Variant:
    """One row of the table: a backend, and its eager fp32 reference."""

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
    parser.add_argument("--clips", type=int, default=4, help="number of recordings to use, in order (default: 4)")
    parser.add_argument("--seconds", type=float, default=3.0, help="seconds of each recording (default: 3)")
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds (default: 5)")
    parser.add_argument(
        "--denoising-strength", type=float, default=0.01, help="of rows with a denoiser (default: 0.01)"
    )
    parser.add_argument("--exports", default="", help="folder to keep the exported files in, for reuse")
    parser.add_argument("--cuda", action="store_true", help="run on the GPU")
    words = list(sys.argv[1:] if argv is None else argv)
    args = parser.parse_args(words)
    positive(clips=args.clips, seconds=args.seconds, rounds=args.rounds, denoising_strength=args.denoising_strength)
    generator, info = load_generator(args.hifigan, device=distributed.select_device(args.cuda))
    provenance = hardware.describe(generator.device, "benchmarks.export_matrix", words, PACKAGES)
    mels = read_mels(Path(args.wavs), args.clips, args.seconds, info.audio, generator.device)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(args.exports or scratch)
        folder.mkdir(parents=True, exist_ok=True)
        exported, skipped = export_all(generator, info, folder, args.denoising_strength)
        variants = [*eager_variants(generator), *engine_variants(generator), *exported]
        differences = [compare(variant.run, variant.reference, mels) for variant in variants]
        seconds = measure([variant.run for variant in variants], mels, args.rounds)
    header = {
        **provenance,
        "HiFi-GAN": str(info.path),
        "input": f"{len(mels)} clips of at most {args.seconds:g} s, one at a time",
        "rounds": f"{args.rounds} after {WARM_UP_ROUNDS} of warm-up; in each, all rows ran every clip once, in turn",
    }
    if skipped:
        header["skipped"] = "; ".join(dict.fromkeys(skipped))
    print("\n".join(["# Exports compared with eager PyTorch", "", *hardware.markdown(header), "", NOTE, ""]))
    print("\n".join(comparison_table(variants, differences, seconds)))
    return 0


def read_mels(folder: Path, clips: int, seconds: float, audio: AudioConfig, device: torch.device) -> list[Tensor]:
    """Return mels [1, M, L] of the beginnings of the first recordings."""
    files = list_audio_files(folder)[:clips]
    spectrogram = MelSpectrogram(audio).to(device)
    wavs = [load_wav_at(path, audio.sampling_rate)[: int(seconds * audio.sampling_rate)] for path in files]
    return [spectrogram(torch.from_numpy(wav).float().to(device)[None]) for wav in wavs]


def eager_variants(generator: Generator) -> list[Variant]:
    """Return the model itself. The first, in fp32, is the reference for speed."""
    half = half_precision(generator.device)

    def plain(mel: Tensor) -> Tensor:
        return generator(mel).squeeze(1)

    return [
        Variant("eager", "fp32", 0.0, None, eager_backend(generator), plain),
        Variant("eager --amp", half, 0.0, None, eager_backend(generator, amp=True), plain),
    ]


def engine_variants(generator: Generator) -> list[Variant]:
    """Return the engine that `inference.py` runs for checkpoints, in each precision of the device."""

    def plain(mel: Tensor) -> Tensor:
        return generator(mel).squeeze(1)

    return [
        Variant("engine", precision, 0.0, None, engine_backend(generator, precision), plain)
        for precision in list_precisions(generator.device)
    ]


def export_all(
    generator: Generator, info: GeneratorInfo, folder: Path, strength: float
) -> tuple[list[Variant], list[str]]:
    """Export each format in each precision, and in fp32 with the denoiser. Also return the reasons for failures."""
    variants, skipped = [], []
    for name, kind in FORMATS.items():
        for precision, inside in [*((precision, 0.0) for precision in kind.precisions), ("fp32", strength)]:
            path = folder / f"{name}-{precision}{f'-denoiser-{inside:g}' if inside else ''}{kind.suffix}"
            try:
                check_exportable(name, precision, generator.device)
                if not path.is_file():
                    export(generator, info, path, name, precision, inside)
            except InputError as error:
                skipped.append(f"{name} ({error})")
                continue
            backend, contract = load_export(path, generator.device, name)
            reference = eager_reference(generator, contract)
            variants.append(Variant(name, precision, inside, path.stat().st_size / 1e6, backend, reference))
    return variants, skipped


def measure(backends: Sequence[Backend], mels: Sequence[Tensor], rounds: int) -> np.ndarray:
    """Return the seconds of each backend for each clip and round, [rounds * clips, backends]."""
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
    """Return the lines of the Markdown table."""
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
