"""Measure the texts that are written down for recordings: word errors, what confidence catches, time, alignment.

python -m benchmarks.voice.transcripts --dataset-path DATA --transcriber tiny.en base -o DIR
python -m benchmarks.voice.transcripts --assembled ASSEMBLED --transcriber base -o DIR

The first measures clips of a data set in LJSpeech layout as they are. The second cuts the recordings of
`benchmarks.voice.assemble` where its clips are. The clips are also joined to one recording whose whole text is given,
to see how many segments get exactly their own. DIR/transcripts.json has the figures of each clip.
"""

from __future__ import annotations

import dataclasses
import json
import random
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.voice.assemble import find_clip, read_truth
from common.audio_files import load_wav, resample, save_wav
from common.cli import ArgumentParser, positive, run
from common.data.metadata import read_metadata
from common.errors import InputError
from common.files.atomic import write_whole
from common.machine import hardware
from common.markdown import table
from common.recognition.word_errors import compare_words
from voice.recordings.flags import RecordingsConfig
from voice.recordings.segment import Segment, Transcript
from voice.recordings.texts.add import add_texts
from voice.recordings.texts.recognition import Transcriber, recognise_clips

RATE_HZ = 22050  # of the clips of a voice
PAUSE_SEC = 1.0
THRESHOLDS = (0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)
TITLES = ("transcriber", "clips", "minutes", "word errors, %", "clips without errors, %", "CPU s per s of audio")
ALIGNED_TITLES = (
    "transcriber",
    "segments",
    "with exactly their text, %",
    "word errors, %",
    "marked, %",
    "wrong, unmarked",
)
THRESHOLD_TITLES = ("confidence below", "clips marked, %", "of all word errors, %", "word errors of the rest, %")


@dataclasses.dataclass(frozen=True)
class TrueText:
    """A clip of a voice's working folder, and what is said in it."""

    clip: str
    seconds: float
    text: str


@dataclasses.dataclass(frozen=True)
class Figures:
    """The recognised text of a clip."""

    clip: str
    text: str
    heard: str
    confidence: float
    words: int
    errors: int
    remarks: tuple[str, ...]


def main(argv: Sequence[str] | None = None) -> int:
    parser = ArgumentParser(prog="transcripts", description=__doc__)
    sources = parser.add_mutually_exclusive_group(required=True)
    sources.add_argument("--dataset-path", help="data set in LJSpeech layout")
    sources.add_argument("--assembled", help="folder that benchmarks.voice.assemble wrote")
    parser.add_argument("-o", "--output", required=True, help="folder for the clips and the figures")
    parser.add_argument("--transcriber", nargs="+", required=True, help="names or folders of Whisper models")
    parser.add_argument("--clips", type=int, default=60, help="clips to draw (default: 60)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the draw (default: 1)")
    args = parser.parse_args(argv)
    positive(clips=args.clips)
    output = Path(args.output)
    if args.dataset_path:
        truth = take_clips(Path(args.dataset_path), output, args.clips, random.Random(args.seed))
    else:
        truth = cut_clips(Path(args.assembled), output, args.clips, random.Random(args.seed))
    rows, aligned, found = [], [], {}
    for name in args.transcriber:
        cpu_sec = time_recogniser(name, output, truth)
        found[name] = write_down(name, output, truth)
        count, *shares = sum_up(found[name])
        minutes = round(sum(one.seconds for one in truth) / 60, 1)
        rows.append([Path(name).name, count, minutes, *shares, round(cpu_sec, 2)])
        aligned.append([Path(name).name, *sum_up_alignment(align(name, output, truth))])
    words = ["-o", "DIR", "--transcriber", *(Path(name).name for name in args.transcriber)]
    header = hardware.describe(torch.device("cpu"), "benchmarks.voice.transcripts", words, ("faster-whisper",))
    lines = [*hardware.markdown(header), "", *table(TITLES, rows), "", *table(ALIGNED_TITLES, aligned)]
    for name, figures in found.items():
        lines += ["", f"{Path(name).name}:", "", *table(THRESHOLD_TITLES, sum_up_thresholds(figures))]
    content = {name: [dataclasses.asdict(one) for one in figures] for name, figures in found.items()}
    write_whole(output / "transcripts.json", json.dumps(content, indent=1, ensure_ascii=False).encode())
    print("\n".join(lines))
    return 0


def take_clips(dataset: Path, work: Path, count: int, draw: random.Random) -> list[TrueText]:
    """Copy clips of a data set into a working folder, resampled."""
    texts = read_metadata(dataset / "metadata.csv").texts
    chosen = draw.sample(sorted(texts), min(count, len(texts)))
    return [_keep(work, clip, *load_wav(find_clip(dataset, clip)), texts[clip]) for clip in sorted(chosen)]


