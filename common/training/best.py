"""The best validated epoch of a run, and the end of a run that no longer improves."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.files.atomic import write_whole
from common.files.json_files import read_json

BEST_FILE = "best.json"  # in the output directory


@dataclasses.dataclass(frozen=True)
class Best:
    """The best validated epoch so far.

    Attributes:
        epoch: its number, or 0 before the first validation.
        figure: name of the held-out loss that decides, such as `ema_mel_loss`.
        value: the loss in that epoch. Lower is better.
        waited: validations since then, none of them better.
    """

    epoch: int = 0
    figure: str = ""
    value: float = math.inf
    waited: int = 0

    def after(self, epoch: int, figure: str, value: float) -> Best:
        """Return the best epoch once another one is validated. NaN never improves it."""
        if value < self.value:
            return Best(epoch, figure, value)
        return dataclasses.replace(self, waited=self.waited + 1)

    def exhausts(self, patience: int) -> bool:
        """Return whether `patience` validations in a row were not better. 0 waits forever."""
        return 0 < patience <= self.waited

    def describe(self, patience: int = 0) -> str:
        """Return the best epoch in words."""
        if not self.epoch:
            return "best: no epoch so far, the held-out losses are not finite"
        waited = f", {self.waited} of {patience} validations without improvement" if patience and self.waited else ""
        return f"best: epoch {self.epoch}, val {self.figure.replace('_', ' ')} {self.value:.3f}{waited}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a checkpoint."""
        return dataclasses.asdict(self)

    def write(self, path: Path) -> None:
        """Record where the best checkpoint lies, in `best.json` beside this file `path` of it."""
        values = {"epoch": self.epoch, "figure": f"val_{self.figure}", "value": self.value, "file": path.name}
        write_whole(path.with_name(BEST_FILE), (json.dumps(values, indent=1) + "\n").encode())


def find_best(output: Path) -> tuple[int, Path]:
    """Return epoch and first file of the best checkpoint in a run's output directory.

    Raises:
        InputError: the run recorded none, or the file is missing.
    """
    record = output / BEST_FILE
    if not record.is_file():
        raise InputError(f"{output}: no {BEST_FILE}; training writes it with the first validated epoch")
    found = read_json(record)
    if not isinstance(found, dict) or type(found.get("epoch")) is not int or type(found.get("file")) is not str:
        raise InputError(f"{record}: not written by a training run")
    path = output / found["file"]
    if path.parent != output:
        raise InputError(f"{record}: names {found['file']}, which is not a file beside it")
    if not path.is_file():
        raise InputError(f"{record}: names {path.name}, which is missing")
    return found["epoch"], path
