"""Averages over training steps that never make the device wait."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from common import distributed


class Meter:
    """Sums of losses on the device, read only when something is logged. Steps that are not finite are counted apart.

    Attributes:
        logged_steps: steps of the last log line.
        epoch_steps: steps of the epoch so far.
        skipped: those of the epoch that the optimisers left out, as of the last log line.
        left_out_in_a_row: how many of these the last steps are, as of the last log line.
    """

    def __init__(self, names: Sequence[str], device: torch.device) -> None:
        self._names = tuple(names)
        self._in_a_row = torch.zeros(1, device=device)
        self.left_out_in_a_row = 0
        self.start_epoch()

    def start_epoch(self) -> None:
        """Begins all sums and counts anew but for the steps in a row."""
        # Sums, the number of steps that they are of, and that of steps that were made.
        self._epoch = torch.zeros(len(self._names) + 2, device=self._in_a_row.device)
        self._log = torch.zeros_like(self._epoch)
        self._log_steps = self.logged_steps = self.epoch_steps = self.skipped = 0

    def add(self, *losses: Tensor, made: Tensor) -> None:
        """The losses of one optimiser step, scalars in the order of the names.

        Args:
            made: 1, or 0 if the step was left out because something was not finite; the same on all processes.
        """
        values = torch.stack(losses)
        counts = values.isfinite().all() & (made > 0)
        row = torch.where(counts, torch.cat([values, torch.ones_like(values[:1])]), 0.0)
        row = torch.cat([row, made.view(1).to(row.dtype)])
        self._epoch = self._epoch + row
        self._log = self._log + row
        self._in_a_row = torch.where(made > 0, 0.0, self._in_a_row + 1)
        self.epoch_steps += 1
        self._log_steps += 1

    def since_last_log(self) -> dict[str, float]:
        """Means over the steps since the last call, of all processes; NaN where no step counts."""
        *sums, made, in_a_row = distributed.mean_over_ranks(torch.cat([self._log, self._in_a_row]))
        self.logged_steps, self._log_steps, self._log = self._log_steps, 0, torch.zeros_like(self._log)
        self.skipped += self.logged_steps - round(made)
        self.left_out_in_a_row = round(in_a_row)
        return self._means(sums)

    def epoch_means(self) -> dict[str, float]:
        """Means over all steps, of all processes."""
        return self._means(distributed.mean_over_ranks(self._epoch)[:-1])

    def _means(self, sums: Sequence[float]) -> dict[str, float]:
        *totals, count = sums
        return {name: total / count if count else math.nan for name, total in zip(self._names, totals, strict=True)}
