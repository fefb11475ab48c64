"""Ways of running a generator that the inference benchmark compares: PyTorch, other runtimes, and the engine."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Sequence
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
        precision: of its products, a key of `limits.DTYPES`.
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


def all_ways(
    generator: Generator, info: GeneratorInfo, folder: Path, amp: bool, torchscript: bool, files: Sequence[str] = ()
) -> tuple[list[VocoderWay], list[str]]:
    """Return every way available on this machine, eager fp32 first, and the reasons why others are skipped.

    Args:
        generator: to run.
        info: description of its file.
        folder: for the ONNX file.
        amp: include 16-bit precisions.
        torchscript: include TorchScript.
        files: further exports of this generator.

    Raises:
        InputError, FileNotFoundError: one of `files` cannot be used.
    """
    device = generator.device
    default = full_precision(device).lower()  # TF32 if PyTorch lets cuDNN use it. Eager fp32 is exact.
    half = half_precision(device)
    ways = [VocoderWay(EAGER, "fp32", _without_tf32(eager_backend(generator)))]
    if amp:
        ways.append(VocoderWay(f"eager {half} autocast", half, eager_backend(generator, amp=True)))
    if torchscript:
        ways.append(
            VocoderWay(f"TorchScript {default}", default, eager_backend(generator, scripted=True), scripted=True)
        )
        if amp:
            backend = eager_backend(generator, scripted=True, amp=True)
            ways.append(VocoderWay(f"TorchScript {half} autocast", half, backend, scripted=True))
    others, skipped = _list_onnx_ways(generator, info, folder, amp)
    ways += others
    for precision in list_precisions(device):
        if amp or precision not in ("fp16", "bf16"):
            ways.append(VocoderWay(f"engine {precision}", precision, engine_backend(generator, precision), whole=False))
    for path in files:
        backend, contract = load_export(path, device)
        if (contract.config, contract.audio) != (info.config, info.audio):
            raise InputError(f"--backends: {path} is an export of a model with other settings than {info.path}")
        name = f"{Path(path).name} {contract.precision}"
        ways.append(VocoderWay(name, contract.precision, backend, whole=contract.format != "tensorrt"))
    return ways, skipped


def _list_onnx_ways(
    generator: Generator, info: GeneratorInfo, folder: Path, amp: bool
) -> tuple[list[VocoderWay], list[str]]:
    """Return onnxruntime and OpenVINO on an ONNX file exported here, and the reasons why some are skipped."""
    device = generator.device
    precisions = ("fp32", "fp16") if device.type == "cuda" and amp else ("fp32",)
    ways, skipped = [], []
    path = folder / "generator.onnx"
    for precision in precisions:
        try:
            target = path if precision == "fp32" else folder / f"generator-{precision}.onnx"
            export(generator, info, target, "onnx", precision)
            backend, _ = load_export(target, device)
            ways.append(VocoderWay(f"onnxruntime {precision}", precision, backend))
        except InputError as error:
            skipped.append(f"onnxruntime {precision} ({error})")
    if device.type == "cuda":
        return ways, skipped
    if importlib.util.find_spec("openvino") is None or not path.is_file():
        return ways, [*skipped, "OpenVINO (needs: pip install openvino onnx onnxscript)"]
    for precision, hint in OPENVINO_HINTS.items():
        if amp or precision == "fp32":
            ways.append(VocoderWay(f"OpenVINO {precision}", precision, _load_openvino(path, generator, hint)))
    return ways, skipped


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
