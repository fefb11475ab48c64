"""Checkpoints in a run's directory: atomic writes, the newest usable checkpoint, and retention."""

from __future__ import annotations

import contextlib
import logging
import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

from common.errors import InputError
from common.files.atomic import rename, sync_to_disk
from common.files.checkpoints import read_file
from common.training.flags import KEPT_CHECKPOINTS

log = logging.getLogger(__name__)

Contents = tuple[dict[str, Any], ...]


class CheckpointStore:
    """Checkpoints of one directory, each of one or several files that belong together.

    Args:
        directory: the directory. Other files in it do not matter.
        files: names of a checkpoint's files, with `{}` for the epoch.
    """

    def __init__(self, directory: str | Path, files: Sequence[str]) -> None:
        self.directory = Path(directory)
        self.files = tuple(files)

    def paths(self, epoch: int) -> tuple[Path, ...]:
        """Return the files of an epoch."""
        return tuple(self.directory / name.format(epoch) for name in self.files)

    def epochs(self) -> list[int]:
        """Return epochs with all files, oldest first."""
        found = self._found()
        return sorted(found[0].intersection(*found))

    def incomplete(self) -> set[int]:
        """Return epochs with some files missing."""
        found = self._found()
        return found[0].union(*found) - found[0].intersection(*found)

    def _found(self) -> list[set[int]]:
        patterns = [re.compile(re.escape(name).replace(r"\{\}", r"(\d+)")) for name in self.files]
        names = [path.name for path in self.directory.iterdir()] if self.directory.is_dir() else []
        matches = [[pattern.fullmatch(name) for name in names] for pattern in patterns]
        return [{int(match[1]) for match in found if match} for found in matches]

    def newest(self) -> tuple[int, Contents] | None:
        """Return epoch and contents of the newest checkpoint that loads and whose files belong together.

        Raises:
            InputError: there are checkpoints, but none is usable.
        """
        epochs = self.epochs()
        for half in sorted(self.incomplete()):
            if not epochs or half > epochs[-1]:
                log.warning("%s: a file of checkpoint %d is missing; trying the one before it", self.directory, half)
        for epoch in reversed(epochs):
            paths = self.paths(epoch)
            try:
                contents = tuple(read_file(path) for path in paths)
                if not _belong_together(*contents):
                    names = " and ".join(path.name for path in paths)
                    raise InputError(f"{self.directory}: {names} were not saved together")
            except (InputError, OSError) as error:
                log.warning("%s; trying the checkpoint before it", error)
                continue
            return epoch, contents
        if epochs:
            raise InputError(f"{self.directory}: none of its {len(epochs)} checkpoints can be used; see above")
        return None

    def finish_interrupted_save(self) -> None:
        """Complete the renames of a save that was killed after the first. Call on one process, before `newest`."""
        for epoch in sorted(self._found()[0]):
            first, *others = self.paths(epoch)
            for path in others:
                leftover = _temporary(path)
                if not leftover.is_file():
                    continue
                try:
                    belongs = _belong_together(read_file(first), read_file(leftover))
                except InputError:  # killed while writing, so the old file stays
                    continue
                if belongs:
                    rename(leftover, path)

    def save(self, epoch: int, *contents: dict[str, Any]) -> Path:
        """Write all files of a checkpoint, then rename them. Return the first file's path."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.remove_leftovers()
        targets = self.paths(epoch)
        temporary = [_temporary(target) for target in targets]
        try:
            for path, content in zip(temporary, contents, strict=True):
                _write(path, content)
        except BaseException:
            for path in temporary:
                path.unlink(missing_ok=True)
            raise
        try:
            for path, target in zip(temporary, targets, strict=True):  # if interrupted, the next start completes them
                rename(path, target)
            sync_to_disk(self.directory)  # the renames themselves
        except OSError as error:
            raise _not_saved(targets[0], error) from error
        return targets[0]

    def remove_leftovers(self) -> None:
        """Delete temporary files of a run that was killed while saving."""
        for name in self.files:
            for leftover in self.directory.glob(_temporary(Path(name.format("*"))).name):
                leftover.unlink()

    def prune(self, written: Iterable[int], milestones: Iterable[int] = ()) -> list[int]:
        """Delete the checkpoints `written` except the newest and the milestones. Return the remaining epochs."""
        epochs = sorted(set(written))
        kept = {*epochs[-KEPT_CHECKPOINTS:], *milestones}
        for epoch in set(epochs) - kept:
            for path in self.paths(epoch):
                path.unlink(missing_ok=True)
        return [epoch for epoch in epochs if epoch in kept]


def _belong_together(first: dict[str, Any], *others: dict[str, Any]) -> bool:
    """Return whether files come from the same save of the same run."""
    return all(first.get(key) == other.get(key) for other in others for key in ("train_state", "train_setup"))


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.tmp")


def _write(path: Path, content: dict[str, Any]) -> None:
    try:
        with path.open("wb") as file:
            torch.save(content, file)
        sync_to_disk(path)
    except (RuntimeError, OSError) as error:  # PyTorch may hide the OSError of a full disk
        raise _not_saved(path, error) from error


def _not_saved(path: Path, error: Exception) -> OSError:
    """Return an error with the reason, the free space and the remedy."""
    reasons = (error, error.__cause__, error.__context__)
    found = next((reason.strerror for reason in reasons if isinstance(reason, OSError) and reason.strerror), "")
    with contextlib.suppress(OSError):
        found += f"{', ' * bool(found)}{shutil.disk_usage(path.parent).free // 2**20} MB are free"
    return OSError(
        f"{path}: the checkpoint could not be written ({found}); when it can be, start again to resume from the newest "
        "whole one"
    )
