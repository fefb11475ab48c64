"""A run of the training benchmark: its stages in order of importance, and its results, written after each."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.budget import Budget
from benchmarks.journal import Journal, plain
from benchmarks.training.arithmetic import segment_flop
from benchmarks.training.config import TrainingBenchmarkConfig
from benchmarks.training.layer_ways import LayerWays
from benchmarks.training.report import Course, markdown, result_rows
from benchmarks.training.variants import VariantFailure, VariantProcess
from benchmarks.training.worker import Worker
from common.files.atomic import write_whole
from common.machine.precision import amp_format, full_precision

NAME = "train_benchmark"
NO_GRAPHS = "on, no graphs"  # train.py's --no-cuda-graphs
Work = Callable[[VariantProcess, Course], None]


@dataclasses.dataclass
class TrainingStage:
    """Variants of a generator and batch size that are measured together, in turn.

    Attributes:
        variants: the processes that still run, by the number of their course.
    """

    config: str
    batch_size: int
    courses: Sequence[Course]
    variants: dict[int, VariantProcess] = dataclasses.field(default_factory=dict)

    def name(self, course: Course) -> str:
        return f"{self.config}, batch {self.batch_size}, {course.precision}, --fast {course.fast}"


class TrainingSession:
    """Measures all stages.

    Args:
        cfg: settings.
        header: provenance.
        folder: data set of synthetic clips.
    """

    def __init__(self, cfg: TrainingBenchmarkConfig, header: dict[str, str], folder: Path) -> None:
        self._cfg, self._header, self._folder = cfg, header, folder
        self._budget = Budget(cfg.minutes)
        self._journal = Journal(Path(cfg.output) / f"{NAME}.jsonl")
        self._journal.add("header", **header)
        self._full = full_precision(torch.device("cuda" if cfg.cuda else "cpu"))
        self._half = amp_format(cfg.amp_dtype, "cuda" if cfg.cuda else "cpu")
        ways = ("off", "on", NO_GRAPHS) if cfg.cuda else ("off", "on")
        precisions = (self._full, f"{self._half} autocast") if cfg.amp else (self._full,)
        self._courses = {case: [Course(name, fast) for name in precisions for fast in ways] for case in cfg.cases}
        self._flop = dict.fromkeys(cfg.cases, 0)
        self._layers: list[dict[str, Any]] = []
        self.left_out: list[str] = []
        self.status = 0

    def stages(self) -> list[TrainingStage]:
        """Return the stages, the most important ones first.

        On a GPU, one variant at a time: the default before the plain recipe, mixed precision before full, and CUDA
        graphs before none. A CPU has memory for all variants, and more disturbing load.
        """
        if not self._cfg.cuda:
            return [TrainingStage(*case, courses) for case, courses in self._courses.items()]
        found = [TrainingStage(*case, [course]) for case, courses in self._courses.items() for course in courses]
        importance = ("on", "off", NO_GRAPHS)

        def rank(stage: TrainingStage) -> tuple[bool, bool, int, int]:
            (course,) = stage.courses
            case = self._cfg.cases.index((stage.config, stage.batch_size))
            is_full = self._cfg.amp and course.precision == self._full
            return course.fast == NO_GRAPHS, is_full, case, importance.index(course.fast)

        return sorted(found, key=rank)

    def run(self) -> None:
        """Measure all stages for which there is time."""
        stages = self.stages()
        for number, stage in enumerate(stages):
            if self._budget.is_over:
                self.left_out += [f"{stage.name(course)}: {self._over()}" for course in stage.courses]
            else:
                self._measure(stage, remaining=len(stages) - number + self._cfg.layers)
        if self._cfg.layers and self._budget.is_over:
            self.left_out.append(f"layers: {self._over()}")
        elif self._cfg.layers:
            self._compare_layers()
        self.write()

    def _over(self) -> str:
        return f"{self._cfg.minutes:g} minutes are over (--minutes)"

    def _fail(self, name: str, reason: str) -> None:
        self.left_out.append(f"{name}: {reason}")
        self._journal.add("failed", name=name, reason=reason)
        self.status = 1

    def _measure(self, stage: TrainingStage, remaining: int) -> None:
        begin_until = time.monotonic() + self._budget.share_sec(remaining)
        limit_sec = self._budget.limit_sec(remaining, 60 * self._cfg.variant_minutes)
        for number, course in enumerate(stage.courses):
            words = self._cfg.train_arguments(self._folder, stage.config, stage.batch_size, *self._flags(course))
            stage.variants[number] = VariantProcess(Worker, (words,), limit_sec)
        try:
            flop = stage.batch_size * segment_flop(stage.config, self._cfg.segment_size)  # while the processes start
            self._flop[stage.config, stage.batch_size] = flop
            self._run_in_turn(stage, begin_until)
        finally:
            for variant in stage.variants.values():
                variant.close()
        self.write()
        names = {stage.name(course): course for course in stage.courses}
        for row in self.rows():
            name = f"{row['config']}, batch {row['batch_size']}, {row['precision']}, --fast {row['fast']}"
            if name in names:
                self._journal.add("row", **row)
                if not row["finite"]:
                    self._fail(name, "losses are not finite numbers")

    def _flags(self, course: Course) -> tuple[str, ...]:
        fast = ("--fast", course.fast.split(",")[0], *(["--no-cuda-graphs"] if course.fast == NO_GRAPHS else []))
        return fast if course.precision == self._full else (*fast, "--amp", "--amp-dtype", self._cfg.amp_dtype)

    def _each(self, stage: TrainingStage, work: Work) -> None:
        """Let each variant work. One that fails is named and ended."""
        for number, variant in list(stage.variants.items()):
            course = stage.courses[number]
            try:
                work(variant, course)
            except VariantFailure as failure:
                stage.variants.pop(number).kill()
                self._fail(stage.name(course), str(failure))

    def _run_in_turn(self, stage: TrainingStage, begin_until: float) -> None:
        """Measure variants in turn. Past the time, take only what a row needs."""
        cfg = self._cfg

        def start(variant: VariantProcess, course: Course) -> None:
            made = variant.ask("warm_up")
            course.losses += made.losses
            course.start_sec, course.first_step_sec = made.start_sec, made.first_step_sec
            course.recorded_sec, course.graphs = made.recorded_sec, made.recorded_sec is not None
            self._journal.add("warm-up", name=stage.name(course), **dataclasses.asdict(made))

        def burst(variant: VariantProcess, course: Course) -> None:
            burst = variant.ask("burst", cfg.burst)
            course.losses += burst.losses
            if number >= cfg.warmup:
                course.seconds.append(burst.seconds / cfg.burst)
                course.processor_sec.append(burst.processor_sec / cfg.burst)
                self._journal.add("burst", name=stage.name(course), steps=cfg.burst, **dataclasses.asdict(burst))

        def finish_comparison(variant: VariantProcess, course: Course) -> None:
            if cfg.compared > len(course.losses) and time.monotonic() < begin_until:
                course.losses += variant.ask("burst", cfg.compared - len(course.losses)).losses

        def measure_resources(variant: VariantProcess, course: Course) -> None:
            course.peak_bytes, course.graphs = variant.ask("peak_bytes"), variant.ask("graphs")
            course.matmul_flops = variant.ask("matmul_flops")

        def time_parts(variant: VariantProcess, course: Course) -> None:
            parts = variant.ask("parts")
            course.parts += [parts] if number else []  # the first measurement is warm-up

        self._each(stage, start)
        for number in range(cfg.warmup + cfg.repeats):
            self._each(stage, burst)
            if number >= cfg.warmup:
                self.write()
                if time.monotonic() > begin_until:
                    break
        self._each(stage, finish_comparison)
        self._each(stage, measure_resources)
        for number in range(1 + min(3, cfg.repeats)):
            if number < 2 or time.monotonic() < begin_until:
                self._each(stage, time_parts)

    def _compare_layers(self) -> None:
        """Measure ways to compute the discriminators' layers at the first batch size, real and fake in one call."""
        cfg = self._cfg
        precision, batch = self._half if cfg.amp else "fp32", 2 * cfg.cases[0][1]
        words = cfg.segment_size, batch, precision, "cuda" if cfg.cuda else "cpu"
        found: dict[str, Any] = {}
        self._layers.append({"batch_size": batch, "precision": precision, "layers": found})
        variant = VariantProcess(LayerWays, words, self._budget.limit_sec(1, 60 * cfg.variant_minutes))
        try:
            for name in variant.ask("names"):
                if self._budget.is_over:
                    self.left_out.append(f"{name}: {self._over()}")
                    continue
                found[name] = variant.ask("seconds", name)
                self._journal.add("layer", name=name, seconds=found[name])
                self.write()
        except VariantFailure as failure:
            self._fail(f"layers after {len(found)}", str(failure))
        finally:
            variant.close()

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of everything measured so far."""
        return [
            row
            for case, courses in self._courses.items()
            for row in result_rows(courses, self._flop[case], self._cfg.compared, *case, self._cfg.segment_size)
        ]

    def text(self) -> str:
        return markdown(self._header, self.rows(), [block for block in self._layers if block["layers"]], self.left_out)

    def block(self) -> str:
        content = {"header": self._header, "rows": self.rows(), "layer_ways": self._layers, "left_out": self.left_out}
        return json.dumps(plain(content), indent=1)

    def write(self) -> None:
        """Renew the tables and the JSON file."""
        write_whole(Path(self._cfg.output) / f"{NAME}.md", self.text().encode())
        write_whole(Path(self._cfg.output) / f"{NAME}.json", self.block().encode())
