"""The work of an evaluation, in processes: every system's copies as wav files, then the figures of each clip."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from common.audio import AudioConfig, MelSpectrogram
from common.audio_files import load_wav, save_wav
from common.errors import InputError
from common.machine.processes import map_in_processes
from common.training.sampling import ClipKey
from evaluation.clips import Clip, Problem, check_heard, load_copy, load_recording
from evaluation.metrics import SEGMENT_METRIC, Meter
from evaluation.spectra import mel_l1
from evaluation.systems import GROUND_TRUTH, System, copier
from hifigan.losses import MEL_WEIGHT
from hifigan.training.loaders import VALIDATION_SEED, VALIDATION_SEGMENTS
from hifigan.training.segments import SegmentDataset

VALIDATION_SEGMENT_SIZE = 8192  # of training, by default


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is to be done, for all processes.

    Attributes:
        clips: the recordings.
        systems: the recordings first.
        copies: system name -> clip name -> file, for systems that are folders.
        audio: the signal contract of everything.
        wavs: folder of the wav files that are made and measured, <system>/<clip>.wav.
        names: columns.
        normalise: bring recordings to a peak of 0.95.
        device: of the models.
        seed: of Griffin-Lim.
    """

    clips: tuple[Clip, ...]
    systems: tuple[System, ...]
    copies: dict[str, dict[str, Path]]
    audio: AudioConfig
    wavs: Path
    names: tuple[str, ...]
    normalise: bool
    device: torch.device
    seed: int

    def wav(self, system: str, clip: str) -> Path:
        return self.wavs / system / f"{clip}.wav"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Of one clip and system: figures by column, what went wrong, and the pitch in Hz of each frame if it was found."""

    clip: str
    system: str
    figures: dict[str, float]
    problems: list[Problem]
    pitch_hz: np.ndarray | None = None


def make_copies(plan: Plan, jobs: int) -> list[Outcome]:
    """Writes every system's copy of every clip, with the figure of the segments; recordings first.

    A recording that cannot be used is no item for the other systems.
    """
    work = functools.partial(_make_copy, plan=plan)
    recordings = [(clip, plan.systems[0]) for clip in plan.clips]
    outcomes = list(map_in_processes(work, recordings, jobs, "reading recordings"))
    usable = {outcome.clip for outcome in outcomes if not outcome.problems}
    items = [(clip, system) for system in plan.systems[1:] for clip in plan.clips if clip.name in usable]
    if plan.device.type == "cuda":  # this process has the GPU's models; they would take turns there anyway
        outcomes += map_in_processes(work, [item for item in items if item[1].is_model], 1, "making copies on the GPU")
        items = [item for item in items if not item[1].is_model]
    return outcomes + list(map_in_processes(work, items, jobs, "making copies"))


def measure(plan: Plan, made: Sequence[Outcome], jobs: int) -> list[Outcome]:
    """The figures of every copy that was made."""
    there: dict[str, list[str]] = {}
    for outcome in made:
        if not outcome.problems:
            there.setdefault(outcome.clip, []).append(outcome.system)
    work = functools.partial(_measure_clip, plan=plan)
    by_clip = map_in_processes(work, list(there.items()), jobs, "measuring")
    return [outcome for outcomes in by_clip for outcome in outcomes]


def _make_copy(item: tuple[Clip, System], plan: Plan) -> Outcome:
    clip, system = item
    figures: dict[str, float] = {}
    try:
        real, gain = load_recording(clip, plan.audio, plan.normalise)
        if system.name == GROUND_TRUTH:
            copy = real
            figures[SEGMENT_METRIC] = 0.0
        elif system.is_folder:
            path = plan.copies[system.name].get(clip.name)
            if path is None:
                raise FileNotFoundError(f"{system.source}: has no copy of {clip.name}")
            copy = check_heard(load_copy(path, len(real), gain, plan.audio.sampling_rate), str(path))
        else:
            vocode = copier(system, plan.audio, plan.device, plan.seed)
            copy = check_heard(vocode(real), f"{system.name}, {clip.name}")
            if SEGMENT_METRIC in plan.names:
                figures[SEGMENT_METRIC] = _segment_loss(clip, system, plan)
        save_wav(plan.wav(system.name, clip.name), copy, plan.audio.sampling_rate)
    except (InputError, FileNotFoundError) as error:
        return Outcome(clip.name, system.name, {}, [Problem(clip.name, system.name, str(error))])
    return Outcome(clip.name, system.name, figures, [])


def _segment_loss(clip: Clip, system: System, plan: Plan) -> float:
    """The validation loss of training for one clip: five segments, each vocoded from its own mel."""
    paths = [other.path for other in plan.clips[: clip.index]] + [clip.path]
    segments = SegmentDataset(paths, plan.audio, VALIDATION_SEGMENT_SIZE, VALIDATION_SEED)
    whole = segments.load(clip.index)
    vocode = copier(system, plan.audio, plan.device, plan.seed)
    mel = MelSpectrogram(dataclasses.replace(plan.audio, mel_fmax=None))
    losses = []
    for draw in range(VALIDATION_SEGMENTS):
        real = segments.cut(whole, ClipKey(clip.index, draw))[0].double().numpy()
        losses.append(mel_l1(real, vocode(real), mel))
    return MEL_WEIGHT * math.fsum(losses) / len(losses)


def _measure_clip(item: tuple[str, list[str]], plan: Plan) -> list[Outcome]:
    clip, systems = item
    real, _ = load_wav(plan.wav(GROUND_TRUTH, clip))
    meter = Meter(real, plan.audio, plan.names)
    outcomes = []
    for system in systems:
        fake = real if system == GROUND_TRUTH else load_wav(plan.wav(system, clip))[0]
        figures, remarks, pitch_hz = meter.measure(fake)
        problems = [Problem(clip, system, text, text.partition(":")[0]) for text in remarks]
        outcomes.append(Outcome(clip, system, figures, problems, pitch_hz))
    return outcomes
