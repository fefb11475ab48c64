"""Counts what operators on a simulated GPU cost, and where the CPU waits for it."""

from __future__ import annotations

import contextlib
import dataclasses
import linecache
import sys
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensor
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.gpu_simulation.cost import Cost, estimate, name, tensors, waits

ALLOCATION_BYTES = 512  # PyTorch's allocator rounds up to a multiple
HERE = Path(__file__).parent
COPIES = {"_to_copy", "copy_"}
NUMBERS = {"_local_scalar_dense", "equal", "is_nonzero"}  # return a number instead of a tensor


def _ctc_shapes(log_probs: Tensor, targets: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    """Return the losses [B] and the intermediate results [B, L, 2 S + 1] of CTC."""
    frames, batch, _ = log_probs.shape
    return log_probs.new_empty(batch), log_probs.new_empty(batch, frames, 2 * targets.size(1) + 1)


# Results of operators for which PyTorch does not infer shapes.
SHAPES: dict[str, Callable[..., Any]] = {
    "_use_cudnn_ctc_loss": lambda log_probs, targets, *rest: targets.dtype == torch.int32,
    "_use_miopen_ctc_loss": lambda *args: False,
    "_ctc_loss": _ctc_shapes,
    "_ctc_loss_backward": lambda gradient, log_probs, *rest: torch.empty_like(log_probs),
}


@dataclasses.dataclass
class Tally:
    """Sums over operators.

    Attributes:
        launches: of kernels and of whole graphs, by the CPU.
        waits: places in the source where the CPU waits for the GPU.
        crossings: copies between the memories of host and GPU, with their places.
        errors: what a GPU would refuse, with its place.
        kernels_by_operator: by its name.
        bytes_by_operator: likewise.
    """

    kernels: int = 0
    launches: int = 0
    moved_bytes: int = 0
    flop: int = 0
    sec: float = 0.0
    peak_bytes: int = 0
    waits: list[str] = dataclasses.field(default_factory=list)
    crossings: list[str] = dataclasses.field(default_factory=list)
    errors: list[str] = dataclasses.field(default_factory=list)
    kernels_by_operator: Counter[str] = dataclasses.field(default_factory=Counter)
    bytes_by_operator: Counter[str] = dataclasses.field(default_factory=Counter)

    def add(self, operator: str, cost: Cost) -> None:
        self.kernels += cost.kernels
        self.launches += cost.kernels
        self.moved_bytes += cost.moved_bytes
        self.flop += cost.flop
        self.sec += cost.sec
        self.kernels_by_operator[operator] += cost.kernels
        self.bytes_by_operator[operator] += cost.moved_bytes

    def add_replay(self, recorded: Tally) -> None:
        """Add the kernels of a graph, in one launch."""
        for operator, kernels in recorded.kernels_by_operator.items():
            self.add(operator, Cost(kernels, recorded.bytes_by_operator[operator]))
        self.flop += recorded.flop
        self.sec += recorded.sec
        self.launches += 1 - recorded.kernels
        self.crossings += recorded.crossings
        self.errors += recorded.errors


class OperatorCounter(TorchDispatchMode):
    """Counts all operators in its context that touch a GPU.

    Attributes:
        tally: sums so far. `counting` and `recording` replace it.
        live_bytes: memory of the GPU in use.
        total_sec: time of the GPU so far.
        answers: values to assume where the CPU waits for a number: a part of the line of source, and the number. The
            first one that fits counts, else 1.
    """

    def __init__(self, answers: Mapping[str, int] | None = None) -> None:
        super().__init__()
        self.tally = Tally()
        self.live_bytes = 0
        self.total_sec = 0.0
        self.answers = dict(answers or {})
        self.is_recording = False
        self._known: set[int] = set()

    @contextlib.contextmanager
    def counting(self) -> Iterator[Tally]:
        """Count what happens in this context in a tally of its own. Peak memory includes what was in use before."""
        before, self.tally = self.tally, Tally(peak_bytes=self.live_bytes)
        try:
            yield self.tally
        finally:
            self.tally = before

    @contextlib.contextmanager
    def recording(self) -> Iterator[Tally]:
        """Count into the tally of a graph. Its peak memory is what it needs beyond the memory in use before."""
        live = self.live_bytes
        with self.counting() as tally:
            self.is_recording = True
            try:
                yield tally
            finally:
                self.is_recording = False
        tally.peak_bytes -= live

    def replay(self, recorded: Tally) -> None:
        self.total_sec += recorded.sec
        self.tally.add_replay(recorded)
        self.tally.peak_bytes = max(self.tally.peak_bytes, self.live_bytes + recorded.peak_bytes)

    def wait(self, reason: str) -> None:
        """Count a wait of the CPU for the GPU, which recordings forbid."""
        self.tally.waits.append(f"{place()}: {reason}")
        if self.is_recording:
            self.tally.errors.append(f"{place()}: {reason} while a graph is recorded")

    def answer(self, value: Tensor) -> float | int | bool:
        """Return a number to assume for a tensor that has only a shape."""
        if value.dtype == torch.bool:
            return True
        if value.is_floating_point():
            return 1.0
        line = place()
        return next((number for text, number in self.answers.items() if text in line), 1)

    def __torch_dispatch__(self, func: OpOverload, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.prim.device.default:  # asked for thousands of times
            return args[0].device
        kwargs = {name: value for name, value in (kwargs or {}).items() if name != "pin_memory"}
        given = tensors((args, kwargs))
        on_gpu = any(tensor.device.type == "cuda" for tensor in given)
        short = name(func)
        if on_gpu and waits(func, args, kwargs):
            self.wait(short)
        if short in NUMBERS:
            try:
                return func(*args, **kwargs)
            except DataDependentOutputException:
                return self.answer(given[0]) if short == "_local_scalar_dense" else True
        if short in COPIES and isinstance(given[-1], FakeTensor):
            given[-1].constant = None  # a known number, which PyTorch would try to copy to a real GPU
        results = SHAPES[short](*args) if short in SHAPES else func(*args, **kwargs)
        made = tensors(results)
        self._remember(made)
        if on_gpu or any(tensor.device.type == "cuda" for tensor in made):
            self._check_devices(short, args, kwargs, given, made)
            if short == "_ctc_loss" and not isinstance(args[2], list | tuple):
                self._count_reading(args[2], args[3])
            cost = estimate(func, args, kwargs, results)
            self.tally.add(short, cost)
            self.total_sec += cost.sec * (not self.is_recording)
        return results

    def _check_devices(
        self,
        short: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        given: Sequence[Tensor],
        made: Sequence[Tensor],
    ) -> None:
        """Count copies between host and GPU, and other operators that mix them."""
        devices = {tensor.device.type for tensor in (*given, *made)}
        if len(devices) == 1:
            return
        if short in COPIES:
            source = given[-1]
            self._count_crossing(source)
            if not (kwargs.get("non_blocking") or (short == "copy_" and len(args) > 2 and args[2])):
                self.wait(f"copy from {source.device.type}")
        elif short not in SHAPES and any(tensor.device.type != "cuda" and tensor.dim() > 0 for tensor in given):
            self.tally.errors.append(f"{place()}: {short} of tensors on {' and '.join(sorted(devices))}")

    def _count_crossing(self, source: Tensor) -> None:
        self.tally.crossings.append(f"{place()}: {list(source.shape)} from {source.device.type}")

    def _count_reading(self, *values: Tensor) -> None:
        """Count copies that PyTorch makes itself, where tensors that have only shapes skip them (LossCTC.cpp)."""
        for value in values:
            if value.device.type == "cuda":
                self._count_crossing(value)
                self.wait("copy from cuda")

    def _remember(self, tensors: Sequence[Tensor]) -> None:
        """Count the memory of new tensors, until it is freed."""
        for tensor in tensors:
            storage = tensor.untyped_storage()
            if tensor.device.type != "cuda" or storage._cdata in self._known:
                continue
            size = -(-storage.nbytes() // ALLOCATION_BYTES) * ALLOCATION_BYTES
            self._known.add(storage._cdata)
            self.live_bytes += size
            self.tally.peak_bytes = max(self.tally.peak_bytes, self.live_bytes)
            weakref.finalize(storage, self._forget, storage._cdata, size)

    def _forget(self, storage: int, size: int) -> None:
        self._known.discard(storage)
        self.live_bytes -= size


def place() -> str:
    """Return the innermost line of the project's source that is running, without the simulation's own."""
    frame = sys._getframe()
    while frame is not None:
        file = Path(frame.f_code.co_filename)
        if not file.is_relative_to(HERE) and _is_project(file):
            line = linecache.getline(str(file), frame.f_lineno).strip()
            return f"{file.name}:{frame.f_lineno} {line}"
        frame = frame.f_back  # type: ignore[assignment]
    return "PyTorch"


def _is_project(file: Path) -> bool:
    from common.project import PROJECT  # of the checkout that is simulated

    return file.is_relative_to(PROJECT) and "site-packages" not in file.parts
