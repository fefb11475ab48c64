"""Mel spectrograms and pitch in files, and the JSON file beside them that records their settings."""

from __future__ import annotations

import dataclasses
import io
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from common.audio_config import MEL_CONFIG_FILE, OUR_MELS, AudioConfig, MelConvention
from common.errors import InputError
from common.files.atomic import write_whole
from common.files.bounded.regular_files import read_bounded
from common.files.bounded.torch_files import load_tensors
from common.files.json_files import read_json
from common.mel_contract import MelContract, MelDifference, compare, in_words, read_description
from common.project import command

SUFFIXES = (".npy", ".pt")
LARGEST_BYTES = 2**28  # of a file: two hours of mels in fp32
# Values of a convention that a mel does not show.
TRACELESS: dict[str, Any] = {
    name: getattr(OUR_MELS, name) for name in ("epsilon", "edges", "window", "last_frame", "obstacle")
}
MIN_JUDGED_FRAMES = 20  # fewer need not contain anything quiet
FLOATS = (torch.float32, torch.float16, torch.bfloat16)


def feature_name(path: Path) -> Path:
    """Return the file name of a clip's mel or pitch: `wavs/a/b.wav` -> `a/b.pt`.

    The name keeps the folder, so that speakers with equal file names do not collide.
    """
    inner = Path(*path.parts[1:]) if path.parts[0] == "wavs" and len(path.parts) > 1 else path
    return inner.with_suffix(".pt")


def distinct_targets(paths: Sequence[Path], rename: Callable[[Path], Path]) -> dict[Path, Path]:
    """Map each path to its target file.

    Raises:
        InputError: a path outside the data set, or two paths with the same target.
    """
    targets: dict[Path, Path] = {}
    taken: dict[Path, Path] = {}
    for path in paths:
        if path.is_absolute() or ".." in path.parts or not path.name:
            raise InputError(f"{path}: file lists name paths inside the data set")
        target = rename(path)
        if target in taken:
            raise InputError(f"{path} and {taken[target]}: both would be written to {target}")
        targets[path], taken[target] = target, path
    return targets


def record_config(config_file: Path, contract: Mapping[str, Any], targets: Sequence[Path], what: str) -> None:
    """Write the settings beside the files to be written, before any of them.

    Args:
        config_file: the JSON file.
        contract: the settings.
        targets: the files to be written.
        what: their kind, for messages.

    Raises:
        InputError: the folder already holds files with other or unknown settings.
    """
    if config_file.is_file():
        found = _json_or_none(config_file)
        if not isinstance(found, dict):
            raise InputError(f"{config_file}: does not describe {what}; remove this folder first")
        # Older files do not name the logarithm, because there was only one.
        there, wanted = ({"log_base": "ln", **values} for values in (found, contract))
        differing = [
            f"{name} {there.get(name)} instead of {wanted.get(name)}"
            for name in {**wanted, **there}
            if there.get(name) != wanted.get(name)
        ]
        if differing:
            raise InputError(
                f"{config_file}: this folder holds {what} of another configuration ({', '.join(differing)}); "
                "remove it first"
            )
    elif foreign := [target for target in targets if target.exists()]:
        raise InputError(f"{foreign[0]}: exists, but no {config_file.name} records how it was made; move it away")
    for folder in {target.parent for target in targets}:
        folder.mkdir(parents=True, exist_ok=True)
    write_whole(config_file, (json.dumps(contract, indent=1) + "\n").encode())


def _json_or_none(path: Path) -> object:
    try:
        return read_json(path)
    except InputError:
        return None


def find_mels(paths: Sequence[Path], root: Path, folder: Path) -> list[Path]:
    """Find the mel file, `.npy` or `.pt`, in `folder` for each audio file of the data set `root`.

    Raises:
        FileNotFoundError: some audio files have no mel.
        InputError: an audio file lies outside the data set.
    """
    found, missing = [], []
    if outside := [path for path in paths if not path.is_relative_to(root)]:
        raise InputError(f"{outside[0]}: lies outside the data set {root}, so no mel in {folder} belongs to it")
    for path in paths:
        target = folder / feature_name(path.relative_to(root))
        candidates = [target.with_suffix(suffix) for suffix in SUFFIXES]
        existing = next((candidate for candidate in candidates if candidate.is_file()), None)
        if existing:
            found.append(existing)
        else:
            missing.append(candidates[0])
    if missing:
        raise FileNotFoundError(f"{missing[0]}: no such mel ({len(missing)} of {len(paths)} are missing)")
    return found


