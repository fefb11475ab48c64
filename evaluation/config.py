"""What `evaluate.py` can be told."""

from __future__ import annotations

import dataclasses

from common.cli import flag, not_negative
from common.errors import InputError
from common.machine.hardware import available_cores
from evaluation.metrics import METRICS


@dataclasses.dataclass(frozen=True)
class EvaluationConfig:
    """What is compared with what, how, and where the results go."""

    reference: str = flag("", "recordings: a folder of audio files, or a file list (required)", short=("-i",))
    output: str = flag("output/evaluation", "directory for tables and wav files", short=("-o",))
    dataset_path: str = flag(
        "data/LJSpeech-1.1", "directory that the paths of a file list are relative to", short=("-d",)
    )
    clips: int = flag(0, "take only the first so many recordings; 0 is all")
    metrics: tuple[str, ...] = flag((), "only these columns; without it, all whose libraries are there")
    baseline: str = flag("", "system that the others are compared with; without it, the first one")
    normalise: bool = flag(True, "bring each recording to a peak of 0.95, as in training")
    jobs: int = flag(0, "processes; 0 is one for each core")
    cuda: bool = flag(False, "run checkpoints on the GPU (without it: on the CPU)")
    seed: int = flag(1234, "of the intervals and of Griffin-Lim")
    report: str = flag("", "directory for a page to listen to, which opens from the disk: DIR/index.html")
    report_clips: int = flag(8, "recordings on that page, evenly chosen; 0 is all")
    logs: tuple[str, ...] = flag(
        (), "nvlog.json files, or run directories, whose curves the page shows", only_with="report"
    )

    def __post_init__(self) -> None:
        if not self.reference:
            raise InputError("-i: is required (see evaluate.py --help)")
        if not self.output:
            raise InputError("-o: names no directory")
        not_negative(clips=self.clips, jobs=self.jobs, seed=self.seed, report_clips=self.report_clips)
        if unknown := [name for name in self.metrics if name not in METRICS]:
            raise InputError(f"--metrics: {unknown[0]} is none of {' '.join(METRICS)}")

    @property
    def num_jobs(self) -> int:
        return self.jobs or available_cores()
