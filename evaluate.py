"""Measure how well systems resynthesise recordings or speak texts, in figures and on a page. See --help."""

from __future__ import annotations

import dataclasses
import logging
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from common.cli import check_command_line, is_started, run
from evaluation.config import EvaluationConfig, parse

if is_started(__name__):  # before PyTorch is imported, which takes seconds
    check_command_line(parse, "evaluate.py")

import torch

from common import distributed
from common.audio_config import AudioConfig
from common.data.mel_files import differences
from common.errors import InputError, first_three
from common.files.locks import alone_in
from common.machine import hardware
from common.mel_contract import MelContract, in_words
from common.project import command
from common.recognition.whisper import find_model
from evaluation import results as tables
from evaluation.clips import Problem, common_rate, find_clips, find_resynthesised, match_files
from evaluation.metrics import METRICS, choose_metrics
from evaluation.report.content import describe_copies, describe_speech
from evaluation.report.write import read_logs, write_report
from evaluation.results import EvaluationResults
from evaluation.spoken import results as spoken_tables
from evaluation.spoken.metrics import SPOKEN_METRICS, WORD_ERRORS
from evaluation.spoken.results import SpokenResults
from evaluation.spoken.systems import SpeakingSystem, parse_speaking_systems
from evaluation.spoken.texts import read_texts
from evaluation.spoken.work import SpokenPlan, judge
from evaluation.systems import GROUND_TRUTH, System, load_audio_config, parse_systems
from evaluation.work import EvaluationPlan, measure, resynthesise

log = logging.getLogger(__name__)
# The figures depend on the versions of these packages.
PACKAGES = ("numpy", "librosa", *(package for metric in METRICS.values() for package in metric.packages))
SPOKEN_PACKAGES = (
    *("numpy", "librosa", "ctranslate2"),
    *(package for metric in SPOKEN_METRICS.values() for package in metric.packages),
)


def main(argv: Sequence[str] | None = None) -> int:
    words = sys.argv[1:] if argv is None else list(argv)
    cfg, systems = parse(words)
    distributed.select_device(cfg.cuda)  # whose errors should come before any download
    problems = (evaluate_speech if cfg.texts else evaluate_copies)(cfg, systems, words)
    log.info("results: %s", cfg.output)
    if problems:
        reasons = [f"{problem.system}, {problem.clip}: {problem.reason}" for problem in problems]
        raise InputError(
            f"{len(problems)} problem{'s' if len(problems) > 1 else ''}; the rest was evaluated "
            f"(all are listed in {Path(cfg.output) / 'results.csv'}): {first_three(reasons)}"
        )
    return 0


def evaluate_copies(cfg: EvaluationConfig, systems: Sequence[str], words: Sequence[str]) -> Sequence[Problem]:
    """Resynthesise the recordings with all systems, write the results, and return the problems."""
    plan, skipped = make_plan(cfg, parse_systems(systems))
    with alone_in(Path(cfg.output), "give another -o", plan.all_wavs()):
        warn_of_skipped(skipped)
        header = describe_measurement(plan.device, words, PACKAGES)
        outcomes = resynthesise(plan, cfg.num_jobs)
        figures, problems, pitches = tables.gather(outcomes + measure(plan, outcomes, cfg.num_jobs))
        check_not_empty(figures, problems)
        results = EvaluationResults(
            header=header,
            plan=plan,
            skipped=skipped,
            figures=figures,
            problems=problems,
            pitches=pitches,
            baseline=cfg.baseline or plan.systems[1].name,
            seed=cfg.seed,
        )
        tables.write(results, Path(cfg.output))
        print("\n".join([*hardware.markdown(header), "", *tables.markdown(results)]))
        if cfg.report:
            write_report(results, describe_copies(results, cfg), cfg)
        return problems


def evaluate_speech(cfg: EvaluationConfig, systems: Sequence[str], words: Sequence[str]) -> Sequence[Problem]:
    """Let all systems speak the texts, write the results, and return the problems."""
    plan, skipped = make_spoken_plan(cfg, parse_speaking_systems(systems))
    with alone_in(Path(cfg.output), "give another -o", plan.all_wavs()):
        warn_of_skipped(skipped)
        header = describe_measurement(torch.device("cpu"), words, SPOKEN_PACKAGES)
        outcomes = judge(plan, cfg.num_jobs)
        names = [system.name for system in plan.systems]
        figures, problems, pitches = tables.gather(outcomes)
        check_not_empty(figures, problems)
        results = SpokenResults(
            header=header,
            plan=plan,
            skipped=skipped,
            figures=figures,
            problems=problems,
            pitches=pitches,
            words=spoken_tables.gather_words(outcomes),
            baseline=cfg.baseline or next((name for name in names if name != GROUND_TRUTH), GROUND_TRUTH),
            seed=cfg.seed,
        )
        spoken_tables.write_spoken(results, Path(cfg.output))
        print("\n".join([*hardware.markdown(header), "", *spoken_tables.spoken_markdown(results)]))
        if cfg.report:
            write_report(results, describe_speech(results), cfg)
        return problems


def warn_of_skipped(skipped: Mapping[str, str]) -> None:
    for name, reason in skipped.items():
        log.warning("%s is not measured: %s", name, reason)


