"""Ways of running a generator that the inference benchmark compares: PyTorch, other runtimes, and the engine."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

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
UNLIMITED_FRAMES = 2**31  # of a window and of a batch: everything in one call, as in the original recipe
PACKAGES = ("onnxruntime", "onnxruntime-gpu", "openvino", "onnx", "onnxscript")  # versions recorded in the header


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
    generator: Generator, info: GeneratorInfo, folder: Path, amp: bool, torchscript: bool, files: Sequence[str] = ()
) -> list[WayMaker]:
    """Return every way of running a generator on its device, eager fp32 first.

    Args:
        generator: to run.
        info: description of its file.
        folder: for the ONNX file.
        amp: include 16-bit precisions.
        torchscript: include TorchScript.
        files: further exports of this generator, which are loaded at once.

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

    def engine(precision: str) -> WayMaker:
        name = f"engine {precision}"
        return WayMaker(
            name, precision, lambda: VocoderWay(name, precision, engine_backend(generator, precision), whole=False)
        )

    ways = [eager(EAGER, "fp32")]
    ways += [eager(f"eager {half} autocast", half, amp=True)] if amp else []
    ways += [eager(f"TorchScript {default}", default, scripted=True)] if torchscript else []
    ways += [eager(f"TorchScript {half} autocast", half, scripted=True, amp=True)] if torchscript and amp else []
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
    """Return onnxruntime, and OpenVINO on CPUs, on ONNX files that are exported when they are first needed."""
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
            if importlib.util.find_spec("openvino") is None:
                raise InputError("needs: pip install openvino onnx onnxscript")
            return VocoderWay(name, precision, _load_openvino(exported("fp32"), generator, hint))

        name = f"OpenVINO {precision}"
        return WayMaker(name, precision, make, is_runtime=True)

    is_gpu = device.type == "cuda"
    ways = [onnxruntime(precision) for precision in (("fp32", "fp16") if is_gpu and amp else ("fp32",))]
    hints = {} if is_gpu else OPENVINO_HINTS
    return ways + [openvino(precision, hint) for precision, hint in hints.items() if amp or precision == "fp32"]


def _load_openvino(path: Path, generator: Generator, hint: str) -> Backend:
    import openvino

    core: Any = openvino.Core()
    settings = {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    compiled = core.compile_model(core.read_model(str(path)), "CPU", {**settings, "PERFORMANCE_HINT": "LATENCY"})
    request = compiled.create_infer_request()

    def run(mel: Tensor) -> Tensor:
        wav = request.infer({0: mel.numpy()})[compiled.output(0)]
        return torch.from_numpy(wav.copy())  # the next call overwrites its memory

    return Backend(run, generator.config, generator.device)


def _without_tf32(backend: Backend) -> Backend:
    """Return the backend with exact fp32 convolutions instead of TF32."""
    plain = backend.run

    def run(mel: Tensor) -> Tensor:
        with use_tf32(convolutions=False):
            return plain(mel)

    return Backend(run, backend.config, backend.device)
