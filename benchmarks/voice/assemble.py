"""Assemble long recordings from the clips of a data set, as a phone or a recorder would write them.

python -m benchmarks.voice.assemble --dataset-path DATA -o DIR --minutes 20 --exclude data/demo/metadata.csv

Clips in random order are joined with pauses, noise is added, and files of about five minutes are written: 48 kHz,
stereo, AAC (m4a) and MP3 by turns. The files lie in DIR/recordings, and DIR/truth.csv lists the clips in them.

Shapes: T samples, C channels.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common.audio_files import load_wav, resample, wav_info
from common.cli import ArgumentParser, not_negative, positive, run
from common.data.metadata import name_clip, read_metadata
from common.errors import InputError
from common.files.atomic import replacing, write_whole
from common.files.text_files import read_lines

RATE_HZ = 48_000
PAUSES_SEC = (0.3, 1.5)  # shortest and longest
LEVELS = (1.0, 0.8)  # of the speech in both channels
SPEECH_FLOOR_DB = -40.0  # frames that are quieter than the loudest ones by this are not speech
ABOVE_NOISE_DB = 10.0
NOISE_BELOW_DB = -25.0  # relative to the loudest frames; a clip without pauses has no quieter ones
FRAME_SEC = 0.02
NOISE_SLOPE = -0.5  # amplitude over frequency: pink, as the noise of rooms and preamplifiers
PEAK = 0.7
BIT_RATE = 128_000
CODECS = {"m4a": ("ipod", "aac", "fltp"), "mp3": ("mp3", "libmp3lame", "s16p")}  # container, codec, sample format
_BLOCK_SAMPLES = 1 << 16


@dataclasses.dataclass(frozen=True)
class TrueClip:
    """A clip of the data set and its place in an assembled recording."""

    recording: str
    clip: str
    start_sec: float
    end_sec: float
    text: str


def main(argv: Sequence[str] | None = None) -> int:
    parser = ArgumentParser(prog="assemble", description=__doc__)
    parser.add_argument("--dataset-path", required=True, help="data set in LJSpeech layout")
    parser.add_argument("-o", "--output", required=True, help="folder for the recordings and truth.csv")
    parser.add_argument("--minutes", type=float, default=20, help="minutes of clips (default: 20)")
    parser.add_argument("--file-minutes", type=float, default=5, help="length of a recording (default: 5)")
    parser.add_argument("--snr-db", type=float, default=35, help="speech over noise (default: 35)")
    parser.add_argument("--seed", type=int, default=1, help="seed of clips, pauses and noise (default: 1)")
    parser.add_argument("--formats", nargs="+", choices=sorted(CODECS), default=list(CODECS), help="by turns")
    parser.add_argument("--exclude", help="metadata.csv whose clips and texts are not used")
    args = parser.parse_args(argv)
    positive(minutes=args.minutes, file_minutes=args.file_minutes)
    not_negative(seed=args.seed)
    draw = random.Random(args.seed)
    chosen = choose_clips(Path(args.dataset_path), args.minutes * 60, draw, args.exclude)
    output = Path(args.output)
    truth: list[TrueClip] = []
    for number, clips in enumerate(_groups(chosen, args.file_minutes * 60)):
        suffix = args.formats[number % len(args.formats)]
        name = f"recording_{number + 1:02d}.{suffix}"
        wav, places = join_clips(Path(args.dataset_path), name, clips, draw)
        write_recording(output / "recordings" / name, add_noise(wav, args.snr_db, args.seed + number))
        truth += places
        print(f"{name}: {len(wav) / RATE_HZ:.1f} s, {len(clips)} clips", flush=True)
    write_truth(output / "truth.csv", truth)
    print(f"{output / 'truth.csv'}: {sum(clip.end_sec - clip.start_sec for clip in truth) / 60:.1f} minutes of clips")
    return 0


def choose_clips(
    dataset: Path, seconds: float, draw: random.Random, exclude: str | None = None
) -> list[tuple[str, str, float]]:
    """Draw clips until they last long enough, or all. Several takes of one text count as one clip.

    Returns:
        (clip, text, seconds), in random order.

    Raises:
        InputError: no clips, or a clip that cannot be read.
    """
    texts = read_metadata(dataset / "metadata.csv").texts
    excluded = read_metadata(exclude).texts if exclude else {}
    clips = sorted(clip for clip in texts if clip not in excluded and texts[clip] not in excluded.values())
    draw.shuffle(clips)
    chosen, used, total = [], set(), 0.0
    for clip in clips:
        if texts[clip] in used or total >= seconds:
            continue
        info = wav_info(find_clip(dataset, clip))
        used.add(texts[clip])
        chosen.append((clip, texts[clip], info.frames / info.sampling_rate))
        total += chosen[-1][2]
    if not chosen:
        raise InputError(f"{dataset}: no clips are left to assemble")
    return chosen


def find_clip(dataset: Path, clip: str) -> Path:
    """Return the audio file of a clip.

    Raises:
        InputError: there is none.
    """
    for suffix in (".wav", ".flac"):
        if (path := dataset / "wavs" / f"{name_clip(clip)}{suffix}").is_file():
            return path
    raise InputError(f"{dataset}: no wavs/{clip}.wav or .flac")


def _groups(clips: Sequence[tuple[str, str, float]], seconds: float) -> Iterator[list[tuple[str, str, float]]]:
    pause_sec = sum(PAUSES_SEC) / 2
    group: list[tuple[str, str, float]] = []
    length = 0.0
    for clip in clips:
        group.append(clip)
        length += clip[2] + pause_sec
        if length >= seconds:
            yield group
            group, length = [], 0.0
    if group:
        yield group


def join_clips(
    dataset: Path, name: str, clips: Sequence[tuple[str, str, float]], draw: random.Random
) -> tuple[np.ndarray, list[TrueClip]]:
    """Join clips with random pauses, also before the first one and after the last one.

    Returns:
        The wav [T] at 48 kHz, float32, and the places of the clips.
    """
    parts: list[np.ndarray] = []
    places: list[TrueClip] = []
    samples = 0
    for clip, text, _ in clips:
        parts.append(np.zeros(round(draw.uniform(*PAUSES_SEC) * RATE_HZ), np.float32))
        wav, rate = load_wav(find_clip(dataset, clip))
        parts.append(resample(wav, rate, RATE_HZ).astype(np.float32))
        start = samples + len(parts[-2])
        samples = start + len(parts[-1])
        places.append(TrueClip(name, clip, start / RATE_HZ, samples / RATE_HZ, text))
    parts.append(np.zeros(round(draw.uniform(*PAUSES_SEC) * RATE_HZ), np.float32))
    return np.concatenate(parts), places


def add_noise(wav: np.ndarray, snr_db: float, seed: int) -> np.ndarray:
    """Return stereo samples [T, 2] of speech [T] at two levels, each with its own pink noise.

    The ratio refers to the power of the speech without its pauses, in the louder channel.
    """
    power = np.mean(wav[np.repeat(find_speech(wav, RATE_HZ), round(FRAME_SEC * RATE_HZ))[: len(wav)]] ** 2)
    noise_level = np.sqrt(power) * 10 ** (-snr_db / 20)
    generator = np.random.default_rng(seed)
    channels = [level * wav + noise_level * _pink_noise(len(wav), generator) for level in LEVELS]
    stereo = np.stack(channels, axis=1).astype(np.float32)
    return stereo * (PEAK / np.abs(stereo).max())


def _pink_noise(samples: int, generator: np.random.Generator) -> np.ndarray:
    """Return noise [T] of unit power."""
    block = generator.standard_normal(min(samples, RATE_HZ * 60))  # repeated each minute: longer FFTs are slow
    spectrum = np.fft.rfft(block)
    spectrum[1:] *= np.arange(1, len(spectrum)) ** NOISE_SLOPE
    spectrum[: int(30 * len(block) / RATE_HZ)] = 0  # microphones do not pass what is below 30 Hz
    noise = np.fft.irfft(spectrum, len(block))
    return np.resize(noise / noise.std(), samples)


def find_speech(wav: np.ndarray, rate: int, floor_db: float = SPEECH_FLOOR_DB) -> np.ndarray:
    """Return for each frame of 20 ms of a clip [T] whether it is speech.

    It is within 40 dB of the loudest frames, and 10 dB above the quietest ones, which are noise if they are quiet.
    """
    hop = round(FRAME_SEC * rate)
    frames = np.resize(np.pad(wav, (0, -len(wav) % hop)), (-(-len(wav) // hop), hop))
    level_db = 10 * np.log10(np.mean(frames.astype(np.float64) ** 2, axis=1) + 1e-12)
    quietest, loudest = np.percentile(level_db, (2, 95))
    noise_db = min(quietest + ABOVE_NOISE_DB, loudest + NOISE_BELOW_DB)
    return level_db > max(loudest + floor_db, noise_db)


def write_recording(path: Path, wav: np.ndarray) -> None:
    """Encode samples [T, C] at 48 kHz as AAC (.m4a) or MP3 (.mp3)."""
    import av

    container_name, codec, sample_format = CODECS[path.suffix[1:]]
    with replacing(path) as temporary, av.open(str(temporary), "w", format=container_name) as container:
        stream: Any = container.add_stream(codec, rate=RATE_HZ, layout="stereo", bit_rate=BIT_RATE)
        to_codec = av.AudioResampler(sample_format, "stereo", RATE_HZ)
        for start in range(0, len(wav), _BLOCK_SAMPLES):
            block = np.ascontiguousarray(wav[start : start + _BLOCK_SAMPLES].T, np.float32)
            frame = av.AudioFrame.from_ndarray(block, "fltp", "stereo")
            frame.rate, frame.pts = RATE_HZ, start
            for part in to_codec.resample(frame):
                container.mux(stream.encode(part))
        container.mux(stream.encode(None))


def write_truth(path: Path, truth: Sequence[TrueClip]) -> None:
    """Write the places of all clips, one line `recording|clip|start|end|text` each."""
    lines = [f"{c.recording}|{c.clip}|{c.start_sec:.5f}|{c.end_sec:.5f}|{c.text}" for c in truth]
    write_whole(path, "".join(f"{line}\n" for line in lines).encode())


def read_truth(path: Path) -> list[TrueClip]:
    """Read what `write_truth` wrote."""
    rows = [line.split("|", 4) for line in read_lines(path) if line.strip()]
    return [TrueClip(name, clip, float(start), float(end), text) for name, clip, start, end, text in rows]


if __name__ == "__main__":
    run(main, "assemble")
