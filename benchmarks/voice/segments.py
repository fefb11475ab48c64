"""Measure how recordings are cut into clips, against assembled recordings whose clips are known.

python -m benchmarks.voice.segments --dataset-path DATA --assembled DIR --work WORK

DIR is the output of benchmarks.voice.assemble. Recordings that WORK does not hold yet are cut first.

Shapes: F frames.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.voice.assemble import FRAME_SEC, TrueClip, find_clip, find_speech, read_truth
from common.audio_files import load_wav
from common.cli import ArgumentParser, positive, run
from common.markdown import table
from voice.recordings.files import find_recordings
from voice.recordings.segment import Segment
from voice.recordings.segmenting import segment_recordings

LOUD_DB = -25.0  # frames within this of the loudest ones: not the closure of a plosive or the end of a word
AROUND_CUT = 2  # frames on each side of a cut that must all be loud: else the cut is in a short pause


@dataclasses.dataclass
class SegmentFigures:
    """Sums over recordings, in frames of 20 ms and in cuts."""

    speech: int = 0
    kept: int = 0
    kept_silence: int = 0
    cuts: int = 0
    cuts_inside_clips: int = 0
    cuts_in_speech: int = 0
    lengths: list[float] = dataclasses.field(default_factory=list)
    lost: list[tuple[float, str]] = dataclasses.field(default_factory=list)  # seconds, clip


def main(argv: Sequence[str] | None = None) -> int:
    parser = ArgumentParser(prog="segments", description=__doc__)
    parser.add_argument("--dataset-path", required=True, help="data set that the recordings were assembled from")
    parser.add_argument("--assembled", required=True, help="output of benchmarks.voice.assemble")
    parser.add_argument("--work", required=True, help="folder for the clips")
    parser.add_argument("--jobs", type=int, default=1, help="number of processes (default: 1)")
    args = parser.parse_args(argv)
    positive(jobs=args.jobs)
    assembled = Path(args.assembled)
    made = segment_recordings(find_recordings(assembled / "recordings"), args.work, {}, args.jobs)
    figures = compare(Path(args.dataset_path), read_truth(assembled / "truth.csv"), made.segments)
    print(*describe(figures), sep="\n")
    return 0


def compare(dataset: Path, truth: Sequence[TrueClip], segments: Sequence[Segment]) -> SegmentFigures:
    """Compare segments with the clips in the same recordings."""
    figures = SegmentFigures(lengths=[segment.seconds for segment in segments])
    for recording in sorted({clip.recording for clip in truth}):
        own = [segment for segment in segments if segment.recording == recording]
        clips = [clip for clip in truth if clip.recording == recording]
        _add_recording(figures, dataset, clips, own)
    return figures


def _add_recording(
    figures: SegmentFigures, dataset: Path, clips: Sequence[TrueClip], segments: Sequence[Segment]
) -> None:
    end = max([clips[-1].end_sec, *(segment.end_sec for segment in segments)])
    speech, loud, inside, kept = np.zeros((4, round(end / FRAME_SEC) + 2), bool)
    for segment in segments:
        kept[round(segment.start_sec / FRAME_SEC) : round(segment.end_sec / FRAME_SEC)] = True
    for clip in clips:
        wav, rate = load_wav(find_clip(dataset, clip.clip))
        first = round(clip.start_sec / FRAME_SEC)
        frames = find_speech(wav, rate)
        place = slice(first, first + len(frames))
        speech[place] = frames
        loud[place] = find_speech(wav, rate, LOUD_DB)
        spoken = np.flatnonzero(frames)
        inside[first + spoken[0] : first + spoken[-1]] = True
        if missing := int((frames & ~kept[place]).sum()):
            figures.lost.append((missing * FRAME_SEC, clip.clip))
    figures.speech += int(speech.sum())
    figures.kept += int((speech & kept).sum())
    figures.kept_silence += int((kept & ~speech).sum())
    for time in sorted({edge for segment in segments for edge in (segment.start_sec, segment.end_sec)}):
        frame = round(time / FRAME_SEC)
        figures.cuts += 1
        figures.cuts_inside_clips += int(inside[frame])
        figures.cuts_in_speech += int(loud[max(0, frame - AROUND_CUT) : frame + AROUND_CUT].all())


def describe(figures: SegmentFigures) -> list[str]:
    """Return the figures as a Markdown table, and the clips with the largest losses."""
    lengths = np.array(figures.lengths)
    quantiles = np.percentile(lengths, (0, 10, 50, 90, 100))
    silence_sec = figures.kept_silence * FRAME_SEC
    kept_sec = figures.kept * FRAME_SEC + silence_sec
    values: Mapping[str, str] = {
        "speech in the true clips": f"{figures.speech * FRAME_SEC:.1f} s",
        "share of it in segments": f"{figures.kept / figures.speech:.3%}",
        "segments": f"{len(lengths)}",
        "seconds of segments": f"{kept_sec:.1f} s",
        "silence in them": f"{silence_sec:.1f} s ({silence_sec / kept_sec:.1%})",
        "length: least, 10 %, median, 90 %, most": ", ".join(f"{value:.1f}" for value in quantiles) + " s",
        "segments shorter than 1 s or longer than 12 s": f"{int(((lengths < 1) | (lengths > 12)).sum())}",
        "ends of segments": f"{figures.cuts}",
        "of these, between the first and last sound of a true clip": f"{figures.cuts_inside_clips}",
        "of these, in loud speech": f"{figures.cuts_in_speech}",
    }
    worst = ", ".join(f"{clip} {seconds:.2f} s" for seconds, clip in sorted(figures.lost, reverse=True)[:5])
    return [*table(("", ""), list(values.items())), "", f"Largest losses: {worst or 'none'}"]


if __name__ == "__main__":
    run(main, "segments")
