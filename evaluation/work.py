"""The work of an evaluation, in processes: resynthesise every clip with every system, then measure the results."""

from __future__ import annotations

import abc
import dataclasses
import functools
import logging
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from common.audio import AudioConfig, MelSpectrogram
from common.audio_files import PEAK, describe_clipping, find_peak, load_wav, save_wav
from common.errors import others_go_on
from common.machine.processes import describe_lost, map_in_processes
from common.training.sampling import ClipKey
from evaluation.clips import Clip, Problem, check_audible, load_recording, load_resynthesised
from evaluation.metrics import SEGMENT_METRIC, ReferenceClip, measure_clip
from evaluation.spectra import mel_l1
from evaluation.systems import GROUND_TRUTH, BaseSystem, System, make_resynthesiser
from evaluation.voicing import PitchContour
from hifigan.losses import MEL_WEIGHT
from hifigan.training.loaders import VALIDATION_SEED, VALIDATION_SEGMENTS
from hifigan.training.segments import SegmentDataset

log = logging.getLogger(__name__)

VALIDATION_SEGMENT_SAMPLES = 8192  # the default of training


@dataclasses.dataclass(frozen=True)
class BasePlan(abc.ABC):
    """The work of any evaluation, as every process needs it.

    Attributes:
        systems: the recordings first, if there are any.
        folder_files: system name -> clip name -> file, for systems that are folders.
        wavs: folder for the measured audio, <system>/<clip>.wav.
        names: metrics to measure.
        normalise: scale recordings and spoken texts to a peak of 0.95.
    """

    systems: tuple[BaseSystem, ...]
    folder_files: dict[str, dict[str, Path]]
    wavs: Path
    names: tuple[str, ...]
    normalise: bool

    @property
    @abc.abstractmethod
    def clip_names(self) -> list[str]:
        """The clips in the order of the tables."""

    def wav(self, system: str, clip: str) -> Path:
        return self.wavs / system / f"{clip}.wav"

    def all_wavs(self) -> list[Path]:
        return [self.wav(system.name, clip) for system in self.systems for clip in self.clip_names]


@dataclasses.dataclass(frozen=True)
class EvaluationPlan(BasePlan):
    """Copy synthesis of recordings.

    Attributes:
        clips: the recordings.
        audio: the signal contract of all clips and systems.
        device: of the models.
        seed: of Griffin-Lim.
    """

    systems: tuple[System, ...]
    clips: tuple[Clip, ...]
    audio: AudioConfig
    device: torch.device
    seed: int

    @property
    def clip_names(self) -> list[str]:
        return [clip.name for clip in self.clips]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """One clip of one system: figures by metric, problems, and the pitch if it was tracked."""

    clip: str
    system: str
    figures: dict[str, float]
    problems: list[Problem]
    pitch: PitchContour | None = None


def resynthesise(plan: EvaluationPlan, jobs: int) -> list[Outcome]:
    """Write every system's version of every clip, the recordings first, and measure `SEGMENT_METRIC`.

    A recording that cannot be used is a problem of its own and is skipped for all other systems.
    """
    work = functools.partial(_resynthesise_clip, plan=plan)
    lost = None if plan.device.type == "cuda" else _resynthesis_lost  # each process would load CUDA
    recordings = [(clip, plan.systems[0]) for clip in plan.clips]
    outcomes = list(map_in_processes(work, recordings, jobs, "reading recordings", lost))
    usable = {outcome.clip for outcome in outcomes if not outcome.problems}
    items = [(clip, system) for system in plan.systems[1:] for clip in plan.clips if clip.name in usable]
    if plan.device.type == "cuda":  # this process has loaded the models, and several would only take turns on the GPU
        outcomes += map_in_processes(work, [item for item in items if item[1].is_model], 1, "resynthesising on the GPU")
        items = [item for item in items if not item[1].is_model]
    return outcomes + list(map_in_processes(work, items, jobs, "resynthesising", lost))


