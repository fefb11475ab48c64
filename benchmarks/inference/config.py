"""Settings of the inference benchmark."""

from __future__ import annotations

import dataclasses

from benchmarks.inference.cases import Sizes
from common.cli import flag, folders, not_negative, positive
from common.download.hub import find_fastpitch, find_generator
from common.errors import InputError
from hifigan.config import PRESETS

PROGRAM = "inference_benchmark"


@dataclasses.dataclass(frozen=True)
class VocoderBenchmarkConfig:
    """Settings of the inference benchmark."""

    hifigan: tuple[str, ...] = flag(
        tuple(PRESETS),
        "generator checkpoints of any public format, folders of models or hub names (org/name); v1, v2 and v3 are "
        "presets with random weights",
        metavar="NAME|PATH",
        convert=find_generator,
    )
    hifigan_config: str = flag(
        "", "v1, v2, v3 or a JSON file, for checkpoints without a generator configuration", metavar="NAME|PATH"
    )
    fastpitch: str = flag(
        "",
        "FastPitch checkpoint, a model's folder or a hub name (org/name), to measure text to speech; by default, "
        "HiFi-GAN alone",
        metavar="NAME|PATH",
        convert=find_fastpitch,
    )
    phrases: str = flag(
        "phrases/benchmark_8_128.tsv",
        "file of texts; a batch of N is the first N of them",
        metavar="PATH",
        only_with="fastpitch",
    )
    cmudict_path: str = flag("", "pronouncing dictionary, as in inference.py", metavar="PATH", only_with="fastpitch")
    backends: tuple[str, ...] = flag(
        (), "further files of export.py; requires exactly one --hifigan, their model", metavar="PATH"
    )
    batch_size: tuple[int, ...] = flag((), "batch sizes (default: 1 2 4 8 on the GPU, 1 on the CPU)", short=("-bs",))
    seconds: float = flag(8.05, "main length of an utterance; texts have their own", not_with="fastpitch")
    seconds_list: tuple[float, ...] = flag((), "further lengths in seconds (default: 1 30 on the GPU, 1 on the CPU)")
    full: bool = flag(
        False, "measure all combinations of length, batch size and denoising, not only one change at a time"
    )
    denoising: float = flag(0.01, "strength of the denoiser in the cases with one; 0 skips these cases")
    amp: bool = flag(True, "measure 16-bit precisions as well")
    torchscript: bool = flag(True, "measure TorchScript as well, with FastPitch in fp32")
    compiled: bool = flag(False, "measure torch.compile as well. It takes minutes per model, length and precision")
    wavs: str = flag(
        "", "folder of clips at the models' sampling rate for the quality gate; without it, no gate", metavar="PATH"
    )
    clips: int = flag(27, "clips of --wavs, the first ones in order")
    clip_seconds: float = flag(2.0, "seconds of each clip, from its beginning")
    starts: int = flag(2, "fresh processes of inference.py per way, to measure the start-up; 0 for none")
    cuda: bool = flag(False, "run on the GPU (default: on the CPU)")
    repeats: int | None = flag(None, "maximum of measured rounds (default: 100 on the GPU, 10 on the CPU)")
    warmup: int | None = flag(None, "identical rounds before the measured ones (default: 3 on the GPU, 2 on the CPU)")
    minutes: float = flag(10.0, "time of the whole benchmark, divided among its stages: a model's case in all ways")
    variant_minutes: float = flag(5.0, "stop and name a way in which a single call takes longer")
    watched: bool = flag(True, "measure in a process of its own, and start another without a way that hangs or dies")
    output: str = flag(
        f"output/{PROGRAM}", "directory of the tables, the JSON file and the plot", short=("-o",), metavar="PATH"
    )

    def __post_init__(self) -> None:
        folders(output=self.output)
        for size in self.batch_size:
            positive(batch_size=size)
        for seconds in self.seconds_list:
            positive(seconds_list=seconds)
        positive(seconds=self.seconds, repeats=self.rounds)
        positive(minutes=self.minutes, variant_minutes=self.variant_minutes)
        positive(clips=self.clips, clip_seconds=self.clip_seconds)
        not_negative(denoising=self.denoising, warmup=self.warmup_rounds, starts=self.starts)
        if self.backends and len(self.hifigan) != 1:
            raise InputError("--backends: are exports of one model; name it alone with --hifigan")

    @property
    def rounds(self) -> int:
        return (100 if self.cuda else 10) if self.repeats is None else self.repeats

    @property
    def warmup_rounds(self) -> int:
        return (3 if self.cuda else 2) if self.warmup is None else self.warmup

    @property
    def sizes(self) -> Sizes:
        batches = self.batch_size or ((1, 2, 4, 8) if self.cuda else (1,))
        others = self.seconds_list or ((1.0, 30.0) if self.cuda else (1.0,))
        return Sizes(batches, (self.seconds, *sorted(set(others))), self.denoising > 0, self.full)
