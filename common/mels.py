"""Mel spectrograms in files, and the description beside them of how they were made."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from common.audio import MEL_CONFIG_FILE, AudioConfig
from common.errors import InputError
from common.files import write_whole

SUFFIXES = (".npy", ".pt")


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
        names = {**contract, **found}
        differing = [
            f"{name} {found.get(name)} instead of {contract.get(name)}"
            for name in names
            if found.get(name) != contract.get(name)
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


def read_mel(path: Path, num_mels: int) -> Tensor:
    """A mel [M, L] from a `.pt` or `.npy` file.

    Raises:
        InputError: unreadable, of another shape, or with values that are not finite.
    """
    return read_features(path, num_mels, "mel spectrogram")


def read_features(path: Path, rows: int, kind: str = "pitch") -> Tensor:
    """A table [rows, L] of values per frame, fp32, from a `.pt` or `.npy` file; `kind` names it in the errors.

    Raises:
        InputError: unreadable, of another shape, or with values that are not finite.
    """
    values = _load(path, kind)
    if not isinstance(values, Tensor) or values.dim() != 2 or values.size(0) != rows or values.size(1) == 0:
        shape = list(values.shape) if isinstance(values, Tensor) else type(values).__name__
        raise InputError(f"{path}: expected a {kind} of shape [{rows}, frames], got {shape}")
    if not torch.isfinite(values).all():
        raise InputError(f"{path}: the {kind} has values that are not finite numbers")
    return values.float()


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


def differences(found: AudioConfig, wanted: AudioConfig) -> list[str]:
    """In what two mel contracts differ, the framing aside: it shifts audio by half a hop, nothing else."""
    ours, theirs = ({**dataclasses.asdict(config), "mel_fmax": config.fmax_hz} for config in (found, wanted))
    return [
        f"{key} {ours[key]} instead of {theirs[key]}" for key in ours if key != "framing" and ours[key] != theirs[key]
    ]


def check_mel_config(files: Iterable[Path], root: Path, audio: AudioConfig) -> set[str]:
    """Compares what mels below `root` were made with to what a generator was trained on.

    Returns:
        the framings of these mels, as far as they are described. It shifts audio by half a hop, nothing else.

    Raises:
        InputError: they differ in anything else.
    """
    # Mels in subfolders (speakers) share the one description in the folder above.
    folders = {path.parent for path in files}
    folders |= {folder for path in folders for folder in path.parents if folder.is_relative_to(root)}
    framings = set()
    for config_file in sorted(folder / MEL_CONFIG_FILE for folder in folders):
        if not config_file.is_file():
            continue
        try:
            made = AudioConfig.from_dict(json.loads(config_file.read_text(encoding="utf-8")))
        except (ValueError, AttributeError) as error:
            raise InputError(f"{config_file}: does not describe mels ({error}); make them again") from error
        if differing := differences(made, audio):
            raise InputError(f"{config_file}: these mels do not fit the generator: {', '.join(differing)}")
        framings.add(made.framing)
    return framings