def describe_measurement(device: torch.device, words: Sequence[str], packages: Sequence[str]) -> dict[str, str]:
    """Return machine, versions, commit, time and command."""
    header = hardware.describe(device, "evaluate", words, packages)
    return {**header, "command": f"python evaluate.py {shlex.join(words)}"}


def check_not_empty(figures: Mapping[tables.Key, object], problems: Sequence[Problem]) -> None:
    """Raise InputError if nothing has figures."""
    if not figures:
        raise InputError(f"nothing could be evaluated: {first_three([problem.reason for problem in problems])}")


def make_spoken_plan(cfg: EvaluationConfig, given: Sequence[SpeakingSystem]) -> tuple[SpokenPlan, dict[str, str]]:
    """Check the input before any work starts. Return the plan, and the reason for each skipped metric.

    Raises:
        InputError: nothing to judge, an unknown baseline, no usable input, or output inside an input folder.
    """
    chosen, skipped = choose_metrics(cfg.metrics, SPOKEN_METRICS)
    reference = Path(cfg.reference) if cfg.reference else None
    texts = read_texts(Path(cfg.texts), reference, Path(cfg.dataset_path), cfg.clips)
    recordings = [SpeakingSystem(GROUND_TRUTH)] if any(text.recording for text in texts) else []
    systems = [*recordings, *given]
    if not systems:
        raise InputError(
            f"--system: give at least one system that speaks the texts (see {command('python evaluate.py')} --help)"
        )
    check_baseline(cfg.baseline, [system.name for system in systems])
    read_logs(cfg.logs)
    folders = {system.name: Path(system.folder) for system in systems if system.folder}
    check_outputs(cfg, [*folders.values(), *([reference] if reference else [])])
    return SpokenPlan(
        texts=tuple(texts),
        systems=tuple(systems),
        folder_files={
            name: match_files(folder, [text.name for text in texts], "text") for name, folder in folders.items()
        },
        wavs=Path(cfg.output) / "wavs",
        names=tuple(chosen),
        normalise=cfg.normalise,
        recogniser=cfg.recogniser,
        recogniser_model=find_model(cfg.recogniser, instead="leave out wer with --metrics")
        if WORD_ERRORS in chosen
        else None,
    ), skipped


def check_baseline(baseline: str, names: Sequence[str]) -> None:
    """Raise InputError unless the baseline is empty or one of the systems."""
    if baseline and baseline not in names:
        raise InputError(f"--baseline: {baseline} is none of the systems: {', '.join(names)}")


def check_outputs(cfg: EvaluationConfig, folders: Sequence[Path]) -> None:
    """Raise InputError if output would be written into an input folder."""
    for folder in folders:
        for flag, written in (("-o", Path(cfg.output)), ("--report", Path(cfg.report or cfg.output))):
            if written.resolve().is_relative_to(folder.resolve()):
                raise InputError(f"{flag}: {written} lies in the input folder {folder}; give another directory")


def make_plan(cfg: EvaluationConfig, systems: Sequence[System]) -> tuple[EvaluationPlan, dict[str, str]]:
    """Check the input before any work starts. Return the plan, and the reason for each skipped metric.

    Raises:
        InputError: nothing to compare, an unknown baseline, no usable input, or output inside an input folder.
    """
    if len(systems) == 1:
        raise InputError(
            "--system: give at least one system to compare with the recordings "
            f"(see {command('python evaluate.py')} --help)"
        )
    check_baseline(cfg.baseline, [system.name for system in systems])
    chosen, skipped = choose_metrics(cfg.metrics)
    device = distributed.select_device(cfg.cuda)
    reference, output = Path(cfg.reference), Path(cfg.output)
    clips = find_clips(reference, Path(cfg.dataset_path), cfg.clips)
    folders = [Path(system.source) for system in systems if system.is_folder]
    check_outputs(cfg, [*folders, *([reference] if reference.is_dir() else [])])
    read_logs(cfg.logs)
    return EvaluationPlan(
        clips=tuple(clips),
        systems=tuple(systems),
        folder_files={
            system.name: find_resynthesised(Path(system.source), clips) for system in systems if system.is_folder
        },
        audio=shared_audio(
            [(system, load_audio_config(system, device)) for system in systems if system.is_model], clips
        ),
        wavs=output / "wavs",
        names=tuple(chosen),
        normalise=cfg.normalise,
        device=device,
        seed=cfg.seed,
    ), skipped


def shared_audio(models: Sequence[tuple[System, AudioConfig]], clips: Sequence) -> AudioConfig:
    """Return the signal contract of all models, or without a model LJSpeech's at the recordings' sampling rate.

    Raises:
        InputError: the models use different mels.
    """
    if not models:
        return dataclasses.replace(AudioConfig(), sampling_rate=common_rate(clips))
    (first, audio), *others = models
    for system, other in others:
        if differing := differences(MelContract(audio), MelContract(other)):
            raise InputError(
                f"--system: {first.name} and {system.name} use different mels: {in_words(differing)}; "
                "evaluate each alone"
            )
    return audio


def console() -> NoReturn:
    run(main, "evaluate.py")


if __name__ == "__main__":
    console()
