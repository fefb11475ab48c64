"""Ways of running a generator that the inference benchmark compares: PyTorch, other runtimes, and the engine."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.runtimes import NCNN_FILE, convert_to_ncnn, load_ncnn, load_openvino, require
from common.errors import InputError
from common.machine.hardware import half_precision
from common.machine.precision import full_precision, use_tf32
from hifigan.backend import Backend, eager_backend
from hifigan.checkpoint import GeneratorInfo
from hifigan.engine.select import engine_backend, list_precisions
from hifigan.export.files import load_export
from hifigan.export.write import export
from hifigan.generator import Generator
from hifigan.synthesis.vocoder import Vocoder

EAGER = "eager fp32"  # the reference for all others
OPENVINO_HINTS = {"fp32": "f32", "bf16": "bf16"}
MOST_COMPILATIONS = 1000
UNLIMITED_FRAMES = 2**31  # of a window and of a batch: everything in one call, as in the original recipe
PACKAGES = (
    "onnxruntime",
    "onnxruntime-gpu",
    "openvino",
    "ncnn",
    "pnnx",
    "onnx",
    "onnxscript",
)  # versions recorded in the header


@dataclasses.dataclass(frozen=True)
class VocoderWay:
    """One way of running a generator.

    Attributes:
        name: in the tables.
        precision: of its products, a key of `peak.DTYPES`.
        backend: that runs it.
        scripted: whether FastPitch before it runs in TorchScript as well.
        whole: pass batches whole in one call, instead of in the windows that `Vocoder` chooses.
    """

    name: str
    precision: str
    backend: Backend
    scripted: bool = False
    whole: bool = True

    @property
    def mixed(self) -> bool:
        """Whether FastPitch before it runs in mixed precision."""
        return self.precision in ("fp16", "bf16")

    def vocoder(self, strength: float, filter_length: int) -> Vocoder:
        frames = UNLIMITED_FRAMES if self.whole else None
        return Vocoder(self.backend, strength, filter_length, window_frames=frames, batch_frames=frames)


@dataclasses.dataclass(frozen=True)
class WayMaker:
    """A way that can be made: compiled, captured or exported, which may take long.

    Attributes:
        name: in the tables.
        precision: as in `VocoderWay`.
        make: makes it. It raises `InputError` if something is not installed.
        is_runtime: whether another program than PyTorch computes it.
    """

    name: str
    precision: str
    make: Callable[[], VocoderWay]
    is_runtime: bool = False


def list_ways(
    generator: Generator,
    info: GeneratorInfo,
    folder: Path,
    amp: bool,
    torchscript: bool,
    files: Sequence[str] = (),
    compiled: bool = False,
) -> list[WayMaker]:
    """Return every way of running a generator on its device, eager fp32 first.

    Args:
        generator: to run.
        info: description of its file.
        folder: for the files of other programs.
        amp: include 16-bit precisions.
        torchscript: include TorchScript.
        files: further exports of this generator, which are loaded at once.
        compiled: include `torch.compile`.

    Raises:
        InputError, FileNotFoundError: one of `files` cannot be used.
    """
    device = generator.device
    default = full_precision(device).lower()  # TF32 if PyTorch lets cuDNN use it. Eager fp32 is exact.
    half = half_precision(device)

    def eager(name: str, precision: str, **settings: bool) -> WayMaker:
        scripted = settings.get("scripted", False)

        def make() -> VocoderWay:
            backend = eager_backend(generator, **settings)
            return VocoderWay(name, precision, _without_tf32(backend) if name == EAGER else backend, scripted)

        return WayMaker(name, precision, make)

    def compile_eager(name: str, precision: str, amp: bool) -> WayMaker:
        return WayMaker(
            name, precision, lambda: VocoderWay(name, precision, _compiled(eager_backend(generator, amp=amp)))
        )

    def engine(precision: str) -> WayMaker:
        name = f"engine {precision}"
        return WayMaker(
            name, precision, lambda: VocoderWay(name, precision, engine_backend(generator, precision), whole=False)
        )

    ways = [eager(EAGER, "fp32")]
    ways += [eager(f"eager {half} autocast", half, amp=True)] if amp else []
    ways += [eager(f"TorchScript {default}", default, scripted=True)] if torchscript else []
    ways += [eager(f"TorchScript {half} autocast", half, scripted=True, amp=True)] if torchscript and amp else []
    ways += [compile_eager(f"compiled {default}", default, False)] if compiled else []
    ways += [compile_eager(f"compiled {half} autocast", half, True)] if compiled and amp else []
    ways += _list_runtimes(generator, info, folder, amp)
    ways += [engine(precision) for precision in list_precisions(device) if amp or precision not in ("fp16", "bf16")]
    return ways + [_load_file(path, generator, info) for path in files]


def _load_file(path: str, generator: Generator, info: GeneratorInfo) -> WayMaker:
    backend, contract = load_export(path, generator.device)
    if (contract.config, contract.audio) != (info.config, info.audio):
        raise InputError(f"--backends: {path} is an export of a model with other settings than {info.path}")
    name = f"{Path(path).name} {contract.precision}"
    way = VocoderWay(name, contract.precision, backend, whole=contract.format != "tensorrt")
    return WayMaker(name, contract.precision, lambda: way)


def _list_runtimes(generator: Generator, info: GeneratorInfo, folder: Path, amp: bool) -> list[WayMaker]:
    """Return onnxruntime and, on CPUs, OpenVINO and ncnn, on files that are made when they are first needed."""
    device = generator.device

    def exported(precision: str) -> Path:
        path = folder / f"generator-{precision}.onnx"
        if not path.is_file():
            export(generator, info, path, "onnx", precision)
        return path

    def onnxruntime(precision: str) -> WayMaker:
        name = f"onnxruntime {precision}"
        return WayMaker(
            name,
            precision,
            lambda: VocoderWay(name, precision, load_export(exported(precision), device)[0]),
            is_runtime=True,
        )

    def openvino(precision: str, hint: str) -> WayMaker:
        def make() -> VocoderWay:
            require("pip install openvino onnx onnxscript", "openvino")
            return VocoderWay(name, precision, load_openvino(exported("fp32"), generator, hint))

        name = f"OpenVINO {precision}"
        return WayMaker(name, precision, make, is_runtime=True)

    def converted() -> Path:
        param = folder / NCNN_FILE
        return param if param.is_file() else convert_to_ncnn(generator, folder)

    def ncnn(precision: str) -> WayMaker:
        def make() -> VocoderWay:
            require("pip install ncnn pnnx", "ncnn", "pnnx")
            return VocoderWay(name, precision, load_ncnn(converted(), generator, precision))

        name = f"ncnn {precision}"
        return WayMaker(name, precision, make, is_runtime=True)

    is_gpu = device.type == "cuda"
    ways = [onnxruntime(precision) for precision in (("fp32", "fp16") if is_gpu and amp else ("fp32",))]
    hints = {} if is_gpu else OPENVINO_HINTS
    for precision, hint in hints.items():
        ways += [openvino(precision, hint), ncnn(precision)] if amp or precision == "fp32" else []
    return ways


def _without_tf32(backend: Backend) -> Backend:
    """Return the backend with exact fp32 convolutions instead of TF32."""
    plain = backend.run

    def run(mel: Tensor) -> Tensor:
        with use_tf32(convolutions=False):
            return plain(mel)

    return Backend(run, backend.config, backend.device)


def _compiled(backend: Backend) -> Backend:
    """Return the backend compiled by `torch.compile`, for each shape at its first call."""
    from torch._dynamo import config

    # Each model, shape and precision counts as a recompilation. Above the limit, calls would run uncompiled.
    config.recompile_limit = config.accumulated_recompile_limit = MOST_COMPILATIONS
    run = torch.compile(backend.run, dynamic=False, fullgraph=True)
    return Backend(run, backend.config, backend.device, min_frames=backend.min_frames)