def cut_clips(assembled: Path, work: Path, count: int, draw: random.Random) -> list[TrueText]:
    """Cut clips out of assembled recordings, where they truly are."""
    truth = read_truth(assembled / "truth.csv")
    if not truth:
        raise InputError(f"{assembled / 'truth.csv'}: no clips")
    chosen = draw.sample(truth, min(count, len(truth)))
    found = []
    for name in sorted({clip.recording for clip in chosen}):
        wav, rate = load_wav(assembled / "recordings" / name)
        for clip in (clip for clip in chosen if clip.recording == name):
            piece = wav[round(clip.start_sec * rate) : round(clip.end_sec * rate)]
            found.append(_keep(work, clip.clip, piece, rate, clip.text))
    return found


def _keep(work: Path, clip: str, wav: Any, rate: int, text: str) -> TrueText:
    made = resample(wav, rate, RATE_HZ)
    save_wav(work / "data" / "wavs" / f"{clip}.wav", made, RATE_HZ)
    return TrueText(clip, len(made) / RATE_HZ, text)


def time_recogniser(name: str, work: Path, truth: Sequence[TrueText]) -> float:
    """Return CPU seconds per second of audio on one thread, NaN if everything is written down already."""
    transcriber = Transcriber.open(name, "en", work / Path(name).name, jobs=1)
    _link(work, transcriber.work)
    if all(transcriber.result(one.clip).is_file() for one in truth):
        return float("nan")
    start = time.process_time()
    recognise_clips([one.clip for one in truth], transcriber)
    return (time.process_time() - start) / sum(one.seconds for one in truth)


def _link(work: Path, folder: Path) -> None:
    """Let each model have a working folder of its own, with the same clips."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "data").exists():
        (folder / "data").symlink_to((work / "data").resolve(), target_is_directory=True)


def write_down(name: str, work: Path, truth: Sequence[TrueText]) -> list[Figures]:
    """Compare what is written down for each clip with its text."""
    segments = [Segment(one.clip, one.clip, 0.0, one.seconds) for one in truth]
    return compare(name, work, segments, truth, {})


def align(name: str, work: Path, truth: Sequence[TrueText]) -> list[Figures]:
    """Compare what the segments of a recording get, whose whole text is given, with their texts."""
    segments, start = [], 0.0
    for one in truth:
        segments.append(Segment(one.clip, "recording", start, start + one.seconds))
        start += one.seconds + PAUSE_SEC
    return compare(name, work, segments, truth, {"recording": Transcript(" ".join(one.text for one in truth))})


def compare(
    name: str,
    work: Path,
    segments: Sequence[Segment],
    truth: Sequence[TrueText],
    transcripts: Mapping[str, Transcript],
) -> list[Figures]:
    """Compare the texts that segments get with the true ones."""
    cfg = RecordingsConfig(transcriber=name)
    found = []
    for segment, one in zip(add_texts(segments, transcripts, work / Path(name).name, cfg), truth, strict=True):
        errors = compare_words(one.text, segment.text)
        figures = (segment.confidence or 0.0, errors.words, errors.errors, segment.remarks)
        found.append(Figures(one.clip, one.text, segment.text, *figures))
    return found


def sum_up(figures: Sequence[Figures]) -> list[Any]:
    """Return number of clips, word errors in per cent, and clips without errors in per cent."""
    right = sum(one.errors == 0 for one in figures) / len(figures)
    return [len(figures), _error_rate(figures), round(100 * right, 1)]


def sum_up_alignment(figures: Sequence[Figures]) -> list[Any]:
    """Return segments, those with exactly their text in per cent, word errors, and how the remarks fit."""
    exact = [one for one in figures if one.heard.split() == one.text.split()]
    marked = [one for one in figures if one.remarks]
    unmarked = [one for one in figures if one not in exact and one not in marked]
    shares = (_share(exact, figures), _error_rate(figures), _share(marked, figures))
    return [len(figures), *shares, len(unmarked)]


def sum_up_thresholds(figures: Sequence[Figures]) -> list[list[float]]:
    """Return for each threshold the share of clips below it, of errors in them, and the error rate of the rest."""
    rows = []
    total = sum(one.errors for one in figures)
    for threshold in THRESHOLDS:
        marked = [one for one in figures if one.confidence < threshold]
        rest = [one for one in figures if one.confidence >= threshold]
        caught = round(100 * sum(one.errors for one in marked) / total, 1) if total else float("nan")
        rows.append([threshold, _share(marked, figures), caught, _error_rate(rest)])
    return rows


def _error_rate(figures: Sequence[Figures]) -> float:
    words = sum(one.words for one in figures)
    return round(100 * sum(one.errors for one in figures) / words, 1) if words else float("nan")


def _share(part: Sequence[Figures], figures: Sequence[Figures]) -> float:
    return round(100 * len(part) / len(figures), 1)


if __name__ == "__main__":
    run(main, "transcripts")
