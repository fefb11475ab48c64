"""The work of an evaluation of speech, in processes: each text is spoken by every system and measured."""

from __future__ import annotations

import dataclasses
import functools
import math
from pathlib import Path

import numpy as np

from common.audio_files import load_wav, normalise_peak
from common.errors import InputError, others_go_on
from common.machine.processes import describe_lost, map_in_processes
from common.recognition.word_errors import WordErrors
from evaluation.clips import MIN_SAMPLES, Problem, check_audible
from evaluation.metrics import compute_figures
from evaluation.spoken.metrics import SPOKEN_METRICS, WORD_ERRORS, SpokenClip
from evaluation.spoken.systems import SpeakingSystem, speak
from evaluation.spoken.texts import SpokenText
from evaluation.systems import GROUND_TRUTH
from evaluation.work import BasePlan, Outcome, save_measured


@dataclasses.dataclass(frozen=True)
class SpokenPlan(BasePlan):
    """Texts that systems speak. A clip is a spoken text and has its name.

    Attributes:
        texts: with their recordings.
        recogniser: name of the recogniser, as given.
        recogniser_model: folder of its model, or None if no metric needs it.
    """

    systems: tuple[SpeakingSystem, ...]
    texts: tuple[SpokenText, ...]
    recogniser: str
    recogniser_model: Path | None

    @property
    def clip_names(self) -> list[str]:
        return [text.name for text in self.texts]


@dataclasses.dataclass(frozen=True)
class SpokenOutcome(Outcome):
    """One text of one system, and how its words were understood if that was measured."""

    words: WordErrors | None = None


def judge(plan: SpokenPlan, jobs: int) -> list[SpokenOutcome]:
    """Let every system speak every text, write the audio, and measure it."""
    work = functools.partial(_judge_text, plan=plan)
    judged = map_in_processes(work, plan.texts, jobs, "speaking and measuring", functools.partial(_lost, plan=plan))
    return [outcome for outcomes in judged for outcome in outcomes]


def _judge_text(text: SpokenText, plan: SpokenPlan) -> list[SpokenOutcome]:
    outcomes = []
    recorded_sec = math.nan
    for system in plan.systems:
        if system.name == GROUND_TRUTH and not text.recording:
            continue
        problems: list[str] = []
        with others_go_on(text.name, problems):
            wav, sampling_rate = _obtain(text, system, plan)
            wav = _check(wav, f"{system.name}, {text.name}")
            wav = normalise_peak(wav) if plan.normalise else wav
            save_measured(plan.wav(system.name, text.name), wav, sampling_rate)
            clip = SpokenClip(wav, sampling_rate, text.text, plan.recogniser_model, recorded_sec)
            if system.name == GROUND_TRUTH:
                clip.recorded_sec = recorded_sec = clip.speech_sec
            outcomes.append(_measure(clip, text, system, plan))
        for problem in problems:
            outcomes.append(SpokenOutcome(text.name, system.name, {}, [Problem(text.name, system.name, problem)]))
    return outcomes


def _lost(text: SpokenText, plan: SpokenPlan) -> list[SpokenOutcome]:
    problem = describe_lost(Path(text.name))
    return [SpokenOutcome(text.name, s.name, {}, [Problem(text.name, s.name, problem)]) for s in plan.systems]


def _obtain(text: SpokenText, system: SpeakingSystem, plan: SpokenPlan) -> tuple[np.ndarray, int]:
    """Return the spoken text [T] and its sampling rate in Hz."""
    if system.voice:
        return speak(text.text, system.voice, text.speaker)
    path = plan.folder_files[system.name].get(text.name) if system.folder else text.recording
    if path is None:
        raise FileNotFoundError(f"{system.folder}: no audio file for {text.name}")
    return load_wav(path)


def _check(wav: np.ndarray, origin: str) -> np.ndarray:
    if len(wav) < MIN_SAMPLES:
        raise InputError(f"{origin}: {len(wav)} samples are too few to measure, the minimum is {MIN_SAMPLES}")
    return check_audible(np.asarray(wav, dtype=np.float64), origin)


def _measure(clip: SpokenClip, text: SpokenText, system: SpeakingSystem, plan: SpokenPlan) -> SpokenOutcome:
    figures, remarks = compute_figures(clip, plan.names, SPOKEN_METRICS)
    problems = [Problem(text.name, system.name, remark, remark.partition(":")[0]) for remark in remarks]
    words = None
    if WORD_ERRORS in plan.names and math.isfinite(figures[WORD_ERRORS]):
        words = clip.word_errors
        figures[SPOKEN_METRICS[WORD_ERRORS].weight] = words.words
    return SpokenOutcome(text.name, system.name, figures, problems, clip.tracked_pitch, words)
