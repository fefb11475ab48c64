"""Distributed processes: rank, device, means over ranks. Everything is a no-op at world size 1."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import logging
import os
import socket
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from common.errors import InputError, first_line
from common.machine.hardware import check_kernels

T = TypeVar("T")
log = logging.getLogger(__name__)

# Keys of the store that all processes share, followed by a rank.
_WHO = "hifigan/who/"
_WAITED = "hifigan/waited/"
_SHORTEST_ROLL_CALL_SEC, _LONGEST_ROLL_CALL_SEC = 5.0, 60.0

_averaging: weakref.WeakSet[DistributedDataParallel] = weakref.WeakSet()  # modules from `wrap`


@dataclasses.dataclass(frozen=True)
class Distributed:
    """Place of this process among the processes that torchrun started."""

    rank: int
    local_rank: int
    world_size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        return self.rank == 0


@dataclasses.dataclass(frozen=True)
class _Peers:
    """The processes of this job, also once the process group has been left because of an error."""

    store: dist.Store
    rank: int
    world_size: int
    patience_sec: float

    def call_roll(self) -> list[str]:
        """Return the processes, in words, that do not report within a while that they waited in vain, like this one."""
        present = {self.rank}
        names = [f"process {other + 1} of {self.world_size}" for other in range(self.world_size)]
        seconds = min(_LONGEST_ROLL_CALL_SEC, max(_SHORTEST_ROLL_CALL_SEC, self.patience_sec / 2))
        deadline = time.monotonic() + seconds

        def call() -> None:
            with contextlib.suppress(RuntimeError):  # the store has gone with its process
                self.store.set(f"{_WAITED}{self.rank}", "")
                for other in range(self.world_size):
                    if self.store.check([f"{_WHO}{other}"]):
                        names[other] += f" ({self.store.get(f'{_WHO}{other}').decode()})"
                while time.monotonic() < deadline and len(present) < self.world_size:
                    present.update(other for other in range(self.world_size) if self.store.check([f"{_WAITED}{other}"]))
                    time.sleep(0.2)

        # In a thread, since the store may be in the process that hangs, and would never answer.
        caller = threading.Thread(target=call, daemon=True)
        caller.start()
        caller.join(seconds + 1)
        return [names[other] for other in range(self.world_size) if other not in present]


_peers: _Peers | None = None


def select_device(cuda: bool, local_rank: int = 0) -> torch.device:
    """Return the CPU, or the GPU of the `local_rank`-th process of this machine.

    Raises:
        InputError: `cuda`, but PyTorch finds no GPU, fewer than processes, or has no kernels for it.
    """
    if not cuda:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise InputError("--cuda: PyTorch finds no GPU on this machine; omit the flag to use the CPU")
    if local_rank >= torch.cuda.device_count():
        raise InputError(f"--cuda: process {local_rank} of this machine has no GPU; start fewer with NUM_GPUS")
    device = torch.device("cuda", local_rank)
    check_kernels(device)
    torch.cuda.set_device(device)
    # cuDNN's attention would build a plan for each new shape, and texts have many. PyTorch has other fast ones.
    torch.backends.cuda.enable_cudnn_sdp(False)
    return device


def check_gpus(wanted: int, flag: str) -> None:
    """Raise `InputError`, with the flag's name, if this machine has fewer than the `wanted` GPUs."""
    found = torch.cuda.device_count()
    if wanted > found:
        raise InputError(
            f"{flag}: {wanted}, but PyTorch finds {found or 'no'} GPU{'s' if found > 1 else ''} on this machine; "
            + (f"give at most {found}" if found else "omit the flag to use the CPU")
        )


def init(cuda: bool, patience: datetime.timedelta | None = None) -> Distributed:
    """Read torchrun's environment and join the process group (NCCL for tensors on GPUs, gloo for others).

    Args:
        cuda: run on GPUs.
        patience: how long processes wait for each other, by default PyTorch's half an hour at most.

    Raises:
        InputError: variables that contradict each other, perhaps left over from another program.
    """
    world_size = _from_environment("WORLD_SIZE", 1)
    rank, local_rank = _from_environment("RANK", 0), _from_environment("LOCAL_RANK", 0)
    _check_environment(rank, world_size)
    device = select_device(cuda, local_rank)
    global _peers
    if world_size > 1:
        # If imported later, as by PyTorch's compiler, its functions would hold the group of all processes as a default.
        # Then `shutdown` could not end the group, and gloo's threads may abort a process that ends before them.
        import torch.distributed.nn.functional  # noqa: F401
        from torch.distributed.distributed_c10d import _get_default_store, default_pg_timeout  # not in every build

        backends = "cpu:gloo,cuda:nccl" if cuda else "gloo"
        dist.init_process_group(backends, timeout=patience, device_id=device if cuda else None)
        _peers = _Peers(_get_default_store(), rank, world_size, (patience or default_pg_timeout).total_seconds())
        _peers.store.set(f"{_WHO}{rank}", f"pid {os.getpid()} on {socket.gethostname()}")
    return Distributed(rank, local_rank, world_size, device)


def _from_environment(name: str, default: int) -> int:
    """Return a number from torchrun's environment. Empty variables count as unset."""
    value = os.environ.get(name, "").strip()
    if not value:
        os.environ.pop(name, None)  # PyTorch would try to read it as well
        return default
    if not value.isdecimal():
        raise InputError(f"the variable {name}={value} is not a number; torchrun sets it, so unset it")
    return int(value)


