"""What two programs must agree on to exchange mel spectrograms, read from whatever carries it.

Generators, FastPitch models, exports, prepared mels and JSON configurations all say how their mels are made, each in
its own way. As a program this compares two of them: `python -m common.mel_contract A B`.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from common.audio import MEL_CONFIG_FILE, AudioConfig
from common.cli import ArgumentParser
from common.errors import InputError
from common.files.checkpoints import dictionary, read_file
from common.files.exports import export_metadata, is_onnx

LOG_BASES = ("ln", "log10")
# Signal keys in the paper authors' JSON files, and our names for them.
SIGNAL_KEYS = {
    "segment_size": "segment_size",
    "num_mels": "num_mels",
    "n_fft": "filter_length",
    "hop_size": "hop_length",
    "win_size": "win_length",
    "sampling_rate": "sampling_rate",
    "fmin": "mel_fmin",
    "fmax": "mel_fmax",
    "fmax_loss": "mel_fmax_loss",
    "fmax_for_loss": "mel_fmax_loss",
}
SAME, DIFFERENT, UNREADABLE = 0, 1, 2  # exit statuses, as of diff(1)


@dataclasses.dataclass(frozen=True)
class MelContract:
    """How mels are made.

    Attributes:
        audio: the signal and the framing.
        log_base: of the logarithm, "ln" or "log10".
        peak_normalised: whether each clip was brought to one peak before; None where nothing says so. Generators are
            trained on such clips, and cope with others.
        origin: where this was read, for messages.
        assumed: the values of `audio` that the origin does not say, which are those of LJSpeech's published models.

    Raises:
        InputError: an unknown logarithm, or a level that is neither true nor false.
    """

    audio: AudioConfig
    log_base: str = "ln"
    peak_normalised: bool | None = None
    origin: str = ""
    assumed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.log_base not in LOG_BASES:
            raise InputError(f"log_base: {self.log_base!r} is neither {' nor '.join(map(repr, LOG_BASES))}")
        if self.peak_normalised not in (None, True, False):
            raise InputError(f"peak_normalised: {self.peak_normalised!r} is neither true nor false")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], origin: str = "", **fixed: Any) -> MelContract:
        """From a checkpoint's `train_setup`, the metadata of an export, a description of mels or a configuration.

        Args:
            values: of `AudioConfig`, under our names or the paper authors' (exports have them under `audio`),
                `log_base` and `peak_normalised`; other keys are passed over. All that this project ever wrote without
                `log_base` is in natural logarithms.
            origin: where they come from.
            fixed: values of `AudioConfig` that are known otherwise.

        Raises:
            InputError: values that contradict each other, or no dictionary.
        """
        if not isinstance(values, Mapping):
            raise InputError(f"expected a JSON object, found {type(values).__name__}")
        said = {**values, **values["audio"]} if isinstance(values.get("audio"), Mapping) else values
        ours = {**{SIGNAL_KEYS.get(key, key): value for key, value in said.items()}, **said, **fixed}
        names = [field.name for field in dataclasses.fields(AudioConfig)]
        return cls(
            AudioConfig.from_dict(ours),
            ours.get("log_base", "ln"),
            ours.get("peak_normalised"),
            origin,
            tuple(name for name in names if name not in ours),
        )

    def to_dict(self) -> dict[str, Any]:
        """What `from_dict` reads, as plain values for JSON files and metadata."""
        level = {} if self.peak_normalised is None else {"peak_normalised": self.peak_normalised}
        return {**dataclasses.asdict(self.audio), "log_base": self.log_base, **level}


@dataclasses.dataclass(frozen=True)
class Difference:
    """A value in which two contracts differ, and what can be done about it."""

    name: str
    first: Any
    second: Any
    remedy: str

    def __str__(self) -> str:
        return f"{self.name}: {self.first} / {self.second}; {self.remedy}"


def compare(first: MelContract, second: MelContract) -> list[Difference]:
    """In what two contracts differ; levels are compared where both say them."""
    one, other = _comparable(first), _comparable(second)
    return [
        Difference(name, one[name], other[name], _remedy(name))
        for name in one
        if one[name] != other[name] and not (name == "peak_normalised" and None in (one[name], other[name]))
    ]


def in_words(differing: Sequence[Difference]) -> str:
    """Differences for a message that says itself what to do."""
    return ", ".join(f"{difference.name} {difference.first} instead of {difference.second}" for difference in differing)


def _comparable(contract: MelContract) -> dict[str, Any]:
    values = dataclasses.asdict(contract.audio)
    return {
        **values,
        "mel_fmax": contract.audio.fmax_hz,  # None is the Nyquist frequency
        "log_base": contract.log_base,
        "peak_normalised": contract.peak_normalised,
    }


def _remedy(name: str) -> str:
    flag = name.replace("_", "-")
    return {
        "sampling_rate": "resample the audio (prepare_dataset.py --convert-to DST --sampling-rate N) and make its mels "
        "again, or take a model of the other rate",
        "framing": "half a hop of shift: inference.py converts to vocoder, training pairs (--input-mels-framing)",
        "log_base": "inference.py converts (--mel-log); for training, make the mels again",
        "peak_normalised": "another loudness, nothing else: scale the audio and make its mels again",
    }.get(
        name,
        f"no conversion: make the mels again (prepare_dataset.py --extract-mels --{flag} N), or take another model",
    )


def read_contract(path: str | Path) -> MelContract:
    """The contract of a generator or FastPitch checkpoint, an export, a data set, a folder of mels, or a JSON file.

    FastPitch makes mels in "tacotron" framing, which its files do not say. A generator takes "vocoder" framing, unless
    it was fine-tuned with others half a hop apart; its file then says so.

    Raises:
        FileNotFoundError: no such file or folder.
        InputError: one that says nothing about mels, or contradicts itself.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder")
    if path.is_dir():
        return _of_folder(path)
    try:
        if path.suffix.lower() == ".json":
            return _of_json(path)
        exported = export_metadata(path)
        if exported is None and is_onnx(path):
            raise InputError("this ONNX file says nothing about mels; export.py writes files that do")
        return _of_checkpoint(path) if exported is None else MelContract.from_dict(json.loads(exported), str(path))
    except (ValueError, zipfile.BadZipFile) as error:
        raise (
            error if isinstance(error, InputError) and str(path) in str(error) else InputError(f"{path}: {error}")
        ) from error


