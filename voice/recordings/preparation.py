"""From a folder of recordings to a data set in LJSpeech layout, with reviewed texts: `data/` in the working folder."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from common.data.filelists import write_lines
from common.files.atomic import write_whole
from common.files.json_files import read_json
from common.resources import available_cores
from voice.recordings.checks import check_segments
from voice.recordings.files import find_recordings
from voice.recordings.flags import RecordingsConfig
from voice.recordings.review_page import write_page
from voice.recordings.segment import SOURCES, Segment
from voice.recordings.segmenting import Segmentation, segment_recordings
from voice.recordings.table import import_review, read_review, write_review
from voice.recordings.texts.add import add_texts
from voice.recordings.texts.transcripts import find_transcripts

log = logging.getLogger(__name__)
SUMMARY, TIMES = "preparation.json", "preparation-times.json"


@dataclasses.dataclass(frozen=True)
class Preparation:
    """A summary of the prepared recordings, for the model card.

    Attributes:
        recordings: number of files that have clips.
        clips: number of clips that training uses.
        minutes: their length.
        skipped: number of clips that it does not use.
        sources: number of used clips by the source of their text, see `SOURCES`.
        confidence: mean confidence of recognised texts, or None without any.
        speakers: names of the speakers, in order. Empty if there is only one.
        problems: one line for each recording that cannot be used.
    """

    recordings: int
    clips: int
    minutes: float
    skipped: int
    sources: dict[str, int]
    confidence: float | None
    speakers: tuple[str, ...]
    problems: tuple[str, ...]

    @staticmethod
    def sum_up(segments: Sequence[Segment], cut: Segmentation) -> Preparation:
        """Sum up all recordings."""
        used = find_used(segments)
        sure = [segment.confidence for segment in used if segment.confidence is not None]
        counts = Counter(segment.source for segment in used)
        return Preparation(
            recordings=len({segment.recording for segment in used}),
            clips=len(used),
            minutes=round(sum(segment.seconds for segment in used) / 60, 2),
            skipped=len(segments) - len(used),
            sources={source: counts[source] for source in SOURCES if counts[source]},
            confidence=round(sum(sure) / len(sure), 3) if sure else None,
            speakers=tuple(sorted({segment.speaker for segment in used} - {""})),
            problems=tuple(cut.problems),
        )

    @staticmethod
    def load(work: Path) -> Preparation:
        values = read_json(work / SUMMARY)
        return Preparation(**{**values, **{name: tuple(values[name]) for name in ("speakers", "problems")}})


def prepare(folder: Path, work: Path, cfg: RecordingsConfig, title: str, jobs: int = 0) -> Preparation:
    """Segment the recordings, find or recognise their texts, apply the user's corrections, and write the data set.

    Everything that was done before is kept: unchanged recordings, recognised texts, and corrections in `review.csv`.

    Args:
        folder: the recordings, which are only read.
        work: working folder of the voice.
        cfg: language, recogniser, and the corrected texts.
        title: name of the voice, for the review page.
        jobs: number of processes (0: one per core).

    Raises:
        FileNotFoundError: no such folder.
        InputError: no recordings, no speech in them, no texts and no recogniser, or too little speech.
    """
    jobs = jobs or available_cores()
    clock = _Clock(work)
    recordings = find_recordings(folder)
    transcripts = find_transcripts(folder, recordings, cfg.language)
    with clock.measure("segments"):
        cut = segment_recordings(recordings, work, transcripts, jobs)
    with clock.measure("texts"):
        segments = add_texts(cut.segments, transcripts, work, cfg, jobs)
    segments = import_review(cfg.review, work, segments) if cfg.review else read_review(work, segments)
    checks = check_segments(segments, cfg, work)
    segments = write_review(work, checks.segments)
    page = write_page(work, segments, title)
    print("\n".join(checks.lines), flush=True)
    log.info("all texts: %s; correct them there, and start the same command again with --review and its file", page)
    checks.require_enough()
    _write_metadata(work / "data" / "metadata.csv", segments)
    found = Preparation.sum_up(segments, cut)
    write_whole(work / SUMMARY, (json.dumps(dataclasses.asdict(found), indent=1) + "\n").encode())
    return found


def find_used(segments: Sequence[Segment]) -> list[Segment]:
    """Return the segments that training uses."""
    return [segment for segment in segments if segment.use and segment.text]


class _Clock:
    """Adds up the seconds of each part of the preparation over all starts."""

    def __init__(self, work: Path) -> None:
        self._file = work / TIMES

    @contextlib.contextmanager
    def measure(self, part: str) -> Iterator[None]:
        began = time.time()
        yield
        times = read_times(self._file.parent)
        times[part] = round(times.get(part, 0.0) + time.time() - began, 1)
        write_whole(self._file, json.dumps(times).encode())


def read_times(work: Path) -> dict[str, float]:
    """Return the seconds of each part of the preparation, over all starts that finished it."""
    return read_json(work / TIMES) if (work / TIMES).is_file() else {}


def _write_metadata(path: Path, segments: Sequence[Segment]) -> None:
    """Write `clip|text`, or `clip|text|speaker`, of the clips that training uses."""
    used = find_used(segments)
    several = any(segment.speaker for segment in used)
    rows = (
        "|".join([segment.clip, " ".join(segment.text.replace("|", " ").split()), *[segment.speaker] * several])
        for segment in used
    )
    header = ["id|text|speaker"] if several else []
    write_lines(path, [*header, *rows])
