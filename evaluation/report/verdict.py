"""The sentence at the top of the listening report: what can be heard, as far as the figures are clear."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from evaluation.metrics import NEITHER, Metric
from evaluation.results import BaseResults
from evaluation.spoken.metrics import WORD_ERRORS
from evaluation.statistics import FEWEST_CLIPS
from evaluation.systems import GROUND_TRUTH

MOST_QUOTED = 4  # figures in the sentence; more would be a table


@dataclasses.dataclass(frozen=True)
class Verdict:
    """A sentence, and the figures that it rests on ("" if none)."""

    sentence: str
    figures: str = ""


def sum_up(results: BaseResults) -> Verdict:
    """Return a sentence on the pair of systems that the report is about, derived from paired differences."""
    if results.pair is None:
        return _sum_up_alone(results)
    other, system = results.pair
    count = results.count_clips(other, system)
    names = f"{system} and {_called(other)}"
    if not count:
        return Verdict(f"There is nothing to compare: {names} have no clip in common.")
    if other == GROUND_TRUTH and results.recordings_are_ideal:
        return Verdict(f"Listen for any difference between {names}: if the blind test finds none, nothing was lost.")
    if count < FEWEST_CLIPS:
        clips = "1 clip is" if count == 1 else f"{count} clips are"
        return Verdict(f"Listen for yourself: {clips} too few to measure how {system} differs from {_called(other)}.")
    gaps = {name: results.advantage(system, other, name) for name in results.names}
    clear = {name: gap.mean for name, gap in gaps.items() if gap.is_clear}
    if not clear:
        return Verdict(f"No measurable difference: on these {count} clips, no figure tells {names} apart.")
    if any(_cue(results.metrics[name], gap) for name, gap in clear.items()):
        return _say_what_to_hear(results, results.pair, clear)
    leaders = {system if gap > 0 else _called(other) for name, gap in clear.items() if _is_ranked(results, name)}
    better = f"the figures of {leaders.pop()} are better" if len(leaders) == 1 else "figures differ"
    sentence = f"Expect hardly any difference between {names}: {better}, but by very little."
    return Verdict(sentence, _quote(results, results.pair, list(clear)[:MOST_QUOTED]))


def _say_what_to_hear(results: BaseResults, pair: tuple[str, str], clear: Mapping[str, float]) -> Verdict:
    """Name the audible differences of a pair, given the clear advantages of its second system by metric."""
    other, system = pair
    cues = {name: cue for name, gap in clear.items() if (cue := _cue(results.metrics[name], gap))}
    gains = [name for name in cues if _is_ranked(results, name) and clear[name] > 0]
    losses = [name for name in cues if _is_ranked(results, name) and clear[name] < 0]
    if gains and losses:
        gains, losses = gains[: MOST_QUOTED // 2], losses[: MOST_QUOTED // 2]
    others = [name for name in cues if not _is_ranked(results, name)]
    quoted = [*gains, *losses, *others][:MOST_QUOTED]
    gained, lost, besides = (
        _join([cues[name] for name in names if name in quoted]) for names in (gains, losses, others)
    )
    ranked = ", but also for ".join(filter(None, [gained, lost]))
    sentence = f"Compared with {_called(other)}, listen in {system} for {ranked or besides}."
    return Verdict(
        f"{sentence} It also has {besides}." if ranked and besides else sentence, _quote(results, pair, quoted)
    )


def _is_ranked(results: BaseResults, name: str) -> bool:
    return results.metrics[name].better is not NEITHER


def _cue(metric: Metric, gap: float) -> str:
    """Return what a system with this advantage sounds like, "" if it cannot be heard."""
    if metric.cue is None or abs(gap) < metric.cue.audible:
        return ""
    return metric.cue.better if gap > 0 else metric.cue.worse


def _sum_up_alone(results: BaseResults) -> Verdict:
    """Return the sentence on the only system, which speaks texts: there is nothing to compare it with."""
    (system,) = results.system_names
    name = _called(system)
    rate = results.mean(system, WORD_ERRORS) if WORD_ERRORS in results.names else None
    if rate is None or not rate.count:
        return Verdict(f"Listen to {name} for skipped or misread words, and for its melody.")
    if not rate.mean:
        return Verdict(f"The recogniser understood every word of {name}: listen for its melody.")
    return Verdict(f"Listen to {name} for the marked words: its word error rate is {rate.mean:.1f} %.")


def _called(system: str) -> str:
    return "the recordings" if system == GROUND_TRUTH else system


def _quote(results: BaseResults, pair: tuple[str, str], names: Sequence[str]) -> str:
    """Return "new against old over 12 clips: mel L1 0.2412 against 0.2705; PESQ 3.10 against 2.90"."""
    other, system = pair
    figures = []
    for name in names:
        metric = results.metrics[name]
        one, two = (f"{results.mean(which, name).mean:.{metric.digits}f}" for which in (system, other))
        figures.append(f"{metric.title} {one} against {two}")
    return f"{system} against {_called(other)} over {results.count_clips(system, other)} clips: {'; '.join(figures)}"


def _join(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
