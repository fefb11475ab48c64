"""The results of an evaluation: figures by clip, means and differences, as JSON, CSV and Markdown."""

from __future__ import annotations

import abc
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
from common.markdown import table
from evaluation.clips import Problem
from evaluation.metrics import METRICS, Metric
from evaluation.statistics import FEWEST_CLIPS, Interval, difference, interval
from evaluation.systems import GRIFFIN_LIM, GROUND_TRUTH, System, generator_config
from evaluation.work import EvaluationPlan, Outcome

Key = tuple[str, str]  # system and clip


@dataclasses.dataclass(frozen=True)
class TableRow:
    """One row of a table: a system, the number of clips it covers, and an interval for each metric."""

    system: str
    clips: int
    intervals: Mapping[str, Interval]


@dataclasses.dataclass(frozen=True, kw_only=True)
class BaseResults(abc.ABC):
    """Content of the tables of any evaluation.

    Attributes:
        header: machine, versions, commit, time and command.
        skipped: metric -> why it was not measured.
        figures: (system, clip) -> metric -> figure, NaN where there is none.
        problems: everything that could not be evaluated.
        baseline: the system that the others are compared with.
        seed: of the bootstrap intervals.
    """

    header: Mapping[str, str]
    skipped: Mapping[str, str]
    figures: Mapping[Key, Mapping[str, float]]
    problems: Sequence[Problem]
    baseline: str
    seed: int

    @property
    @abc.abstractmethod
    def metrics(self) -> Mapping[str, Metric]:
        """All metrics of this kind of evaluation, by name."""

    @property
    @abc.abstractmethod
    def names(self) -> Sequence[str]:
        """Names of the metrics that were measured."""

    @property
    @abc.abstractmethod
    def system_names(self) -> Sequence[str]:
        """The systems in the order of the tables."""

    @property
    @abc.abstractmethod
    def clip_names(self) -> Sequence[str]:
        """The clips in the order of the tables."""

    def column(self, system: str, name: str) -> list[float]:
        """Return a system's figures for all clips in order, NaN where there is none."""
        return [self.figures.get((system, clip), {}).get(name, math.nan) for clip in self.clip_names]

    def _weights(self, system: str, name: str) -> list[float] | None:
        weight = self.metrics[name].weight
        return self.column(system, weight) if weight else None

    def mean(self, system: str, name: str) -> Interval:
        return interval(self.column(system, name), self.seed, self._weights(system, name))

    def compare(self, system: str, other: str, name: str) -> Interval:
        """Return how far `system` is above `other`, over the clips that both have."""
        weights = self._weights(system, name)
        return difference(self.column(system, name), self.column(other, name), self.seed, weights)

    def count_clips(self, *systems: str) -> int:
        """Count the clips that have figures for all of these systems."""
        return sum(all((system, clip) in self.figures for system in systems) for clip in self.clip_names)

    def means(self) -> list[TableRow]:
        """Return a row of means for each system."""
        return [
            TableRow(name, self.count_clips(name), {metric: self.mean(name, metric) for metric in self.names})
            for name in self.system_names
        ]

    def differences(self) -> list[TableRow]:
        """Return a row of differences from the baseline for each other system."""
        return [
            TableRow(
                name,
                self.count_clips(name, self.baseline),
                {metric: self.compare(name, self.baseline, metric) for metric in self.names},
            )
            for name in self.system_names
            if name != self.baseline
        ]


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationResults(BaseResults):
    """Everything that tables and pages show of resynthesised recordings.

    Attributes:
        plan: the work that was done.
        pitches: (system, clip) -> pitch of each frame in Hz, 0 where unvoiced. Empty if no metric needs it.
    """

    plan: EvaluationPlan
    pitches: Mapping[Key, np.ndarray]

    @property
    def metrics(self) -> Mapping[str, Metric]:
        return METRICS

    @property
    def names(self) -> Sequence[str]:
        return self.plan.names

    @property
    def systems(self) -> Sequence[System]:
        return self.plan.systems

    @property
    def system_names(self) -> Sequence[str]:
        return [system.name for system in self.systems]

    @property
    def clip_names(self) -> Sequence[str]:
        return [clip.name for clip in self.plan.clips]

    @property
    def pair(self) -> tuple[str, str]:
        """The two systems that the report is about: the one to compare with, and the last one given.

        The first is the baseline. Griffin-Lim and then the recordings take its place if there is only one system.
        """
        names = [system.name for system in self.systems]
        compared = [name for name in names if name not in (GROUND_TRUTH, GRIFFIN_LIM, self.baseline)]
        if compared:
            return self.baseline, compared[-1]
        references = [name for name in names if name in (GROUND_TRUTH, GRIFFIN_LIM)]
        return (GROUND_TRUTH, GRIFFIN_LIM) if self.baseline in references else (references[-1], self.baseline)

    def advantage(self, system: str, other: str, name: str) -> Interval:
        """Return how much better `system` is than `other`, positive if it is, over the clips that both have."""
        return difference(self._badness(other, name), self._badness(system, name), self.seed)

    def best(self, name: str) -> str | None:
        """Return the system with the best mean of a metric if that can be claimed, else None.

        Its interval must not overlap any other system's, and all must cover at least `FEWEST_CLIPS` clips. The
        recordings do not count. Griffin-Lim is never the best: it fits its spectrogram to the mel, so metrics that
        compare spectrograms rank it above systems that sound better.
        """
        found = {s.name: interval(self._badness(s.name, name), self.seed) for s in self.systems}
        found = {system: badness for system, badness in found.items() if badness.count and system != GROUND_TRUTH}
        if len(found) < 2 or min(badness.count for badness in found.values()) < FEWEST_CLIPS:
            return None
        first, *others = sorted(found, key=lambda system: found[system].mean)
        if first == GRIFFIN_LIM or any(found[first].overlaps(found[other]) for other in others):
            return None
        return first

    def _badness(self, system: str, name: str) -> list[float]:
        """Return a system's figures for all clips, turned so that lower is better."""
        return [self.metrics[name].better.rank(value) for value in self.column(system, name)]


