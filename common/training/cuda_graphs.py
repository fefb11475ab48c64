"""An optimiser step as CUDA graphs: recorded once, checked against the eager step, and replayed.

A training step consists of thousands of short kernels. A GPU that computes them faster than the CPU launches them has
to wait. A graph launches all of them at once. It reads and writes the same memory in every replay, so inputs are copied
to fixed places, a step must change everything in place, and nothing may wait for the GPU's results. With several
processes, a step is divided into graphs by the exchanges between them.

Failures are harmless. If a step cannot be recorded, or its graph computes something else than the eager step, training
continues eagerly from the state after an eager step.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from common import distributed
from common.errors import InputError, first_line
from common.machine.graph_capture import Exchanges, Recorder

log = logging.getLogger(__name__)

Group = Sequence[Sequence[Tensor]]  # the micro-batches of an optimiser step, each of several tensors
MADE = "made"
Results = Mapping[str, Tensor]  # scalars on the device: losses, and under MADE 1, or 0 if the step was skipped
Step = Callable[[Group], Results]

WARM_UP_STEPS = 3  # eager steps before the recording, in which libraries choose kernels and optimisers allocate
LOSS_TOLERANCE = 1e-2  # relative, since the order of additions may vary, also in 16 bits
# Relative to the norm of a step's change. Adam turns a tiny difference of a gradient near zero into a whole step.
CHANGE_TOLERANCE = 0.1


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """Values of everything that an optimiser step changes."""

    tensors: dict[str, list[Tensor]]
    scalers: list[dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Changing:
    """Everything that an optimiser step changes, by name."""

    modules: Mapping[str, nn.Module]
    optimisers: Mapping[str, torch.optim.Optimizer]
    scalers: Sequence[torch.amp.GradScaler]

    def tensors(self) -> dict[str, list[Tensor]]:
        """Return groups of tensors that change alike."""
        groups: dict[str, list[Tensor]] = {}
        for name, module in self.modules.items():
            groups[f"{name}.weights"] = [parameter.detach() for parameter in module.parameters()]
            groups[f"{name}.buffers"] = list(module.buffers())
        for name, optimiser in self.optimisers.items():
            for moments in optimiser.state.values():
                for key, value in moments.items():
                    groups.setdefault(f"{name}.{key}", []).append(value)
        return groups

    def snapshot(self) -> Snapshot:
        """Copy the current values to the CPU's memory."""
        copies = {name: [t.to("cpu", copy=True) for t in group] for name, group in self.tensors().items()}
        return Snapshot(copies, [scaler.state_dict() for scaler in self.scalers])

    def restore(self, snapshot: Snapshot) -> None:
        """Restore a snapshot in place."""
        for name, group in self.tensors().items():
            for tensor, value in zip(group, snapshot.tensors[name], strict=True):
                tensor.copy_(value)
        for scaler, stored in zip(self.scalers, snapshot.scalers, strict=True):
            scaler.load_state_dict(stored)

    def forget_unfinished_step(self) -> None:
        """Clear the leftovers of an interrupted step in optimisers and scalers."""
        for optimiser in self.optimisers.values():
            optimiser.zero_grad()
            for name in ("grad_scale", "found_inf"):  # set by GradScaler in the failed step
                if hasattr(optimiser, name):
                    delattr(optimiser, name)
        for scaler in self.scalers:
            scaler.update(scaler.get_scale())

    @contextlib.contextmanager
    def capturable(self, rate: Tensor) -> Iterator[None]:
        """Let the optimisers read their learning rate from a tensor, so that they can be recorded.

        Afterwards it is a number again, so that checkpoints are the same whether steps are recorded or not.
        """
        groups = [group for optimiser in self.optimisers.values() for group in optimiser.param_groups]
        before = [(group["lr"], group["capturable"]) for group in groups]
        for group in groups:
            group["lr"], group["capturable"] = rate, True
        try:
            yield
        finally:
            for group, (lr, capturable) in zip(groups, before, strict=True):
                group["lr"], group["capturable"] = lr, capturable

    def learning_rate(self) -> float:
        """Return the rate that all optimisers share."""
        return next(iter(self.optimisers.values())).param_groups[0]["lr"]


