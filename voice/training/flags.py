"""The flags of `python -m voice.training`."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from common.cli import ArgumentParser, add_flags, flag, not_negative, positive, share
from common.download.hub import find_fastpitch, find_generator
from common.download.models import MODELS
from common.errors import InputError
from common.project import PROJECT, command
from voice.folder import DEFAULT_VOICE, find_voice
from voice.recordings.flags import RecordingsConfig

SMALL_FASTPITCH = PROJECT / "platform" / "fastpitch_small.json"
SCRATCH = "scratch"  # in place of a model to start from
AUTO = -1  # `settings.choose` replaces it
_CHOSEN = f"{AUTO}: chosen from the amount of data and the machine"


@dataclasses.dataclass(frozen=True)
class VoiceTrainingConfig:
    """How a voice is trained. The shipped voice's model card lists where it differs from the defaults."""

    output: str = flag("", "folder of the finished voice", short=("-o",), metavar="PATH", required=True)
    work: str = flag(
        "", "folder of everything else; without it, the voice's folder with -training at its end", metavar="PATH"
    )
    estimate_only: bool = flag(False, "prepare the data, say what time and disk the training takes, and stop")
    num_gpus: int = flag(0, "GPUs to train on, or 0 for the CPU (not yet run on a GPU)")
    parallel: bool = flag(False, "train vocoder and FastPitch at the same time, with half of the cores each")
    n_workers: int = flag(0, "processes that read recordings, extract pitch and evaluate (0: one per core)")
    seed: int = flag(1234, "seed of both trainings")

    base: str = flag(
        DEFAULT_VOICE, "voice that both models start from: its name, its folder or a hub name", metavar="NAME|PATH"
    )
    hours: float = flag(
        0.0, "hours that both trainings may take on this machine; sets their epochs (0: the usual amount of training)"
    )
    patience: int = flag(
        AUTO, f"end a training after this number of validations without improvement ({_CHOSEN}; 0: do not)"
    )

    fastpitch_base: str = flag(
        "",
        f"FastPitch model to start from instead of the base's: a file, a model's folder, a hub name, or {SCRATCH}",
        metavar="NAME|PATH",
    )
    fastpitch_config: str = flag(
        "",
        "architecture: small (platform/fastpitch_small.json), recipe, or a JSON file with keys that differ; without "
        f"it, the base's, and small from {SCRATCH}",
        metavar="NAME|PATH",
    )
    fastpitch_epochs: int = flag(AUTO, f"epochs of FastPitch ({_CHOSEN})")
    fastpitch_batch_size: int = flag(AUTO, f"clips in one pass, on each GPU if there are any ({_CHOSEN})")
    fastpitch_learning_rate: float = flag(AUTO, f"factor of FastPitch's learning rate, for AdamW ({_CHOSEN})")
    fastpitch_warmup_steps: int = flag(AUTO, f"steps over which FastPitch's learning rate rises from 0 ({_CHOSEN})")
    fastpitch_ema: float = flag(
        AUTO, f"decay of the moving average of FastPitch, which becomes the voice ({_CHOSEN}; 0: none)"
    )
    binarization_warmup_epochs: int = flag(AUTO, f"epochs over which FastPitch's binarisation loss rises ({_CHOSEN})")

    vocoder_base: str = flag(
        "",
        "generator to start from instead of the base's: a file, a model's folder, a hub name, the name of a published "
        f"one ({command('bash scripts/download_models.sh')} lists them), or {SCRATCH}",
        metavar="NAME|PATH",
    )
    vocoder_config: str = flag(
        "",
        f"its architecture: v1, v2, v3 or a JSON file, for files that lack it and for {SCRATCH}",
        metavar="NAME|PATH",
    )
    vocoder_epochs: int = flag(0, "epochs of the vocoder on recordings alone, before its fine-tuning (0: none)")
    vocoder_learning_rate: float = flag(3e-4, "learning rate of the first of these epochs")
    fine_tuning_epochs: int = flag(
        AUTO, f"epochs of the vocoder on recordings and on FastPitch's mels of them ({_CHOSEN}; 0: none)"
    )
    fine_tuning_learning_rate: float = flag(AUTO, f"learning rate of the first of these epochs ({_CHOSEN})")
    vocoder_batch_size: int = flag(AUTO, f"segments in one pass, on each GPU if there are any ({_CHOSEN})")
    vocoder_learning_rate_decay: float = flag(AUTO, f"factor of the vocoder's learning rate per epoch ({_CHOSEN})")
    vocoder_warmup_steps: int = flag(AUTO, f"steps over which the vocoder's learning rate rises from 0 ({_CHOSEN})")
    vocoder_ema: float = flag(
        AUTO, f"decay of the moving average of the generator, which becomes the voice ({_CHOSEN}; 0: none)"
    )
    discriminator_width: float = flag(AUTO, f"see train.py ({_CHOSEN})")
    base_share: float = flag(
        0.15, "share of the base in the average that becomes the voice, as voice.pack --base-share"
    )

    # Not flags: `settings.choose` sets them.
    fastpitch_validation_epochs: int = 5
    vocoder_validation_epochs: int = 2
    fine_tuning_validation_epochs: int = 1

    evaluation_clips: int = flag(0, "evaluate only the first N test clips (0: all)")
    compare: tuple[str, ...] = flag(
        (), "further generators to evaluate beside the voice and its base", metavar="NAME=PATH"
    )
    recogniser: str = flag(
        "",
        "recogniser of the evaluation, as evaluate.py --recogniser; without it, --transcriber, or its default",
        metavar="NAME|PATH",
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
        not_negative(num_gpus=self.num_gpus, n_workers=self.n_workers, hours=self.hours)
        not_negative(vocoder_epochs=self.vocoder_epochs, evaluation_clips=self.evaluation_clips)
        # The programs check the values of the other flags.
        for name in ("fastpitch_epochs", "fastpitch_batch_size", "vocoder_batch_size", "discriminator_width"):
            positive(**({name: value} if (value := getattr(self, name)) != AUTO else {}))
        for name in ("patience", "fine_tuning_epochs"):
            not_negative(**({name: value} if (value := getattr(self, name)) != AUTO else {}))
        if self.parallel and self.num_gpus:
            raise InputError("--parallel: has no effect with --num-gpus, on which both would share the memory")
        if self.parallel and not self.vocoder_epochs:
            raise InputError("--parallel: has no effect without --vocoder-epochs: fine-tuning comes after FastPitch")
        if self.vocoder_base == SCRATCH and not self.vocoder_epochs:
            raise InputError(f"--vocoder-base {SCRATCH}: fine-tuning needs a trained vocoder; give --vocoder-epochs")
        self._check_models()
        named = "" if self.fastpitch_config in ("small", "recipe") else self.fastpitch_config
        files = {"fastpitch-config": named, "known-faults": self.known_faults, "sentences": self.sentences}
        for name, path in files.items():
            if path and not Path(path).is_file():
                raise FileNotFoundError(f"--{name}: {path}: no such file")

    def _check_models(self) -> None:
        """Raise an error for models to start from that do not exist."""
        if not (self.vocoder_base and self.fastpitch_base):
            find_voice(self.base)
        elif self.base != DEFAULT_VOICE:
            raise InputError("--base: has no effect with both --vocoder-base and --fastpitch-base")
        if self.vocoder_base not in ("", SCRATCH, *MODELS) and not Path(find_generator(self.vocoder_base)).is_file():
            raise FileNotFoundError(
                f"--vocoder-base: {self.vocoder_base}: neither a file, a model nor a published generator "
                f"({', '.join(name for name, model in MODELS.items() if model.flag == '--hifigan')})"
            )
        if self.fastpitch_base not in ("", SCRATCH) and not Path(find_fastpitch(self.fastpitch_base)).is_file():
            raise FileNotFoundError(f"--fastpitch-base: {self.fastpitch_base}: neither a file nor a model")

    @property
    def work_folder(self) -> Path:
        output = Path(self.output)
        return Path(self.work) if self.work else output.with_name(f"{output.name}-training")

    @property
    def processes(self) -> int:
        """Number of training processes."""
        return max(1, self.num_gpus)


def make_parser() -> ArgumentParser:
    """Return the parser of `python -m voice.training`."""
    parser = ArgumentParser(
        prog="voice.training",
        description="Trains a voice from recordings of any kind and length, with or without texts: cuts them at "
        "pauses, writes down the texts that are missing, checks everything, says what time and disk the training "
        "takes, trains FastPitch and the vocoder, evaluates the voice, and writes its model card. If interrupted, the "
        "same command continues.",
    )
    parser.add_argument("dataset", metavar="RECORDINGS", help="folder of recordings, which is only read")
    add_flags(parser, RecordingsConfig, "recordings and texts")
    add_flags(parser, VoiceTrainingConfig, "voice")
    return parser
