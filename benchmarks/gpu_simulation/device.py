"""A simulated H200: tensors with shapes instead of memory, and stand-ins for the functions of `torch.cuda`.

`load_guard` must come first. All changes of PyTorch end with the context.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from benchmarks.gpu_simulation.counter import OperatorCounter
from benchmarks.gpu_simulation.cuda_runtime import make_runtime
from common.machine import timing

DEVICE = torch.device("cuda", 0)


@contextlib.contextmanager
def simulated_gpu(answers: Mapping[str, int] | None = None) -> Iterator[OperatorCounter]:
    """Run this context on a simulated GPU.

    Args:
        answers: see `OperatorCounter`.
    """
    counter = OperatorCounter(answers)
    shapes_only = FakeTensorMode(allow_non_fake_inputs=True)  # imports much, which the replacements would confuse
    with contextlib.ExitStack() as stack:
        for owner, replacements in _replacements(counter):
            for attribute, value in replacements.items():
                stack.enter_context(mock.patch.object(owner, attribute, value))
        stack.enter_context(shapes_only)
        stack.enter_context(counter)
        yield counter


def _replacements(counter: OperatorCounter) -> list[tuple[Any, dict[str, Any]]]:
    """Return attributes to replace, by their owner."""
    return [
        (torch.cuda, make_runtime(counter)),
        (nn.Module, {"_apply": _convert}),
        (FakeTensor, {"tolist": _read_list(counter)}),
        (torch.inference_mode, {"__enter__": _enter_no_grad, "__exit__": _exit_no_grad}),
        (Tensor, {"pin_memory": lambda tensor, device=None: tensor, "new_tensor": _new_tensor}),
        (torch, {"istft": _inverse_transform(counter), "tensor": _tensor}),
        *_project_replacements(counter),
    ]


def _project_replacements(counter: OperatorCounter) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Yield functions of this project to replace, in each module that has imported them.

    Kernels count as proved, since none can run, and the clock runs on the model time.
    """

    def now_sec(device: torch.device) -> float:
        counter.wait("synchronize")
        return counter.total_sec

    replacements: list[tuple[Any, dict[str, Any]]] = [(timing, {"now_sec": now_sec})]
    with contextlib.suppress(ImportError):  # older checkouts have no kernels of their own
        from common.machine import triton_kernels

        kernels = {"may_run": lambda device: True, "proved": lambda *args: True, "works": lambda *args: True}
        replacements.append((triton_kernels, {**kernels, "address": lambda tensor: 0}))
    for owner, functions in replacements:
        originals = {name: getattr(owner, name) for name in functions}
        for module in [*sys.modules.values()]:
            found = {name for name, original in originals.items() if vars(module).get(name) is original}
            if found:
                yield module, {name: functions[name] for name in found}


_on_host = torch.tensor


def _tensor(data: Any, *, device: Any = None, requires_grad: bool = False, **kwargs: Any) -> Tensor:
    """Make a tensor as `torch.tensor`, which writes it on the host and then copies it."""
    made = _on_host(data, **kwargs)
    return (made if device is None else made.to(device)).requires_grad_(requires_grad)


def _new_tensor(like: Tensor, data: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
    return _tensor(data, dtype=dtype or like.dtype, device=device or like.device)


def _enter_no_grad(context: Any) -> None:
    """Enter `torch.inference_mode` as `no_grad`: in inference mode, some operators hide those that they consist of."""
    context.simulated = torch.no_grad() if context.mode else contextlib.nullcontext()
    context.simulated.__enter__()


def _exit_no_grad(context: Any, *exception: Any) -> None:
    context.simulated.__exit__(*exception)


def _inverse_transform(counter: OperatorCounter) -> Callable[..., Tensor]:
    """Return a replacement of `torch.istft`, which looks at the sum of its windows."""

    def istft(spec: Tensor, n_fft: int, hop_length: int, *, window: Tensor) -> Tensor:
        """Spectra [B, F, L] -> signals [B, L * hop], centred, as SpectralOps.cpp computes it."""
        frames = spec.size(2)
        size = n_fft + hop_length * (frames - 1)
        parts = torch.fft.irfft(spec.transpose(1, 2), n_fft) * window
        summed = _overlap_and_add(parts, size, hop_length)
        windows = _overlap_and_add(window.square().expand(1, frames, n_fft), size, hop_length)
        inside = slice(n_fft // 2, size - n_fft // 2)
        envelope = windows[:, inside]
        envelope.abs().min().lt(1e-11)
        counter.wait("istft")
        return summed[:, inside] / envelope

    return istft


def _overlap_and_add(parts: Tensor, size: int, hop: int) -> Tensor:
    return torch.ops.aten.unfold_backward(parts, [len(parts), size], 1, parts.size(2), hop)


def _convert(module: nn.Module, convert: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
    """Convert all parameters and buffers, as `nn.Module._apply`, which cannot do so with tensors without memory."""
    for inside in module.modules() if recurse else [module]:
        for name, parameter in inside._parameters.items():
            if parameter is not None:
                converted = convert(parameter.detach())
                inside._parameters[name] = nn.Parameter(converted, requires_grad=parameter.requires_grad)
        for name, buffer in inside._buffers.items():
            if buffer is not None:
                inside._buffers[name] = convert(buffer)
    return module


def _read_list(counter: OperatorCounter) -> Callable[[Tensor], Any]:
    """Return a replacement of `Tensor.tolist`, which is one copy to the host."""

    def tolist(tensor: Tensor) -> Any:
        if tensor.dim() == 0:
            return tensor.item()
        read = tensor.cpu()
        return [counter.answer(read)] * len(read) if read.dim() == 1 else [row.tolist() for row in read]

    return tolist
