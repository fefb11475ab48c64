"""The HTML of the listening report, rendered from the templates in assets/ with everything escaped."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps, markupsafe

from evaluation.metrics import METRICS
from evaluation.results import EvaluationResults, TableRow
from evaluation.statistics import Interval
from evaluation.systems import GROUND_TRUTH, generator_config

ASSETS = Path(__file__).with_name("assets")
TEMPLATES = Environment(
    loader=FileSystemLoader(ASSETS), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
SECTIONS = {"figures": "Figures", "listen": "Listen", "blind": "Blind test", "training": "Training", "setup": "Set-up"}


@dataclasses.dataclass(frozen=True)
class Player:
    """One system's version of one recording: addresses relative to the page, and its figures by metric."""

    system: str
    audio: str
    picture: str
    figures: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class ListeningClip:
    """A recording, its transcript ("" if unknown), and a player for each system that has it."""

    clip: str
    text: str
    players: Sequence[Player]


@dataclasses.dataclass(frozen=True)
class TrainingRuns:
    """Address of the picture of training curves, and the settings of each run by its name."""

    curves: str
    settings: Sequence[tuple[str, Mapping[str, object]]]


@dataclasses.dataclass(frozen=True)
class Cell:
    """The text of one cell: a mean, its interval, and how many clips it covers where that is not all of them."""

    mean: str
    interval: str
    bold: bool
    note: str


def render_page(
    results: EvaluationResults, listening: Sequence[ListeningClip], training: TrainingRuns | None, report_id: str
) -> str:
    """Return the whole page.

    Args:
        results: of the evaluation.
        listening: the recordings to hear.
        training: the training runs to show.
        report_id: key of this report's answers in the browser's storage.
    """
    level = "scaled to a peak of 0.95 and cut to whole hops" if results.plan.normalise else "cut to whole hops"
    return TEMPLATES.get_template("report.html").render(
        sections={key: title for key, title in SECTIONS.items() if training or key != "training"},
        results=results,
        metrics=METRICS,
        ground_truth=GROUND_TRUTH,
        means=_cells(results, results.means(), best=_best_systems(results)),
        differences=_cells(results, results.differences(), signed=True),
        listening=listening,
        blind_test_systems=list(dict.fromkeys(player.system for item in listening for player in item.players)),
        training=training,
        systems=[(system, generator_config(system, results.plan.device)) for system in results.systems],
        measurement={**results.header, "recordings": level},
        audio=dataclasses.asdict(results.plan.audio),
        number=_number,
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


def _best_systems(results: EvaluationResults) -> set[tuple[str, str]]:
    """Return (system, metric) of the best mean of each metric. The recordings do not compete."""
    best = set()
    for name in results.names:
        means = {s.name: results.mean(s.name, name).mean for s in results.systems if s.name != GROUND_TRUTH}
        known = {system: mean for system, mean in means.items() if math.isfinite(mean)}
        if known:
            best.add((min(known, key=lambda system: METRICS[name].better.rank(known[system])), name))
    return best


def _cells(
    results: EvaluationResults,
    rows: Sequence[TableRow],
    signed: bool = False,
    best: set[tuple[str, str]] | None = None,
) -> list[dict[str, Any]]:
    """Return each row's system, number of clips, and cells (None for a metric without figures)."""
    table = []
    for row in rows:
        cells = []
        for name, interval in row.intervals.items():
            bold = (signed and interval.excludes_zero) or (row.system, name) in (best or ())
            cells.append(_cell(interval, METRICS[name].digits, signed, bold, row.clips))
        table.append({"system": row.system, "clips": row.clips, "cells": cells})
    return table


def _cell(interval: Interval, digits: int, signed: bool, bold: bool, clips: int) -> Cell | None:
    if not interval.count:
        return None
    mean, low, high = (
        f"{value:{'+' if signed else ''}.{digits}f}" for value in (interval.mean, interval.low, interval.high)
    )
    return Cell(mean, f"{low} to {high}", bold, f"{interval.count} clips" if interval.count < clips else "")


def _number(figures: Mapping[str, float], name: str) -> str:
    value = figures.get(name, math.nan)
    return f"{value:.{METRICS[name].digits}f}" if math.isfinite(value) else "–"
