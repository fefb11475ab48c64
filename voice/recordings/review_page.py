"""The review page: a file that opens from disk, to listen to all clips and correct their texts, without a server."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps, markupsafe

from common.files.atomic import write_whole
from voice.recordings.checks import MIDDLING
from voice.recordings.segment import Segment
from voice.recordings.spreadsheet import COLUMNS
from voice.recordings.texts.judgement import SURE
from voice.recordings.written import review_id

PAGE = "review.html"
ASSETS = Path(__file__).with_name("assets")
TEMPLATES = Environment(
    loader=FileSystemLoader(ASSETS), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


def write_page(work: Path, segments: Sequence[Segment], title: str) -> Path:
    """Write `review.html` beside `review.csv`. It plays the clips in `data/wavs`.

    Args:
        work: the working folder.
        segments: with the user's corrections, as `write_review` returns them.
        title: name of the voice.

    Returns:
        The file.
    """
    path = work / PAGE
    write_whole(path, render_page(segments, title, review_id(work)).encode())
    return path


def render_page(segments: Sequence[Segment], title: str, page_id: str) -> str:
    """Return the whole page.

    Args:
        segments: the clips.
        title: name of the voice.
        page_id: key of the changes in the browser's storage, in which all pages on disk share one room.
    """
    minutes = sum(segment.seconds for segment in segments) / 60
    recordings = len({segment.recording for segment in segments})
    return TEMPLATES.get_template("review.html").render(
        title=title,
        summary=f"{_count(len(segments), 'clip')} from {_count(recordings, 'recording')}, {minutes:.1f} minutes",
        style=_trusted("review.css"),
        script=_trusted("review.js"),
        data=htmlsafe_json_dumps(
            {
                "id": page_id,
                "columns": COLUMNS,
                "low": SURE,
                "middling": MIDDLING,
                "clips": [_values(segment) for segment in segments],
            }
        ),
    )


def _values(segment: Segment) -> dict[str, object]:
    return {
        "clip": segment.clip,
        "use": segment.use,
        "text": " ".join(segment.text.split()),
        "confidence": segment.confidence,
        "source": segment.source,
        "speaker": segment.speaker,
        "seconds": round(segment.seconds, 3),
        "recording": segment.recording,
        "start": round(segment.start_sec, 3),
        "remarks": segment.remarks,
    }


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number != 1 else ''}"


def _trusted(asset: str) -> markupsafe.Markup:
    """Return a file of ours that goes into the page as it is."""
    return markupsafe.Markup((ASSETS / asset).read_text(encoding="utf-8"))
