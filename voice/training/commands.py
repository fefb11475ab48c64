"""The command lines of a voice's training, and the files that they read and write."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from common.audio_config import AudioConfig
from common.download.hub import find_generator
from common.download.models import MODELS
from common.errors import InputError
from common.files.json_files import read_json
from common.project import models_dir
from common.training.checkpoint_store import CheckpointStore
from fastpitch.training.state import CHECKPOINT_FILES as FASTPITCH_FILES
from hifigan.training.state import CHECKPOINT_FILES as VOCODER_FILES
from voice.folder import VoiceFiles
from voice.training.flags import SMALL_FASTPITCH, VoiceTrainingConfig
from voice.training.pairs import PairFolder

Command = list[str]  # words after the interpreter
PARTS = ("train", "val", "test")
VOCODER_VALIDATION_EPOCHS, FASTPITCH_VALIDATION_EPOCHS = 2, 5


@dataclasses.dataclass(frozen=True)
class VoicePaths:
    """Where a voice and everything around it lie.

    Attributes:
        dataset: the recordings of the user, which are only read.
        voice: the finished voice.
        work: folder of the rest.
        base: generator that the vocoder starts from.
    """

    dataset: Path
    voice: VoiceFiles
    work: Path
    base: Path

    @staticmethod
    def find(dataset: str, cfg: VoiceTrainingConfig) -> VoicePaths:
        """Return absolute paths, since the programs run in the repository."""
        output = Path(cfg.output).absolute()
        published = MODELS.get(cfg.vocoder_base)
        base = models_dir() / published.folder / published.file if published else Path(find_generator(cfg.vocoder_base))
        voice = VoiceFiles(output.name, output)
        return VoicePaths(Path(dataset).absolute(), voice, cfg.work_folder.absolute(), base.absolute())

    @property
    def data(self) -> Path:
        """The data set that both models train on: the recordings at the right rate, and their pitch."""
        return self.work / "data"

    @property
    def levels(self) -> Path:
        """The gain that the recordings lack, as JSON."""
        return self.work / "levels.json"

    @property
    def lists(self) -> Path:
        return self.work / "lists"

    def audio_list(self, part: str) -> Path:
        """List of the wav files of a part (train, val, test)."""
        return self.lists / f"voice_audio_{part}.txt"

    def speech_list(self, part: str) -> Path:
        """List of wav, pitch and text of a part."""
        return self.lists / f"voice_audio_pitch_text_{part}.txt"

    @property
    def vocoder(self) -> Path:
        return self.work / "vocoder"

    @property
    def fastpitch(self) -> Path:
        return self.work / "fastpitch"

    @property
    def predicted(self) -> Path:
        """FastPitch's mels of the training clips, made with teacher forcing."""
        return self.work / "predicted"

    @property
    def pairs(self) -> PairFolder:
        """Data set for fine-tuning the vocoder."""
        return PairFolder(self.work / "pairs", AudioConfig())

    @property
    def fine_tuning(self) -> Path:
        return self.work / "fine-tuning"

    @property
    def resynthesis(self) -> Path:
        """Evaluation of copy synthesis."""
        return self.work / "evaluation" / "copy-synthesis"

    @property
    def speech(self) -> Path:
        """Evaluation of spoken texts."""
        return self.work / "evaluation" / "speech"

    @property
    def sentences(self) -> Path:
        """Evaluation of the user's own sentences."""
        return self.work / "evaluation" / "sentences"

    @property
    def report(self) -> Path:
        """Listening report of the test clips, a web page."""
        return self.voice.folder / "report"

    @property
    def sentences_report(self) -> Path:
        """Listening report of the user's own sentences, a web page."""
        return self.voice.folder / "sentences"


def split_command(paths: VoicePaths) -> Command:
    words = ["prepare_dataset.py", "-d", str(paths.data), "--write-filelists", str(paths.lists)]
    return [*words, "--split", "prompt", "--name", "voice"]


