"""The command lines of a voice's training, and the files that they read and write."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from common.audio_config import AudioConfig
from common.download.hub import find_fastpitch, find_generator
from common.download.models import MODELS
from common.files.json_files import read_json
from common.project import models_dir
from common.training.best import find_best
from common.training.checkpoint_store import CheckpointStore
from fastpitch.speakers import SPEAKERS_SUFFIX
from hifigan.checkpoint import load_generator
from hifigan.training.state import CHECKPOINT_FILES as VOCODER_FILES
from voice.folder import VoiceFiles, find_voice
from voice.training.flags import SCRATCH, SMALL_FASTPITCH, VoiceTrainingConfig
from voice.training.pairs import PairFolder

Command = list[str]  # words after the interpreter
PARTS = ("train", "val", "test")


@dataclasses.dataclass(frozen=True)
class VoicePaths:
    """Where a voice and everything around it lie.

    Attributes:
        dataset: the recordings of the user, which are only read.
        voice: the finished voice.
        work: folder of the rest.
        base: generator that the vocoder starts from, or None.
        fastpitch_base: FastPitch model to start from, or None.
    """

    dataset: Path
    voice: VoiceFiles
    work: Path
    base: Path | None
    fastpitch_base: Path | None = None

    @staticmethod
    def find(dataset: str, cfg: VoiceTrainingConfig) -> VoicePaths:
        """Return absolute paths, since the programs run in the repository."""
        output = Path(cfg.output).absolute()
        voice = VoiceFiles(output.name, output)
        bases = _find_generator(cfg), _find_fastpitch(cfg)
        return VoicePaths(Path(dataset).absolute(), voice, cfg.work_folder.absolute(), *bases)

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
    def speakers(self) -> Path:
        """Names of the speakers, JSON. The file exists if there are several."""
        return self.lists / f"voice{SPEAKERS_SUFFIX}"

    @property
    def vocoder(self) -> Path:
        return self.work / "vocoder"

    @property
    def fastpitch(self) -> Path:
        return self.work / "fastpitch"

    @property
    def predicted(self) -> Path:
        """FastPitch's mels of the training and validation clips, made with teacher forcing."""
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


def _find_generator(cfg: VoiceTrainingConfig) -> Path | None:
    if cfg.vocoder_base == SCRATCH:
        return None
    if not cfg.vocoder_base:
        return find_voice(cfg.base).hifigan.absolute()
    if cfg.vocoder_base in MODELS:
        published = MODELS[cfg.vocoder_base]
        return (models_dir() / published.folder / published.file).absolute()
    return Path(find_generator(cfg.vocoder_base)).absolute()


def _find_fastpitch(cfg: VoiceTrainingConfig) -> Path | None:
    if cfg.fastpitch_base == SCRATCH:
        return None
    found = find_fastpitch(cfg.fastpitch_base) if cfg.fastpitch_base else find_voice(cfg.base).fastpitch
    return Path(found).absolute()


def split_command(paths: VoicePaths) -> Command:
    words = ["prepare_dataset.py", "-d", str(paths.data), "--write-filelists", str(paths.lists)]
    return [*words, "--split", "prompt", "--name", "voice"]


def download_command(cfg: VoiceTrainingConfig) -> Command:
    return ["-m", "common.download.models", cfg.vocoder_base]


def pitch_command(paths: VoicePaths, cfg: VoiceTrainingConfig) -> Command:
    return ["prepare_dataset.py", "-d", str(paths.data), "--extract-pitch", *workers(cfg, "--n-workers")]


def fastpitch_command(paths: VoicePaths, cfg: VoiceTrainingConfig) -> Command:
    return [
        *_launcher(cfg),
        *("-m", "fastpitch.train"),
        *("-d", str(paths.data)),
        *("--training-files", str(paths.speech_list("train"))),
        *("--validation-files", str(paths.speech_list("val"))),
        *(("--checkpoint-path", str(paths.fastpitch_base)) if paths.fastpitch_base else ()),
        *(("--speaker-names", str(paths.speakers)) if paths.speakers.is_file() else ()),
        *_fastpitch_config(cfg),
        *("--optimizer", "adamw"),
        *("--learning-rate", f"{cfg.fastpitch_learning_rate:g}"),
        *("--warmup-steps", str(cfg.fastpitch_warmup_steps)),
        *("--batch-size", str(cfg.fastpitch_batch_size)),
        *("--ema", f"{cfg.fastpitch_ema:g}"),
        *("--binarization-warmup-epochs", str(cfg.binarization_warmup_epochs)),
        *("--epochs", str(cfg.fastpitch_epochs)),
        *_run_settings(cfg, cfg.fastpitch_validation_epochs, log_steps=10),
        *("--output", str(paths.fastpitch)),
    ]