def measure(plan: EvaluationPlan, resynthesised: Sequence[Outcome], jobs: int) -> list[Outcome]:
    """Measure everything that `resynthesise` has written."""
    systems_by_clip: dict[str, list[str]] = {}
    for outcome in resynthesised:
        if not outcome.problems:
            systems_by_clip.setdefault(outcome.clip, []).append(outcome.system)
    work = functools.partial(_measure_clip, plan=plan)
    measured = map_in_processes(work, list(systems_by_clip.items()), jobs, "measuring", _measuring_lost)
    return [outcome for outcomes in measured for outcome in outcomes]


def _resynthesise_clip(item: tuple[Clip, System], plan: EvaluationPlan) -> Outcome:
    clip, system = item
    figures: dict[str, float] = {}
    problems: list[str] = []
    with others_go_on(clip.name, problems):
        real, gain = load_recording(clip, plan.audio, plan.normalise)
        if system.name == GROUND_TRUTH:
            fake = real
            figures[SEGMENT_METRIC] = 0.0
        elif system.is_folder:
            path = plan.folder_files[system.name].get(clip.name)
            if path is None:
                raise FileNotFoundError(f"{system.source}: no audio file for {clip.name}")
            fake = check_audible(load_resynthesised(path, len(real), gain, plan.audio.sampling_rate), str(path))
        else:
            vocode = make_resynthesiser(system, plan.audio, plan.device, plan.seed)
            level = find_peak(real) / PEAK  # vocoders get the peak of their training, as in copy synthesis
            fake = check_audible(vocode(real / level) * level, f"{system.name}, {clip.name}")
            if SEGMENT_METRIC in plan.names:
                figures[SEGMENT_METRIC] = _segment_loss(clip, system, plan)
        save_measured(plan.wav(system.name, clip.name), fake, plan.audio.sampling_rate)
        return Outcome(clip.name, system.name, figures, [])
    return Outcome(clip.name, system.name, {}, [Problem(clip.name, system.name, problems[0])])


def _resynthesis_lost(item: tuple[Clip, System]) -> Outcome:
    clip, system = item
    return Outcome(clip.name, system.name, {}, [Problem(clip.name, system.name, describe_lost(Path(clip.name)))])


def _measuring_lost(item: tuple[str, list[str]]) -> list[Outcome]:
    clip, systems = item
    return [Outcome(clip, system, {}, [Problem(clip, system, describe_lost(Path(clip)))]) for system in systems]


def save_measured(path: Path, wav: np.ndarray, sampling_rate: int) -> None:
    """Write the audio [T] that is measured, with a remark in the log if it exceeds full scale."""
    if clipped := save_wav(path, wav, sampling_rate):
        log.warning("%s", describe_clipping({str(path): clipped}))


def _segment_loss(clip: Clip, system: System, plan: EvaluationPlan) -> float:
    """Return training's validation loss for one clip: five segments, each vocoded from its own mel."""
    paths = [other.path for other in plan.clips[: clip.index]] + [clip.path]
    segments = SegmentDataset(paths, plan.audio, VALIDATION_SEGMENT_SAMPLES, VALIDATION_SEED)
    whole = segments.load(clip.index)
    vocode = make_resynthesiser(system, plan.audio, plan.device, plan.seed)
    mel = MelSpectrogram(dataclasses.replace(plan.audio, mel_fmax=None))
    losses = []
    for draw in range(VALIDATION_SEGMENTS):
        real = segments.cut(whole, ClipKey(clip.index, draw))[0].double().numpy()
        losses.append(mel_l1(real, vocode(real), mel))
    return MEL_WEIGHT * math.fsum(losses) / len(losses)


def _measure_clip(item: tuple[str, list[str]], plan: EvaluationPlan) -> list[Outcome]:
    clip, systems = item
    real, _ = load_wav(plan.wav(GROUND_TRUTH, clip))
    reference = ReferenceClip(real, plan.audio)
    outcomes = []
    for system in systems:
        broken: list[str] = []
        with others_go_on(plan.wav(system, clip), broken):
            fake = real if system == GROUND_TRUTH else load_wav(plan.wav(system, clip))[0]
            figures, remarks, pitch = measure_clip(reference, fake, plan.names)
            problems = [Problem(clip, system, text, text.partition(":")[0]) for text in remarks]
            outcomes.append(Outcome(clip, system, figures, problems, pitch))
        outcomes += [Outcome(clip, system, {}, [Problem(clip, system, text)]) for text in broken]
    return outcomes
