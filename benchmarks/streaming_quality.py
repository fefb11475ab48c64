"""What streaming costs: the quality of a shorter look-ahead, or (--speed) the time per chunk. Prints Markdown tables.

python -m benchmarks.streaming_quality CHECKPOINT CLIP.wav ... --look-ahead 0 4 8 13 --chunks 8
python -m benchmarks.streaming_quality CHECKPOINT CLIP.wav --speed
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from common.audio import SILENCE, AudioConfig, MelSpectrogram, load_wav_at, normalise_peak
from hifigan import Generator, StreamingGenerator, load_generator
from hifigan.losses import mel_loss


class Extrapolating(StreamingGenerator):
    """Goes on as the last two frames did."""

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
    """Takes silence for the future."""

    def _future(self, recent: Tensor, frames: int) -> Tensor:
        return recent.new_full((*recent.shape[:2], frames), SILENCE)


class Unfaded(StreamingGenerator):
    """Joins the pieces without fading over."""

    def _faded(self, wav: Tensor) -> Tensor:
        return wav


STAND_INS: dict[str, type[StreamingGenerator]] = {
    "repeat": StreamingGenerator,
    "extrapolate": Extrapolating,
    "silence": Silent,
    "unfaded": Unfaded,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("wavs", nargs="+")
    parser.add_argument("--look-ahead", type=int, nargs="+", default=[0, 1, 2, 4, 6, 8, 10, 13], help="frames")
    parser.add_argument("--chunks", type=int, nargs="+", default=[4, 8, 16], help="frames per call")
    parser.add_argument("--stand-ins", nargs="+", choices=list(STAND_INS), default=["repeat"])
    parser.add_argument("--speed", action="store_true", help="measure the times on the first clip instead")
    args = parser.parse_args()
    torch.set_num_threads(1)
    generator, info = load_generator(args.checkpoint)
    clips = [_whole_frames(load_wav_at(path, info.audio.sampling_rate), info.audio) for path in args.wavs]
    print(f"torch {torch.__version__}, one thread, {sum(c.size(1) for c in clips) / info.audio.sampling_rate:.1f} s\n")
    mel_of = MelSpectrogram(info.audio)
    if args.speed:
        speed(generator, mel_of(clips[0]), args.chunks, args.look_ahead, info.audio)
    else:
        quality(generator, [(clip, mel_of(clip)) for clip in clips], args)


def _whole_frames(wav: np.ndarray, audio: AudioConfig) -> Tensor:
    """[T] -> [1, T'] as the validation of the recipe takes it."""
    whole = normalise_peak(wav)[: len(wav) // audio.hop_length * audio.hop_length]
    return torch.from_numpy(whole.astype(np.float32))[None]


def joined(streaming: StreamingGenerator, mel: Tensor, chunk: int) -> Tensor:
    """mel [1, M, L] in chunks -> wav [1, T]."""
    pieces = [streaming.stream(part) for part in mel.split(chunk, dim=2)]
    return torch.cat([*pieces, streaming.finish()], dim=2)[:, 0]


def quality(generator: Generator, clips: Sequence[tuple[Tensor, Tensor]], args: argparse.Namespace) -> None:
    """One row per chunk size, stand-in and look-ahead: means over the clips."""
    spectrum = MelSpectrogram(AudioConfig(mel_fmax=None))
    with torch.no_grad():
        wholes = [generator(mel)[:, 0] for _, mel in clips]
    own = np.mean([mel_loss(spectrum(w), spectrum(r)) for w, (r, _) in zip(wholes, clips, strict=True)])
    print(f"Whole utterances against the recordings: mel L1 {own:.4f}\n")
    print("| chunk | stand-in | look-ahead | mel L1 to the whole | mel L1 to the recording | SNR to the whole, dB |")
    print("|---|---|---|---|---|---|")
    for chunk in args.chunks:
        for name in args.stand_ins:
            for look_ahead in args.look_ahead:
                streaming = STAND_INS[name](generator, look_ahead)
                rows = []
                for (real, mel), whole in zip(clips, wholes, strict=True):
                    wav = joined(streaming, mel, chunk)
                    noise = (wav - whole).square().sum() / whole.square().sum()
                    rows.append(
                        (
                            mel_loss(spectrum(wav), spectrum(whole)).item(),
                            mel_loss(spectrum(wav), spectrum(real)).item(),
                            -10 * float(torch.log10(noise)),
                        )
                    )
                to_whole, to_real, snr = np.mean(rows, axis=0)
                print(f"| {chunk} | {name} | {look_ahead} | {to_whole:.4f} | {to_real:.4f} | {snr:.1f} |", flush=True)


def speed(
    generator: Generator, mel: Tensor, chunks: Sequence[int], look_aheads: Sequence[int], audio: AudioConfig
) -> None:
    """Compute time per chunk, the real-time factor against the whole-utterance pass beside it, the first audio."""
    seconds = mel.size(2) * audio.hop_length / audio.sampling_rate
    print("| chunk | look-ahead | ms per chunk | ms of audio | RTF | time / whole pass | ms of work to first audio |")
    print("|---|---|---|---|---|---|---|")
    for chunk in chunks:
        for look_ahead in look_aheads:
            streaming = StreamingGenerator(generator, look_ahead)
            ratios, totals, calls, firsts = [], [], [], []
            for _ in range(5):  # the whole pass beside each run: what else the machine does hits both
                with torch.no_grad():
                    whole = _seconds(lambda: generator(mel))
                times, first = _run(streaming, mel, chunk)
                ratios.append(sum(times) / whole)
                totals.append(sum(times))
                calls += times[:-1]
                firsts.append(first)
            print(
                f"| {chunk} | {look_ahead} | {1000 * statistics.median(calls):.1f} "
                f"| {1000 * chunk * audio.hop_length / audio.sampling_rate:.0f} "
                f"| {seconds / statistics.median(totals):.1f} | {statistics.median(ratios):.2f} "
                f"| {1000 * statistics.median(firsts):.0f} |",
                flush=True,
            )


def _run(streaming: StreamingGenerator, mel: Tensor, chunk: int) -> tuple[list[float], float]:
    """Seconds of each call, `finish` the last, and seconds of work until the first samples."""
    times: list[float] = []
    first = None
    for part in mel.split(chunk, dim=2):
        start = time.perf_counter()
        wav = streaming.stream(part)
        times.append(time.perf_counter() - start)
        if first is None and wav.size(2):
            first = sum(times)
    times.append(_seconds(streaming.finish))
    return times, first if first is not None else sum(times)


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
