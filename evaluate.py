"""Measure how well systems resynthesise recordings, in figures and on a page to listen to. See --help."""

from __future__ import annotations

import dataclasses
import logging
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from common import distributed
from common.audio import AudioConfig
from common.cli import ArgumentParser, add_flags, from_flags, run
from common.data.mel_files import differences
from common.errors import InputError, first_three
from common.machine import hardware
from common.mel_contract import in_words
from evaluation import results as tables
from evaluation.clips import common_rate, find_clips, find_resynthesised
from evaluation.config import EvaluationConfig
from evaluation.metrics import METRICS, choose_metrics
from evaluation.report.write import read_logs, write_report
from evaluation.results import EvaluationResults
from evaluation.systems import System, load_audio_config, parse_systems
from evaluation.work import EvaluationPlan, measure, resynthesise

log = logging.getLogger(__name__)
# The figures depend on the versions of these packages.
PACKAGES = ("numpy", "librosa", *(metric.package for metric in METRICS.values() if metric.package))


def main(argv: Sequence[str] | None = None) -> int:
    words = sys.argv[1:] if argv is None else list(argv)
    parser = ArgumentParser(
        prog="evaluate.py",
        description="Compares resynthesised audio with the recordings: copy synthesis with checkpoints, or folders "
        "of audio files. Writes results.json, results.csv, summary.md and all wav files.",
        epilog="Clips that cannot be evaluated are skipped and listed, and the exit status is then 1.",
    )
    parser.add_argument(
        "--system",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=SOURCE",
        help="NAME=CHECKPOINT[:OPTION...], NAME=DIR with resynthesised recordings, or griffin-lim. Options: ema, "
        "precision=fp32|bf16|..., denoise=STRENGTH, config=v1|v2|v3|FILE, export (for a model of export.py, which can "
        "run any code: only if you trust it). The recordings themselves, ground-truth, are always included",
    )
    add_flags(parser, EvaluationConfig, "evaluation")
    given = vars(parser.parse_args(words))
    cfg = from_flags(EvaluationConfig, given)
    plan, skipped = make_plan(cfg, parse_systems(given["system"]))
    for name, reason in skipped.items():
        log.warning("%s is not measured: %s", name, reason)
    header = hardware.describe(plan.device, "evaluate", words, PACKAGES)
    header["command"] = f"python evaluate.py {shlex.join(words)}"
    outcomes = resynthesise(plan, cfg.num_jobs)
    figures, problems, pitches = tables.gather(outcomes + measure(plan, outcomes, cfg.num_jobs))
    baseline = cfg.baseline or plan.systems[1].name
    results = EvaluationResults(header, plan, skipped, figures, problems, pitches, baseline, cfg.seed)
    if not figures:
        raise InputError(f"nothing could be evaluated: {first_three([problem.reason for problem in problems])}")
    tables.write(results, Path(cfg.output))
    print("\n".join([*hardware.markdown(header), "", *tables.markdown(results)]))
    if cfg.report:
        write_report(results, cfg)
    log.info("results: %s", cfg.output)
    if problems:
        reasons = [f"{problem.system}, {problem.clip}: {problem.reason}" for problem in problems]
        raise InputError(
            f"{len(problems)} problems; the rest was evaluated (all are listed in {Path(cfg.output) / 'results.csv'}): "
            f"{first_three(reasons)}"
        )
    return 0


def make_plan(cfg: EvaluationConfig, systems: Sequence[System]) -> tuple[EvaluationPlan, dict[str, str]]:
    """Check the input before any work starts. Return the plan, and the reason for each skipped metric.

    Raises:
        InputError: nothing to compare, an unknown baseline, no usable input, or output inside an input folder.
    """
    if len(systems) == 1:
        raise InputError("--system: give at least one system to compare with the recordings (see evaluate.py --help)")
    baseline = cfg.baseline or systems[1].name
    if baseline not in [system.name for system in systems]:
        raise InputError(f"--baseline: {baseline} is none of the systems: {', '.join(s.name for s in systems)}")
    chosen, skipped = choose_metrics(cfg.metrics)
    device = distributed.select_device(cfg.cuda)
    reference, output = Path(cfg.reference), Path(cfg.output)
    clips = find_clips(reference, Path(cfg.dataset_path), cfg.clips)
    folders = [Path(system.source) for system in systems if system.is_folder]
    for folder in [*folders, *([reference] if reference.is_dir() else [])]:
        for flag, written in (("-o", output), ("--report", Path(cfg.report or cfg.output))):
            if written.resolve().is_relative_to(folder.resolve()):
                raise InputError(f"{flag}: {written} lies in the input folder {folder}; give another directory")
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
        if differing := differences(audio, other):
            raise InputError(
                f"--system: {first.name} and {system.name} use different mels: {in_words(differing)}; "
                "evaluate each alone"
            )
    return audio


if __name__ == "__main__":
    run(main, "evaluate.py")
