"""Train a voice from recordings, from the check of the data to an evaluated voice with its model card. See --help."""

from __future__ import annotations

import dataclasses
import functools
import json
import logging
import math
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from common.cli import check_command_line, from_flags, is_started, run
from voice.training.flags import VoiceTrainingConfig, make_parser

if is_started(__name__):  # before PyTorch is imported, which takes seconds
    check_command_line(make_parser().parse_args, "voice.training")

import numpy as np

from common.audio_files import PEAK, load_wav
from common.data.filelists import read_filelist
from common.data.list_writer import find_usable
from common.data.metadata import read_metadata
from common.distributed import check_gpus
from common.errors import InputError, first_three
from common.files.atomic import write_whole
from common.files.fingerprints import file_digest, fingerprint
from common.files.json_files import read_json
from common.resources import available_cores
from voice.consent import QUESTION
from voice.recordings.flags import RecordingsConfig
from voice.recordings.preparation import prepare
from voice.training import commands, estimate, evaluations, settings
from voice.training.card import write_card
from voice.training.children import ChildProcesses, ProgramFailedError, StoppedError, only_start_in
from voice.training.commands import VoicePaths
from voice.training.estimate import Estimate
from voice.training.stages import Stage, StageRecords

log = logging.getLogger(__name__)
MIN_PEAK = 1e-3  # of recordings that are not silent


def main(argv: Sequence[str] | None = None) -> int:
    words = sys.argv[1:] if argv is None else list(argv)
    given = vars(make_parser().parse_args(words))
    check_gpus(given.get("num_gpus", 0), "--num-gpus")
    cfg, recordings = from_flags(VoiceTrainingConfig, given), from_flags(RecordingsConfig, given)
    if not cfg.recogniser:  # one model to download instead of two
        cfg = dataclasses.replace(cfg, recogniser=recordings.transcriber)
    paths = VoicePaths.find(given["dataset"], cfg)
    for flag, folder in (("-o", paths.voice.folder), ("--work", paths.work)):
        if folder.resolve().is_relative_to(paths.dataset.resolve()):
            raise InputError(f"{flag}: {folder} lies in the folder of recordings; give another one")
    children = ChildProcesses(_threads(cfg))
    try:
        with only_start_in(paths.work, children):
            cfg = dataclasses.replace(cfg, consent=find_consent(cfg.consent, paths))
            problems = VoiceTraining(cfg, recordings, paths, children, words).run()
    except StoppedError as stopped:
        log.info("stopped; the same command continues")
        return stopped.status
    if problems:
        raise InputError(f"recordings not used: {len(problems)}, everything else is done: {first_three(problems)}")
    return 0


