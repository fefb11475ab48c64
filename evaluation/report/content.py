"""Texts, transcripts and set-up that a listening report shows beside the figures, for both kinds of evaluation."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from common.recognition.word_errors import WordErrors
from evaluation.clips import find_transcripts
from evaluation.config import EvaluationConfig
from evaluation.report.explain import explain, explain_speaker
from evaluation.results import EvaluationResults, Key
from evaluation.spoken.results import SpokenResults, WordTotal
from evaluation.systems import generator_config


@dataclasses.dataclass(frozen=True)
class Content:
    """The texts of a report.

    Attributes:
        texts: clip -> what is said in it, where that is known.
        explanations: system -> what makes its audio, one line.
        measurement: how the audio was prepared and judged, for the set-up.
        mels: the mel spectrograms of copy synthesis, for the set-up.
        generators: system -> architecture of its generator, for the set-up.
        words: (system, clip) -> how its words were understood. Empty if that was not measured.
        word_totals: word errors of each system over all texts, or empty.
        worst: system -> its clips with the most word errors, the worst first.
    """

    texts: Mapping[str, str]
    explanations: Mapping[str, str]
    measurement: Mapping[str, object]
    mels: Mapping[str, object] = dataclasses.field(default_factory=dict)
    generators: Mapping[str, Mapping[str, object]] = dataclasses.field(default_factory=dict)
    words: Mapping[Key, WordErrors] = dataclasses.field(default_factory=dict)
    word_totals: Sequence[WordTotal] = ()
    worst: Mapping[str, Mapping[str, WordErrors]] = dataclasses.field(default_factory=dict)


def describe_copies(results: EvaluationResults, cfg: EvaluationConfig) -> Content:
    """Return the content of a report on resynthesised recordings."""
    plan = results.plan
    by_file_name = find_transcripts(Path(cfg.reference), Path(cfg.dataset_path))
    return Content(
        texts={name: by_file_name.get(Path(name).name, "") for name in plan.clip_names},
        explanations={system.name: explain(system, plan.device) for system in plan.systems},
        measurement={"recordings": f"{'scaled to a peak of 0.95 and ' if plan.normalise else ''}cut to whole hops"},
        mels=dataclasses.asdict(plan.audio),
        generators={system.name: generator_config(system, plan.device) for system in plan.systems},
    )


def describe_speech(results: SpokenResults) -> Content:
    """Return the content of a report on spoken texts."""
    plan = results.plan
    return Content(
        texts={text.name: text.text for text in plan.texts},
        explanations={system.name: explain_speaker(system) for system in plan.systems},
        measurement={
            "audio": "scaled to a peak of 0.95" if plan.normalise else "at its own level",
            **({"recogniser": plan.recogniser} if plan.recogniser_model else {}),
        },
        words=results.words,
        word_totals=results.word_totals(),
        worst={system: worst for system in results.system_names if (worst := results.worst(system))},
    )
