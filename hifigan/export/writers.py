"""Writes generators, with or without the denoiser, as files that run without this repository's model code.

Shapes: B batch, M mel bands, L frames, T = L * hop samples.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib
import io
import logging
import math
import os
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from common.audio import LOG_FLOOR, SILENCE
from common.errors import InputError
from common.files.exports import EXPORT_METADATA, sealed
from common.torchscript import script
from hifigan.backend import Backend
from hifigan.checkpoint import GeneratorInfo
from hifigan.denoiser import Denoiser
from hifigan.export.files import CONTRACT_FILE, Contract, load_export
from hifigan.export.formats import FORMATS
from hifigan.generator import Generator
from hifigan.vocoder_module import VocoderModule

# What an export may differ from the eager fp32 model by on the mels of `comparison_mels`, as SNR in dB. Rounding errors
# of fp32 leave about 100; each layer of bf16 rounds to 8 bits, of fp16 to 11.
MIN_SNR_DB = {"fp32": 80.0, "fp16": 35.0, "bf16": 15.0}
# TensorRT plans for a range of sizes: smallest, best and largest batch and number of frames.
TENSORRT_BATCHES = (1, 1, 16)
TENSORRT_FRAMES = (400, 4096)


@dataclasses.dataclass(frozen=True)
class Difference:
    """How far an exported model is from the eager one.

    Attributes:
        max_error: largest difference of two samples.
        snr_db: energy of the eager samples over that of the differences.
    """

    max_error: float
    snr_db: float


def check_exportable(format: str, precision: str, device: torch.device) -> None:
    """Raises `InputError` where this machine cannot write the format, before anything is loaded."""
    kind = FORMATS[format]
    if precision not in kind.precisions:
        raise InputError(f"--precision: {format} takes {', '.join(kind.precisions)}, not {precision}")
    kind.check_installed(f"--format {format}", (*kind.reads_with, *kind.writes_with))
    if format == "tensorrt" and device.type != "cuda":
        raise InputError("--format tensorrt: runs on GPUs alone; add --cuda")
    if format == "aoti" and not any(shutil.which(name) for name in (os.environ.get("CXX"), "g++", "clang++") if name):
        raise InputError("--format aoti: compiles C++, and no g++ or clang++ was found; install one or set CXX")
    if format == "tensorrt":
        try:
            importlib.import_module("torch_tensorrt")
        except Exception as error:  # of another PyTorch, or without TensorRT's libraries
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise InputError(
                f"--format tensorrt: torch_tensorrt does not load ({reason}); install the release for PyTorch "
                f"{torch.__version__}"
            ) from error


def export(
    generator: Generator,
    info: GeneratorInfo,
    path: Path,
    format: str,
    precision: str = "fp32",
    denoising_strength: float = 0.0,
    opset: int | None = None,
) -> Contract:
    """Writes an exported model; it takes any batch size and length on the device that `generator` is on.

    Args:
        generator: of `load_generator`.
        info: likewise; its file's checksum goes into the contract.
        path: to be written, with the suffix of the format.
        format: key of `FORMATS`.
        precision: of all layers but the first two, the last one and the denoiser.
        denoising_strength: above 0, a denoiser is put inside.
        opset: ONNX version; None is the exporter's own choice.

    Returns:
        what the file says about itself.

    Raises:
        InputError: the format does not hold the precision, or what it needs is missing here.
        OSError: the file cannot be written.
    """
    check_exportable(format, precision, generator.device)
    contract = Contract(
        format,
        info.config,
        info.audio,
        float(denoising_strength),
        precision,
        generator.device.type,
        hashlib.sha256(info.path.read_bytes()).hexdigest(),
        str(torch.__version__),
    )
    module = VocoderModule(generator, precision, denoising_strength, info.audio.filter_length).eval()
    with torch.no_grad(), _quiet():
        _WRITERS[format](module, contract, path, opset)
    return contract


def verify(path: Path, generator: Generator, contract: Contract) -> Difference:
    """Loads an exported file and compares it with the eager model in fp32, on mels of several sizes.

    Raises:
        InputError: the file does not load or is further away than `MIN_SNR_DB`.
    """
    backend, _ = load_export(path, generator.device, contract.format)
    reference = eager_reference(generator, contract)
    difference = compare(backend, reference, comparison_mels(contract, generator.device))
    # GPUs convolve float32 in TF32, which has the 11 bits of fp16.
    tf32 = contract.precision == "fp32" and generator.device.type == "cuda"
    least = MIN_SNR_DB["fp16" if tf32 else contract.precision]
    if not difference.snr_db >= least:
        raise InputError(
            f"the exported model differs from the eager one: SNR {difference.snr_db:.1f} dB, {least:g} are required, "
            f"largest error {difference.max_error:.2g}"
        )
    return difference


def eager_reference(generator: Generator, contract: Contract) -> Callable[[Tensor], Tensor]:
    """What an export is to give: mel [B, M, L] -> wav [B, T] of the generator and `Denoiser` in fp32."""
    strength = contract.denoising_strength
    denoiser = Denoiser(generator, contract.audio.filter_length)

    @torch.inference_mode()
    def run(mel: Tensor) -> Tensor:
        wav = generator(mel).squeeze(1)
        return denoiser(wav, strength) if strength > 0 else wav

    return run


def comparison_mels(contract: Contract, device: torch.device) -> list[Tensor]:
    """Random and silent mels [B, M, L] of several batch sizes and lengths, the shortest among them."""
    source = torch.Generator().manual_seed(0)
    mels = []
    for batch, frames in ((1, contract.min_frames), (1, 50), (3, 33), (2, 128)):
        shape = (batch, contract.config.num_mels, frames)
        mels.append((torch.randn(shape, generator=source) * 2 - 5).clamp_min(math.log(LOG_FLOOR)).to(device))
    return [*mels, torch.full_like(mels[1], SILENCE)]


def compare(backend: Backend, reference: Callable[[Tensor], Tensor], mels: list[Tensor]) -> Difference:
    """Largest error and SNR of a backend over all samples of these mels."""
    max_error = energy = noise = 0.0
    for mel in mels:
        expected, made = reference(mel).double(), backend(mel).double()
        if made.shape != expected.shape:
            raise InputError(f"the exported model gives {list(made.shape)} samples instead of {list(expected.shape)}")
        error = made - expected
        # A sample that is not a number must not vanish: max() would keep the other value.
        max_error = max(max_error, error.abs().nan_to_num(math.inf).max().item())
        energy += expected.square().sum().item()
        noise += error.square().sum().item()
    return Difference(max_error, 10 * math.log10(energy / noise) if noise > 0 else math.inf)


def _write_torchscript(module: VocoderModule, contract: Contract, path: Path, opset: int | None) -> None:
    content = io.BytesIO()
    torch.jit.save(script(module), content, _extra_files={CONTRACT_FILE: contract.to_json()})
    path.write_bytes(content.getvalue())  # by Python: PyTorch's errors of a full disk are no OSError


def _write_program(module: VocoderModule, contract: Contract, path: Path, opset: int | None) -> None:
    content = io.BytesIO()
    torch.export.save(_program(module, contract), content, extra_files={CONTRACT_FILE: contract.to_json()})
    path.write_bytes(content.getvalue())


def _write_onnx(module: VocoderModule, contract: Contract, path: Path, opset: int | None) -> None:
    program = torch.onnx.export(
        _program(module, contract),
        input_names=["mel"],
        output_names=["wav"],
        opset_version=opset,
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    if opset is not None and program.model.opset_imports[""] != opset:
        raise InputError(f"--opset: this exporter does not know {opset}")
    program.model.metadata_props[EXPORT_METADATA] = contract.to_json()
    path.write_bytes(sealed(program.model_proto.SerializeToString()))


def _write_package(module: VocoderModule, contract: Contract, path: Path, opset: int | None) -> None:
    # The number of threads is that of the machine where it runs, not of this one.
    configs = {"cpp.dynamic_threads": True}
    with tempfile.TemporaryDirectory() as folder:
        # The archive's root is called like the file: always the same, so that exports of one model are alike.
        package = Path(folder) / "archive.pt2"
        torch._inductor.aoti_compile_and_package(
            _program(module, contract), package_path=str(package), inductor_configs=configs
        )
        _add_contract(package, contract)
        shutil.copyfile(package, path)


def _write_tensorrt(module: VocoderModule, contract: Contract, path: Path, opset: int | None) -> None:
    import torch_tensorrt

    bands, (smallest, best, largest) = contract.config.num_mels, TENSORRT_BATCHES
    best_frames, most_frames = TENSORRT_FRAMES
    sizes = torch_tensorrt.Input(
        min_shape=(smallest, bands, contract.min_frames),
        opt_shape=(best, bands, best_frames),
        max_shape=(largest, bands, most_frames),
        dtype=torch.float32,
    )
    engine = torch_tensorrt.dynamo.compile(_program(module, contract, largest, most_frames), inputs=[sizes])
    torch_tensorrt.save(engine, str(path), output_format="exported_program", inputs=[sizes])
    _add_contract(path, contract)


_WRITERS = {
    "torchscript": _write_torchscript,
    "onnx": _write_onnx,
    "torch-export": _write_program,
    "aoti": _write_package,
    "tensorrt": _write_tensorrt,
}


def _program(
    module: VocoderModule, contract: Contract, max_batch: int | None = None, max_frames: int | None = None
) -> torch.export.ExportedProgram:
    """The traced module, of dynamic batch size and length."""
    mel = torch.zeros(2, contract.config.num_mels, 50, device=next(module.parameters()).device)
    batch = torch.export.Dim("batch", min=1, max=max_batch)
    frames = torch.export.Dim("frames", min=contract.min_frames, max=max_frames)
    return torch.export.export(module, (mel,), dynamic_shapes={"mel": {0: batch, 2: frames}})


def _add_contract(path: Path, contract: Contract) -> None:
    """Puts the contract where PyTorch's own archives have it."""
    with zipfile.ZipFile(path, "a") as archive:
        root = archive.namelist()[0].split("/")[0]
        # A ZipInfo of its own has no time of day.
        archive.writestr(zipfile.ZipInfo(f"{root}/extra/{CONTRACT_FILE}"), contract.to_json())


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Exporters report their progress and their own deprecations; only what goes wrong is of interest."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
