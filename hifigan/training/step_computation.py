"""How optimiser steps are computed: memory layout, calls of the discriminators, CUDA graphs, cuDNN, memory.

None of this changes the mathematics, only the order of additions and with it the rounding.
"""

from __future__ import annotations

import contextlib

import torch
from torch import Tensor, nn

from common.distributed import Distributed
from common.machine.malloc import keep_freed_memory
from common.training.cuda_graphs import Changing, CudaRecorder, GraphedStep, Step
from hifigan.convolutions.rows import to_rows
from hifigan.discriminators import has_spectral_norm
from hifigan.layers import cache_weights
from hifigan.training.flags import VocoderRunConfig


class StepComputation:
    """The computation that flags and device select. Constructing it also sets up cuDNN and `malloc` of this process.

    Attributes:
        fast: --fast on. If False, the recipe is computed plainly.
        graphed: whether steps become CUDA graphs.
    """

    def __init__(self, run: VocoderRunConfig, place: Distributed) -> None:
        self.fast = run.fast == "on"
        self._device = place.device
        self._rows = self.fast and place.device.type == "cpu"
        self._concatenates = run.concat_fwd or (self.fast and not self._rows)
        on_gpu = self.fast and place.device.type == "cuda"
        # With several processes steps stay eager, so that the averaging of gradients overlaps with the backward pass.
        # A recording would have to follow more rules of NCCL, and a process whose recording fails would leave the
        # others waiting.
        self.graphed = on_gpu and run.cuda_graphs and place.world_size == 1
        if on_gpu:
            torch.backends.cudnn.benchmark = True  # all steps have the same shapes, so cuDNN tries its kernels once
        if self._rows:
            keep_freed_memory()

    def lay_out(self, signal: Tensor) -> Tensor:
        """Return a signal [B, C, T] in the memory layout in which the device computes fastest."""
        return to_rows(signal) if self._rows else signal

    def in_one_call(self, discriminator: nn.Module) -> bool:
        """Return whether the discriminators' step judges real and fake together.

        On a GPU one call launches fewer kernels. On a CPU it is faster where the weights are larger than the signals.
        With spectral norm two calls are faster there, since one would have to scale all signals of the first scale.
        """
        return self._concatenates or (self._rows and not has_spectral_norm(discriminator))

    def shared_weights(self, *modules: nn.Module) -> contextlib.AbstractContextManager[None]:
        """Compute each weight norm of `modules` once for all calls in this context, unless computed plainly."""
        return cache_weights(*modules, when=self.fast)

    def accelerated(self, step: Step, changing: Changing) -> Step:
        """Return an optimiser step that becomes a CUDA graph if possible. Call this when all weights are loaded.

        Args:
            step: see `GraphedStep`.
            changing: everything that the step changes.
        """
        if not self.graphed:
            return step
        return GraphedStep(step, changing, self._device, CudaRecorder(self._device))