def gather(
    outcomes: Iterable[Outcome],
) -> tuple[dict[Key, dict[str, float]], list[Problem], dict[Key, np.ndarray]]:
    """Return figures by system and clip (none for a clip that failed), all problems, and pitches by system and clip."""
    figures: dict[Key, dict[str, float]] = {}
    problems: list[Problem] = []
    pitches = {}
    for outcome in outcomes:
        problems += outcome.problems
        if all(problem.figure for problem in outcome.problems):
            figures.setdefault((outcome.system, outcome.clip), {}).update(outcome.figures)
        if outcome.pitch_hz is not None:
            pitches[outcome.system, outcome.clip] = outcome.pitch_hz
    return figures, problems, pitches


def to_plain(results: EvaluationResults) -> dict[str, Any]:
    """Return everything as JSON values, with null for NaN and infinity."""
    systems = [
        {
            **dataclasses.asdict(system),
            "is": system.describe(),
            "generator": generator_config(system, results.plan.device),
        }
        for system in results.systems
    ]
    audio = {"audio": dataclasses.asdict(results.plan.audio), "peak_normalised": results.plan.normalise}
    return {"header": dict(results.header), **audio, "systems": systems, **plain_tables(results)}


def plain_tables(results: BaseResults) -> dict[str, Any]:
    """Return metrics, means, differences, figures and problems as JSON values, with null for NaN and infinity."""
    names, systems = results.names, results.system_names
    pairs = [(one, other) for i, other in enumerate(systems) for one in systems[i + 1 :]]
    return {
        "seed": results.seed,
        "baseline": results.baseline,
        "metrics": {name: _plain_metric(results.metrics[name]) for name in names},
        "left_out": dict(results.skipped),
        "means": {
            system: {name: _plain(dataclasses.asdict(results.mean(system, name))) for name in names}
            for system in systems
        },
        "differences": [
            {"system": one, "minus": other}
            | {name: _plain(dataclasses.asdict(results.compare(one, other, name))) for name in names}
            for one, other in pairs
        ],
        "clips": [
            {"clip": clip, "system": system, **_plain({name: row.get(name, math.nan) for name in names})}
            for (system, clip), row in results.figures.items()
        ],
        "problems": [dataclasses.asdict(problem) for problem in results.problems],
    }


