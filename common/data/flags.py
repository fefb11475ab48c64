"""The signal contract as flags, and the flags of `prepare_dataset.py`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common.cli import ArgumentParser, add_flags, flag, folders, from_flags, positive
from common.errors import InputError
from common.resources import available_cores

FMIN_HZ, FMAX_HZ = 65.40639132514966, 2093.004522404789  # of pitch: C2 and C7


@dataclasses.dataclass(frozen=True)
class SignalFlags:
    """The signal contract. A base checkpoint or a JSON configuration may set these too."""

    sampling_rate: int = flag(22050, "sampling rate in Hz")
    filter_length: int = flag(1024, "FFT size in samples")
    hop_length: int = flag(256, "samples from one mel frame to the next")
    win_length: int = flag(1024, "window in samples")
    num_mels: int = flag(80, "mel bands")
    mel_fmin: float = flag(0.0, "lowest mel frequency in Hz")
    mel_fmax: float = flag(8000.0, "highest mel frequency in Hz of the models' input or output")


@dataclasses.dataclass(frozen=True)
class PrepareConfig:
    """The data set, and the files to write."""

    dataset_path: str = flag(
        "data/LJSpeech-1.1", "data set with wavs/, and metadata.csv for file lists", short=("-d",), metavar="PATH"
    )
    wav_text_filelists: tuple[str, ...] = flag(
        (),
        "file lists of the audio files to process; without it, all of wavs/",
        metavar="PATH",
        only_with=("extract_mels", "extract_pitch", "convert_to"),
    )
    write_filelists: str = flag("", "write file lists of the data set into this directory", metavar="PATH")
    split: str = flag(
        "own",
        "ljspeech: the published split, own: a random split, prompt: a random split in which no prompt and no text of "
        "the validation and test parts is in training",
        choices=("ljspeech", "own", "prompt"),
        only_with="write_filelists",
    )
    name: str = flag(
        "",
        "prefix of the file lists; without it, ljs or the name of the data set's directory",
        only_with="write_filelists",
    )
    metadata_columns: str = flag(
        "",
        "what the columns of metadata.csv hold, in order, among id, text, normalised, speaker and ignore, such as "
        "id,text,speaker; without it, they are recognised by their contents",
        metavar="NAMES",
        only_with="write_filelists",
    )
    skip_missing: bool = flag(
        False, "leave out clips of metadata.csv that have no audio or no text", only_with="write_filelists"
    )
    validation_clips: int = flag(
        0, "validation clips of a random split; 0: a tenth, at most 100", only_with="write_filelists"
    )
    extract_mels: bool = flag(False, "write mels/<clip>.pt, [bands, frames], without normalising the level")
    framing: str = flag("vocoder", "framing of the mels", choices=("vocoder", "tacotron"), only_with="extract_mels")
    extract_pitch: bool = flag(False, "write pitch/<clip>.pt, [1, frames] in Hz, and the statistics of the voice")
    f0_min: float = flag(
        FMIN_HZ,
        "lowest pitch of --extract-pitch in Hz (C2); deep voices rarely go below 60",
        only_with="extract_pitch",
    )
    f0_max: float = flag(
        FMAX_HZ,
        "highest pitch in Hz (C7); for speech, 600 to 1000 prevents octave errors",
        only_with="extract_pitch",
    )
    convert_to: str = flag(
        "", "write a copy of the data set to this directory: mono, 16 bit, at --sampling-rate", metavar="PATH"
    )
    hifigan_config: str = flag("", "JSON file of a generator, which provides the signal settings", metavar="PATH")
    n_workers: int = flag(available_cores(), "worker processes")

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of --metadata-columns."""
        return tuple(name.strip() for name in self.metadata_columns.split(",")) if self.metadata_columns else ()

    def __post_init__(self) -> None:
        folders(convert_to=self.convert_to, write_filelists=self.write_filelists)
        positive(n_workers=self.n_workers)
        if self.name and (Path(self.name).name != self.name or self.name == ".." or not self.name.isprintable()):
            raise InputError(f"--name: {self.name} is not the beginning of a file's name")
        extracts = self.extract_mels or self.extract_pitch
        if not (self.write_filelists or extracts or self.convert_to):
            raise InputError("nothing to do: give --write-filelists, --extract-mels, --extract-pitch, or --convert-to")
        if self.validation_clips < 0 or (self.validation_clips and self.split != "own"):
            raise InputError("--validation-clips: a positive number, for --split own only")
        if self.convert_to and (self.write_filelists or extracts):
            raise InputError(
                "--convert-to: only makes the copy; to write other files, run again with the copy as --dataset-path"
            )
        root, target = Path(self.dataset_path).resolve(), Path(self.convert_to).resolve()
        if self.convert_to and (target == root or target.is_relative_to(root / "wavs")):
            raise InputError(f"--convert-to: {self.convert_to} is the data set itself; give another directory")


def parse(argv: Sequence[str] | None = None) -> tuple[PrepareConfig, dict[str, Any]]:
    """Parse the command line of `prepare_dataset.py`. Return its flags, and all values that the user gave."""
    parser = ArgumentParser(
        prog="prepare_dataset.py",
        description="Write file lists, mel spectrograms, and pitch of a data set, or convert it.",
        needs="(--write-filelists PATH | --extract-mels | --extract-pitch | --convert-to PATH)",
        examples=(
            "-d recordings --convert-to my_data",
            "-d my_data --write-filelists my_data/filelists",
            "-d my_data --extract-mels --extract-pitch",
        ),
    )
    add_flags(parser, PrepareConfig, "preparation")
    add_flags(parser, SignalFlags, "signal")
    given = vars(parser.parse_args(argv))
    return from_flags(PrepareConfig, given), given