class GraphedStep:
    """Optimiser step that is recorded after some eager ones.

    Args:
        step: takes tensors on `device` and changes only `changing` and gradients, in place.
        changing: everything that the step changes.
        device: device of the step.
        recorder: records the step.
        exchanges: the step's exchanges with other processes, which all record or none.
    """

    def __init__(
        self,
        step: Step,
        changing: Changing,
        device: torch.device,
        recorder: Recorder,
        exchanges: Exchanges | None = None,
    ) -> None:
        self._step = step
        self._changing = changing
        self._recorder = recorder
        self._exchanges = exchanges or Exchanges()
        self._rate = torch.zeros((), device=device)
        self._device = device
        self._given: list[list[Tensor]] = []  # inputs of the recorded step
        self._results: Results = {}
        self._replay: Callable[[], None] | None = None
        self._made = 0  # warm-up steps
        self._may_record = True

    @property
    def recorded(self) -> bool:
        """Return whether steps are replayed."""
        return self._replay is not None

    def __call__(self, group: Group) -> Results:
        """Make one optimiser step. Its results are valid until the next step."""
        if self._replay is None:
            return self._record(group) if self._may_record else self._step(group)
        if not self._has_recorded_shapes(group):
            return self._step(group)
        self._run_recorded(group)
        return self._results

    def _has_recorded_shapes(self, group: Group) -> bool:
        return [[part.shape for part in parts] for parts in group] == [
            [part.shape for part in parts] for parts in self._given
        ]

    def _run_recorded(self, group: Group) -> None:
        assert self._replay is not None
        for given, parts in zip(self._given, group, strict=True):
            for place, part in zip(given, parts, strict=True):
                place.copy_(part, non_blocking=True)
        self._rate.fill_(self._changing.learning_rate())
        self._replay()

    def _record(self, group: Group) -> Results:
        """Make an eager step. After the warm-up, also record it and try the recording on the same inputs."""
        before = self._changing.snapshot() if self._made == WARM_UP_STEPS else None
        results = self._recorder.warm_up(lambda: self._step(group))
        if not results[MADE]:  # skipped, as the first steps in fp16 are: nothing to compare
            return results
        if before is None:
            self._made += 1
            return results
        after = self._changing.snapshot()
        # All processes agree before the first exchange of a recorded step, and on what came of it.
        problem = _of_any_process(_problem_of(lambda: self._make_recording(group)))
        if not problem:
            attempt = functools.partial(self._try_recording, group, before, after, results)
            # An error in the middle of exchanges must end this process, since the others wait for it.
            problem = _of_any_process(attempt() if distributed.is_active() else _problem_of(attempt))
        if problem:
            self._replay, self._given, self._results, self._may_record = None, [], {}, False
            self._changing.forget_unfinished_step()
            del self._recorder  # it may hold graphs, and their memory
            log.warning("training continues without CUDA graphs, with the same results but slower: %s", problem)
        self._changing.restore(after)
        return results

    def _try_recording(self, group: Group, before: Snapshot, after: Snapshot, results: Results) -> str:
        """Repeat the eager step by the recording. Return how it differs, or an empty string."""
        self._changing.restore(before)
        self._run_recorded(group)
        return self._difference(before, after, results)

    def _make_recording(self, group: Group) -> str:
        # Zeros, to detect a recording that does not read its inputs.
        self._given = [[torch.zeros(part.shape, dtype=part.dtype, device=self._device) for part in p] for p in group]

        def work() -> Results:
            with self._changing.capturable(self._rate):
                return self._step(self._given)

        with self._exchanges.divide(self._recorder):
            self._replay, self._results = self._recorder.record(work)
        return ""

    def _difference(self, before: Snapshot, after: Snapshot, results: Results) -> str:
        """Describe how the recorded step differs from the eager one, or return an empty string."""
        expected, actual = (torch.stack([*found.values()]).tolist() for found in (results, self._results))
        if not all(math.isclose(a, e, rel_tol=LOSS_TOLERANCE) for a, e in zip(actual, expected, strict=True)):
            return f"the recorded step has losses {_rounded(actual)} where the eager one has {_rounded(expected)}"
        replayed = self._changing.snapshot()
        for name, group in after.tensors.items():
            changed = _distance(group, before.tensors[name])
            differs = _distance(group, replayed.tensors[name])
            if not differs <= CHANGE_TOLERANCE * changed:
                return f"the recorded step changes {name} differently (by {differs:.1e} of {changed:.1e})"
        if replayed.scalers != after.scalers:
            return "the recorded step scales the loss differently"
        return ""


def _problem_of(attempt: Callable[[], str]) -> str:
    """Return what an attempt returns, or its error in one line, since training can continue without recordings.

    Raises:
        InputError: PyTorch can no longer continue in this process.
    """
    try:
        return attempt()
    except InputError:
        raise
    except Exception as error:  # of any kind
        return first_line(error)


def _of_any_process(problem: str) -> str:
    """Return a problem of this process or, if only others have one, a word about it."""
    return (problem or "another process could not record it") if distributed.any_rank(bool(problem)) else ""


def _distance(group: Sequence[Tensor], other: Sequence[Tensor]) -> float:
    squares = [(a.double() - b.double()).square().sum() for a, b in zip(group, other, strict=True)]
    return math.sqrt(sum(square.item() for square in squares))


def _rounded(values: Sequence[float]) -> str:
    return " ".join(f"{value:.6g}" for value in values)
