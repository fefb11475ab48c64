"""Results of evaluations whose figures a test chooses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from common.audio import AudioConfig
from evaluation.clips import Clip
from evaluation.results import EvaluationResults
from evaluation.systems import GROUND_TRUTH, System
from evaluation.work import EvaluationPlan


def make_results(figures: Mapping[str, Mapping[str, Sequence[float]]], baseline: str) -> EvaluationResults:
    """Return results without audio.

    Args:
        figures: system -> metric -> one figure for each clip. The recordings are added in front if missing.
        baseline: the system that the others are compared with.
    """
    figures = {GROUND_TRUTH: {name: [0.0] for name in next(iter(figures.values()))}, **figures}
    names = tuple(next(iter(figures.values())))
    count = max(len(values) for system in figures.values() for values in system.values())
    clips = tuple(Clip(f"clip{i}", Path(f"clip{i}.wav"), i) for i in range(count))
    by_clip = {
        (system, clip.name): {name: values[min(i, len(values) - 1)] for name, values in columns.items()}
        for system, columns in figures.items()
        for i, clip in enumerate(clips)
    }
    plan = EvaluationPlan(
        clips=clips,
        systems=tuple(System(name) for name in figures),
        folder_files={},
        audio=AudioConfig(),
        wavs=Path("wavs"),
        names=names,
        normalise=True,
        device=torch.device("cpu"),
        seed=0,
    )
    return EvaluationResults(
        header={}, plan=plan, skipped={}, figures=by_clip, problems=[], pitches={}, baseline=baseline, seed=0
    )
