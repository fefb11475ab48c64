"""Mel spectrograms in files, and the description beside them of how they were made."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from common.audio import MEL_CONFIG_FILE, SILENCE, AudioConfig
from common.errors import InputError
from common.files.atomic import write_whole
from common.mel_contract import Difference, MelContract, compare, in_words, read_description

SUFFIXES = (".npy", ".pt")
FLOATS = (torch.float32, torch.float16, torch.bfloat16)


def feature_name(path: Path) -> Path:
    """The file of what is made of a clip, mel or pitch: `wavs/a/b.wav` -> `a/b.pt`.

    The folder is kept, so that speakers with equal file names do not collide.
    """
    inner = Path(*path.parts[1:]) if path.parts[0] == "wavs" and len(path.parts) > 1 else path
    return inner.with_suffix(".pt")


def distinct_targets(paths: Sequence[Path], rename: Callable[[Path], Path]) -> dict[Path, Path]:
    """Which file is made of which, all inside the data set and no two the same.

    Raises:
        InputError: a path outside the data set, or two for one target.
    """
    targets: dict[Path, Path] = {}
    taken: dict[Path, Path] = {}
    for path in paths:
        if path.is_absolute() or ".." in path.parts:
            raise InputError(f"{path}: file lists name paths inside the data set")
        target = rename(path)
        if target in taken:
            raise InputError(f"{path} and {taken[target]}: both would be written to {target}")
        targets[path], taken[target] = target, path
    return targets


def describe(config_file: Path, contract: Mapping[str, Any], targets: Sequence[Path], what: str) -> None:
    """Writes how files are made before any of them is; refuses a folder with files that were made otherwise.

    Raises:
        InputError: there are files of another configuration, or of one that nothing tells.
    """
    if config_file.is_file():
        found = _json_or_none(config_file)
        if not isinstance(found, dict):
            raise InputError(f"{config_file}: does not describe {what}; remove this folder first")
        # Descriptions that do not name the logarithm are of the time when there was only one.
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
        raise InputError(f"{foreign[0]}: exists, and no {config_file.name} says how it was made; move it away")
    for folder in {target.parent for target in targets}:
        folder.mkdir(parents=True, exist_ok=True)
    write_whole(config_file, (json.dumps(contract, indent=1) + "\n").encode())


def _json_or_none(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None


def find_mels(paths: Sequence[Path], root: Path, folder: Path) -> list[Path]:
    """The mel file, `.npy` or `.pt`, in `folder` for each audio file of the data set `root`.

    Raises:
        FileNotFoundError: some have none.
    """
    found, missing = [], []
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


def read_mel(path: Path, num_mels: int, log_base: str = "ln") -> Tensor:
    """A natural-log mel [M, L] from a `.pt` or `.npy` file whose logarithm is `log_base`.

    Raises:
        InputError: unreadable, of another shape or type, or with values that are not finite.
    """
    mel = _read_table(path, num_mels, "mel spectrogram")
    if mel.dtype not in FLOATS:
        # No program here and no model writes others; what did may mean something else by its values.
        raise InputError(
            f"{path}: the mel spectrogram is {str(mel.dtype).removeprefix('torch.')}; if its values are right, save it "
            f"as float32 ({'.float()' if path.suffix == '.pt' else '.astype(np.float32)'})"
        )
    mel = mel.float()
    return mel if log_base == "ln" else natural_log(mel)


def natural_log(mel: Tensor) -> Tensor:
    """log10 mel -> natural-log mel. Other floors than 1e-5 become ours, the only silence that models know."""
    return (mel.double() * math.log(10)).float().clamp_min(SILENCE)


def looks_like_log10(mel: Tensor) -> bool:
    """Whether a mel of speech must be in log10: nothing is lower than log10(1e-5), and hardly anything above 1.

    Over 161 LJSpeech clips the lowest value of a log10 mel was -5 to -4.4 and the highest 0.9, of a natural-log mel
    -11.5 to -10.1 and 2.1.
    """
    return -5.01 <= float(mel.min()) <= -3 and float(mel.max()) < 1.2


def read_features(path: Path, rows: int) -> Tensor:
    """A table [rows, L] of pitch values per frame, fp32, from a `.pt` or `.npy` file.

    Raises:
        InputError: unreadable, of another shape, or with values that are not finite.
    """
    return _read_table(path, rows, "pitch").float()


def _read_table(path: Path, rows: int, kind: str) -> Tensor:
    values = _load(path, kind)
    if not isinstance(values, Tensor) or values.dim() != 2 or values.size(0) != rows or values.size(1) == 0:
        shape = list(values.shape) if isinstance(values, Tensor) else type(values).__name__
        raise InputError(f"{path}: expected a {kind} of shape [{rows}, frames], got {shape}")
    if not torch.isfinite(values).all():
        raise InputError(f"{path}: the {kind} has values that are not finite numbers")
    return values


def read_symbol_pitch(path: Path) -> Tensor:
    """The pitch of a text, fp32 [S]: one value per symbol in Hz, 0 where unvoiced, as [S] or [1, S] in a file.

    Raises:
        InputError: unreadable, of another shape, or with values that are negative or not finite.
    """
    values = _load(path, "pitch")
    if not isinstance(values, Tensor) or not values.numel() or tuple(values.shape[:-1]) not in ((), (1,)):
        shape = list(values.shape) if isinstance(values, Tensor) else type(values).__name__
        raise InputError(f"{path}: expected pitch of shape [symbols], got {shape}")
    hz = values.reshape(-1).float()
    if not (torch.isfinite(hz) & (hz >= 0)).all():
        raise InputError(f"{path}: the pitch has values that are negative or not finite; it is in Hz, 0 where unvoiced")
    return hz


def _load(path: Path, kind: str) -> object:
    try:
        return torch.from_numpy(np.load(path)) if path.suffix == ".npy" else torch.load(path, weights_only=True)
    except Exception as error:  # any bytes may be met, and answered with almost any exception
        raise InputError(f"{path}: not a readable {kind} file ({type(error).__name__})") from error


def differences(found: AudioConfig, wanted: AudioConfig) -> list[Difference]:
    """In what two mel contracts differ, the framing aside: it shifts audio by half a hop, nothing else."""
    return [
        difference for difference in compare(MelContract(found), MelContract(wanted)) if difference.name != "framing"
    ]


def mel_contracts(files: Iterable[Path], root: Path, audio: AudioConfig) -> dict[Path, MelContract | None]:
    """How each mel file below `root` was made: the description in its folder or the nearest above, None without any.

    Raises:
        InputError: a description that is damaged, or differs from what a generator was trained on in what cannot be
            converted, with the remedy. Framing and logarithm can be.
    """
    known: dict[Path, MelContract | None] = {}

    def of(folder: Path) -> MelContract | None:
        if folder not in known:
            config_file = folder / MEL_CONFIG_FILE
            # Mels in subfolders (speakers) share the one description in the folder above.
            above = folder.parent if folder != root and folder.is_relative_to(root) else None
            if config_file.is_file():
                known[folder] = _fitting(read_description(config_file), audio)
            else:
                known[folder] = of(above) if above else None
        return known[folder]

    return {path: of(path.parent) for path in files}


def _fitting(contract: MelContract, audio: AudioConfig) -> MelContract:
    if differing := differences(contract.audio, audio):
        flags = [f"--{difference.name.replace('_', '-')} {difference.second}" for difference in differing]
        raise InputError(
            f"{contract.origin}: these mels do not fit the generator: {in_words(differing)}; remove them and make "
            f"them again (prepare_dataset.py --extract-mels {' '.join(flags)}), or take another generator"
        )
    return contract


def check_mel_config(files: Iterable[Path], root: Path, audio: AudioConfig) -> set[str]:
    """Compares what mels below `root` were made with to what a generator is trained on.

    Returns:
        the framings of these mels, as far as they are described. It shifts audio by half a hop, nothing else.

    Raises:
        InputError: they differ in anything else.
    """
    described = {contract for contract in mel_contracts(files, root, audio).values() if contract is not None}
    for contract in described:
        if contract.log_base != "ln":
            raise InputError(
                f"{contract.origin}: these mels are {contract.log_base}, training takes natural logarithms; "
                "make them again (prepare_dataset.py --extract-mels)"
            )
    return {contract.audio.framing for contract in described}
