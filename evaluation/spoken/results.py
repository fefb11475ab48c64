"""The results of an evaluation of speech: the tables of all evaluations, and which words were misunderstood."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common.markdown import table
from common.recognition.word_errors import LEGEND, WordErrors
from evaluation.results import BaseResults, Key, csv_lines, markdown, plain_tables, write_files
from evaluation.spoken.metrics import SPOKEN_METRICS
from evaluation.spoken.work import SpokenOutcome, SpokenPlan

WORST_TEXTS = 10  # of each system in the summary
TOTAL_TITLES = ("system", "texts", "words", "substituted", "missing", "added", "texts without an error")
WORST_TITLES = ("text", "errors", "words", "what was understood")
WORD_COLUMNS = ("words", "substitutions", "deletions", "insertions", "text", "understood", "errors")


@dataclasses.dataclass(frozen=True)
class WordTotal:
    """Word errors of a system over all texts."""

    system: str
    texts: int
    words: int
    substitutions: int
    deletions: int
    insertions: int
    texts_without_error: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpokenResults(BaseResults):
    """Results of spoken texts.

    Attributes:
        words: (system, name of a text) -> how its words were understood. Empty if that was not measured.
    """

    metrics = SPOKEN_METRICS
    recordings_are_ideal = False
    plan: SpokenPlan
    words: Mapping[Key, WordErrors]

    def worst(self, system: str) -> dict[str, WordErrors]:
        """Return a system's texts with the most word errors by name, the worst first, `WORST_TEXTS` at most."""
        wrong = {name: found for (other, name), found in self.words.items() if other == system and found.errors}
        return dict(sorted(wrong.items(), key=lambda item: -item[1].errors)[:WORST_TEXTS])

    def word_totals(self) -> list[WordTotal]:
        """Return the word errors of each system over all texts. Empty if they were not measured."""
        return [self._total(system) for system in self.system_names] if self.words else []

    def _total(self, system: str) -> WordTotal:
        found = [words for (name, _), words in self.words.items() if name == system]
        return WordTotal(
            system,
            len(found),
            sum(words.words for words in found),
            sum(words.substitutions for words in found),
            sum(words.deletions for words in found),
            sum(words.insertions for words in found),
            sum(not words.errors for words in found),
        )


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
        "word_errors": {total.system: dataclasses.asdict(total) for total in results.word_totals()},
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
    lines += table(TOTAL_TITLES, [list(dataclasses.asdict(total).values()) for total in results.word_totals()])
    for system in results.system_names:
        if worst := results.worst(system):
            lines += ["", f"Most word errors of {system}: {LEGEND}", ""]
            lines += table(
                WORST_TITLES, [[name, found.errors, found.words, found.marked] for name, found in worst.items()]
            )
    return lines