class VoiceTraining:
    """The stages of a voice's training."""

    def __init__(
        self,
        cfg: VoiceTrainingConfig,
        recordings: RecordingsConfig,
        paths: VoicePaths,
        children: ChildProcesses,
        words: Sequence[str],
    ) -> None:
        self.cfg, self.recordings, self.paths, self.children, self.words = cfg, recordings, paths, children, words
        self.records = StageRecords(paths.work / "stages")

    def run(self) -> Sequence[str]:
        """Run everything that is not done yet. Return a line for each recording that could not be used."""
        paths, records = self.paths, self.records
        prepared = prepare(paths.dataset, paths.work, self.recordings, paths.voice.name, self.cfg.n_workers)
        if self.recordings.prepare_only:
            return prepared.problems
        clips = used_clips(paths.data)
        records.run(
            Stage("data", "listing the clips", lambda: None, identify(paths.data, clips)),
            Stage("level", "measuring the level of the clips", lambda: self.measure_level(clips), after=("data",)),
            self.program("split", "splitting by prompt and text", commands.split_command(paths), "data"),
            Stage(
                "base", "fetching the generator to start from", self.fetch_base, [self.cfg.base, self.cfg.vocoder_base]
            ),
        )
        self.cfg = cfg = self.settle()
        if cfg.estimate_only:
            return prepared.problems
        records.run(self.program("pitch", "extracting pitch", commands.pitch_command(paths, cfg), "data"))
        self.train()
        if cfg.fine_tuning_epochs:
            self.fine_tune()
        pack = commands.pack_command(paths, cfg)
        records.run(
            self.program("pack", "packing the voice", pack, "vocoder", "fastpitch", "fine-tuning", "level"),
            Stage(
                "copy-synthesis",
                "evaluating copy synthesis of the test clips",
                lambda: self.evaluate(evaluations.resynthesis_command(paths, cfg), paths.resynthesis),
                evaluations.resynthesis_command(paths, cfg),
                ("pack", "split"),
            ),
        )
        self.evaluate_speech()
        write_card(cfg, paths, records, Estimate.load(self.estimate_file), self.words)
        log.info("%s is finished; its model card: %s", paths.voice.folder, paths.voice.card)
        if not cfg.consent:
            log.warning("%s: fill in its line 'Consent' before you share the voice (--consent)", paths.voice.card)
        return prepared.problems

    def program(self, name: str, title: str, command: Sequence[str], *after: str) -> Stage:
        """Return the stage of one program."""
        return Stage(name, title, lambda: self.children.run(command), list(command), after)

    def training(self, name: str, title: str, command: Sequence[str], folder: Path, *after: str) -> Stage:
        """Return the stage of a training, which is moved aside and started again if its data has changed."""

        def run() -> None:
            self.records.keep_apart(folder, *(stage for stage in after if stage != "base"))
            self.children.run(command)

        return Stage(name, title, run, list(command), after)

    @property
    def estimate_file(self) -> Path:
        return self.paths.work / "estimate.json"

    def measure_level(self, clips: Sequence[Path]) -> None:
        write_whole(self.paths.levels, json.dumps({"gain_db": find_gain_db(clips)}).encode())

    def fetch_base(self) -> None:
        if self.paths.base and not self.paths.base.is_file():
            self.children.run(commands.download_command(self.cfg))

    def settle(self) -> VoiceTrainingConfig:
        """Choose the settings that the user left open, measure, and say what time and disk the training takes.

        Raises:
            InputError: the disk or the wanted time is too small.
        """
        paths = self.paths
        usual = settings.choose(self.cfg, len(read_filelist(paths.audio_list("train"))))

        def measure() -> None:
            estimate.measure(paths, usual, self.children).save(self.estimate_file)

        # The number of epochs does not change what a step costs.
        cost = dataclasses.replace(usual, **settings.WITHOUT_LENGTH)
        depends_on = [commands.vocoder_command(paths, cost), commands.fastpitch_command(paths, cost), cost.parallel]
        self.records.run(
            Stage("estimate", "measuring a few steps of both trainings", measure, depends_on, ("split", "base"))
        )
        found = Estimate.load(self.estimate_file)
        chosen = settings.fit_hours(self.cfg, found)
        print("\n".join(found.lines(chosen, paths)), flush=True)
        if not self.records.read("fastpitch"):
            estimate.check_disk(found, chosen, paths)
        return chosen

    def train(self) -> None:
        """Train FastPitch, and the vocoder on recordings if that is wanted, before it or at the same time."""
        cfg, paths = self.cfg, self.paths
        stages = [
            self.training(
                "fastpitch",
                "training FastPitch",
                commands.fastpitch_command(paths, cfg),
                paths.fastpitch,
                "split",
                "base",
            )
        ]
        if cfg.vocoder_epochs:
            command = commands.vocoder_command(paths, cfg)
            stages.append(self.training("vocoder", "training the vocoder", command, paths.vocoder, "split", "base"))
        waiting = [stage for stage in stages if not self.records.is_finished(stage)]
        if not cfg.parallel or len(waiting) < 2:
            self.records.run(*stages)
            return
        log.info("training FastPitch and the vocoder")
        for folder in (paths.fastpitch, paths.vocoder):
            self.records.keep_apart(folder, "split")
        self.children.run(*(stage.depends_on for stage in waiting))
        for stage in waiting:
            self.records.record(stage, 0.0)

    def fine_tune(self) -> None:
        """Train the vocoder on recordings and on the mels that FastPitch makes of them."""
        cfg, paths = self.cfg, self.paths
        predicted = commands.predicted_command(paths, cfg)
        self.records.run(
            self.training("predicted", "extracting FastPitch's mels", predicted, paths.predicted, "fastpitch"),
            Stage("pairs", "writing pairs of mel and audio", self.write_pairs, after=("predicted", "level")),
        )
        command = commands.fine_tuning_command(paths, cfg)
        before = ("base", "vocoder", "pairs") if cfg.vocoder_epochs else ("base", "pairs")
        self.records.run(self.training("fine-tuning", "fine-tuning the vocoder", command, paths.fine_tuning, *before))

    def write_pairs(self) -> None:
        paths = self.paths
        gain_db = read_json(paths.levels)["gain_db"]
        shutil.rmtree(paths.pairs.folder, ignore_errors=True)
        for part in ("train", "val"):  # the held-out loss counts both kinds, since the voice needs both
            clips = [row[0] for row in read_filelist(paths.audio_list(part))]
            paths.pairs.write(part, clips, paths.data, paths.predicted, gain_db)

    def evaluate(self, command: Sequence[str], folder: Path) -> None:
        """Evaluate. Clips that cannot be evaluated do not stop the rest.

        Raises:
            ProgramFailedError: nothing was evaluated.
        """
        results = folder / "results.json"
        results.unlink(missing_ok=True)
        try:
            self.children.run(command)
        except ProgramFailedError:
            if not results.is_file():
                raise
            log.warning("%s: not all clips could be evaluated; its results.csv lists them", folder)

    def evaluate_speech(self) -> None:
        """Evaluate the voice's speech: the test texts, then the user's sentences.

        Without a recogniser's packages, `evaluate.py` skips the word errors.
        """
        paths = self.paths
        for name, title, command, folder in (
            ("speech", "the speech of the test texts", evaluations.speech_command(paths, self.cfg), paths.speech),
            ("sentences", "the sentences", evaluations.sentences_command(paths, self.cfg), paths.sentences),
        ):
            run = functools.partial(self.evaluate, command, folder)
            try:
                self.records.run(Stage(name, f"evaluating {title}", run, command, ("pack", "split")))
            except ProgramFailedError as error:  # such as a model that cannot be downloaded: the voice is finished
                log.warning("%s were not evaluated: %s", title, error)


