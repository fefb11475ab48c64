"""Ways of running a generator that the inference benchmark compares: PyTorch's, other runtimes', the engine's."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from common.errors import InputError
from common.machine import hardware
from common.machine.precision import half_precision
from hifigan.backend import Backend, eager_backend
from hifigan.checkpoint import GeneratorInfo
from hifigan.engine.select import engine_backend, list_precisions
from hifigan.export.files import load_export
from hifigan.export.write import export
from hifigan.generator import Generator
from hifigan.synthesis.vocoder import Vocoder

EAGER = "eager fp32"  # what all are compared with
OPENVINO = {"fp32": "f32", "bf16": "bf16"}  # our names -> its precision hints
WHOLE = 2**31  # frames of a window and of a batch: all in one call, as in the original recipe
PACKAGES = ("onnxruntime", "onnxruntime-gpu", "openvino", "onnx", "onnxscript")  # whose versions the header says


@dataclasses.dataclass(frozen=True)
class Way:
    """One way of running a generator.

    Attributes:
        name: in the tables.
        precision: of its products, a key of `inference_limits.DTYPES`.
        backend: what runs it.
        scripted: FastPitch before it is TorchScript as well.
        whole: batches go in one call and uncut, as elsewhere; else in the windows that `Vocoder` chooses.
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
        frames = WHOLE if self.whole else None
        return Vocoder(self.backend, strength, filter_length, window_frames=frames, batch_frames=frames)


def all_ways(
    generator: Generator, info: GeneratorInfo, folder: Path, amp: bool, torchscript: bool, files: Sequence[str] = ()
) -> tuple[list[Way], list[str]]:
    """Every way that this machine has, eager fp32 first; and why others were left out.

    Args:
        folder: for the ONNX file.
        amp: with those of 16 bits.
        torchscript: with TorchScript.
        files: further exports of this generator.

    Raises:
        InputError, FileNotFoundError: one of `files` cannot be used.
    """
    device = generator.device
    usual = hardware.full_precision(device).lower()  # PyTorch lets cuDNN use TF32, eager fp32 is exact
    half = half_precision(device)
    ways = [Way(EAGER, "fp32", _exact(eager_backend(generator)))]
    if amp:
        ways.append(Way(f"eager {half} autocast", half, eager_backend(generator, amp=True)))
    if torchscript:
        ways.append(Way(f"TorchScript {usual}", usual, eager_backend(generator, scripted=True), scripted=True))
        if amp:
            backend = eager_backend(generator, scripted=True, amp=True)
            ways.append(Way(f"TorchScript {half} autocast", half, backend, scripted=True))
    others, left_out = _runtimes(generator, info, folder, amp)
    ways += others
    for precision in list_precisions(device):
        if amp or precision not in ("fp16", "bf16"):
            ways.append(Way(f"engine {precision}", precision, engine_backend(generator, precision), whole=False))
    for path in files:
        backend, contract = load_export(path, device)
        if (contract.config, contract.audio) != (info.config, info.audio):
            raise InputError(f"--backends: {path} is an export of a model with other settings than {info.path}")
        name = f"{Path(path).name} {contract.precision}"
        ways.append(Way(name, contract.precision, backend, whole=contract.format != "tensorrt"))
    return ways, left_out


def _runtimes(generator: Generator, info: GeneratorInfo, folder: Path, amp: bool) -> tuple[list[Way], list[str]]:
    """onnxruntime and OpenVINO on an ONNX file that is made here."""
    device = generator.device
    precisions = ("fp32", "fp16") if device.type == "cuda" and amp else ("fp32",)
    ways, left_out = [], []
    path = folder / "generator.onnx"
    for precision in precisions:
        try:
            target = path if precision == "fp32" else folder / f"generator-{precision}.onnx"
            export(generator, info, target, "onnx", precision)
            backend, _ = load_export(target, device)
            ways.append(Way(f"onnxruntime {precision}", precision, backend))
        except InputError as error:
            left_out.append(f"onnxruntime {precision} ({error})")
    if device.type == "cuda":
        return ways, left_out
    if importlib.util.find_spec("openvino") is None or not path.is_file():
        return ways, [*left_out, "OpenVINO (needs: pip install openvino onnx onnxscript)"]
    for precision, hint in OPENVINO.items():
        if amp or precision == "fp32":
            ways.append(Way(f"OpenVINO {precision}", precision, _openvino(path, generator, hint)))
    return ways, left_out


def _openvino(path: Path, generator: Generator, hint: str) -> Backend:
    import openvino

    core: Any = openvino.Core()
    settings = {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    compiled = core.compile_model(core.read_model(str(path)), "CPU", {**settings, "PERFORMANCE_HINT": "LATENCY"})
    request = compiled.create_infer_request()

    def run(mel: Tensor) -> Tensor:
        made = request.infer({0: mel.numpy()})[compiled.output(0)]
        return torch.from_numpy(made.copy())  # its memory is that of the next call as well

    return Backend(run, generator.config, generator.device)


def _exact(backend: Backend) -> Backend:
    """The backend with fp32 convolutions that are not rounded to TF32."""
    plain = backend.run

    def run(mel: Tensor) -> Tensor:
        with _tf32_off():
            return plain(mel)

    return Backend(run, backend.config, backend.device)


@contextlib.contextmanager
def _tf32_off() -> Iterator[None]:
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
