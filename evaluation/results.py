"""The results of an evaluation: figures by clip, means and differences, as JSON, CSV and Markdown."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from common.files.atomic import write_whole
from common.markdown import table
from evaluation.clips import Problem
from evaluation.metrics import METRICS, NEITHER, Metric
from evaluation.statistics import FEWEST_CLIPS, Interval, difference, interval
from evaluation.systems import GRIFFIN_LIM, GROUND_TRUTH, REFERENCES, generator_config
from evaluation.voicing import PitchContour
from evaluation.work import BasePlan, EvaluationPlan, Outcome

Key = tuple[str, str]  # system and clip


@dataclasses.dataclass(frozen=True)
class TableRow:
    """One row of a table: a system, the number of clips it covers, and an interval for each metric."""

    system: str
    clips: int
    intervals: Mapping[str, Interval]


@dataclasses.dataclass(frozen=True, kw_only=True)
class BaseResults:
    """Content of the tables and the page of any evaluation.

    Attributes:
        metrics: all metrics of this kind of evaluation, by name.
        recordings_are_ideal: the metrics compare with the recordings, whose own figures therefore mean nothing.
        header: machine, versions, commit, time and command.
        plan: the work that was done.
        skipped: metric -> why it was not measured.
        figures: (system, clip) -> metric -> figure, NaN where there is none.
        problems: everything that could not be evaluated.
        pitches: (system, clip) -> pitch. Empty if no metric needs it.
        baseline: the system that the others are compared with.
        seed: of the bootstrap intervals.
    """

    metrics: ClassVar[Mapping[str, Metric]]
    recordings_are_ideal: ClassVar[bool]
    header: Mapping[str, str]
    plan: BasePlan
    skipped: Mapping[str, str]
    figures: Mapping[Key, Mapping[str, float]]
    problems: Sequence[Problem]
    pitches: Mapping[Key, PitchContour]
    baseline: str
    seed: int

    @property
    def names(self) -> Sequence[str]:
        """Names of the metrics that were measured."""
        return self.plan.names

    @property
    def system_names(self) -> Sequence[str]:
        """The systems in the order of the tables."""
        return [system.name for system in self.plan.systems]

    @property
    def clip_names(self) -> Sequence[str]:
        """The clips in the order of the tables."""
        return self.plan.clip_names

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

    @property
    def pair(self) -> tuple[str, str] | None:
        """The two systems that the report is about: the one to compare with, and the last one given.

        The first is the baseline. Griffin-Lim and then the recordings take its place if there is only one system. None
        if that one is alone.
        """
        compared = [name for name in self.system_names if name not in (*REFERENCES, self.baseline)]
        if compared:
            return self.baseline, compared[-1]
        others = [name for name in dict.fromkeys((*REFERENCES, self.baseline)) if name in self.system_names]
        return (others[-2], others[-1]) if len(others) > 1 else None

    def advantage(self, system: str, other: str, name: str) -> Interval:
        """Return how much better `system` is than `other`, positive if it is, over the clips that both have."""
        weights = self._weights(system, name)
        return difference(self._badness(other, name), self._badness(system, name), self.seed, weights)

    def best(self, name: str) -> str | None:
        """Return the system with the best mean of a metric if that can be claimed, else None.

        Its interval must not overlap any other system's, and all must cover at least `FEWEST_CLIPS` clips. The
        recordings do not count. Griffin-Lim is never the best: it fits its spectrogram to the mel, so metrics that
        compare spectrograms rank it above systems that sound better.
        """
        if self.metrics[name].better is NEITHER:
            return None
        found = {
            system: interval(self._badness(system, name), self.seed, self._weights(system, name))
            for system in self.system_names
            if system != GROUND_TRUTH
        }
        found = {system: badness for system, badness in found.items() if badness.count}
        if len(found) < 2 or min(badness.count for badness in found.values()) < FEWEST_CLIPS:
            return None
        first, *others = sorted(found, key=lambda system: found[system].mean)
        if first == GRIFFIN_LIM or any(found[first].overlaps(found[other]) for other in others):
            return None
        return first

    def _badness(self, system: str, name: str) -> list[float]:
        """Return a system's figures for all clips, turned so that lower is better."""
        return [self.metrics[name].better.rank(value) for value in self.column(system, name)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationResults(BaseResults):
    """Results of resynthesised recordings."""

    metrics = METRICS
    recordings_are_ideal = True
    plan: EvaluationPlan


def gather(
    outcomes: Iterable[Outcome],
) -> tuple[dict[Key, dict[str, float]], list[Problem], dict[Key, PitchContour]]:
    """Return figures by system and clip (none for a clip that failed), all problems, and pitches by system and clip."""
    figures: dict[Key, dict[str, float]] = {}
    problems: list[Problem] = []
    pitches = {}
    for outcome in outcomes:
        problems += outcome.problems
        if all(problem.figure for problem in outcome.problems):
            figures.setdefault((outcome.system, outcome.clip), {}).update(outcome.figures)
        if outcome.pitch is not None:
            pitches[outcome.system, outcome.clip] = outcome.pitch
    return figures, problems, pitches


def to_plain(results: EvaluationResults) -> dict[str, Any]:
    """Return everything as JSON values, with null for NaN and infinity."""
    systems = [
        {
            **dataclasses.asdict(system),
            "is": system.describe(),
            "generator": generator_config(system, results.plan.device),
        }
        for system in results.plan.systems
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
