"""The fastest way to run a generator on the device that it is on, in the precision that is asked for."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Tensor

from common.errors import InputError
from hifigan.backend import Backend
from hifigan.engine.cpu import CpuEngine, speed_up_of_bf16
from hifigan.engine.cuda import FRAME_STEP, CudaEngine
from hifigan.engine.native import amx
from hifigan.generator import Generator
from hifigan.layers import WeightNormConv1d

log = logging.getLogger(__name__)

ALL_PRECISIONS = ("fp32", "tf32", "fp16", "bf16", "auto")
PRECISION_HELP = (
    "of the vocoder: fp32; tf32 (GPUs, and CPUs with AMX); fp16 (GPUs); bf16; or auto, which is fp16 on GPUs, and on "
    "CPUs bf16 where a short measurement finds it faster, else fp32"
)
WORTH = 1.3  # bf16 has to be so many times as fast as fp32 to be chosen on a CPU
CPU_WINDOW_FRAMES = 2048  # V1 in fp32 takes 300 MB for them; it tiles them itself


def engine_backend(generator: Generator, precision: str = "fp32") -> Backend:
    """A generator's copy that is laid out for its device; the generator itself stays the reference.

    Args:
        generator: in evaluation mode, weight norm removed.
        precision: one of `ALL_PRECISIONS`; see `chosen_precision`.

    Raises:
        InputError: weight norm is still there, or the device does not have the precision.
    """
    if isinstance(generator.conv_pre, WeightNormConv1d):
        raise InputError("engine: the generator has weight norm; call its remove_weight_norm() first")
    precision = chosen_precision(precision, generator.device)
    if generator.device.type == "cuda":
        run: Callable[[Tensor], Tensor] = CudaEngine(generator, precision)
        return Backend(run, generator.config, generator.device, frame_step=FRAME_STEP)
    return Backend(CpuEngine(generator, precision), generator.config, generator.device, window_frames=CPU_WINDOW_FRAMES)


def chosen_precision(precision: str, device: torch.device) -> str:
    """What "auto" means on this device: fp16 on GPUs; on CPUs bf16 where a short measurement finds it faster.

    Raises:
        InputError: the device does not have the precision.
    """
    if precision == "auto":
        if device.type == "cuda":
            return "fp16"
        speed_up = speed_up_of_bf16()
        chosen = "bf16" if speed_up >= WORTH else "fp32"
        log.info("--precision auto: %s (bf16 was %.1f times as fast as fp32)", chosen, speed_up)
        return chosen
    if precision == "fp32":  # everywhere, and without what would have to be compiled for others
        return precision
    own = precisions_of(device)
    if precision not in own:
        name = "CPU" if device.type == "cpu" else "GPU"
        raise InputError(f"--precision: {precision} is not for this {name}, which takes {', '.join(own)} or auto")
    return precision


def precisions_of(device: torch.device) -> tuple[str, ...]:
    """Those in which the engine runs there."""
    if device.type == "cuda":
        return "fp32", "tf32", "fp16", "bf16"
    return ("fp32", "tf32", "bf16") if amx.library() else ("fp32", "bf16")