def read_mel(path: Path, num_mels: int, found: MelConvention = OUR_MELS, wanted: MelConvention = OUR_MELS) -> Tensor:
    """Read a mel [M, L] from a `.pt` or `.npy` file.

    Args:
        path: the file.
        num_mels: its bands.
        found, wanted: convention of the file, and of the result.

    Raises:
        InputError: unreadable, wrong shape or dtype, values that are not finite, or no conversion.
    """
    mel = _read_table(path, num_mels, "mel spectrogram")
    if mel.dtype not in FLOATS:
        # Neither our programs nor models write other types, so the values of such a file may mean something else.
        raise InputError(
            f"{path}: the mel spectrogram is {str(mel.dtype).removeprefix('torch.')}; if its values are right, save it "
            f"as float32 ({'.float()' if path.suffix == '.pt' else '.astype(np.float32)'})"
        )
    mel = mel.float()
    try:
        return convert_mel(mel, found, wanted)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def convert_mel(mel: Tensor, found: MelConvention, wanted: MelConvention) -> Tensor:
    """Convert a mel from one logarithm to another. Silence becomes the wanted one, the only one that models know.

    Raises:
        InputError: the conventions differ in more than logarithm and floor, or in what leaves no trace in a mel.
    """
    same, other = dataclasses.replace(found, **TRACELESS), dataclasses.replace(wanted, **TRACELESS)
    if same == other:
        return mel
    if dataclasses.replace(same, log_base=other.log_base, log_floor=other.log_floor) != other or other.gain != 1:
        raise InputError("this mel's scale cannot be converted to the generator's (python -m common.mel_contract A B)")
    if same.log_base != other.log_base:
        factor = math.log(10) if other.log_base == "ln" else 1 / math.log(10)
        mel = (mel.double() * factor).float()
    return mel.clamp_min(other.silence)


def describe_other_scale(mel: Tensor, wanted: MelConvention = OUR_MELS) -> tuple[str, str] | None:
    """Return what the values of a mel [M, L] of speech are if they cannot be the wanted logarithms, and what to do.

    Over 161 LJSpeech clips, the lowest value of a natural-log mel was -11.5 to -10.1 and the highest 2.1. For log10
    mels they were -5 to -4.4 and 0.9. Acoustic models go below the floor of -11.5 by less than 2. A few frames need not
    have silence, so nothing is said about them. Scaled mels are not judged.
    """
    if (wanted.gain, wanted.mel_mean, wanted.mel_scale) != (1.0, (0.0,), (1.0,)):
        return None
    is_natural = wanted.log_base == "ln"
    lowest, highest = float(mel.min()), float(mel.max())
    if not is_natural and wanted.silence - 0.5 > lowest >= -15:
        return "natural logarithms", "give --mel-log ln"
    if lowest < (min(-15.0, wanted.silence - 3.5) if is_natural else -15):
        return "decibels", "divide them by " + ("8.686 (20 log10) or 4.343 (10 log10)" if is_natural else "20 or 10")
    quiet = -5.01 if is_natural else -5.01 / math.log(10)
    if mel.size(1) < MIN_JUDGED_FRAMES or lowest == highest or lowest < quiet:
        return None
    if lowest >= 0 and highest > 1:
        return "magnitudes without a logarithm", "take the logarithm, at least of the floor"
    if lowest >= 0:
        return "values scaled to 0 to 1", "undo the scaling"
    if is_natural and lowest <= -3 and highest < 1.2:
        return "log10", "give --mel-log log10"
    return "normalised values", "undo the normalisation by mean and deviation"


def read_features(path: Path, rows: int) -> Tensor:
    """Read a table [rows, L] of pitch values per frame, fp32, from a `.pt` or `.npy` file.

    Raises:
        InputError: unreadable, wrong shape, or values that are not finite.
    """
    values = _read_table(path, rows, "pitch").float()
    if not torch.isfinite(values).all():
        raise InputError(f"{path}: the pitch has values beyond fp32")
    return values


def _read_table(path: Path, rows: int, kind: str) -> Tensor:
    values = _load(path, kind)
    if not isinstance(values, Tensor) or values.dim() != 2 or values.size(0) != rows or values.size(1) == 0:
        shape = list(values.shape) if isinstance(values, Tensor) else type(values).__name__
        raise InputError(f"{path}: expected a {kind} of shape [{rows}, frames], got {shape}")
    _check_real(path, values, kind)
    if not torch.isfinite(values).all():
        raise InputError(f"{path}: the {kind} has values that are not finite numbers")
    return values


