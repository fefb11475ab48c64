"""How optimiser steps are computed: memory layout, calls of the discriminators, CUDA graphs, cuDNN, memory.

None of this changes the mathematics, only the order of additions and with it the rounding.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from common import distributed
from common.distributed import Distributed
from common.errors import InputError, first_line
from common.machine import triton_kernels
from common.machine.graph_capture import CudaRecorder, Exchanges
from common.machine.malloc import keep_freed_memory
from common.training.cuda_graphs import Changing, GraphedStep, Step
from hifigan.convolutions.choices import choose, describe_setting, find_cases
from hifigan.convolutions.passes import CONVOLUTION, IN_FP32, PRODUCTS, Ways
from hifigan.convolutions.rows import to_rows
from hifigan.discriminators import advance_spectral_norm, fuse_activations, spectral_norms
from hifigan.generator import Generator
from hifigan.layers import cache_weights
from hifigan.training.flags import VocoderRunConfig

if TYPE_CHECKING:
    from hifigan.gpu.power_iteration import PowerIterations
    from hifigan.gpu.weight_norm import AllWeights

log = logging.getLogger(__name__)


class StepComputation:
    """The computation that flags and device select. Constructing it also sets up cuDNN and `malloc` of this process.

    Attributes:
        fast: --fast on. If False, the recipe is computed plainly.
        graphed: whether steps become CUDA graphs. Gradients are then averaged over processes after the backward pass,
            between the graphs, instead of during it.
        exchanges: runs these exchanges.

    Args:
        run: the flags.
        place: of this process.
        precision: 16-bit format of autocast, or None in fp32.
    """

    def __init__(self, run: VocoderRunConfig, place: Distributed, precision: torch.dtype | None = None) -> None:
        self.fast = run.fast == "on"
        self._place = place
        self._device = place.device
        self._precision = precision or torch.float32
        self._weights: dict[tuple[nn.Module, ...], AllWeights] = {}  # of modules whose weights are computed together
        self._rows = self.fast and place.device.type == "cpu"
        self._concatenates = run.concat_fwd
        self._measures = not run.deterministic
        self._on_gpu = self.fast and place.device.type == "cuda"
        self.graphed = self._on_gpu and run.cuda_graphs
        self.exchanges = Exchanges()
        self._iterations: PowerIterations | None = None  # of all spectral norms together
        self._ways: dict[str, Ways] = {}  # of the discriminators' convolutions, by name of the layer
        if self._on_gpu:
            # All steps have the same shapes, so cuDNN tries its kernels once.
            torch.backends.cudnn.benchmark = self._measures
        if self._rows:
            keep_freed_memory()

    def lay_out(self, signal: Tensor) -> Tensor:
        """Return a signal [B, C, T] in the memory layout in which the device computes fastest."""
        return to_rows(signal) if self._rows else signal

    def in_one_call(self, discriminator: nn.Module) -> bool:
        """Return whether the discriminators' step judges real and fake together.

        One call launches fewer kernels on a GPU. On a CPU it is faster where the weights are larger than the signals.
        With spectral norm, the signals of one call are divided by different numbers. That costs nothing where a kernel
        for GPUs does it beside the bias, else more than a second call.
        """
        if self._concatenates or not self.fast:
            return self._concatenates
        return not spectral_norms(discriminator) or self._may_use("activation")

    def choose_convolutions(self, discriminators: nn.ModuleDict, batch_size: int, segment_size: int) -> None:
        """Choose by measurement how the discriminators' convolutions are computed in bf16 on a CPU.

        All processes take the choice of the first one, and a resumed run keeps its own (see `convolutions.choices`).
        With --deterministic, layers without a choice in the checkpoint take the way that suits most processors.
        Call this under autocast, before the first step and on all processes.
        """
        if not self._rows or self._precision is not torch.bfloat16:  # CPUs emulate fp16
            return
        items = {name: batch_size * (1 + self.in_one_call(module)) for name, module in discriminators.items()}
        wav = self.lay_out(torch.zeros(1, 1, segment_size))

        def judge() -> None:
            discriminators.eval()  # training would advance the spectral norms
            with torch.no_grad():
                for module in discriminators.values():
                    module(wav)
            discriminators.train()

        if self._place.is_main and self._measures:
            cases = find_cases(discriminators, judge, items)
            missing = {name: case for name, case in cases.items() if name not in self._ways}
            self._ways |= choose(missing) if missing else {}
        self._ways = distributed.gather(self._ways)[0]
        layers = dict(discriminators.named_modules())
        for name, ways in self._ways.items():
            if not hasattr(layers.get(name), "ways"):
                raise InputError(f"--output: the checkpoint has a choice for the convolution {name}, which is unknown")
            layers[name].ways = ways

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs, so that it rounds as this one. It is empty without choices."""
        if not self._ways:
            return {}
        return {"setting": describe_setting(), "ways": {name: list(ways) for name, ways in self._ways.items()}}

    def load_state_dict(self, stored: Mapping[str, Any]) -> None:
        """Restore the choices of a run on the same kind of processor. On another one, measure again.

        Raises:
            InputError: not what `state_dict` returns.
        """
        if not stored:
            return
        try:
            setting, ways = stored["setting"], {name: Ways(*found) for name, found in stored["ways"].items()}
            if unknown := {way for found in ways.values() for way in found} - {PRODUCTS, CONVOLUTION, IN_FP32}:
                raise ValueError(f"{unknown}")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"its choice of convolutions is of another kind ({first_line(error)})") from error
        if setting == describe_setting():
            self._ways = ways
        elif self._place.is_main:
            log.info("resumed on another processor or version: the ways to compute convolutions are chosen again")

    def advance_spectral_norm(self, module: nn.Module, count: int, calls: int = 0) -> None:
        """Advance the spectral-norm vectors of `module` by `count` iterations, ahead of its next calls.

        Args:
            module: always the same.
            count: number of iterations.
            calls: number of calls that follow. Each makes a further iteration, unless it is made here for all layers.
        """
        if self._iterations is None and self._may_use("power_iteration"):
            from hifigan.gpu.power_iteration import PowerIterations

            self._iterations = PowerIterations(spectral_norms(module))
        if self._iterations is None:
            advance_spectral_norm(module, count)
        else:
            self._iterations.advance(count, kept=calls)

    def losses_at_once(self) -> bool:
        """Return whether to compute losses `at_once`, see `hifigan.losses`."""
        return self._may_use("mean_errors")

    def fuse_activations(self, generator: Generator, discriminators: nn.Module) -> None:
        """On a GPU, let bias, residual and activation of convolutions be one kernel."""
        if self._may_use("activation"):
            generator.fused = True
            fuse_activations(discriminators)

    @contextlib.contextmanager
    def shared_weights(self, *modules: nn.Module) -> Iterator[None]:
        """Compute each weight norm of `modules` once for all calls in this context, unless computed plainly.

        On a GPU their weights are also converted to the precision of autocast, and the gradients of biases are added
        at once.
        """
        with contextlib.ExitStack() as stack:
            if self._may_use("activation"):
                from hifigan.gpu.bias_sums import added_at_once

                stack.enter_context(added_at_once(modules))
            if self._may_use("weight_norm"):
                from hifigan.gpu.weight_norm import AllWeights

                if modules not in self._weights:
                    self._weights[modules] = AllWeights(modules, self._precision)
                stack.enter_context(self._weights[modules].shared())
            else:
                stack.enter_context(cache_weights(*modules, when=self.fast))
            yield

    def accelerated(self, step: Step, changing: Changing) -> Step:
        """Return an optimiser step that becomes a CUDA graph if possible. Call this when all weights are loaded.

        Args:
            step: see `GraphedStep`.
            changing: everything that the step changes.
        """
        if not self.graphed:
            return step
        return GraphedStep(step, changing, self._device, CudaRecorder(self._device), self.exchanges)

    def _may_use(self, kernels: str) -> bool:
        """Return whether to use the kernels of a module of `hifigan.gpu`."""
        return self._on_gpu and triton_kernels.proved(kernels.replace("_", " "), _check_of(kernels), self._device)


@functools.cache
def _check_of(kernels: str) -> triton_kernels.Check:
    return lambda device: importlib.import_module(f"hifigan.gpu.{kernels}").check(device)  # imports Triton