def vocoder_command(paths: VoicePaths, cfg: VoiceTrainingConfig) -> Command:
    """Return the command that trains the vocoder on recordings alone."""
    return [
        *_launcher(cfg),
        "train.py",
        *("-d", str(paths.data)),
        *("--training-files", str(paths.audio_list("train"))),
        *("--validation-files", str(paths.audio_list("val"))),
        *(("--hifigan-config", as_path(cfg.vocoder_config)) if cfg.vocoder_config else ()),
        *(("--checkpoint-path-gen", str(paths.base)) if paths.base else ()),
        *("--warmup-steps", str(cfg.vocoder_warmup_steps)),
        *("--learning-rate", f"{cfg.vocoder_learning_rate:g}"),
        *("--epochs", str(max(1, cfg.vocoder_epochs))),  # at least the epoch of the trial
        *_vocoder_settings(cfg, cfg.vocoder_validation_epochs),
        *("--output", str(paths.vocoder)),
    ]


def predicted_command(paths: VoicePaths, cfg: VoiceTrainingConfig) -> Command:
    """Return the command that extracts the mels of the best FastPitch for fine-tuning.

    Raises:
        InputError: FastPitch is not trained yet.
    """
    return [
        *("-m", "fastpitch.extract_mels"),
        *("--fastpitch", str(find_best(paths.fastpitch)[1])),
        *(("--ema",) if cfg.fastpitch_ema else ()),
        *("-d", str(paths.data)),
        *("--filelists", str(paths.speech_list("train")), str(paths.speech_list("val"))),
        *(("--cuda",) if cfg.num_gpus else ("--num-workers", "0")),
        *("-o", str(paths.predicted)),
    ]


def fine_tuning_command(paths: VoicePaths, cfg: VoiceTrainingConfig) -> Command:
    """Return the command that trains the vocoder on pairs, from the base or from its training on recordings.

    Raises:
        InputError: its training on recordings, which is wanted, is not done yet.
    """
    if cfg.vocoder_epochs:
        epoch, _ = find_best(paths.vocoder)
        generator, discriminators = CheckpointStore(paths.vocoder, VOCODER_FILES).paths(epoch)
        start = ["--checkpoint-path-gen", str(generator), "--checkpoint-path-discrim", str(discriminators)]
    else:
        assert paths.base is not None  # the flags demand it
        epoch = load_generator(paths.base, cfg.vocoder_config or None)[1].epoch or 0
        start = ["--checkpoint-path-gen", str(paths.base), "--warmup-steps", str(cfg.vocoder_warmup_steps)]
        start += ["--hifigan-config", as_path(cfg.vocoder_config)] if cfg.vocoder_config else []
    # The schedule counts the epochs before, too. This is the rate that decays to the wanted one.
    learning_rate = cfg.fine_tuning_learning_rate / cfg.vocoder_learning_rate_decay**epoch
    return [
        *_launcher(cfg),
        "train.py",
        *("-d", str(paths.pairs.folder)),
        *("--training-files", str(paths.pairs.list("train"))),
        *("--validation-files", str(paths.pairs.list("val"))),
        *("--input-mels-dir", str(paths.pairs.mels)),
        *start,
        *("--learning-rate", f"{learning_rate:g}"),
        *("--epochs", str(epoch + cfg.fine_tuning_epochs)),
        *_vocoder_settings(cfg, cfg.fine_tuning_validation_epochs),
        *("--output", str(paths.fine_tuning)),
    ]


