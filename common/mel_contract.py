"""The settings that two programs must share to exchange mel spectrograms, read from any file that records them.

Generators, FastPitch models, exports, prepared mels and JSON configurations each record them in their own way. As a
program this compares two of them: `python -m common.mel_contract A B`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common.audio_config import MEL_CONFIG_FILE, OUR_MELS, SIGNAL_KEYS, AudioConfig, MelConvention
from common.cli import ArgumentParser
from common.errors import InputError, one_line
from common.files.exports import export_metadata, is_export
from common.files.generators.folders import find_weights
from common.files.json_files import read_json
from common.files.model_folders import MODEL_FILE
from common.project import command

# Keys of other programs' configurations, which have settings of mels under other names, or leave them out.
FOREIGN_KEYS = {"architectures", "model_type", "model_in_dim", "generator_model_params", "generator_params"}
SAME, DIFFERENT, UNREADABLE = 0, 1, 2  # exit statuses, as in diff(1)


@dataclasses.dataclass(frozen=True)
class MelContract:
    """Settings of mel spectrograms.

    Attributes:
        audio: signal settings and framing.
        convention: logarithm, floor, scaling and edges.
        peak_normalised: each clip was scaled to the same peak before, or None if unknown. Generators are trained on
            such clips, but can handle others.
        origin: where the contract was read, for messages.
        assumed: names of the values of `audio` that the origin lacks. The published LJSpeech models' are assumed.

    Raises:
        InputError: a level that is neither true nor false.
    """

    audio: AudioConfig
    convention: MelConvention = OUR_MELS
    peak_normalised: bool | None = None
    origin: str = ""
    assumed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.peak_normalised not in (None, True, False):
            raise InputError(f"peak_normalised: {self.peak_normalised!r} is neither true nor false")

    @property
    def log_base(self) -> str:
        return self.convention.log_base

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], origin: str = "", **fixed: Any) -> MelContract:
        """Read a checkpoint's `train_setup`, the metadata of an export, a description of mels or a configuration.

        Args:
            values: values of `AudioConfig`, under our names or the paper authors' (exports have them under `audio`),
                of `MelConvention`, and `peak_normalised`. Other keys are ignored. Without `log_base`, mels are in
                natural logarithms, as this project always wrote them.
            origin: where the values come from.
            fixed: values of `AudioConfig` that override `values`.

        Raises:
            InputError: values that contradict each other, or not a dictionary.
        """
        if not isinstance(values, Mapping):
            raise InputError(f"expected a JSON object, found {type(values).__name__}")
        stored = {**values, **values["audio"]} if isinstance(values.get("audio"), Mapping) else values
        ours = {**{SIGNAL_KEYS.get(key, key): value for key, value in stored.items()}, **stored, **fixed}
        names = [field.name for field in dataclasses.fields(AudioConfig)]
        return cls(
            AudioConfig.from_dict(ours),
            MelConvention.from_dict(ours),
            ours.get("peak_normalised"),
            origin,
            tuple(name for name in names if name not in ours),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON files and metadata, which `from_dict` reads."""
        level = {} if self.peak_normalised is None else {"peak_normalised": self.peak_normalised}
        return {**dataclasses.asdict(self.audio), **self.convention.to_dict(), **level}


@dataclasses.dataclass(frozen=True)
class MelDifference:
    """A value in which two contracts differ, and the remedy."""

    name: str
    first: Any
    second: Any
    remedy: str

    def __str__(self) -> str:
        return f"{self.name}: {self.first} / {self.second}; {self.remedy}"


def compare(first: MelContract, second: MelContract) -> list[MelDifference]:
    """Return the differences of two contracts. Peak normalisation is compared only if both record it."""
    one, other = _comparable(first), _comparable(second)
    return [
        MelDifference(name, one[name], other[name], _remedy(name))
        for name in one
        if one[name] != other[name] and not (name == "peak_normalised" and None in (one[name], other[name]))
    ]


def in_words(differing: Sequence[MelDifference]) -> str:
    """Format differences for a message that contains its own remedy."""
    return ", ".join(f"{difference.name} {difference.first} instead of {difference.second}" for difference in differing)


def _comparable(contract: MelContract) -> dict[str, Any]:
    values = dataclasses.asdict(contract.audio)
    return {
        **values,
        "mel_fmax": contract.audio.fmax_hz,  # None is the Nyquist frequency
        **{name: value for name, value in dataclasses.asdict(contract.convention).items() if name != "obstacle"},
        "peak_normalised": contract.peak_normalised,
    }


def _remedy(name: str) -> str:
    flag = name.replace("_", "-")
    return {
        "sampling_rate": f"resample the audio ({command('python prepare_dataset.py')} --convert-to DST --sampling-rate "
        "N) and make its mels again, or take a model of the other rate",
        "framing": "shifted by half a hop: inference.py converts to vocoder, training aligns (--input-mels-framing)",
        "log_base": "inference.py converts (--mel-log); for training, make the mels again",
        "log_floor": "only silence differs",
        "peak_normalised": "only the loudness differs: scale the audio and make its mels again",
    }.get(
        name,
        f"no conversion: make the mels again ({command('python prepare_dataset.py')} --extract-mels --{flag} N), or "
        "take another model",
    )


