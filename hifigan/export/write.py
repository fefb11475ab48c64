"""Export a generator, with or without the denoiser, and verify the file against the eager model.

The file runs without this repository's model code. Shapes: B batch, M mel bands, L frames, T = L * hop samples.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from common.audio import LOG_FLOOR, SILENCE
from common.errors import InputError
from common.machine.precision import use_tf32
from common.machine.pytorch.torchscript import quietly
from hifigan.backend import Backend
from hifigan.checkpoint import GeneratorInfo
from hifigan.denoiser import Denoiser
from hifigan.export.contract import ExportContract
from hifigan.export.files import load_export
from hifigan.export.formats import FORMATS, check_installed
from hifigan.generator import Generator
from hifigan.vocoder_module import VocoderModule

# Smallest SNR of an export against the eager fp32 model, on `comparison_mels`. Rounding errors of fp32 alone give about
# 100 dB. Each layer rounds to 8 bits in bf16 and to 11 bits in fp16.
MIN_SNR_DB = {"fp32": 80.0, "fp16": 35.0, "bf16": 15.0}


@dataclasses.dataclass(frozen=True)
class ExportDifference:
    """Difference of an exported model from the eager one.

    Attributes:
        max_error: largest difference of two samples.
        snr_db: energy of the eager samples over the energy of the differences.
    """

    max_error: float
    snr_db: float


def check_exportable(format: str, precision: str, device: torch.device) -> None:
    """Raise `InputError` if this machine cannot write the format, before anything is loaded."""
    kind = FORMATS[format]
    if precision not in kind.precisions:
        raise InputError(f"--precision: {format} takes {', '.join(kind.precisions)}, not {precision}")
    check_installed(f"--format {format}", (*kind.reads_with, *kind.writes_with))
    kind.check_machine(device)


def export(
    generator: Generator,
    info: GeneratorInfo,
    path: Path,
    format: str,
    precision: str = "fp32",
    denoising_strength: float = 0.0,
    opset: int | None = None,
) -> ExportContract:
    """Write an exported model that takes any batch size and length, on the device of `generator`.

    Args:
        generator: from `load_generator`.
        info: from `load_generator`. Its file's checksum goes into the contract.
        path: file to write, with the suffix of the format.
        format: a key of `FORMATS`.
        precision: a key of `DTYPES`, for all layers but the first two, the last one and the denoiser.
        denoising_strength: above 0, a denoiser is put inside.
        opset: ONNX operator set, or None for the exporter's own choice.

    Returns:
        the contract inside the file.

    Raises:
        InputError: the format cannot hold the precision, or something that it needs is missing on this machine.
        OSError: the file cannot be written.
    """
    check_exportable(format, precision, generator.device)
    contract = ExportContract(
        format,
        info.config,
        info.audio,
        float(denoising_strength),
        precision,
        generator.device.type,
        hashlib.sha256(info.path.read_bytes()).hexdigest(),
        str(torch.__version__),
        info.convention,
        info.output_rate,
    )
    module = VocoderModule(generator, precision, denoising_strength, info.audio.filter_length).eval()
    with torch.no_grad(), quietly():
        FORMATS[format].write(module, contract, path, opset)
    return contract


def verify(path: Path, generator: Generator, contract: ExportContract) -> ExportDifference:
    """Load an exported file and compare it with the eager model in fp32, on mels of several sizes.

    Raises:
        InputError: the file does not load, or its SNR is below `MIN_SNR_DB`.
    """
    backend, _ = load_export(path, generator.device, contract.format)
    reference = eager_reference(generator, contract)
    difference = compare(backend, reference, comparison_mels(contract, generator.device))
    # On GPUs, runtimes may convolve fp32 in TF32, which has the 11 bits of fp16.
    tf32 = contract.precision == "fp32" and generator.device.type == "cuda"
    least = MIN_SNR_DB["fp16" if tf32 else contract.precision]
    if not difference.snr_db >= least:
        raise InputError(
            f"the exported model differs from the eager one: SNR {difference.snr_db:.1f} dB, {least:g} are required, "
            f"largest error {difference.max_error:.2g}"
        )
    return difference


def eager_reference(generator: Generator, contract: ExportContract) -> Callable[[Tensor], Tensor]:
    """Return the reference of an export: mel [B, M, L] -> wav [B, T] of the generator and `Denoiser` in exact fp32."""
    strength = contract.denoising_strength
    denoiser = Denoiser(generator, contract.audio.filter_length)

    @torch.inference_mode()
    def run(mel: Tensor) -> Tensor:
        with use_tf32(convolutions=False):
            wav = generator(mel).squeeze(1)
        return denoiser(wav, strength) if strength > 0 else wav

    return run


def comparison_mels(contract: ExportContract, device: torch.device) -> list[Tensor]:
    """Return random and silent mels [B, M, L] of several batch sizes and lengths, including the shortest one."""
    source = torch.Generator().manual_seed(0)
    mels = []
    for batch, frames in ((1, contract.min_frames), (1, 50), (3, 33), (2, 128)):
        shape = (batch, contract.config.num_mels, frames)
        mels.append((torch.randn(shape, generator=source) * 2 - 5).clamp_min(math.log(LOG_FLOOR)).to(device))
    return [*mels, torch.full_like(mels[1], SILENCE)]


def compare(backend: Backend, reference: Callable[[Tensor], Tensor], mels: list[Tensor]) -> ExportDifference:
    """Measure the largest error and the SNR of a backend over all samples of these mels."""
    max_error = energy = noise = 0.0
    for mel in mels:
        expected, made = reference(mel).double(), backend(mel).double()
        if made.shape != expected.shape:
            raise InputError(f"the exported model gives {list(made.shape)} samples instead of {list(expected.shape)}")
        error = made - expected
        # A NaN sample must not vanish: max() would keep the other value.
        max_error = max(max_error, error.abs().nan_to_num(math.inf).max().item())
        energy += expected.square().sum().item()
        noise += error.square().sum().item()
    return ExportDifference(max_error, 10 * math.log10(energy / noise) if noise > 0 else math.inf)