def training_commands(paths: VoicePaths, cfg: VoiceTrainingConfig) -> dict[str, Command]:
    """Return the commands of a finished training between the split and the packing, in order, by stage.

    Raises:
        InputError: it is not finished.
    """
    commands = {"pitch": pitch_command(paths, cfg), "fastpitch": fastpitch_command(paths, cfg)}
    if cfg.vocoder_epochs:
        commands["vocoder"] = vocoder_command(paths, cfg)
    if cfg.fine_tuning_epochs:
        commands["predicted"] = predicted_command(paths, cfg)
        commands["fine-tuning"] = fine_tuning_command(paths, cfg)
    return commands


def pack_command(paths: VoicePaths, cfg: VoiceTrainingConfig) -> Command:
    """Return the command that packs the best checkpoints.

    Raises:
        InputError: there are none.
    """
    share = ("--hifigan-base", str(paths.base), "--base-share", f"{cfg.base_share:g}")
    return [
        *("-m", "voice.pack"),
        *_packed_vocoder(paths, cfg),
        *(share if paths.base and cfg.base_share and (cfg.fine_tuning_epochs or cfg.vocoder_epochs) else ()),
        *("--fastpitch", str(find_best(paths.fastpitch)[1])),
        *(("--fastpitch-ema",) if cfg.fastpitch_ema else ()),
        *("--speech-gain-db", str(read_json(paths.levels)["gain_db"])),
        *("-o", str(paths.voice.folder)),
    ]


def _packed_vocoder(paths: VoicePaths, cfg: VoiceTrainingConfig) -> Command:
    """Return the flags of the generator that becomes the voice: the base itself, if it was not trained at all."""
    if not (cfg.fine_tuning_epochs or cfg.vocoder_epochs):
        config = ["--hifigan-config", as_path(cfg.vocoder_config)] if cfg.vocoder_config else []
        return ["--hifigan", str(paths.base), *config]
    folder = paths.fine_tuning if cfg.fine_tuning_epochs else paths.vocoder
    return ["--hifigan", str(find_best(folder)[1]), *(["--hifigan-ema"] if cfg.vocoder_ema else [])]


def override(command: Sequence[str], **values: object) -> Command:
    """Return a command with other values of flags: the last one counts."""
    changed = [word for name, value in values.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    return [*command, *changed]


def _vocoder_settings(cfg: VoiceTrainingConfig, validation_epochs: int) -> Command:
    """The flags that both trainings of the vocoder share."""
    return [
        *("--discriminator-width", f"{cfg.discriminator_width:g}"),
        *("--batch-size", str(cfg.vocoder_batch_size)),
        *("--learning-rate-decay", f"{cfg.vocoder_learning_rate_decay:g}"),
        *("--ema", f"{cfg.vocoder_ema:g}"),
        *_run_settings(cfg, validation_epochs, log_steps=20),
    ]


def _run_settings(cfg: VoiceTrainingConfig, validation_epochs: int, log_steps: int) -> Command:
    """The flags that all trainings share."""
    return [
        *("--seed", str(cfg.seed)),
        *_data_loading(cfg),
        # A kill -9 costs at most the time since the last checkpoint.
        *(
            "--checkpoint-interval",
            str(max(1, validation_epochs // 4)),
            "--validation-interval",
            str(validation_epochs),
        ),
        *("--patience", str(cfg.patience)),
        *("--samples-interval", "1000", "--step-logs-interval", str(log_steps)),
    ]


def as_path(word: str) -> str:
    """Return a file's absolute path, or a name such as v2 unchanged."""
    return str(Path(word).absolute()) if Path(word).is_file() else word


def _fastpitch_config(cfg: VoiceTrainingConfig) -> Command:
    name = cfg.fastpitch_config or ("small" if cfg.fastpitch_base == SCRATCH else "recipe")
    if name == "recipe":  # or the base's
        return []
    return ["--fastpitch-config", str(SMALL_FASTPITCH if name == "small" else Path(name).absolute())]


def _launcher(cfg: VoiceTrainingConfig) -> Command:
    if cfg.processes == 1:
        return []
    return ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(cfg.processes)]


def _data_loading(cfg: VoiceTrainingConfig) -> Command:
    """A CPU has no cores to spare for loading, and keeps the clips in memory."""
    return ["--cuda"] if cfg.num_gpus else ["--num-workers", "0", "--dataset-cache", "ram"]


def workers(cfg: VoiceTrainingConfig, name: str) -> Command:
    return [name, str(cfg.n_workers)] if cfg.n_workers else []