def convert_command(paths: VoicePaths, cfg: VoiceTrainingConfig) -> Command:
    return [
        "prepare_dataset.py",
        *("-d", str(paths.dataset), "--convert-to", str(paths.data)),
        *workers(cfg, "--n-workers"),
    ]


def download_command(cfg: VoiceTrainingConfig) -> Command:
    return ["-m", "common.download.models", cfg.vocoder_base]


def pitch_command(paths: VoicePaths, cfg: VoiceTrainingConfig) -> Command:
    return ["prepare_dataset.py", "-d", str(paths.data), "--extract-pitch", *workers(cfg, "--n-workers")]


def vocoder_command(paths: VoicePaths, cfg: VoiceTrainingConfig) -> Command:
    return [
        *_launcher(cfg),
        "train.py",
        *("-d", str(paths.data)),
        *("--training-files", str(paths.audio_list("train"))),
        *("--validation-files", str(paths.audio_list("val"))),
        *(("--hifigan-config", as_path(cfg.vocoder_config)) if cfg.vocoder_config else ()),
        *("--checkpoint-path-gen", str(paths.base)),
        *("--warmup-steps", str(cfg.vocoder_warmup_steps)),
        *("--learning-rate", f"{cfg.vocoder_learning_rate:g}"),
        *("--epochs", str(cfg.vocoder_epochs)),
        *_vocoder_settings(cfg),
        *("--output", str(paths.vocoder)),
    ]


def predicted_command(paths: VoicePaths, cfg: VoiceTrainingConfig) -> Command:
    """Return the command that extracts FastPitch's mels for fine-tuning.

    Raises:
        InputError: FastPitch was not trained to its end.
    """
    return [
        *("-m", "fastpitch.extract_mels"),
        *("--fastpitch", str(_last_checkpoint(paths.fastpitch, FASTPITCH_FILES, cfg.fastpitch_epochs)[0])),
        *(("--ema",) if cfg.fastpitch_ema else ()),
        *("-d", str(paths.data)),
        *("--filelists", str(paths.speech_list("train"))),
        *(("--cuda",) if cfg.num_gpus else ("--num-workers", "0")),
        *("-o", str(paths.predicted)),
    ]


def fine_tuning_command(paths: VoicePaths, cfg: VoiceTrainingConfig) -> Command:
    """Return the command that continues the vocoder's training on pairs.

    Raises:
        InputError: the vocoder was not trained to its end.
    """
    generator, discriminators = _last_checkpoint(paths.vocoder, VOCODER_FILES, cfg.vocoder_epochs)
    # The schedule counts the epochs of both trainings. This is the rate that decays to the wanted one.
    learning_rate = cfg.fine_tuning_learning_rate / cfg.vocoder_learning_rate_decay**cfg.vocoder_epochs
    return [
        *_launcher(cfg),
        "train.py",
        *("-d", str(paths.pairs.folder)),
        *("--training-files", str(paths.pairs.list("train"))),
        *("--validation-files", str(paths.pairs.list("val"))),
        *("--input-mels-dir", str(paths.pairs.mels)),
        *("--checkpoint-path-gen", str(generator)),
        *("--checkpoint-path-discrim", str(discriminators)),
        *("--learning-rate", f"{learning_rate:g}"),
        *("--epochs", str(cfg.fine_tuned_epochs)),
        *_vocoder_settings(cfg),
        *("--output", str(paths.fine_tuning)),
    ]


