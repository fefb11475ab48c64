"""The results of an evaluation of speech: the tables of all evaluations, and which words were misunderstood."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common.markdown import table
from evaluation.metrics import Metric
from evaluation.results import BaseResults, Key, csv_lines, markdown, plain_tables, write_files
from evaluation.spoken.metrics import SPOKEN_METRICS
from evaluation.spoken.word_errors import WordErrors
from evaluation.spoken.work import SpokenOutcome, SpokenPlan

WORST_TEXTS = 10  # of each system in the summary
WORD_COLUMNS = ("words", "substitutions", "deletions", "insertions", "text", "understood", "errors")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpokenResults(BaseResults):
    """Everything that tables and pages show of spoken texts.

    Attributes:
        plan: the work that was done.
        words: (system, name of a text) -> how its words were understood. Empty if that was not measured.
    """

    plan: SpokenPlan
    words: Mapping[Key, WordErrors]

    @property
    def metrics(self) -> Mapping[str, Metric]:
        return SPOKEN_METRICS

    @property
    def names(self) -> Sequence[str]:
        return self.plan.names

    @property
    def system_names(self) -> Sequence[str]:
        return [system.name for system in self.plan.systems]

    @property
    def clip_names(self) -> Sequence[str]:
        return [text.name for text in self.plan.texts]

    def worst(self, system: str) -> list[str]:
        """Return the names of a system's texts with the most word errors, the worst first, `WORST_TEXTS` at most."""
        wrong = [name for name in self.clip_names if (found := self.words.get((system, name))) and found.errors]
        return sorted(wrong, key=lambda name: -self.words[system, name].errors)[:WORST_TEXTS]


def gather_words(outcomes: Sequence[SpokenOutcome]) -> dict[Key, WordErrors]:
    """Map systems and names of texts to how their words were understood."""
    return {(outcome.system, outcome.clip): outcome.words for outcome in outcomes if outcome.words}


def spoken_to_plain(results: SpokenResults) -> dict[str, Any]:
    """Return everything as JSON values, with null for NaN and infinity."""
    plan = results.plan
    return {
        "header": dict(results.header),
        "peak_normalised": plan.normalise,
        "recogniser": plan.recogniser if plan.recogniser_model else None,
        "systems": [{**dataclasses.asdict(system), "is": system.describe()} for system in plan.systems],
        **plain_tables(results),
        "texts": {text.name: text.text for text in plan.texts},
        "word_errors": {system: dataclasses.asdict(_sum_up(results, system)) for system in results.system_names},
        "understood": [
            {"clip": clip, "system": system, "words": found.words, **dataclasses.asdict(found)}
            for (system, clip), found in results.words.items()
        ],
    }


def write_spoken(results: SpokenResults, folder: Path) -> None:
    """Write `results.json`, `results.csv` (one line for each text and system) and `summary.md`."""
    cells = {key: _word_cells(found) for key, found in results.words.items()}
    lines = csv_lines(results, WORD_COLUMNS if cells else (), cells)
    write_files(folder, spoken_to_plain(results), lines, spoken_markdown(results))


def _word_cells(found: WordErrors) -> list[object]:
    counts = (found.words, found.substitutions, found.deletions, found.insertions)
    return [*counts, found.reference, found.hypothesis, found.marked if found.errors else ""]


def spoken_markdown(results: SpokenResults) -> list[str]:
    """Return the lines of the tables, with the texts in which most words were misunderstood."""
    lines = markdown(results)
    if not results.words:
        return lines
    lines += ["", f"Word errors (recogniser {results.plan.recogniser}):", ""]
    lines += table(
        ["system", "texts", "words", "substituted", "missing", "added", "texts without an error"],
        [list(dataclasses.asdict(_sum_up(results, system)).values()) for system in results.system_names],
    )
    for system in results.system_names:
        if worst := results.worst(system):
            lines += ["", f"Most word errors of {system}: [-missing-], {{+added+}}, [-replaced-]{{+by+}}", ""]
            rows = [(name, results.words[system, name]) for name in worst]
            lines += table(
                ["text", "errors", "words", "what was understood"],
                [[name, found.errors, found.words, found.marked] for name, found in rows],
            )
    return lines


@dataclasses.dataclass(frozen=True)
class WordErrorSum:
    """Word errors of a system over all texts."""

    system: str
    texts: int
    words: int
    substitutions: int
    deletions: int
    insertions: int
    texts_without_error: int


def _sum_up(results: SpokenResults, system: str) -> WordErrorSum:
    found = [words for (name, _), words in results.words.items() if name == system]
    return WordErrorSum(
        system,
        len(found),
        sum(words.words for words in found),
        sum(words.substitutions for words in found),
        sum(words.deletions for words in found),
        sum(words.insertions for words in found),
        sum(not words.errors for words in found),
    )
