"""Order of the inference benchmark: what matters most comes first."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from benchmarks.inference.models import BenchmarkModel
from benchmarks.inference.rounds import Case
from benchmarks.inference.ways import WayMaker


@dataclasses.dataclass(frozen=True)
class InferenceStage:
    """A case of a model, and ways that run it in turn."""

    model: BenchmarkModel
    case: Case
    ways: Sequence[WayMaker]


def plan_stages(
    models: Sequence[BenchmarkModel], cases: Mapping[str, Sequence[Case]], cuda: bool
) -> list[InferenceStage]:
    """Return the stages.

    On GPUs: the first model's main case in 16 bits, then in other precisions, the other models' main cases, all other
    cases, and at last other programs, whose exports take long. On CPUs: models, cases and ways as they come.

    Args:
        models: to measure.
        cases: by the model's name.
        cuda: whether they are on a GPU.
    """
    if not cuda:
        return [InferenceStage(model, case, model.ways) for model in models for case in cases[model.name]]
    main = {name: _main_case(found) for name, found in cases.items()}
    first = models[0]
    pytorch = [way for way in first.ways if not way.is_runtime]
    stages = [
        InferenceStage(first, main[first.name], [way for way in pytorch if (way.precision == "fp16") == half])
        for half in (True, False)
    ]
    for is_runtime in (False, True):
        for is_main in (True, False):
            stages += [
                InferenceStage(model, case, [way for way in model.ways if way.is_runtime == is_runtime])
                for model in models
                for case in cases[model.name]
                if (case is main[model.name]) == is_main and (is_runtime or model is not first or not is_main)
            ]
    return [stage for stage in stages if stage.ways]


def _main_case(cases: Sequence[Case]) -> Case:
    """Return the smallest batch of the main length without a denoiser."""
    return min(cases, key=lambda case: (case.denoised, case.length, len(case.inputs)))