def _check_real(path: Path, values: Tensor, kind: str) -> None:
    """Raise `InputError` for complex numbers, and for tensors that are not plain arrays in memory."""
    plain = values.layout == torch.strided and values.device.type == "cpu" and not values.is_quantized
    if values.is_complex() or not plain:
        found = "complex" if values.is_complex() else f"of layout {values.layout} on {values.device}"
        raise InputError(f"{path}: the {kind} is {found}, not an array of real numbers".replace("torch.", ""))


def read_symbol_pitch(path: Path) -> Tensor:
    """Read the pitch of a text, fp32 [S]: one value per symbol in Hz, 0 if unvoiced. The file has [S] or [1, S].

    Raises:
        InputError: unreadable, wrong shape, or values that are negative or not finite.
    """
    values = _load(path, "pitch")
    if not isinstance(values, Tensor) or not values.numel() or tuple(values.shape[:-1]) not in ((), (1,)):
        shape = list(values.shape) if isinstance(values, Tensor) else type(values).__name__
        raise InputError(f"{path}: expected pitch of shape [symbols], got {shape}")
    _check_real(path, values, "pitch")
    hz = values.reshape(-1).float()
    if not (torch.isfinite(hz) & (hz >= 0)).all():
        raise InputError(f"{path}: the pitch has values that are negative or not finite; it is in Hz, 0 if unvoiced")
    return hz


def _load(path: Path, kind: str) -> object:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such {kind} file")
    content = read_bounded(path, LARGEST_BYTES, f"a {kind}")
    try:
        if path.suffix == ".npy":
            return torch.from_numpy(np.load(io.BytesIO(content)))
        return load_tensors(path, io.BytesIO(content), problem=f"not a readable {kind} file (%s)")
    except InputError:
        raise
    except Exception as error:  # arbitrary bytes can raise almost any exception
        raise InputError(f"{path}: not a readable {kind} file ({type(error).__name__})") from error


def differences(found: MelContract, wanted: MelContract) -> list[MelDifference]:
    """List the differences of mels that matter. Framing only shifts audio by half a hop, and the floor only silence."""
    return [
        difference
        for difference in compare(found, wanted)
        if difference.name not in ("framing", "log_floor", "peak_normalised", *TRACELESS)
    ]


def mel_contracts(files: Iterable[Path], root: Path, audio: AudioConfig) -> dict[Path, MelContract | None]:
    """Find the settings of each mel file below `root`: recorded in its folder or the nearest one above, else None.

    Raises:
        InputError: recorded settings are damaged, or differ from those that a generator was trained with. Only framing
            and logarithm may differ, because they can be converted.
    """
    known: dict[Path, MelContract | None] = {}

    def find_contract(folder: Path) -> MelContract | None:
        if folder not in known:
            config_file = folder / MEL_CONFIG_FILE
            # Mels in subfolders (speakers) share the file in the folder above.
            above = folder.parent if folder != root and folder.is_relative_to(root) else None
            if config_file.is_file():
                known[folder] = _check_fits(read_description(config_file), audio)
            else:
                known[folder] = find_contract(above) if above else None
        return known[folder]

    return {path: find_contract(path.parent) for path in files}


def _check_fits(contract: MelContract, audio: AudioConfig) -> MelContract:
    if differing := differences(MelContract(contract.audio), MelContract(audio)):
        flags = [f"--{difference.name.replace('_', '-')} {difference.second}" for difference in differing]
        raise InputError(
            f"{contract.origin}: these mels do not fit the generator: {in_words(differing)}; remove them and make "
            f"them again ({command('python prepare_dataset.py')} --extract-mels {' '.join(flags)}), or take another "
            "generator"
        )
    return contract


def check_mel_config(files: Iterable[Path], root: Path, audio: AudioConfig) -> set[str]:
    """Compare the recorded settings of mels below `root` with those that a generator is trained with.

    Returns:
        The recorded framings of these mels. They may differ, because framing only shifts audio by half a hop.

    Raises:
        InputError: any other setting differs.
    """
    recorded = {contract for contract in mel_contracts(files, root, audio).values() if contract is not None}
    for contract in recorded:
        if contract.log_base != "ln":
            raise InputError(
                f"{contract.origin}: these mels are {contract.log_base}, training takes natural logarithms; "
                f"make them again ({command('python prepare_dataset.py')} --extract-mels)"
            )
    return {contract.audio.framing for contract in recorded}