def read_contract(path: str | Path) -> MelContract:
    """Read the contract of a checkpoint, an export, a data set, a folder of mels or of a model, or a JSON file.

    FastPitch makes mels in "tacotron" framing, which its checkpoints do not record. A generator takes "vocoder"
    framing, unless it was fine-tuned on mels half a hop apart and its checkpoint records this.

    Raises:
        FileNotFoundError: no such file or folder.
        InputError: a file that does not describe mels, or contradicts itself.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder")
    if path.is_dir():
        return _read_folder(path)
    if not path.is_file():
        raise InputError(f"{path}: a device or a pipe, not a file")
    try:
        if path.suffix.lower() == ".json":
            return _read_json_file(path)
        if path.suffix.lower() in (".yaml", ".yml"):
            raise InputError("settings of another program; name its weights or its folder")
        exported = export_metadata(path)
        if exported is None and is_export(path):
            raise InputError("this exported model does not describe its mels; export.py writes files that do")
        return _read_checkpoint(path) if exported is None else MelContract.from_dict(json.loads(exported), str(path))
    except (ValueError, zipfile.BadZipFile) as error:
        raise (
            error if isinstance(error, InputError) and str(path) in str(error) else InputError(f"{path}: {error}")
        ) from error


def read_description(path: Path) -> MelContract:
    """Read the description beside prepared mels.

    Raises:
        InputError: a damaged description.
    """
    try:
        return MelContract.from_dict(read_json(path), str(path))
    except InputError as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise InputError(f"{path}: does not describe mels ({reason}); make them again") from error


def _read_folder(folder: Path) -> MelContract:
    if (folder / MODEL_FILE).is_file():
        return _read_checkpoint(find_weights(folder))
    for file in (folder / MEL_CONFIG_FILE, folder / "mels" / MEL_CONFIG_FILE):
        if file.is_file():
            return read_description(file)
    weights = None
    with contextlib.suppress(InputError):  # not the folder of another program's model
        weights = find_weights(folder)
    if weights:
        return _read_checkpoint(weights)
    raise InputError(
        f"{folder}: neither {MEL_CONFIG_FILE} nor mels/{MEL_CONFIG_FILE} describes mels; "
        f"{command('python prepare_dataset.py')} --extract-mels writes it"
    )


def _read_json_file(path: Path) -> MelContract:
    values = read_json(path)
    if isinstance(values, dict) and values.keys() & FOREIGN_KEYS:
        raise InputError("settings of another program; name its weights or its folder, which tell which mels it takes")
    contract = MelContract.from_dict(values, str(path))
    if len(contract.assumed) == len(dataclasses.fields(AudioConfig)) and "upsample_rates" not in values:
        raise InputError("does not describe mels")
    return contract


def _read_checkpoint(path: Path) -> MelContract:
    # These import PyTorch, which takes seconds, and --help does not need them.
    from common.files.checkpoints import dictionary, read_file
    from common.files.generators.read import parse_generator

    content = read_file(path)
    if generator := parse_generator(path, content):
        return MelContract.from_dict(generator.signal_settings(), str(path))
    acoustic = content.get("state_dict")
    if isinstance(acoustic, Mapping) and any(str(key).endswith("encoder.word_emb.weight") for key in acoustic):
        bands = dictionary(path, content, "config").get("n_mel_channels", 80)
        setup = dictionary(path, content, "train_setup")
        return MelContract.from_dict(setup, str(path), framing="tacotron", num_mels=bands)
    raise InputError(
        f"neither a HiFi-GAN generator nor a FastPitch checkpoint (its keys: {', '.join(map(str, list(content)[:5]))})"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Print one contract or the differences of two, and return the exit status."""
    parser = ArgumentParser(
        prog="common.mel_contract",
        usage="python -m common.mel_contract [check] A [B]",
        description="Show the mel settings of a generator or FastPitch checkpoint, an exported model, a data set, a "
        "folder of mels, or a JSON file. Given two of them, show the differences and their remedies.",
        epilog="The word check (in any case) is optional. Exit status: 0 the same (or only one given), 1 different, "
        "2 unreadable. FastPitch and generators normally differ in framing, which inference.py handles.",
    )
    parser.add_argument("words", nargs="+", metavar="A", help="file or folder; the first word may be check")
    words = parser.parse_args(argv).words
    paths = words[1:] if words[0].lower() == "check" else words
    if len(paths) not in (1, 2):
        parser.error(f"give one or two things to read, not {len(paths)}")
    try:
        contracts = [read_contract(path) for path in paths]
    except (InputError, OSError) as error:
        print(f"mel_contract: error: {one_line(str(error))}", file=sys.stderr)
        return UNREADABLE
    for contract in contracts:
        if len(contracts) == 1:
            print("\n".join(f"{name}: {value}" for name, value in contract.to_dict().items()))
        if contract.assumed:
            print(f"{contract.origin}: does not record {', '.join(contract.assumed)}; assumed as in published models")
    if len(contracts) == 1:
        return SAME
    differing = compare(*contracts)
    print("\n".join(map(str, differing)) if differing else "the same mel contract")
    return DIFFERENT if differing else SAME


if __name__ == "__main__":
    sys.exit(main())
