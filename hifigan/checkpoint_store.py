"""Checkpoint pairs in a run's directory: written whole or not at all, the newest usable pair found again."""

from __future__ import annotations

import logging
import os
import re
import shutil
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from common.checkpoint import read_file
from common.errors import InputError

log = logging.getLogger(__name__)

_NAME = re.compile(r"hifigan_(gen|discrim)_checkpoint_(\d+)\.pt")
KEPT_PAIRS = 2


class CheckpointStore:
    """The pairs `hifigan_{gen,discrim}_checkpoint_<epoch>.pt` of one directory."""

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)

    def paths(self, epoch: int) -> tuple[Path, Path]:
        """Generator and discriminator file of an epoch."""
        return (
            self.directory / f"hifigan_gen_checkpoint_{epoch}.pt",
            self.directory / f"hifigan_discrim_checkpoint_{epoch}.pt",
        )

    def epochs(self) -> list[int]:
        """Epochs of which both files are there, oldest first; other files in the directory do not matter."""
        found = self._found()
        return sorted(found["gen"] & found["discrim"])

    def halves(self) -> set[int]:
        """Epochs of which only one file is there."""
        found = self._found()
        return found["gen"] ^ found["discrim"]

    def _found(self) -> dict[str, set[int]]:
        found: dict[str, set[int]] = {"gen": set(), "discrim": set()}
        for path in self.directory.iterdir() if self.directory.is_dir() else ():
            match = _NAME.fullmatch(path.name)
            if match:
                found[match[1]].add(int(match[2]))
        return found

    def newest(self) -> tuple[int, dict[str, Any], dict[str, Any]] | None:
        """Epoch and contents of the newest pair that loads and belongs together.

        Raises:
            InputError: there are pairs, but none of them can be used.
        """
        epochs = self.epochs()
        for half in sorted(self.halves()):
            if not epochs or half > epochs[-1]:
                log.warning("%s: one file of the pair %d is missing; trying the pair before it", self.directory, half)
        for epoch in reversed(epochs):
            try:
                gen, discrim = (_read_verified(path) for path in self.paths(epoch))
                if not _belong_together(gen, discrim):
                    raise InputError(f"{self.paths(epoch)[0]}: generator and discriminators were not saved together")
            except (InputError, OSError) as error:
                log.warning("%s; trying the pair before it", error)
                continue
            return epoch, gen, discrim
        if epochs:
            raise InputError(f"{self.directory}: none of its {len(epochs)} checkpoint pairs can be used; see above")
        return None

    def finish_interrupted_save(self) -> None:
        """Makes the second rename of a run that was killed between the two; on one process, before `newest`."""
        for epoch in sorted(self._found()["gen"]):
            gen, discrim = self.paths(epoch)
            leftover = _temporary(discrim)
            if not leftover.is_file():
                continue
            try:
                belongs = _belong_together(read_file(gen), _read_verified(leftover))
            except InputError:  # killed while writing it: the old file stays
                continue
            if belongs:
                leftover.replace(discrim)

    def save(self, epoch: int, gen: dict[str, Any], discrim: dict[str, Any]) -> Path:
        """Writes a pair: both files in full first, then two renames. Returns the generator's path."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.remove_leftovers()
        targets = self.paths(epoch)
        temporary = [_temporary(target) for target in targets]
        try:
            for path, content in zip(temporary, (gen, discrim), strict=True):
                _write(path, content)
        except BaseException:
            for path in temporary:
                path.unlink(missing_ok=True)
            raise
        for path, target in zip(temporary, targets, strict=True):  # whoever ends between them: the next start goes on
            path.replace(target)
        _sync_directory(self.directory)
        return targets[0]

    def remove_leftovers(self) -> None:
        """Removes temporary files of a run that was killed while saving."""
        for leftover in self.directory.glob(".hifigan_*_checkpoint_*.pt.tmp"):
            leftover.unlink()

    def prune(self, written: Iterable[int], milestones: Iterable[int] = ()) -> list[int]:
        """Deletes the pairs of `written` but for the last two and the milestones; returns the epochs that remain."""
        epochs = sorted(set(written))
        kept = {*epochs[-KEPT_PAIRS:], *milestones}
        for epoch in set(epochs) - kept:
            for path in self.paths(epoch):
                path.unlink(missing_ok=True)
        return [epoch for epoch in epochs if epoch in kept]


def _belong_together(gen: dict[str, Any], discrim: dict[str, Any]) -> bool:
    """Of one save of one run."""
    return all(gen.get(key) == discrim.get(key) for key in ("train_state", "train_setup"))


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.tmp")


def _read_verified(path: Path) -> dict[str, Any]:
    """`read_file`, which would not notice a flipped bit: PyTorch writes checksums, but does not compare them."""
    if zipfile.is_zipfile(path):  # else `read_file` says what is wrong
        try:
            with zipfile.ZipFile(path) as archive:
                damaged = archive.testzip()
        except (zipfile.BadZipFile, OSError) as error:
            raise InputError(f"{path}: damaged ({error})") from error
        if damaged:
            raise InputError(f"{path}: damaged, the checksum of {damaged} is wrong")
    return read_file(path)


def _write(path: Path, content: dict[str, Any]) -> None:
    try:
        with path.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
    except (RuntimeError, OSError) as error:  # PyTorch's errors of a full disk are no OSError
        free = shutil.disk_usage(path.parent).free // 2**20
        raise OSError(f"{path}: the checkpoint could not be written; {free} MB are free, a pair takes 900") from error


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)  # the renames themselves
    finally:
        os.close(descriptor)
