"""Other programs that run a generator on a CPU: OpenVINO and ncnn."""

from __future__ import annotations

import importlib.util
import subprocess
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from common.errors import InputError, first_line
from hifigan.backend import Backend
from hifigan.generator import Generator

NCNN_FILE = "traced.ncnn.param"
TRACED_FRAMES = (64, 128)  # two lengths, so that the converter sees which dimension varies
NCNN_INPUT, NCNN_OUTPUT = "in0", "out0"  # as pnnx names them
NCNN_WITHOUT = ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_vulkan_compute")


def require(command: str, *packages: str) -> None:
    """Raise `InputError` with the command that installs the packages unless all of them are there."""
    if any(importlib.util.find_spec(package) is None for package in packages):
        raise InputError(f"needs: {command}")


def load_openvino(path: Path, generator: Generator, hint: str) -> Backend:
    """Run an ONNX file of a generator in OpenVINO, with a hint of the precision: "f32" or "bf16"."""
    import openvino

    core: Any = openvino.Core()
    settings = {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    compiled = core.compile_model(core.read_model(str(path)), "CPU", {**settings, "PERFORMANCE_HINT": "LATENCY"})
    request = compiled.create_infer_request()

    def run(mel: Tensor) -> Tensor:
        wav = request.infer({0: mel.numpy()})[compiled.output(0)]
        return torch.from_numpy(wav.copy())  # the next call overwrites its memory

    return Backend(run, generator.config, generator.device)


def convert_to_ncnn(generator: Generator, folder: Path) -> Path:
    """Trace a generator and convert it with pnnx. Return ncnn's description of it. The weights lie beside it.

    Raises:
        RuntimeError: pnnx cannot convert it.
    """
    import pnnx

    traced, param = folder / "traced.pt", folder / NCNN_FILE
    mels = [torch.zeros(1, generator.num_mels, frames) for frames in TRACED_FRAMES]
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the checks of the input's shape are not part of the trace
        torch.jit.trace(generator, mels[0], check_trace=False).save(str(traced))
    shapes = [
        f"inputshape{number}={list(mel.shape)}".replace(" ", "") for number, mel in zip(("", 2), mels, strict=True)
    ]
    command = [pnnx.EXEC_PATH, traced.name, *shapes, "fp16=0"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode or not param.is_file():
        raise RuntimeError(f"pnnx: {first_line(RuntimeError(done.stderr.strip() or f'status {done.returncode}'))}")
    return param


def load_ncnn(param: Path, generator: Generator, precision: str) -> Backend:
    """Run a converted generator in ncnn, whose arithmetic is fp32. In "bf16", it stores values in 16 bits.

    Raises:
        RuntimeError: this version of ncnn cannot load it.
    """
    import ncnn

    net = ncnn.Net()
    for name in NCNN_WITHOUT:
        setattr(net.opt, name, False)
    net.opt.use_bf16_storage = precision == "bf16"
    net.opt.num_threads = torch.get_num_threads()
    if net.load_param(str(param)) or net.load_model(str(param.with_suffix(".bin"))):
        raise RuntimeError(f"ncnn: {param.name} cannot be loaded")

    def speak(mel: Tensor) -> Tensor:
        extractor = net.create_extractor()
        extractor.input(NCNN_INPUT, ncnn.Mat(mel.contiguous().numpy()).clone())  # the array is freed
        status, wav = extractor.extract(NCNN_OUTPUT)
        if status:
            raise RuntimeError(f"ncnn: status {status}")
        return torch.from_numpy(wav.numpy().copy()).flatten()

    return Backend(lambda mels: torch.stack([speak(mel) for mel in mels]), generator.config, generator.device)
