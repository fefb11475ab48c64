"""Cost of streaming: quality by look-ahead, or (--speed) time per chunk, as Markdown tables.

python -m benchmarks.streaming_quality CHECKPOINT CLIP.wav ... --look-ahead 0 4 8 13 --chunks 8
python -m benchmarks.streaming_quality CHECKPOINT CLIP.wav --speed
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from common.audio import SILENCE, AudioConfig, MelSpectrogram
from common.audio_files import load_wav_at, normalise_peak
from common.cli import ArgumentParser, positive, run
from common.errors import InputError
from common.machine import hardware
from common.markdown import table, table_head, table_row
from hifigan import Generator, StreamingGenerator, load_generator
from hifigan.losses import mel_loss

QUALITY_COLUMNS = (
    "chunk",
    "stand-in",
    "look-ahead",
    "mel L1 to the whole",
    "mel L1 to the recording",
    "SNR to the whole, dB",
)
SPEED_COLUMNS = (
    "chunk",
    "look-ahead",
    "ms per chunk",
    "ms of audio",
    "RTF",
    "time / whole pass",
    "ms of work to first audio",
)


class Extrapolating(StreamingGenerator):
    """Extrapolates the last two frames."""

    _before: Tensor | None = None

    def stream(self, mel: Tensor) -> Tensor:
        known = mel if self._recent is None else torch.cat([self._recent, mel], dim=2)
        self._before = known[:, :, -2:-1]
        return super().stream(mel)

    def _future(self, recent: Tensor, frames: int) -> Tensor:
        assert self._before is not None
        slope = recent - self._before if self._before.size(2) else torch.zeros_like(recent)
        return (recent + slope * torch.arange(1, frames + 1)).clamp(SILENCE, 2)  # 2 is about the loudest speech


class Silent(StreamingGenerator):
    """Substitutes silence for future frames."""

    def _future(self, recent: Tensor, frames: int) -> Tensor:
        return recent.new_full((*recent.shape[:2], frames), SILENCE)


class Unfaded(StreamingGenerator):
    """Joins chunks without a cross-fade."""

    def _faded(self, wav: Tensor) -> Tensor:
        return wav


STAND_INS: dict[str, type[StreamingGenerator]] = {
    "repeat": StreamingGenerator,
    "extrapolate": Extrapolating,
    "silence": Silent,
    "unfaded": Unfaded,
}


def main(argv: Sequence[str] | None = None) -> int:
    parser = ArgumentParser(
        prog="streaming_quality", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", help="generator checkpoint")
    parser.add_argument("wavs", nargs="+", help="recordings at its sampling rate")
    parser.add_argument(
        "--look-ahead",
        type=int,
        nargs="+",
        help="frames (default: 0, 1, the even ones up to 10, and all that the generator sees)",
    )
    parser.add_argument("--chunks", type=int, nargs="+", default=[4, 8, 16], help="frames per call (default: 4 8 16)")
    parser.add_argument(
        "--stand-ins",
        nargs="+",
        choices=list(STAND_INS),
        default=["repeat"],
        help="in place of future frames (default: repeat)",
    )
    parser.add_argument("--speed", action="store_true", help="measure times on the first clip instead")
    parser.add_argument("--rounds", type=int, default=5, help="with --speed, measured runs per row (default: 5)")
    words = list(sys.argv[1:] if argv is None else argv)
    args = parser.parse_args(words)
    positive(rounds=args.rounds, chunks=min(args.chunks))
    torch.set_num_threads(1)
    provenance = hardware.describe(torch.device("cpu"), "benchmarks.streaming_quality", words)
    generator, info = load_generator(args.checkpoint)
    whole = generator.config.receptive_field_frames
    look_aheads = args.look_ahead or [*(frames for frames in (0, 1, 2, 4, 6, 8, 10) if frames < whole), whole]
    for look_ahead in look_aheads:
        StreamingGenerator(generator, look_ahead)  # fails on a wrong value before minutes of measurement
    clips = [read_clip(path, info.audio) for path in (args.wavs[:1] if args.speed else args.wavs)]
    seconds = sum(real.size(1) for real, _ in clips) / info.audio.sampling_rate
    header = {**provenance, "HiFi-GAN": str(info.path), "input": f"{seconds:.1f} s of speech in {len(clips)} clips"}
    if args.speed:
        header["rounds"] = (
            f"{args.rounds}, with medians shown; each runs every row once, next to a pass over the whole utterance"
        )
    print("\n".join(["# Streaming", "", *hardware.markdown(header), ""]))
    if args.speed:
        print_speed(generator, clips[0][1], args.chunks, look_aheads, info.audio, args.rounds)
    else:
        print_quality(generator, clips, args.chunks, args.stand_ins, look_aheads, info.audio)
    return 0


def read_clip(path: str, audio: AudioConfig) -> tuple[Tensor, Tensor]:
    """Return a recording [1, T], prepared as in the recipe's validation, and its mel [1, M, L].

    Raises:
        FileNotFoundError, InputError: it cannot be read, or is too short.
    """
    wav = _trim_to_frames(load_wav_at(path, audio.sampling_rate), audio)
    try:
        return wav, MelSpectrogram(audio)(wav)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _trim_to_frames(wav: np.ndarray, audio: AudioConfig) -> Tensor:
    """[T] -> [1, T'], peak 0.95."""
    whole = normalise_peak(wav)[: len(wav) // audio.hop_length * audio.hop_length]
    return torch.from_numpy(whole.astype(np.float32))[None]


def stream_whole(streaming: StreamingGenerator, mel: Tensor, chunk: int) -> Tensor:
    """Stream mel [1, M, L] in chunks of `chunk` frames -> wav [1, T]."""
    pieces = [streaming.stream(part) for part in mel.split(chunk, dim=2)]
    return torch.cat([*pieces, streaming.finish()], dim=2)[:, 0]


def print_quality(
    generator: Generator,
    clips: Sequence[tuple[Tensor, Tensor]],
    chunks: Sequence[int],
    stand_ins: Sequence[str],
    look_aheads: Sequence[int],
    audio: AudioConfig,
) -> None:
    """Print one row per chunk size, stand-in and look-ahead, with means over the clips."""
    spectrum = MelSpectrogram(dataclasses.replace(audio, mel_fmax=None))
    with torch.no_grad():
        wholes = [generator(mel)[:, 0] for _, mel in clips]
    own = np.mean([mel_loss(spectrum(w), spectrum(r)) for w, (r, _) in zip(wholes, clips, strict=True)])
    print(f"Whole utterances against the recordings: mel L1 {own:.4f}\n")
    print(*table_head(QUALITY_COLUMNS), sep="\n")
    for chunk in chunks:
        for name in stand_ins:
            for look_ahead in look_aheads:
                streaming = STAND_INS[name](generator, look_ahead)
                rows = []
                for (real, mel), whole in zip(clips, wholes, strict=True):
                    wav = stream_whole(streaming, mel, chunk)
                    noise = (wav - whole).square().sum() / whole.square().sum()
                    rows.append(
                        (
                            mel_loss(spectrum(wav), spectrum(whole)).item(),
                            mel_loss(spectrum(wav), spectrum(real)).item(),
                            -10 * float(torch.log10(noise)),
                        )
                    )
                to_whole, to_real, snr = np.mean(rows, axis=0)
                figures = f"{to_whole:.4f}", f"{to_real:.4f}", f"{snr:.1f}"
                print(table_row((chunk, name, look_ahead, *figures)), flush=True)


def print_speed(
    generator: Generator,
    mel: Tensor,
    chunks: Sequence[int],
    look_aheads: Sequence[int],
    audio: AudioConfig,
    rounds: int,
) -> None:
    """Print the time per chunk, the real-time factor, the ratio to a whole pass, and the time to the first audio."""
    seconds = mel.size(2) * audio.hop_length / audio.sampling_rate
    keys = [(chunk, look_ahead) for chunk in chunks for look_ahead in look_aheads]
    rows = {key: StreamingTimes() for key in keys}
    for number in range(-1, rounds):  # the first round warms up. Other load affects all rows equally.
        for chunk, look_ahead in keys:
            with torch.no_grad():
                whole = _time_call(lambda: generator(mel))
            times, first = _time_stream(StreamingGenerator(generator, look_ahead), mel, chunk)
            if number >= 0:
                rows[chunk, look_ahead].add(times, first, whole)
    cells = [
        (
            chunk,
            look_ahead,
            f"{1000 * statistics.median(row.calls):.1f}",
            f"{1000 * chunk * audio.hop_length / audio.sampling_rate:.0f}",
            f"{seconds / statistics.median(row.totals):.1f}",
            f"{statistics.median(row.ratios):.2f}",
            f"{1000 * statistics.median(row.firsts):.0f}",
        )
        for (chunk, look_ahead), row in rows.items()
    ]
    print(*table(SPEED_COLUMNS, cells), sep="\n")


class StreamingTimes:
    """Seconds of calls, of whole utterances, and to the first audio, and ratios to passes over the whole utterance."""

    def __init__(self) -> None:
        self.calls: list[float] = []
        self.totals: list[float] = []
        self.firsts: list[float] = []
        self.ratios: list[float] = []

    def add(self, times: list[float], first: float, whole: float) -> None:
        self.calls += times[:-1] or times  # without `finish`, the last
        self.totals.append(sum(times))
        self.firsts.append(first)
        self.ratios.append(sum(times) / whole)


def _time_stream(streaming: StreamingGenerator, mel: Tensor, chunk: int) -> tuple[list[float], float]:
    """Return the seconds of each call (the last is `finish`), and the seconds of work until the first samples."""
    times: list[float] = []
    first = None
    for part in mel.split(chunk, dim=2):
        start = time.perf_counter()
        wav = streaming.stream(part)
        times.append(time.perf_counter() - start)
        if first is None and wav.size(2):
            first = sum(times)
    times.append(_time_call(streaming.finish))
    return times, first if first is not None else sum(times)


def _time_call(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    run(main, "streaming_quality")
