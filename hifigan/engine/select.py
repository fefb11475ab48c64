"""Selects the fastest engine for a generator's device and the requested precision."""

from __future__ import annotations

import logging

import torch

from common.errors import InputError
from common.machine.hardware import supports_bf16
from hifigan.backend import Backend, eager_backend
from hifigan.config import GeneratorConfig
from hifigan.engine.cpu import CpuEngine, measure_bf16_speed_up
from hifigan.engine.cpu_c import lacks_bf16
from hifigan.engine.cuda import FRAME_STEP, CudaEngine
from hifigan.engine.native import amx, vector
from hifigan.generator import Generator
from hifigan.layers import WeightNormConv1d

log = logging.getLogger(__name__)

MIN_BF16_SPEED_UP = 1.15  # over fp32, for "auto" to choose bf16 on a CPU
# Generators as wide as V1 compute shorter chunks faster with state, on CPUs.
STATEFUL_FROM_CHANNELS, MIN_WINDOW_CHUNK_FRAMES = 512, 16
ENGINE_CPU_WINDOW_FRAMES = 2048  # 300 MB for V1 in fp32. The engine splits them into tiles itself.


def engine_backend(generator: Generator, precision: str = "fp32") -> Backend:
    """Return a backend with a copy of the generator that is optimised for its device.

    Args:
        generator: in evaluation mode, weight norm removed.
        precision: one of `ALL_PRECISIONS` (see `choose_precision`).

    Raises:
        InputError: weight norm is not removed, or the device does not support the precision.
    """
    if isinstance(generator.conv_pre, WeightNormConv1d):
        raise InputError("engine: the generator has weight norm; call its remove_weight_norm() first")
    if generator.device.type == "cpu" and not generator.config.is_plain:
        log.info("this architecture runs in plain PyTorch: the engine for CPUs computes the paper's only")
        return eager_backend(generator, amp=precision == "bf16")
    precision = choose_precision(precision, generator.device)
    if generator.device.type == "cuda":
        return cuda_backend(CudaEngine(generator, precision), generator.config)
    return Backend(
        CpuEngine(generator, precision), generator.config, generator.device, window_frames=ENGINE_CPU_WINDOW_FRAMES
    )


def cuda_backend(engine: CudaEngine, config: GeneratorConfig) -> Backend:
    """Return a backend that runs an engine for GPUs."""
    return Backend(
        engine,
        config,
        engine.device,
        min_frames=config.min_frames,
        frame_step=1 if engine.masks_padding else FRAME_STEP,
        masks_padding=engine.masks_padding,
        reuses_memory=True,
    )


def is_fastest_in_windows(generator: Generator, chunk_frames: int) -> bool:
    """Whether the engine streams chunks of this size faster than layers that keep their state (`StreamingGenerator`).

    It computes the frames around each chunk again, in less time than hundreds of small operators take.
    """
    if generator.device.type == "cuda":
        return True
    is_wide = generator.config.upsample_initial_channel >= STATEFUL_FROM_CHANNELS
    compiled = generator.config.is_plain and vector.library() is not None
    return compiled and (chunk_frames >= MIN_WINDOW_CHUNK_FRAMES or not is_wide)


def choose_precision(precision: str, device: torch.device) -> str:
    """Resolve "auto": fp16 on GPUs, and on CPUs bf16 if a short measurement finds it faster, else fp32.

    Raises:
        InputError: the device does not support the precision.
    """
    if precision == "auto":
        if device.type == "cuda":
            return "fp16"
        speed_up = measure_bf16_speed_up()
        chosen = "bf16" if speed_up >= MIN_BF16_SPEED_UP else "fp32"
        reason = f"bf16 was {speed_up:.1f} times as fast as fp32" if speed_up else lacks_bf16()
        log.info("--precision auto: %s (%s)", chosen, reason)
        return chosen
    if precision == "fp32":  # supported everywhere, whereas checking others would compile C
        return precision
    supported = list_precisions(device)
    if precision not in supported:
        name = "CPU" if device.type == "cpu" else "GPU"
        raise InputError(f"--precision: {precision} is not for this {name}, which takes {', '.join(supported)} or auto")
    return precision


def list_precisions(device: torch.device) -> tuple[str, ...]:
    """Return the precisions that the engine supports on a device."""
    if device.type == "cuda":
        return ("fp32", "tf32", "fp16", "bf16") if supports_bf16(device) else ("fp32", "tf32", "fp16")
    return ("fp32", "tf32", "bf16") if amx.library() else ("fp32", "bf16")
