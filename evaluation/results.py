"""What an evaluation found: figures by clip, means, differences; as JSON, CSV and Markdown."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common.files.atomic import write_whole
from evaluation.clips import Problem
from evaluation.metrics import METRICS
from evaluation.statistics import Interval, difference, interval
from evaluation.systems import System, generator_of
from evaluation.work import Outcome, Plan

Key = tuple[str, str]  # system and clip


@dataclasses.dataclass(frozen=True)
class Results:
    """All that tables and pages are made of.

    Attributes:
        header: machine, versions, commit, time and command.
        plan: what was done.
        names: columns that were measured.
        left_out: column -> why it was not measured.
        figures: (system, clip) -> column -> figure; NaN where there is none.
        problems: what could not be evaluated.
        pitches: (system, clip) -> pitch of each frame in Hz, 0 where unvoiced; empty if no column needs it.
        baseline: the system that others are compared with.
        seed: of the intervals.
    """

    header: Mapping[str, str]
    plan: Plan
    names: Sequence[str]
    left_out: Mapping[str, str]
    figures: Mapping[Key, Mapping[str, float]]
    problems: Sequence[Problem]
    pitches: Mapping[Key, np.ndarray]
    baseline: str
    seed: int

    @property
    def systems(self) -> Sequence[System]:
        return self.plan.systems

    def column(self, system: str, name: str) -> list[float]:
        """A system's figures of all clips, in order; NaN where there is none."""
        return [self.figures.get((system, clip.name), {}).get(name, math.nan) for clip in self.plan.clips]

    def mean(self, system: str, name: str) -> Interval:
        return interval(self.column(system, name), self.seed)

    def compared(self, system: str, other: str, name: str) -> Interval:
        """By how much `system` is above `other`, over the clips that both have."""
        return difference(self.column(system, name), self.column(other, name), self.seed)

    def evaluated(self, *systems: str) -> int:
        """Clips of a system that have figures, or clips that do in all of several."""
        return sum(all((system, clip.name) in self.figures for system in systems) for clip in self.plan.clips)


def gather(
    outcomes: Iterable[Outcome],
) -> tuple[dict[Key, dict[str, float]], list[Problem], dict[Key, np.ndarray]]:
    """Figures by system and clip, of those that could be evaluated; all problems; pitches by system and clip."""
    figures: dict[Key, dict[str, float]] = {}
    problems: list[Problem] = []
    pitches = {}
    for outcome in outcomes:
        problems += outcome.problems
        if not any(not problem.figure for problem in outcome.problems):
            figures.setdefault((outcome.system, outcome.clip), {}).update(outcome.figures)
        if outcome.pitch_hz is not None:
            pitches[outcome.system, outcome.clip] = outcome.pitch_hz
    return figures, problems, pitches


def to_plain(results: Results) -> dict[str, Any]:
    """Everything as values of JSON; what is not a number is null."""
    names, systems = results.names, [system.name for system in results.systems]
    pairs = [(one, other) for i, other in enumerate(systems) for one in systems[i + 1 :]]
    return {
        "header": dict(results.header),
        "audio": dataclasses.asdict(results.plan.audio),
        "peak_normalised": results.plan.normalise,
        "seed": results.seed,
        "baseline": results.baseline,
        "systems": [
            {
                **dataclasses.asdict(system),
                "is": system.in_words(),
                "generator": generator_of(system, results.plan.device),
            }
            for system in results.systems
        ],
        "metrics": {name: dataclasses.asdict(METRICS[name]) for name in names},
        "left_out": dict(results.left_out),
        "means": {
            system: {name: _plain(dataclasses.asdict(results.mean(system, name))) for name in names}
            for system in systems
        },
        "differences": [
            {"system": one, "minus": other}
            | {name: _plain(dataclasses.asdict(results.compared(one, other, name))) for name in names}
            for one, other in pairs
        ],
        "clips": [
            {"clip": clip, "system": system, **_plain({name: row.get(name, math.nan) for name in names})}
            for (system, clip), row in results.figures.items()
        ],
        "problems": [dataclasses.asdict(problem) for problem in results.problems],
    }


def write(results: Results, folder: Path) -> None:
    """`results.json`, `results.csv` (one line for each clip and system) and `summary.md`."""
    write_whole(folder / "results.json", (json.dumps(to_plain(results), indent=1, allow_nan=False) + "\n").encode())
    write_whole(folder / "results.csv", _csv(results).encode())
    write_whole(folder / "summary.md", ("\n".join(markdown(results)) + "\n").encode())


def _csv(results: Results) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["clip", "system", *results.names, "problem"])
    for system in results.systems:
        for clip in results.plan.clips:
            row = results.figures.get((system.name, clip.name), {})
            values = [row.get(name, math.nan) for name in results.names]
            reasons = [p.reason for p in results.problems if (p.clip, p.system) == (clip.name, system.name)]
            numbers = [f"{value:.6g}" if math.isfinite(value) else "" for value in values]
            writer.writerow([clip.name, system.name, *numbers, "; ".join(reasons)])
    return text.getvalue()


def markdown(results: Results) -> list[str]:
    """The tables of means and of differences, as lines."""
    lines = _table(
        results,
        "system",
        [(system.name, results.evaluated(system.name)) for system in results.systems],
        lambda system, name: results.mean(system, name),
    )
    others = [system.name for system in results.systems if system.name != results.baseline]
    lines += [
        "",
        f"Differences from {results.baseline}, over the clips that both have (an asterisk: the interval leaves out 0):",
        "",
    ]
    lines += _table(
        results,
        "system",
        [(name, results.evaluated(name, results.baseline)) for name in others],
        lambda system, name: results.compared(system, results.baseline, name),
        signed=True,
    )
    if any(" [" in line for line in lines):
        lines += ["", "In square brackets: how many clips have a figure, where not all of them have."]
    lines += ["", "Columns:", ""]
    lines += [f"- {METRICS[name].title}: {METRICS[name].says}" for name in results.names]
    lines += [f"- {METRICS[name].title}: left out, {reason}" for name, reason in results.left_out.items()]
    return lines


def _table(results: Results, corner: str, rows: Any, figure: Any, signed: bool = False) -> list[str]:
    titles = [METRICS[name].title for name in results.names]
    lines = [f"| {' | '.join([corner, *titles])} |", "|---" * (len(titles) + 1) + "|"]
    for system, clips in rows:
        cells = []
        for name in results.names:
            found = figure(system, name)
            some = f" [{found.count}]" if 0 < found.count < clips else ""
            cells.append(in_words(found, METRICS[name].digits, signed) + some)
        lines.append(f"| {' | '.join([f'{system} ({clips})', *cells])} |")
    return lines


def in_words(found: Interval, digits: int, signed: bool = False) -> str:
    """`3.64 (3.60 to 3.68)`; differences with their sign, and an asterisk where the interval leaves out 0."""
    if not found.count:
        return "-"
    sign = "+" if signed else ""
    mark = "*" if signed and (found.low > 0 or found.high < 0) else ""
    return f"{found.mean:{sign}.{digits}f}{mark} ({found.low:{sign}.{digits}f} to {found.high:{sign}.{digits}f})"


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}
