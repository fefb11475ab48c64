"""An emulator of CUDA graphs on CPU tensors: a recorder for `common/training/cuda_graphs.py`.

Like a CUDA graph, a recording holds operators of PyTorch and of this project, and the memory they read and write, but
no Python. So what Python decided while recording is fixed: a learning rate that is a number keeps its value in all
replays. Recording itself computes nothing: afterwards all memory is as before, and results are not valid until the
first replay. Waiting for a value while recording raises an error.

It does not show which memory of a graph another graph overwrites, nor copies between the memories of host and GPU.
"""

import contextlib

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from benchmarks.gpu_simulation import cost

WAITING_METHODS = {Tensor.tolist, Tensor.numpy, Tensor.cpu}  # on CPU tensors these call no operator


class GraphEmulator:
    """Recorder of operators.

    Attributes:
        replays: number of replays of all its recordings.
        tapes: its recordings.
    """

    def __init__(self):
        self.replays = 0
        self.tapes = []

    def warm_up(self, work):
        return work()

    def interrupt(self, exchange):
        self._tape.entries.append((exchange, (), {}, None))

    def record(self, work):
        tape = self._tape = Tape()
        try:
            with WaitingMethods(), tape:
                results = work()
        finally:
            tape.undo()
        self.tapes.append(tape)

        def replay():
            self.replays += 1
            tape.replay()

        return replay, results


class Tape(TorchDispatchMode):
    """Recorded operators, in order, with their arguments and results as they were."""

    def __init__(self):
        super().__init__()
        self.entries = []
        self._before = {}  # by address: storages that the recording found, and copies of them
        self._made = {}  # by address: storages that the recording allocated

    @classmethod
    def _should_skip_dynamo(cls):
        return False  # PyTorch would import its compiler, which takes seconds

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if cost.waits(func, args, kwargs):
            raise RuntimeError(f"operation not permitted when stream is capturing: {func}")
        self._save_before(tree_leaves((args, kwargs)))
        results = func(*args, **kwargs)
        for storage in storages(tree_leaves(results)):
            if storage.data_ptr() not in self._before:
                self._made[storage.data_ptr()] = storage
        if computes(func, results, (args, kwargs)):
            # Detached, since later operators may change the shape of the tensor itself.
            self.entries.append(tree_map_only(Tensor, Tensor.detach, (func, args, kwargs, results)))
        return results

    def _save_before(self, values):
        for storage in storages(values):
            if storage.data_ptr() not in self._made:
                self._before.setdefault(storage.data_ptr(), (storage, storage.clone()))

    def undo(self):
        """Restore the memory that the recording found, and make its results invalid."""
        for storage, copy in self._before.values():
            storage.copy_(copy)
        for results in tree_leaves([entry[3] for entry in self.entries]):
            if isinstance(results, Tensor) and results.untyped_storage().data_ptr() in self._made:
                results.fill_(torch.nan if results.is_floating_point() else 0)

    @torch.no_grad()
    def replay(self):
        for func, args, kwargs, results in self.entries:
            for place, new in zip(tree_leaves(results), tree_leaves(func(*args, **kwargs)), strict=True):
                if isinstance(place, Tensor) and place.data_ptr() != new.data_ptr():
                    place.copy_(new)


class WaitingMethods(TorchFunctionMode):
    """Raises an error for methods of tensors that wait for a GPU."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in WAITING_METHODS:
            raise RuntimeError(f"operation not permitted when stream is capturing: {func.__name__}")
        return func(*args, **(kwargs or {}))


def computes(func, results, arguments):
    """Return whether an operator does more than allocate memory, or look at memory in another shape."""
    if cost.computes(func) or cost.name(func) in cost.ALLOCATING | cost.RESHAPING:
        return cost.computes(func)
    # A view, or an operator that copies if it must (`contiguous`), which inference mode does not take apart.
    given = {storage.data_ptr() for storage in storages(tree_leaves(arguments))}
    return any(storage.data_ptr() not in given for storage in storages(tree_leaves(results)))


def storages(values):
    """Return the storages of all tensors that have memory."""
    found = (value.untyped_storage() for value in values if isinstance(value, Tensor))
    return [storage for storage in found if storage.nbytes()]


@contextlib.contextmanager
def rate_as_a_number(changing, rate):
    """A fault to put in place of `Changing.capturable`: the recording fixes the learning rate, which is a number."""
    groups = [group for optimiser in changing.optimisers.values() for group in optimiser.param_groups]
    for group in groups:
        group["capturable"] = True
    yield
    for group in groups:
        group["capturable"] = False