def find_consent(given: str, paths: VoicePaths) -> str:
    """Return the consent for the model card: as given, as given before, or, on a terminal, asked for."""
    file = paths.work / "consent.txt"
    before = file.read_text(encoding="utf-8") if file.is_file() else ""
    if not (given or before) and sys.stdin.isatty():
        given = input(QUESTION)
    if given.strip() and given != before:
        write_whole(file, given.encode())
    return given.strip() or before


def used_clips(data: Path) -> list[Path]:
    """Return the audio files of a data set that its metadata names."""
    metadata = read_metadata(data / "metadata.csv")
    return [data / wav for wav in find_usable(data, metadata).values()]


def find_gain_db(clips: Sequence[Path]) -> float:
    """Return the gain in dB that raises the loud ones of these clips to the peak of the vocoder's training clips.

    FastPitch learns the level of the recordings. The 95th percentile of their peaks counts, so that few outputs would
    be louder than full scale.
    """
    peaks = [float(np.abs(load_wav(clip)[0]).max(initial=0.0)) for clip in clips]
    return round(20 * math.log10(PEAK / max(float(np.percentile(peaks, 95)), MIN_PEAK)), 1)


def identify(data: Path, clips: Sequence[Path]) -> list[str]:
    """Return text that differs between different data."""
    return [fingerprint(clips, data), file_digest(data / "metadata.csv")]


def _threads(cfg: VoiceTrainingConfig) -> dict[str, str]:
    """Return the variables that share the cores between trainings that run at the same time."""
    if not cfg.parallel or "OMP_NUM_THREADS" in os.environ:
        return {}
    return {"OMP_NUM_THREADS": str(max(1, available_cores() // 2))}


if __name__ == "__main__":
    run(main, "voice.training")