def _plain_metric(metric: Metric) -> dict[str, Any]:
    return {
        "title": metric.title,
        "better": metric.better.name,
        "says": metric.description,
        "package": " ".join(metric.packages),
        "digits": metric.digits,
    }


def write(results: EvaluationResults, folder: Path) -> None:
    """Write `results.json`, `results.csv` (one line for each clip and system) and `summary.md`."""
    write_files(folder, to_plain(results), csv_lines(results, (), {}), markdown(results))


def write_files(folder: Path, plain: Mapping[str, Any], csv_text: str, summary: Sequence[str]) -> None:
    """Write the three files of any evaluation from their contents."""
    write_whole(folder / "results.json", (json.dumps(plain, indent=1, allow_nan=False) + "\n").encode())
    write_whole(folder / "results.csv", csv_text.encode())
    write_whole(folder / "summary.md", ("\n".join(summary) + "\n").encode())


def csv_lines(results: BaseResults, columns: Sequence[str], cells: Mapping[Key, Sequence[object]]) -> str:
    """Return one line for each system and clip: figures, more `columns` with `cells` by system and clip, problems."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["clip", "system", *results.names, *columns, "problem"])
    for system in results.system_names:
        for clip in results.clip_names:
            row = results.figures.get((system, clip), {})
            values = [row.get(name, math.nan) for name in results.names]
            reasons = [p.reason for p in results.problems if (p.clip, p.system) == (clip, system)]
            numbers = [f"{value:.6g}" if math.isfinite(value) else "" for value in values]
            more = cells.get((system, clip), [""] * len(columns))
            writer.writerow([clip, system, *numbers, *more, "; ".join(reasons)])
    return text.getvalue()


def markdown(results: BaseResults) -> list[str]:
    """Return the lines of the tables of means and of differences (if there are several systems), with a legend."""
    lines = _table(results, results.means())
    if differences := results.differences():
        lines += [
            "",
            f"Differences from {results.baseline}, over the clips that both have (an asterisk: the interval "
            f"excludes 0, over at least {FEWEST_CLIPS} clips):",
            "",
            *_table(results, differences, signed=True),
        ]
    if any(" [" in line for line in lines):
        lines += ["", "In square brackets: how many clips have a figure, where not all of them do."]
    lines += ["", "Columns:", ""]
    metrics = results.metrics
    lines += [f"- {metrics[name].title}: {metrics[name].description}" for name in results.names]
    lines += [f"- {metrics[name].title}: not measured, {reason}" for name, reason in results.skipped.items()]
    return lines


def _table(results: BaseResults, rows: Sequence[TableRow], signed: bool = False) -> list[str]:
    titles = [results.metrics[name].title for name in results.names]
    lines = []
    for row in rows:
        cells = [
            format_interval(found, results.metrics[name].digits, signed)
            + (f" [{found.count}]" if 0 < found.count < row.clips else "")
            for name, found in row.intervals.items()
        ]
        lines.append([f"{row.system} ({row.clips})", *cells])
    return table(["system", *titles], lines)


def format_interval(found: Interval, digits: int, signed: bool = False) -> str:
    """Return "3.64 (3.60 to 3.68)". Differences have a sign, and an asterisk if they are clear."""
    if not found.count:
        return "-"
    mean, low, high = (f"{value:{'+' if signed else ''}.{digits}f}" for value in (found.mean, found.low, found.high))
    return f"{mean}{'*' if signed and found.is_clear else ''} ({low} to {high})"


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}