def fastpitch_command(paths: VoicePaths, cfg: VoiceTrainingConfig) -> Command:
    return [
        *_launcher(cfg),
        *("-m", "fastpitch.train"),
        *("-d", str(paths.data)),
        *("--training-files", str(paths.speech_list("train"))),
        *("--validation-files", str(paths.speech_list("val"))),
        *_fastpitch_config(cfg),
        *("--optimizer", "adamw"),
        *("--learning-rate", f"{cfg.fastpitch_learning_rate:g}"),
        *("--warmup-steps", str(cfg.fastpitch_warmup_steps)),
        *("--batch-size", str(cfg.fastpitch_batch_size)),
        *("--ema", f"{cfg.fastpitch_ema:g}"),
        *("--binarization-warmup-epochs", str(cfg.binarization_warmup_epochs)),
        *("--epochs", str(cfg.fastpitch_epochs)),
        *("--seed", str(cfg.seed)),
        *_data_loading(cfg),
        *("--checkpoint-interval", "1", "--validation-interval", str(FASTPITCH_VALIDATION_EPOCHS)),
        *("--samples-interval", "1000", "--step-logs-interval", "10"),
        *("--output", str(paths.fastpitch)),
    ]


def pack_command(paths: VoicePaths, cfg: VoiceTrainingConfig) -> Command:
    """Return the command that packs the checkpoints of the last epochs.

    Raises:
        InputError: there are none.
    """
    vocoder = paths.fine_tuning if cfg.fine_tuning_epochs else paths.vocoder
    return [
        *("-m", "voice.pack"),
        *("--hifigan", str(_last_checkpoint(vocoder, VOCODER_FILES, cfg.fine_tuned_epochs)[0])),
        *(("--hifigan-ema",) if cfg.vocoder_ema else ()),
        *(("--hifigan-base", str(paths.base), "--base-share", f"{cfg.base_share:g}") if cfg.base_share else ()),
        *("--fastpitch", str(_last_checkpoint(paths.fastpitch, FASTPITCH_FILES, cfg.fastpitch_epochs)[0])),
        *(("--fastpitch-ema",) if cfg.fastpitch_ema else ()),
        *("--speech-gain-db", str(read_json(paths.levels)["gain_db"])),
        *("-o", str(paths.voice.folder)),
    ]


def override(command: Sequence[str], **values: object) -> Command:
    """Return a command with other values of flags: the last one counts."""
    changed = [word for name, value in values.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    return [*command, *changed]


def _last_checkpoint(folder: Path, files: tuple[str, ...], epochs: int) -> Sequence[Path]:
    store = CheckpointStore(folder, files)
    if epochs not in store.epochs():
        raise InputError(f"{folder}: has no checkpoint of epoch {epochs}; the training was not finished")
    return store.paths(epochs)


def _vocoder_settings(cfg: VoiceTrainingConfig) -> Command:
    """The flags that both trainings of the vocoder share."""
    return [
        *("--discriminator-width", f"{cfg.width:g}"),
        *("--batch-size", str(cfg.batch_size)),
        *("--learning-rate-decay", f"{cfg.vocoder_learning_rate_decay:g}"),
        *("--ema", f"{cfg.vocoder_ema:g}"),
        *("--seed", str(cfg.seed)),
        *_data_loading(cfg),
        *("--checkpoint-interval", "1", "--validation-interval", str(VOCODER_VALIDATION_EPOCHS)),
        *("--samples-interval", "1000", "--step-logs-interval", "20"),
    ]


def as_path(word: str) -> str:
    """Return a file's absolute path, or a name such as v2 unchanged."""
    return str(Path(word).absolute()) if Path(word).is_file() else word


def _fastpitch_config(cfg: VoiceTrainingConfig) -> Command:
    if cfg.fastpitch_config == "recipe":
        return []
    return [
        "--fastpitch-config",
        str(SMALL_FASTPITCH if cfg.fastpitch_config == "small" else Path(cfg.fastpitch_config).absolute()),
    ]


def _launcher(cfg: VoiceTrainingConfig) -> Command:
    if cfg.processes == 1:
        return []
    return ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(cfg.processes)]


def _data_loading(cfg: VoiceTrainingConfig) -> Command:
    """A CPU has no cores to spare for loading, and keeps the clips in memory."""
    return ["--cuda"] if cfg.num_gpus else ["--num-workers", "0", "--dataset-cache", "ram"]


def workers(cfg: VoiceTrainingConfig, name: str) -> Command:
    return [name, str(cfg.n_workers)] if cfg.n_workers else []
