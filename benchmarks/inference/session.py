"""A run of the inference benchmark. Whatever is measured goes to a journal at once."""

from __future__ import annotations

import dataclasses
import math
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.budget import Budget
from benchmarks.inference import report
from benchmarks.inference.cases import Speech, given_mels, mel_cases, synthetic_mel
from benchmarks.inference.config import VocoderBenchmarkConfig
from benchmarks.inference.figures import collect
from benchmarks.inference.models import BenchmarkModel, describe, describe_mels, flop_per_frame, load_models
from benchmarks.inference.quality import judge, read_clips, snr_db
from benchmarks.inference.rounds import Case, Task, TaskTimes, measure
from benchmarks.inference.stages import InferenceStage, plan_stages
from benchmarks.inference.start import measure_starts
from benchmarks.inference.ways import EAGER, VocoderWay, WayMaker
from benchmarks.journal import Journal
from benchmarks.peak import peak_flops
from common.errors import InputError, first_line
from common.machine.hardware import half_precision

NOT_FINITE = "its audio has values that are not finite"


class InferenceSession:
    """Measures all stages for which there is time.

    Args:
        cfg: settings.
        journal: of the results. What it has is not measured again.
        alive: called with a task's name before each part that may take long.
    """

    def __init__(
        self, cfg: VocoderBenchmarkConfig, journal: Journal, alive: Callable[[str], None] = lambda name: None
    ) -> None:
        self._cfg, self._journal, self._alive = cfg, journal, alive
        self._budget = Budget(cfg.minutes)
        self._device = torch.device("cuda", torch.cuda.current_device()) if cfg.cuda else torch.device("cpu")
        self._made: dict[tuple[str, str], tuple[VocoderWay, float]] = {}
        self._peaks: set[str] = set()
        # A way that hung once or ended the process would do so in other cases, too.
        self._hung = [record["name"] for record in journal.records("failed") if record.get("hung")]
        done = journal.records("row", "failed", "skipped", "quality", "start")
        self._done = {record["name"] for record in done}

    def run(self) -> None:
        """Measure everything.

        Raises:
            InputError, FileNotFoundError: a model or an input cannot be used.
        """
        cfg = self._cfg
        with tempfile.TemporaryDirectory() as scratch:
            speech = None
            if cfg.fastpitch:
                speech = Speech(cfg.fastpitch, cfg.phrases, cfg.cmudict_path, self._device)
            models = load_models(cfg, self._device, Path(scratch), speech)
            clips = {}
            for model in models if cfg.wavs else ():  # now, to fail before hours of measurement
                rate = model.info.audio.sampling_rate
                clips[model.name] = read_clips(Path(cfg.wavs), cfg.clips, cfg.clip_seconds, rate)
            self._describe(models, speech)
            judged = [model for model in models if model.name in clips and not model.is_random]
            cases = {model.name: self._cases(model, speech) for model in models}
            stages = plan_stages(models, cases, cfg.cuda)
            parts = len(stages) + len(judged) + (len(models) if cfg.starts else 0)
            for number, stage in enumerate(stages):
                if self._has_time(f"{stage.model.name}, {stage.case.name}"):
                    self._measure(stage, speech, self._budget.share_sec(parts - number))
            for model in judged:
                if self._has_time(f"{model.name}, quality"):
                    self._judge(model, clips[model.name])
            for model in models if cfg.starts else ():
                if self._has_time(f"{model.name}, start-up"):
                    self._measure_starts(model)

    def _cases(self, model: BenchmarkModel, speech: Speech | None) -> list[Case]:
        sizes = self._cfg.sizes
        return speech.cases(sizes) if speech else mel_cases(sizes, model.info.audio, self._device)

    def _has_time(self, name: str) -> bool:
        if not self._budget.is_over:
            return True
        self._journal.add("skipped", name=name, reason=f"{name} (the time was over: --minutes)")
        return False

    def _describe(self, models: Sequence[BenchmarkModel], speech: Speech | None) -> None:
        cfg = self._cfg
        entries = {f"HiFi-GAN {model.name}": describe(model) for model in models}
        entries |= speech.description if speech else describe_mels(cfg, models[0].info)
        entries["rounds"] = (
            f"up to {cfg.rounds} after {cfg.warmup_rounds} of warm-up, each of all ways of a case in turn"
        )
        if cfg.wavs:
            entries["quality"] = f"{cfg.clips} recordings of {cfg.wavs}, {cfg.clip_seconds:g} s at most of each"
        self._journal.add("header", entries=entries)
        for model in models:
            audio, work = model.info.audio, flop_per_frame(model.info.config)
            signal = {"sampling_rate": audio.sampling_rate, "hop_length": audio.hop_length}
            self._journal.add("model", name=model.name, flop_per_frame=work, **signal)

    def _measure(self, stage: InferenceStage, speech: Speech | None, seconds: float) -> None:
        began = time.monotonic()
        tasks = self._tasks(stage, speech)
        for precision in dict.fromkeys(task.precision for task in tasks):
            if (self._device.type == "cuda" or precision != "tf32") and precision not in self._peaks:
                self._alive(f"{stage.model.name}, matrix products in {precision}")
                rate = peak_flops(self._device, precision)
                self._journal.add("peak", precision=precision, flop_per_sec=rate)
        if self._device.type == "cuda":  # nobody else computes there
            self._peaks |= {task.precision for task in tasks}
        cfg = self._cfg
        left = max(0.0, seconds - (time.monotonic() - began))
        last_sec = self._budget.share_sec(1)
        measured = measure(tasks, cfg.warmup_rounds, cfg.rounds, self._device, left, last_sec, self._alive)
        reference = self._reference(stage, tasks, measured) if speech is None else []
        places = {way.name: place for place, way in enumerate(stage.model.ways)}
        for task, times in zip(tasks, measured, strict=True):
            if times.failure:
                self._journal.add("failed", name=task.name, reason=times.failure)
                continue
            snr = snr_db(torch.cat(reference), torch.cat(times.wavs)) if reference and task.way != EAGER else None
            if snr is not None and math.isnan(snr):
                self._journal.add("failed", name=task.name, reason=NOT_FINITE)
            self._journal.add("row", name=task.name, place=places[task.way], **self._record(task, times, snr, speech))
        self._write()

    def _record(self, task: Task, times: TaskTimes, snr: float | None, speech: Speech | None) -> dict[str, object]:
        values = {name: getattr(task, name) for name in ("model", "way", "precision", "strength")}
        values |= {name: getattr(times, name) for name in ("speaking_sec", "vocoding_sec", "frames", "first_sec")}
        case = {"batch_size": len(task.case.inputs), "length": task.case.length, "denoised": task.case.denoised}
        made_sec = self._made[task.model, task.way][1]
        more = {"peak_bytes": times.peak_bytes, "made_sec": made_sec, "snr_db": snr, "speaks": speech is not None}
        return {**values, **case, **more}

    def _reference(self, stage: InferenceStage, tasks: Sequence[Task], measured: Sequence[TaskTimes]) -> list[Tensor]:
        """Return the waveforms of eager fp32: of these tasks, or computed if it is not among them."""
        for task, times in zip(tasks, measured, strict=True):
            if task.way == EAGER and times.wavs:
                return times.wavs
        eager = next(way for way in stage.model.ways if way.name == EAGER)
        self._alive(f"{stage.model.name}, {stage.case.name}, reference")
        strength = self._cfg.denoising if stage.case.denoised else 0.0
        try:
            vocoder = eager.make().vocoder(strength, stage.model.info.audio.filter_length)
            return [wav.float().cpu() for wav in vocoder(stage.case.inputs)]
        except RuntimeError as error:
            self._journal.add(
                "failed", name=f"{stage.model.name}, {stage.case.name}, reference", reason=first_line(error)
            )
            return []

    def _tasks(self, stage: InferenceStage, speech: Speech | None) -> list[Task]:
        """Return the case in every way. Models with a denoiser inside only run in the cases with a denoiser."""
        tasks = []
        for maker in stage.ways:
            name = f"{stage.model.name}, {stage.case.name}, {maker.name}"
            if name in self._done or (way := self._make(stage.model, maker)) is None:
                continue
            inside = way.backend.denoising_strength
            if inside and not stage.case.denoised:
                continue
            outside = self._cfg.denoising if stage.case.denoised and not inside else 0.0
            vocoder = way.vocoder(outside, stage.model.info.audio.filter_length)
            mels = speech.synthesiser(way.scripted, way.mixed) if speech else given_mels
            tasks.append(Task(stage.model.name, way.name, way.precision, stage.case, inside or outside, mels, vocoder))
        return tasks

    def _make(self, model: BenchmarkModel, maker: WayMaker) -> VocoderWay | None:
        """Return a way, made at its first use, or None if it cannot be made."""
        key, name = (model.name, maker.name), f"{model.name}, making {maker.name}"
        hung = any(task.startswith(f"{model.name}, ") and task.endswith(f", {maker.name}") for task in self._hung)
        if key not in self._made and name not in self._done and not hung:
            self._alive(name)
            began = time.monotonic()
            try:
                way = maker.make()
                self._made[key] = way, time.monotonic() - began
            except InputError as error:  # something is not installed
                self._journal.add("skipped", name=name, reason=f"{maker.name} ({error})")
            except Exception as error:  # compilers and exporters fail in many ways
                self._journal.add("failed", name=name, reason=first_line(error))
            self._done.add(name)
        return self._made[key][0] if key in self._made else None

    def _judge(self, model: BenchmarkModel, clips: Sequence[object]) -> None:
        """Judge every way without a denoiser inside."""
        name = f"{model.name}, quality"
        if name in self._done:
            return
        self._alive(name)
        ways = {maker.name: way for maker in model.ways if (way := self._make(model, maker)) is not None}

        def watched(way: VocoderWay) -> Callable[[Tensor], Tensor]:
            def run(mel: Tensor) -> Tensor:
                self._alive(f"{name}, {way.name}")
                return way.backend(mel)

            return run

        runs = {way.name: watched(way) for way in ways.values() if not way.backend.denoising_strength}
        try:
            figures = judge(runs, clips, model.info.audio, self._device)  # type: ignore[arg-type]
        except RuntimeError as error:
            self._journal.add("failed", name=name, reason=first_line(error))
            return
        for way_name, quality in zip(runs, figures, strict=True):
            values = dataclasses.asdict(quality)
            self._journal.add("quality", name=name, model=model.name, way=way_name, figures=values)
            if quality.mel_loss != quality.mel_loss:
                self._journal.add(
                    "failed", name=f"{name}, {way_name}", reason="its audio has values that are not finite"
                )
        self._write()

    def _measure_starts(self, model: BenchmarkModel) -> None:
        """Measure the start-up of inference.py for one utterance of the main length."""
        cfg, name = self._cfg, f"{model.name}, start-up"
        if name in self._done:
            return
        self._alive(name)
        half = half_precision("cuda" if cfg.cuda else "cpu")
        ways = ["", *([f"--precision {half}"] if cfg.amp else []), "--backend eager"]
        ways += ["--torchscript"] if cfg.torchscript else []
        words = [f"{way} --cuda".strip() if cfg.cuda else way for way in ways]
        config = "" if model.is_random else cfg.hifigan_config
        mel = synthetic_mel(cfg.seconds, model.info.audio)
        try:
            for start in measure_starts(model.info.path, config, mel, words, cfg.starts, lambda: self._alive(name)):
                self._journal.add("start", name=name, model=model.name, figures=dataclasses.asdict(start))
        except InputError as error:
            self._journal.add("failed", name=name, reason=str(error))
        self._write()

    def _write(self) -> None:
        """Renew the tables and the JSON file."""
        results = collect(self._journal.records())
        if results.rows:
            report.write(Path(self._cfg.output), results)
