"""The sentence at the top of the listening report: what can be heard, as far as the figures are clear."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from evaluation.metrics import METRICS
from evaluation.results import EvaluationResults
from evaluation.statistics import FEWEST_CLIPS
from evaluation.systems import GROUND_TRUTH

MOST_QUOTED = 4  # figures in the sentence; more would be a table


@dataclasses.dataclass(frozen=True)
class Verdict:
    """A sentence, and the figures that it rests on ("" if none)."""

    sentence: str
    figures: str = ""


def sum_up(results: EvaluationResults) -> Verdict:
    """Return a sentence on the pair of systems that the report is about, derived from paired differences."""
    other, system = results.pair
    count = results.count_clips(other, system)
    names = f"{system} and {other}" if other != GROUND_TRUTH else f"{system} and the recordings"
    if not count:
        return Verdict(f"There is nothing to compare: {names} have no clip in common.")
    if other == GROUND_TRUTH:
        return Verdict(f"Listen for any difference between {names}: if the blind test finds none, nothing was lost.")
    if count < FEWEST_CLIPS:
        clips = "1 clip is" if count == 1 else f"{count} clips are"
        return Verdict(f"Listen for yourself: {clips} too few to measure whether {system} or {other} is better.")
    clear = [name for name in results.names if results.advantage(system, other, name).is_clear]
    if not clear:
        return Verdict(f"No measurable difference: on these {count} clips, no figure tells {names} apart.")
    audible = [name for name in clear if _is_audible(results, name)]
    if not audible:
        leaders = list(dict.fromkeys(_leader(results, name) for name in clear))
        better = f"{leaders[0]} measures better" if len(leaders) == 1 else "each leads in some figures"
        sentence = f"Expect hardly any difference between {names}: {better}, but by very little."
        return Verdict(sentence, _quote(results, clear[:MOST_QUOTED]))
    gains = [name for name in audible if _leader(results, name) == system]
    losses = [name for name in audible if name not in gains]
    if gains and losses:
        gains, losses = gains[: MOST_QUOTED // 2], losses[: MOST_QUOTED // 2]
    quoted = [*gains, *losses][:MOST_QUOTED]
    gained = _join([cue.better for name in quoted if name in gains and (cue := METRICS[name].cue)])
    lost = _join([cue.worse for name in quoted if name in losses and (cue := METRICS[name].cue)])
    heard = ", but also for ".join(words for words in (gained, lost) if words)
    return Verdict(f"Compared with {other}, listen in {system} for {heard}.", _quote(results, quoted))


def _is_audible(results: EvaluationResults, name: str) -> bool:
    other, system = results.pair
    cue = METRICS[name].cue
    return cue is not None and abs(results.advantage(system, other, name).mean) >= cue.audible


def _leader(results: EvaluationResults, name: str) -> str:
    other, system = results.pair
    return system if results.advantage(system, other, name).mean > 0 else other


def _quote(results: EvaluationResults, names: Sequence[str]) -> str:
    """Return "new against old over 12 clips: mel L1 0.2412 against 0.2705; PESQ 3.10 against 2.90"."""
    other, system = results.pair
    figures = []
    for name in names:
        metric = METRICS[name]
        one, two = (f"{results.mean(which, name).mean:.{metric.digits}f}" for which in (system, other))
        figures.append(f"{metric.title} {one} against {two}")
    return f"{system} against {other} over {results.count_clips(system, other)} clips: {'; '.join(figures)}"


def _join(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