def read_description(path: Path) -> MelContract:
    """The description beside prepared mels.

    Raises:
        InputError: it is damaged.
    """
    try:
        return MelContract.from_dict(json.loads(path.read_text(encoding="utf-8")), str(path))
    except ValueError as error:
        raise InputError(f"{path}: does not describe mels ({error}); make them again") from error


def _of_folder(folder: Path) -> MelContract:
    for file in (folder / MEL_CONFIG_FILE, folder / "mels" / MEL_CONFIG_FILE):
        if file.is_file():
            return read_description(file)
    raise InputError(
        f"{folder}: neither {MEL_CONFIG_FILE} nor mels/{MEL_CONFIG_FILE} says how mels were made; "
        "prepare_dataset.py --extract-mels writes it"
    )


def _of_json(path: Path) -> MelContract:
    values = _read_json(path)
    contract = MelContract.from_dict(values, str(path))
    if len(contract.assumed) == len(dataclasses.fields(AudioConfig)) and "upsample_rates" not in values:
        raise InputError("says nothing about mels")
    return contract


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: not a JSON file ({error})") from error


def _of_checkpoint(path: Path) -> MelContract:
    content = read_file(path)
    setup: Any = dictionary(path, content, "train_setup")
    framing = setup.get("framing", "vocoder")
    generator = content.get("generator", content)
    if isinstance(generator, Mapping) and any("conv_pre" in str(key) for key in generator):
        if not content.get("config") and (beside := config_beside(path)):
            setup = _read_json(beside)
        return MelContract.from_dict({"num_mels": num_mels(generator), **setup}, str(path), framing=framing)
    acoustic = content.get("state_dict")
    if isinstance(acoustic, Mapping) and any(str(key).endswith("encoder.word_emb.weight") for key in acoustic):
        bands = dictionary(path, content, "config").get("n_mel_channels", 80)
        return MelContract.from_dict(setup, str(path), framing="tacotron", num_mels=bands)
    raise InputError(
        f"neither a HiFi-GAN generator nor a FastPitch checkpoint (its keys: {', '.join(map(str, list(content)[:5]))})"
    )


def config_beside(path: Path) -> Path | None:
    """The JSON configuration that belongs to a generator file without one inside."""
    candidates = (path.with_name(path.name + ".json"), path.with_suffix(".json"), path.with_name("config.json"))
    return next((file for file in candidates if file.is_file()), None)


def num_mels(state: Mapping[str, Tensor]) -> int:
    """The mel bands that a generator of these tensors takes."""
    for key, value in state.items():
        if key.rpartition("conv_pre.")[2] in ("weight", "weight_v", "parametrizations.weight.original1"):
            return value.shape[1]
    return 80


def main(argv: Sequence[str] | None = None) -> int:
    """Prints one contract or the differences of two; returns the exit status."""
    parser = ArgumentParser(
        prog="mel_contract",
        usage="python -m common.mel_contract [check] A [B]",
        description="How mel spectrograms are made, according to a generator or FastPitch checkpoint, an exported "
        "model, a data set, a folder of mels, or a JSON file; of two, in what they differ and what to do about it.",
        epilog="The word check, in any case, may be left out. Exit status: 0 the same (or one was shown), 1 different, "
        "2 unreadable. That a FastPitch and a generator differ in framing is as it must be; inference.py knows.",
    )
    parser.add_argument("words", nargs="+", metavar="A", help="file or folder; the first word may be check")
    words = parser.parse_args(argv).words
    paths = words[1:] if words[0].lower() == "check" else words
    if len(paths) not in (1, 2):
        parser.error(f"give one or two things to read, not {len(paths)}")
    try:
        contracts = [read_contract(path) for path in paths]
    except (InputError, OSError) as error:
        print(f"mel_contract: error: {error}", file=sys.stderr)
        return UNREADABLE
    for contract in contracts:
        if len(contracts) == 1:
            print("\n".join(f"{name}: {value}" for name, value in contract.to_dict().items()))
        if contract.assumed:
            print(f"{contract.origin}: does not say {', '.join(contract.assumed)}; assumed as in published models")
    if len(contracts) == 1:
        return SAME
    differing = compare(*contracts)
    print("\n".join(map(str, differing)) if differing else "the same mel contract")
    return DIFFERENT if differing else SAME


if __name__ == "__main__":
    sys.exit(main())