def _check_environment(rank: int, world_size: int) -> None:
    """Raise `InputError` unless torchrun's variables describe one of several processes that can find each other."""
    remedy = "start several processes with torchrun, or one after: unset RANK LOCAL_RANK WORLD_SIZE"
    if world_size < 1 or rank >= world_size:
        raise InputError(f"the variables RANK={rank} and WORLD_SIZE={world_size} contradict each other; {remedy}")
    missing = [name for name in ("MASTER_ADDR", "MASTER_PORT") if not os.environ.get(name, "").strip()]
    if world_size > 1 and missing:
        verb = "is" if len(missing) == 1 else "are"
        raise InputError(f"WORLD_SIZE={world_size} is set, but {' and '.join(missing)} {verb} not; {remedy}")
    if world_size > 1 and "TORCHELASTIC_RUN_ID" not in os.environ:
        log.info(
            "process %d of %d, without torchrun: waiting for the others at %s:%s (%s)",
            *(rank + 1, world_size, os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"], remedy),
        )


def shutdown() -> None:
    """Leave the process group, if there is one. Modules from `wrap` can no longer be used."""
    if dist.is_initialized():
        # The group must end here, where PyTorch lets gloo's threads run meanwhile. If a module that outlives this call
        # ended it, the group would wait forever for threads that wait for Python's lock.
        while _averaging:
            module = _averaging.pop()
            for name in ("process_group", "reducer", "logger"):
                vars(module).pop(name, None)
        dist.destroy_process_group()


@contextlib.contextmanager
def lost_peers_named() -> Iterator[None]:
    """Turn the library's error of a lost process into one line. The lost process's own output explains its end.

    Raises:
        ConnectionError: another process ended during an exchange.
    """
    try:
        yield
    except RuntimeError as error:
        # Gloo's errors have no class of their own, but name their source file.
        if not isinstance(error, dist.DistError) and "/gloo/" not in str(error):
            raise
        cause = first_line(error).split(". ")[0]
        if _peers and "timed out" in cause.lower() and (missing := _peers.call_roll()):
            raise ConnectionError(
                f"{' and '.join(missing)} did not answer for {_peers.patience_sec:g} s, so all processes end. "
                "Look there for a stopped process, or a disk or network that hangs; then start again to resume. "
                "If it was at work, give it more time (--peer-timeout-sec in training)"
            ) from error
        raise ConnectionError(f"another process was lost: {cause}") from error


def is_active() -> bool:
    return dist.is_initialized()


def wrap(module: nn.Module, place: Distributed) -> nn.Module:
    """Return a module that averages its gradients over all processes. At world size 1, return `module` itself.

    Buffers are not broadcast, since every process computes the same spectral-norm vectors.
    """
    if not is_active():
        return module
    devices = [place.device] if place.device.type == "cuda" else None
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", FutureWarning
        )  # about a new name for broadcast_buffers, which PyTorch 2.11 lacks
        wrapped = DistributedDataParallel(module, devices, broadcast_buffers=False, gradient_as_bucket_view=True)
    _averaging.add(wrapped)
    return wrapped


@contextlib.contextmanager
def no_sync(*modules: nn.Module, when: bool = True) -> Iterator[None]:
    """Do not average the gradients of `modules`, in all but the last pass of an accumulated step."""
    with contextlib.ExitStack() as stack:
        for module in modules:
            if when and isinstance(module, DistributedDataParallel):
                stack.enter_context(module.no_sync())
        yield


def sum_over_ranks(values: Tensor) -> Tensor:
    """Return the sum of a tensor over all processes."""
    if is_active():
        values = values.clone()
        dist.all_reduce(values)
    return values


def mean_over_ranks(values: Tensor) -> list[float]:
    """Return means of a vector over all processes, in one message, read from the device."""
    summed = sum_over_ranks(values)
    return (summed / dist.get_world_size() if is_active() else summed).tolist()


def gather(value: T) -> list[T]:
    """Return the values of all processes, in the order of ranks."""
    if not is_active():
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def any_rank(flag: bool) -> bool:
    """Return whether `flag` is set on any process, so that all act together."""
    return bool(sum_over_ranks(torch.tensor(float(flag))) > 0)


class Poll:
    """`any_rank` for every step of a loop, without waiting: each call returns the answer to the previous one."""

    def __init__(self) -> None:
        self._flag = torch.zeros(1)
        self._asked: dist.Work | None = None

    def any_rank(self, flag: bool) -> bool:
        """Return whether the flag was set on any process in the last call (at world size 1: in this call)."""
        if not is_active():
            return flag
        if self._asked is not None:
            self._asked.wait()
        answer = bool(self._flag > 0)
        self._flag = torch.tensor([float(flag)])
        self._asked = dist.all_reduce(self._flag, async_op=True)
        return answer


def first_on_main(work: Callable[[], None], place: Distributed) -> None:
    """Do work on the main process while the others wait. If it fails, the others end quietly.

    Raises:
        InputError, OSError: from the main process.
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
    """Return whether `value` differs between processes."""
    if not is_active():
        return False
    extremes = torch.tensor([value, -value])
    dist.all_reduce(extremes, dist.ReduceOp.MAX)
    return bool(extremes.sum() != 0)


def barrier() -> None:
    """Wait for all processes."""
    if is_active():
        dist.barrier()
