"""The HTML of the listening report, rendered from the templates in assets/ with everything escaped."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps, markupsafe

from common.recognition.word_errors import LEGEND, WordErrors, split_marks
from evaluation.report.content import Content
from evaluation.report.pitch_axis import HEIGHT, WIDTH, PitchAxis
from evaluation.report.verdict import sum_up
from evaluation.results import BaseResults, TableRow
from evaluation.spoken.results import TOTAL_TITLES, WORST_TITLES
from evaluation.statistics import FEWEST_CLIPS, Interval
from evaluation.systems import GROUND_TRUTH, REFERENCES

ASSETS = Path(__file__).with_name("assets")
TEMPLATES = Environment(
    loader=FileSystemLoader(ASSETS), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
SECTIONS = {"listen": "Listen", "blind": "Blind test", "figures": "Figures", "training": "Training", "setup": "Set-up"}
NUM_COLOURS = 8  # of systems, in report.css


@dataclasses.dataclass(frozen=True)
class Player:
    """One system's version of one clip.

    Attributes:
        system: its name.
        audio, picture: addresses relative to the page.
        figures: by metric, or empty.
        words: how its words were understood, if that was measured.
    """

    system: str
    audio: str
    picture: str
    figures: Mapping[str, float]
    words: WordErrors | None = None


@dataclasses.dataclass(frozen=True)
class ListeningClip:
    """A clip, its text ("" if unknown), a player for each system that has it, and their pitch if tracked."""

    clip: str
    text: str
    players: Sequence[Player]
    pitch: PitchAxis | None


@dataclasses.dataclass(frozen=True)
class TrainingRuns:
    """Address of the picture of training curves, and the settings of each run by its name."""

    curves: str
    settings: Sequence[tuple[str, Mapping[str, object]]]


@dataclasses.dataclass(frozen=True)
class Cell:
    """The text of one cell: a mean, its interval if it has a width, and the clips it covers if not all of them."""

    mean: str
    interval: str
    bold: bool
    note: str


def render_page(
    results: BaseResults,
    content: Content,
    listening: Sequence[ListeningClip],
    training: TrainingRuns | None,
    report_id: str,
) -> str:
    """Return the whole page.

    Args:
        results: of the evaluation.
        content: what else is shown.
        listening: the clips to hear.
        training: the training runs to show.
        report_id: key of this report's answers in the browser's storage.
    """
    audible = list(dict.fromkeys(player.system for item in listening for player in item.players))
    about = results.pair or results.system_names
    first_colour = 0 if GROUND_TRUTH in results.system_names else 1  # the recordings are grey
    left_out = {"training": training is None, "blind": len(audible) < 2}
    return TEMPLATES.get_template("report.html").render(
        title=f"Listening report: {' and '.join(reversed(about))}",
        sections={key: title for key, title in SECTIONS.items() if not left_out.get(key)},
        results=results,
        content=content,
        metrics=results.metrics,
        ground_truth=GROUND_TRUTH,
        references=[name for name in REFERENCES if name in results.system_names],
        fewest_clips=FEWEST_CLIPS,
        verdict=sum_up(results),
        colours={system: i % NUM_COLOURS for i, system in enumerate(results.system_names, first_colour)},
        means=_table(results, results.means(), best={name: results.best(name) for name in results.names}),
        differences=_table(results, results.differences(), signed=True),
        listening=listening,
        pitch_size=(WIDTH, HEIGHT),
        blind_test_systems=audible,
        blind_test_pair=about if set(about) <= set(audible) else audible[:2],
        training=training,
        measurement={**results.header, **content.measurement},
        total_titles=TOTAL_TITLES,
        worst_titles=WORST_TITLES,
        word_legend=LEGEND,
        split_marks=split_marks,
        number=_number,
        count_clips=count_clips,
        style=_trusted("report.css"),
        script=_trusted("report.js"),
        data=_script_data(listening, report_id),
    )


def _trusted(asset: str) -> markupsafe.Markup:
    """Return a file of ours that goes into the page as it is."""
    return markupsafe.Markup((ASSETS / asset).read_text(encoding="utf-8"))


def _script_data(listening: Sequence[ListeningClip], report_id: str) -> markupsafe.Markup:
    """Return the blind test's data as JSON in which a name such as "</script>" cannot end the element."""
    clips = [
        {"clip": item.clip, "audio": {player.system: player.audio for player in item.players}} for item in listening
    ]
    return htmlsafe_json_dumps({"report": report_id, "clips": clips})


def _table(
    results: BaseResults,
    rows: Sequence[TableRow],
    signed: bool = False,
    best: Mapping[str, str | None] | None = None,
) -> dict[str, Any]:
    """Return a table with a row for each metric: its columns (systems and their clips), and its cells by metric.

    A cell is None where there are no figures. Bold are clear differences if `signed`, else the `best` systems.
    """
    cells: dict[str, list[Cell | None]] = {name: [] for name in results.names}
    for row in rows:
        for name, interval in row.intervals.items():
            bold = interval.is_clear if signed else (best or {}).get(name) == row.system
            cells[name].append(_cell(interval, results.metrics[name].digits, signed, bold, row.clips))
    return {"columns": [(row.system, row.clips) for row in rows], "cells": cells}


def _cell(interval: Interval, digits: int, signed: bool, bold: bool, clips: int) -> Cell | None:
    if not interval.count:
        return None
    mean, low, high = (
        f"{value:{'+' if signed else ''}.{digits}f}" for value in (interval.mean, interval.low, interval.high)
    )
    covered = "" if interval.count == clips else count_clips(interval.count)
    return Cell(mean, f"{low} to {high}" if interval.low < interval.high else "", bold, covered)


def count_clips(number: int) -> str:
    """Return "1 clip" or "2 clips"."""
    return f"{number} clip{'s' if number != 1 else ''}"


def _number(figures: Mapping[str, float], name: str, digits: int) -> str:
    value = figures.get(name, math.nan)
    return f"{value:.{digits}f}" if math.isfinite(value) else "–"
