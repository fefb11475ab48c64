"""Results of evaluations whose figures a test chooses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from common.audio import AudioConfig
from common.recognition.word_errors import WordErrors
from evaluation.clips import Clip
from evaluation.results import EvaluationResults, Key
from evaluation.spoken.results import SpokenResults
from evaluation.spoken.systems import SpeakingSystem
from evaluation.spoken.texts import SpokenText
from evaluation.spoken.work import SpokenPlan
from evaluation.systems import GROUND_TRUTH, System
from evaluation.work import EvaluationPlan


def make_results(figures: Mapping[str, Mapping[str, Sequence[float]]], baseline: str) -> EvaluationResults:
    """Return results of copy synthesis without audio.

    Args:
        figures: system -> metric -> one figure for each clip. The recordings are added in front if missing.
        baseline: the system that the others are compared with.
    """
    figures = {GROUND_TRUTH: {name: [0.0] for name in next(iter(figures.values()))}, **figures}
    clips, by_clip = _by_clip(figures)
    plan = EvaluationPlan(
        clips=tuple(Clip(name, Path(f"{name}.wav"), i) for i, name in enumerate(clips)),
        systems=tuple(System(name) for name in figures),
        folder_files={},
        audio=AudioConfig(),
        wavs=Path("wavs"),
        names=tuple(next(iter(figures.values()))),
        normalise=True,
        device=torch.device("cpu"),
        seed=0,
    )
    return EvaluationResults(
        header={}, plan=plan, skipped={}, figures=by_clip, problems=[], pitches={}, baseline=baseline, seed=0
    )


def make_spoken_results(
    figures: Mapping[str, Mapping[str, Sequence[float]]], baseline: str, words: Mapping[Key, WordErrors] | None = None
) -> SpokenResults:
    """Return results of spoken texts without audio.

    Args:
        figures: system -> metric -> one figure for each text. Word error rates come with "words", their weights.
        baseline: the system that the others are compared with.
        words: (system, text) -> how its words were understood.
    """
    clips, by_clip = _by_clip(figures)
    plan = SpokenPlan(
        texts=tuple(SpokenText(name, f"Text of {name}.") for name in clips),
        systems=tuple(SpeakingSystem(name, folder="" if name == GROUND_TRUTH else name) for name in figures),
        folder_files={},
        wavs=Path("wavs"),
        names=tuple(name for name in next(iter(figures.values())) if name != "words"),
        normalise=True,
        recogniser="base",
        recogniser_model=Path("base") if words else None,
    )
    return SpokenResults(
        header={},
        plan=plan,
        skipped={},
        figures=by_clip,
        problems=[],
        pitches={},
        words=words or {},
        baseline=baseline,
        seed=0,
    )


def _by_clip(
    figures: Mapping[str, Mapping[str, Sequence[float]]],
) -> tuple[list[str], dict[Key, dict[str, float]]]:
    """Return the names of the clips, and the figures by system and clip. The last figure of a column repeats."""
    count = max(len(values) for system in figures.values() for values in system.values())
    clips = [f"clip{i}" for i in range(count)]
    return clips, {
        (system, clip): {name: values[min(i, len(values) - 1)] for name, values in columns.items()}
        for system, columns in figures.items()
        for i, clip in enumerate(clips)
    }
