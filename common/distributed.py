"""One process or many: rank, device, means over ranks. Everything is a no-op at world size 1."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import os
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from common.errors import InputError

T = TypeVar("T")

_averaging: weakref.WeakSet[DistributedDataParallel] = weakref.WeakSet()  # what `wrap` has made


@dataclasses.dataclass(frozen=True)
class Distributed:
    """This process's place among those that torchrun started."""

    rank: int
    local_rank: int
    world_size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        return self.rank == 0


def device_of(cuda: bool, local_rank: int = 0) -> torch.device:
    """The CPU, or the GPU of the `local_rank`-th process of this machine.

    Raises:
        InputError: `cuda` where PyTorch finds no GPU, or fewer than processes.
    """
    if not cuda:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise InputError("--cuda: PyTorch finds no GPU on this machine; leave the flag out to use the CPU")
    if local_rank >= torch.cuda.device_count():
        raise InputError(f"--cuda: process {local_rank} of this machine has no GPU; start fewer with NUM_GPUS")
    torch.cuda.set_device(local_rank)
    return torch.device("cuda", local_rank)


def init(cuda: bool, patience: datetime.timedelta | None = None) -> Distributed:
    """Reads torchrun's environment and joins the process group (NCCL for tensors on GPUs, gloo for others).

    Args:
        cuda: run on GPUs.
        patience: how long processes wait for each other; without it PyTorch's default, half an hour at most.
    """
    rank, world_size, local_rank = (
        int(os.environ.get(name, default)) for name, default in (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0))
    )
    device = device_of(cuda, local_rank)
    if world_size > 1:
        # Imported later (PyTorch's compiler does so), its functions would have the group of all processes as a default:
        # `shutdown` could not end the group, and gloo's threads may abort a process that ends before them.
        import torch.distributed.nn.functional  # noqa: F401

        backends = "cpu:gloo,cuda:nccl" if cuda else "gloo"
        dist.init_process_group(backends, timeout=patience, device_id=device if cuda else None)
    return Distributed(rank, local_rank, world_size, device)


def shutdown() -> None:
    """Leaves the process group, if there is one; modules that `wrap` has made can no longer be used."""
    if dist.is_initialized():
        # The group has to end here, where PyTorch lets gloo's threads run meanwhile. Ended by one that outlives it,
        # it would wait for threads that wait for Python's lock, for ever.
        while _averaging:
            module = _averaging.pop()
            for name in ("process_group", "reducer", "logger"):
                vars(module).pop(name, None)
        dist.destroy_process_group()


@contextlib.contextmanager
def lost_peers_named() -> Iterator[None]:
    """Tells in one line that another process ended in the midst of an exchange; why, that one's own output says.

    Raises:
        ConnectionError: instead of the library's RuntimeError.
    """
    try:
        yield
    except RuntimeError as error:
        # Gloo's errors have no class of their own, but name the file they come from.
        if not isinstance(error, dist.DistError) and "/gloo/" not in str(error):
            raise
        cause = str(error).splitlines()[0].split(". ")[0]
        raise ConnectionError(f"another process was lost: {cause}") from error


def is_active() -> bool:
    return dist.is_initialized()


def wrap(module: nn.Module, place: Distributed) -> nn.Module:
    """Averages the gradients of `module` over all processes; the module itself at world size 1.

    Buffers are not broadcast: every process computes the same spectral-norm vectors.
    """
    if not is_active():
        return module
    devices = [place.device] if place.device.type == "cuda" else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of a new name for broadcast_buffers that PyTorch 2.11 lacks
        made = DistributedDataParallel(module, devices, broadcast_buffers=False, gradient_as_bucket_view=True)
    _averaging.add(made)
    return made


@contextlib.contextmanager
def no_sync(*modules: nn.Module, when: bool = True) -> Iterator[None]:
    """Leaves the gradients of `modules` unaveraged, for all but the last pass of an accumulated step."""
    with contextlib.ExitStack() as stack:
        for module in modules:
            if when and isinstance(module, DistributedDataParallel):
                stack.enter_context(module.no_sync())
        yield


def sum_over_ranks(values: Tensor) -> Tensor:
    """Sum of a tensor over all processes."""
    if is_active():
        values = values.clone()
        dist.all_reduce(values)
    return values


def mean_over_ranks(values: Tensor) -> list[float]:
    """Means of a vector over all processes, in one message; reads them from the device."""
    summed = sum_over_ranks(values)
    return (summed / dist.get_world_size() if is_active() else summed).tolist()


def gather(value: T) -> list[T]:
    """The values of all processes, in the order of their ranks."""
    if not is_active():
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def any_rank(flag: bool) -> bool:
    """Whether `flag` is set on any process, so that all of them act together."""
    return bool(sum_over_ranks(torch.tensor(float(flag))) > 0)


class Poll:
    """`any_rank` for every step of a loop: nobody waits, since the answer to a question comes with the next one."""

    def __init__(self) -> None:
        self._flag = torch.zeros(1)
        self._asked: dist.Work | None = None

    def any_rank(self, flag: bool) -> bool:
        """Whether the flag was set on any process when this was last called (at world size 1: whether it is now)."""
        if not is_active():
            return flag
        if self._asked is not None:
            self._asked.wait()
        answer = bool(self._flag > 0)
        self._flag = torch.tensor([float(flag)])
        self._asked = dist.all_reduce(self._flag, async_op=True)
        return answer


def first_on_main(work: Callable[[], None], place: Distributed) -> None:
    """Does something on the main process while the others wait; if it fails there, the others end quietly.

    Raises:
        InputError, OSError: what the main process met.
    """
    problem: InputError | OSError | None = None
    if place.is_main:
        try:
            work()
        except (InputError, OSError) as error:
            problem = error
    if any_rank(problem is not None):
        raise problem or SystemExit(1)


def differs(value: int) -> bool:
    """Whether `value` is not the same on all processes."""
    if not is_active():
        return False
    extremes = torch.tensor([value, -value])
    dist.all_reduce(extremes, dist.ReduceOp.MAX)
    return bool(extremes.sum() != 0)


def barrier() -> None:
    """Waits for all processes."""
    if is_active():
        dist.barrier()
