"""Kinds of exported files: what they are called, which precisions they hold, and what runs them."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from common import torchscript
from common.errors import InputError
from common.machine.precision import DTYPES
from hifigan.backend import Run


@dataclasses.dataclass(frozen=True)
class Format:
    """A kind of exported file.

    Attributes:
        suffix: of its files, in lower case.
        load: path and device -> what runs it.
        precisions: that it can hold and run, keys of `DTYPES`.
        reads_with: packages beyond PyTorch for running it.
        writes_with: further packages for making it.
        bound_to_device: the kind of device is compiled in.
    """

    suffix: str
    load: Callable[[Path, torch.device], Run]
    precisions: tuple[str, ...] = tuple(DTYPES)
    reads_with: tuple[str, ...] = ()
    writes_with: tuple[str, ...] = ()
    bound_to_device: bool = False

    @staticmethod
    def check_installed(name: str, packages: Sequence[str]) -> None:
        """Raises `InputError` that says what to install."""
        missing = [package for package in packages if importlib.util.find_spec(package) is None]
        if missing:
            names = " ".join(package.replace("_", "-") for package in missing)
            raise InputError(f"{name}: needs packages that are not installed: pip install {names}")


def _load_onnx(path: Path, device: torch.device) -> Run:
    session = _onnx_session(path, device)

    def run(mel: Tensor) -> Tensor:
        (wav,) = session.run(None, {"mel": mel.cpu().numpy()})
        return torch.from_numpy(wav).to(device)

    return run


def _onnx_session(path: Path, device: torch.device) -> Any:
    import onnxruntime

    wanted = "CUDAExecutionProvider" if device.type == "cuda" else "CPUExecutionProvider"
    if wanted not in onnxruntime.get_available_providers():
        raise InputError(f"this onnxruntime has no {wanted}; install onnxruntime-gpu")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()  # it does not look at OMP_NUM_THREADS
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=[wanted])


def _load_torchscript(path: Path, device: torch.device) -> Run:
    return torchscript.load(path, device)


# PyTorch insists on names that end in .pt2, in lower case, unless it gets a file.


def _load_program(path: Path, device: torch.device) -> Run:
    from torch.export.passes import move_to_device_pass

    with path.open("rb") as file:
        return move_to_device_pass(torch.export.load(file), device).module()


def _load_package(path: Path, device: torch.device) -> Run:
    with path.open("rb") as file:
        return torch._inductor.aoti_load_package(file)


def _load_tensorrt(path: Path, device: torch.device) -> Run:
    importlib.import_module("torch_tensorrt")  # registers the engines' operator
    with path.open("rb") as file:
        return torch.export.load(file).module()


FORMATS = {
    "torchscript": Format(".ts", _load_torchscript),
    "onnx": Format(".onnx", _load_onnx, ("fp32", "fp16"), ("onnxruntime",), ("onnx", "onnxscript")),
    "torch-export": Format(".pt2", _load_program),
    "aoti": Format(".pt2", _load_package, bound_to_device=True),
    "tensorrt": Format(".pt2", _load_tensorrt, ("fp32", "fp16"), ("torch_tensorrt",), bound_to_device=True),
}
