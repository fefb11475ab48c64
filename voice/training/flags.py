"""The flags of `python -m voice.training`."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from common.cli import ArgumentParser, add_flags, flag, not_negative, positive, share
from common.download.hub import find_generator
from common.download.models import MODELS
from common.errors import InputError
from common.project import PROJECT, command

SMALL_FASTPITCH = PROJECT / "platform" / "fastpitch_small.json"
CPU_WIDTH = 0.125  # of the discriminators, which then take a tenth of the time
CPU_BATCH, GPU_BATCH = 4, 16  # segments of the vocoder
SPEECH_BATCH = 16  # clips of FastPitch


@dataclasses.dataclass(frozen=True)
class VoiceTrainingConfig:
    """How a voice is trained. The shipped voice's model card lists where it differs from the defaults."""

    output: str = flag("", "folder of the finished voice", short=("-o",), metavar="PATH", required=True)
    work: str = flag(
        "", "folder of everything else; without it, the voice's folder with -training at its end", metavar="PATH"
    )
    estimate_only: bool = flag(False, "check the data, say what time and disk the training takes, and stop")
    num_gpus: int = flag(0, "GPUs to train on, or 0 for the CPU (not yet run on a GPU)")
    parallel: bool = flag(False, "train vocoder and FastPitch at the same time, with half of the cores each")
    n_workers: int = flag(0, "processes that extract pitch and evaluate (0: one per core)")
    seed: int = flag(1234, "seed of both trainings")

    vocoder_base: str = flag(
        "hifigan-lj-v2",
        "generator to start from: a file, a model's folder, a hub name (org/name), or the name of a published one "
        f"({command('bash scripts/download_models.sh')} lists them)",
        metavar="NAME|PATH",
    )
    vocoder_config: str = flag(
        "v2", "its architecture: v1, v2, v3 or a JSON file; empty to take it from the file", metavar="NAME|PATH"
    )
    vocoder_epochs: int = flag(40, "epochs of the vocoder")
    vocoder_batch_size: int = flag(0, f"segments in one pass (0: {CPU_BATCH}, and on GPUs {GPU_BATCH} on each)")
    vocoder_learning_rate: float = flag(3e-4, "learning rate of the vocoder's first epoch")
    vocoder_learning_rate_decay: float = flag(0.93, "factor of the vocoder's learning rate per epoch")
    vocoder_warmup_steps: int = flag(500, "steps over which the vocoder's learning rate rises from 0")
    vocoder_ema: float = flag(0.999, "decay of the moving average of the generator, which becomes the voice (0: none)")
    discriminator_width: float = flag(0.0, f"see train.py (0: {CPU_WIDTH:g}, and on GPUs 1)")

    fine_tuning_epochs: int = flag(
        0, "further epochs of the vocoder, on recordings and on FastPitch's mels of them (0: none)"
    )
    fine_tuning_learning_rate: float = flag(1e-4, "learning rate of the first of these epochs")

    base_share: float = flag(
        0.15, "share of the base in the average that becomes the voice, as voice.pack --base-share"
    )

    fastpitch_config: str = flag(
        "small",
        "architecture: small (platform/fastpitch_small.json), recipe, or a JSON file with keys that differ",
        metavar="NAME|PATH",
    )
    fastpitch_epochs: int = flag(80, "epochs of FastPitch")
    fastpitch_batch_size: int = flag(SPEECH_BATCH, "clips in one pass, on each GPU if there are any")
    fastpitch_learning_rate: float = flag(0.03, "factor of FastPitch's learning rate, for AdamW")
    fastpitch_warmup_steps: int = flag(400, "steps over which FastPitch's learning rate rises from 0")
    fastpitch_ema: float = flag(0.998, "decay of the moving average of FastPitch, which becomes the voice (0: none)")
    binarization_warmup_epochs: int = flag(10, "epochs over which FastPitch's binarisation loss rises")

    evaluation_clips: int = flag(0, "evaluate only the first N test clips (0: all)")
    compare: tuple[str, ...] = flag(
        (), "further generators to evaluate beside the voice and its base", metavar="NAME=PATH"
    )
    recogniser: str = flag(
        "", "recogniser of the evaluation, as evaluate.py --recogniser; without it, its default", metavar="NAME|PATH"
    )

    description: str = flag("", "one line on the recordings and their source, for the model card")
    licence: str = flag("", "licence of the recordings, for the model card, such as cc-by-4.0")
    consent: str = flag("", "whose voice this is and with what permission it may be used, one line for the model card")
    sentences: str = flag(
        "", "your own sentences for the listening report, one a line; without it, phrases/new_voice.txt", metavar="PATH"
    )
    known_faults: str = flag("", "text file (Markdown) with the known faults, for the model card", metavar="PATH")

    def __post_init__(self) -> None:
        share(base_share=self.base_share)
        positive(
            vocoder_epochs=self.vocoder_epochs,
            fastpitch_epochs=self.fastpitch_epochs,
            fastpitch_batch_size=self.fastpitch_batch_size,
        )
        not_negative(
            num_gpus=self.num_gpus,
            n_workers=self.n_workers,
            vocoder_batch_size=self.vocoder_batch_size,
            fine_tuning_epochs=self.fine_tuning_epochs,
            evaluation_clips=self.evaluation_clips,
        )
        if self.parallel and self.num_gpus:
            raise InputError("--parallel: has no effect with --num-gpus, on which both would share the memory")
        if self.vocoder_base not in MODELS and not Path(find_generator(self.vocoder_base)).is_file():
            raise FileNotFoundError(
                f"--vocoder-base: {self.vocoder_base}: neither a file, a model nor a published generator "
                f"({', '.join(name for name, model in MODELS.items() if model.flag == '--hifigan')})"
            )
        named = "" if self.fastpitch_config in ("small", "recipe") else self.fastpitch_config
        files = {"fastpitch-config": named, "known-faults": self.known_faults, "sentences": self.sentences}
        for name, path in files.items():
            if path and not Path(path).is_file():
                raise FileNotFoundError(f"--{name}: {path}: no such file")

    @property
    def work_folder(self) -> Path:
        output = Path(self.output)
        return Path(self.work) if self.work else output.with_name(f"{output.name}-training")

    @property
    def processes(self) -> int:
        """Number of training processes."""
        return max(1, self.num_gpus)

    @property
    def batch_size(self) -> int:
        """Segments that one process of the vocoder's training takes at a time."""
        return self.vocoder_batch_size or (GPU_BATCH if self.num_gpus else CPU_BATCH)

    @property
    def fine_tuned_epochs(self) -> int:
        """Epochs of both trainings of the vocoder together."""
        return self.vocoder_epochs + self.fine_tuning_epochs

    @property
    def width(self) -> float:
        """Width of the discriminators."""
        return self.discriminator_width or (1.0 if self.num_gpus else CPU_WIDTH)


def make_parser() -> ArgumentParser:
    """Return the parser of `python -m voice.training`."""
    parser = ArgumentParser(
        prog="voice.training",
        description="Trains a voice from a data set in LJSpeech layout (wavs/, metadata.csv): checks it, says what "
        "time and disk the training takes, trains vocoder and FastPitch, packs and evaluates the voice, and writes "
        "its model card. If interrupted, the same command continues.",
    )
    parser.add_argument("dataset", metavar="DATASET", help="the data set, which is only read")
    add_flags(parser, VoiceTrainingConfig, "voice")
    return parser
