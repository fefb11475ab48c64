"""An optimiser step as one CUDA graph: recorded once, checked against the eager step, and replayed.

A step of training is some thousand short kernels; a GPU that computes them faster than the CPU launches them waits. A
graph launches all of them at once. It reads and writes the same memory in every replay: inputs are copied to where it
reads them, everything that a step changes has to be changed in place, and nothing may wait for the GPU's results.

What can go wrong does no harm: a step that cannot be recorded, or whose graph computes something else than the eager
step, goes on eagerly from the state that an eager step has reached.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

log = logging.getLogger(__name__)

Group = Sequence[Sequence[Tensor]]  # the micro-batches of an optimiser step, each of some tensors
MADE = "made"
Results = Mapping[str, Tensor]  # scalars on the device: losses, and under MADE 1, or 0 if the step was skipped
Step = Callable[[Group], Results]

WARM_UP = 3  # eager steps that are made before the recording: libraries choose kernels, optimisers make their state
LOSS_TOLERANCE = 1e-2  # relative; the kernels are the same, but some add in an order of their own, in 16 bits too
# Of the norm of what a step changes: Adam turns the least difference of a gradient near zero into a whole step.
CHANGE_TOLERANCE = 0.1


class Recorder(Protocol):
    """How steps are recorded; on GPUs a `CudaRecorder`."""

    def warm_up(self, work: Callable[[], Results]) -> Results:
        """Does the work as it will be done when it is recorded."""

    def record(self, work: Callable[[], Results]) -> tuple[Callable[[], None], Results]:
        """Records the work: a function that does it again, and the tensors that get its results each time."""


class CudaRecorder:
    """Records CUDA graphs, with memory of their own."""

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device)

    def warm_up(self, work: Callable[[], Results]) -> Results:
        usual = torch.cuda.current_stream()
        self._stream.wait_stream(usual)
        with torch.cuda.stream(self._stream):
            results = work()
        usual.wait_stream(self._stream)
        return results

    def record(self, work: Callable[[], Results]) -> tuple[Callable[[], None], Results]:
        usual = torch.cuda.current_stream()
        graph = torch.cuda.CUDAGraph()
        try:
            # "thread_local": a loader's thread may allocate pinned memory meanwhile.
            with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
                results = work()
        finally:
            torch.cuda.set_stream(usual)  # a recording that fails leaves its own behind
        return graph.replay, results


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
        """Groups of tensors that change alike."""
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
        """The present values, in the CPU's memory."""
        copies = {name: [t.to("cpu", copy=True) for t in group] for name, group in self.tensors().items()}
        return Snapshot(copies, [scaler.state_dict() for scaler in self.scalers])

    def restore(self, snapshot: Snapshot) -> None:
        """Goes back to a snapshot, in place."""
        for name, group in self.tensors().items():
            for tensor, value in zip(group, snapshot.tensors[name], strict=True):
                tensor.copy_(value)
        for scaler, stored in zip(self.scalers, snapshot.scalers, strict=True):
            scaler.load_state_dict(stored)

    def forget_unfinished_step(self) -> None:
        """Clears what a step that was broken off leaves with optimisers and scalers."""
        for optimiser in self.optimisers.values():
            optimiser.zero_grad()
            for name in ("grad_scale", "found_inf"):  # GradScaler's, of the step in which it failed
                if hasattr(optimiser, name):
                    delattr(optimiser, name)
        for scaler in self.scalers:
            scaler.update(scaler.get_scale())

    @contextlib.contextmanager
    def capturable(self, rate: Tensor) -> Iterator[None]:
        """The optimisers take their learning rate from a tensor in here, and may be recorded.

        Only in here, so that checkpoints are the same whether steps are recorded or not.
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
        """The rate that all optimisers share."""
        return next(iter(self.optimisers.values())).param_groups[0]["lr"]


class GraphedStep:
    """An optimiser step that is recorded after some eager ones.

    Args:
        step: takes tensors on `device` and changes nothing but `changing` (and gradients), in place.
        changing: what it changes.
        device: of the step.
        recorder: how it is recorded.
    """

    def __init__(self, step: Step, changing: Changing, device: torch.device, recorder: Recorder) -> None:
        self._step = step
        self._changing = changing
        self._recorder = recorder
        self._rate = torch.zeros((), device=device)
        self._device = device
        self._given: list[list[Tensor]] = []  # where the recorded step reads its inputs
        self._results: Results = {}
        self._replay: Callable[[], None] | None = None
        self._made = 0  # of the warm-up
        self._may_record = True

    @property
    def recorded(self) -> bool:
        """Whether steps are replayed."""
        return self._replay is not None

    def __call__(self, group: Group) -> Results:
        """One optimiser step; its results hold until the next."""
        if self._replay is None:
            return self._record(group) if self._may_record else self._step(group)
        if not self._takes(group):
            return self._step(group)
        self._run_recorded(group)
        return self._results

    def _takes(self, group: Group) -> bool:
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
        """An eager step; after the first ones it is recorded as well, and the recording tried on the same inputs."""
        before = self._changing.snapshot() if self._made == WARM_UP else None
        results = self._recorder.warm_up(lambda: self._step(group))
        if not results[MADE]:  # left out, as first steps in fp16 are: it changes nothing that could be compared
            return results
        if before is None:
            self._made += 1
            return results
        after = self._changing.snapshot()
        try:
            self._make_recording(group)
            self._changing.restore(before)
            self._run_recorded(group)
            problem = self._difference(before, after, results)
        except Exception as error:  # whatever it is, the eager step has been made and training can go on from there
            problem = (str(error).splitlines() or [type(error).__name__])[0]
        if problem:
            self._replay, self._given, self._results, self._may_record = None, [], {}, False
            self._changing.forget_unfinished_step()
            log.warning("training goes on without CUDA graphs, with the same results but slower: %s", problem)
        self._changing.restore(after)
        return results

    def _make_recording(self, group: Group) -> None:
        # Zeros, so that a recording which does not see its inputs is found out.
        self._given = [[torch.zeros(part.shape, dtype=part.dtype, device=self._device) for part in p] for p in group]

        def work() -> Results:
            with self._changing.capturable(self._rate):
                return self._step(self._given)

        self._replay, self._results = self._recorder.record(work)

    def _difference(self, before: Snapshot, after: Snapshot, results: Results) -> str:
        """What the recorded step computed otherwise than the eager one; empty if nothing."""
        expected, actual = (torch.stack([*found.values()]).tolist() for found in (results, self._results))
        if not all(math.isclose(a, e, rel_tol=LOSS_TOLERANCE) for a, e in zip(actual, expected, strict=True)):
            return f"the recorded step has losses {_rounded(actual)} where the eager one has {_rounded(expected)}"
        replayed = self._changing.snapshot()
        for name, group in after.tensors.items():
            changed = _distance(group, before.tensors[name])
            differs = _distance(group, replayed.tensors[name])
            if not differs <= CHANGE_TOLERANCE * changed:
                return f"the recorded step changes {name} by something else ({differs:.1e} of {changed:.1e})"
        if replayed.scalers != after.scalers:
            return "the recorded step scales the loss otherwise"
        return ""


def _distance(group: Sequence[Tensor], other: Sequence[Tensor]) -> float:
    squares = [(a.double() - b.double()).square().sum() for a, b in zip(group, other, strict=True)]
    return math.sqrt(sum(square.item() for square in squares))


def _rounded(values: Sequence[float]) -> str:
    return " ".join(f"{value:.6g}" for value in values)
