"""Means of named losses over training steps and over validation data. They never make the device wait in a step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from common import distributed


def accumulate(totals: dict[str, Tensor], losses: Mapping[str, Tensor], count: int) -> None:
    """Add a micro-batch's losses to the means over `count` micro-batches, without their graphs."""
    for name, loss in losses.items():
        share = loss.detach() / count
        totals[name] = totals[name] + share if name in totals else share


class LossMeter:
    """Sums of losses on the device, read only for a log line. Steps with non-finite values are counted separately.

    Attributes:
        logged_steps: steps of the last log line.
        epoch_steps: steps of the epoch so far.
        skipped: steps of the epoch that the optimisers skipped, as of the last log line.
        skipped_in_a_row: consecutive skipped steps up to the last log line.
    """

    def __init__(self, device: torch.device) -> None:
        self._names: tuple[str, ...] = ()
        self._in_a_row = torch.zeros(1, device=device)
        self.skipped_in_a_row = 0
        self.start_epoch()

    def start_epoch(self) -> None:
        """Reset all sums and counts except the number of consecutive skipped steps."""
        # The sums, the number of steps in them, and the number of steps that were made.
        self._epoch = torch.zeros(len(self._names) + 2, device=self._in_a_row.device)
        self._log = torch.zeros_like(self._epoch)
        self._log_steps = self.logged_steps = self.epoch_steps = self.skipped = 0

    def add(self, losses: Mapping[str, Tensor], made: Tensor) -> None:
        """Add the losses of one optimiser step, scalars whose names are the same in all steps.

        Args:
            made: 1, or 0 if the step was skipped because of a non-finite value. All processes give the same.
        """
        if not self._names:
            self._names = tuple(losses)
            self.start_epoch()
        assert self._names == tuple(losses)
        values = torch.stack([*losses.values()])
        counts = values.isfinite().all() & (made > 0)
        row = torch.where(counts, torch.cat([values, torch.ones_like(values[:1])]), 0.0)
        row = torch.cat([row, made.view(1).to(row.dtype)])
        self._epoch = self._epoch + row
        self._log = self._log + row
        self._in_a_row = torch.where(made > 0, 0.0, self._in_a_row + 1)
        self.epoch_steps += 1
        self._log_steps += 1

    def since_last_log(self) -> dict[str, float]:
        """Return means over the steps since the last call, of all processes, or NaN if no step counts."""
        *sums, made, in_a_row = distributed.mean_over_ranks(torch.cat([self._log, self._in_a_row]))
        self.logged_steps, self._log_steps, self._log = self._log_steps, 0, torch.zeros_like(self._log)
        self.skipped += self.logged_steps - round(made)
        self.skipped_in_a_row = round(in_a_row)
        return self._means(sums)

    def epoch_means(self) -> dict[str, float]:
        """Return means over all steps of the epoch, of all processes."""
        return self._means(distributed.mean_over_ranks(self._epoch)[:-1])

    def _means(self, sums: Sequence[float]) -> dict[str, float]:
        *totals, count = sums
        return {name: total / count if count else math.nan for name, total in zip(self._names, totals, strict=True)}


class ValidationMeter:
    """Means over the validation items of all processes, so that the split into batches does not matter."""

    def __init__(self, device: torch.device) -> None:
        self._names: tuple[str, ...] = ()
        self._sums = torch.zeros((), device=device)

    def add(self, sums: Mapping[str, Tensor], items: int) -> None:
        """Add the sums of each loss over the `items` of a batch."""
        self._names = tuple(sums)
        values = torch.stack([*sums.values()])
        self._sums = self._sums + torch.cat([values, torch.full_like(values[:1], items)])

    def means(self, stopped: bool) -> dict[str, float] | None:
        """Return the means, or None if any process was stopped by a signal."""
        names = max(distributed.gather(self._names), key=len)  # a process may have no batches
        sums = self._sums.expand(len(names) + 1)
        *totals, items, any_stopped = distributed.sum_over_ranks(
            torch.cat([sums, torch.full_like(sums[:1], float(stopped))])
        ).tolist()
        return None if any_stopped else {name: total / items for name, total in zip(names, totals, strict=True)}
