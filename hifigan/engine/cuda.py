"""The generator on GPUs: optionally in 16 bits, with one CUDA graph per input shape.

A generator consists of some hundred short kernels. At batch size 1 the GPU waits for the CPU to launch them. A graph
replays them with one launch.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections import OrderedDict
from collections.abc import Iterator

import torch
from torch import Tensor

from common.machine.precision import use_tf32
from hifigan.generator import Generator
from hifigan.vocoder_module import VocoderModule

FRAME_STEP = 32  # lengths are rounded up to a multiple, so that graphs are reused
MAX_GRAPHS = 32  # all share one memory pool, and the least recently used is dropped


@dataclasses.dataclass(frozen=True)
class _Captured:
    """A graph, and the tensors it reads and writes."""

    graph: torch.cuda.CUDAGraph
    mel: Tensor
    wav: Tensor


class CudaEngine:
    """Copies a generator, and runs it through CUDA graphs.

    Args:
        generator: on the GPU, in evaluation mode, weight norm removed.
        precision: "fp32", "tf32" (fp32 with products rounded to 11 bits), "fp16" or "bf16".
    """

    def __init__(self, generator: Generator, precision: str = "fp32") -> None:
        self._tf32 = precision == "tf32"
        self._module = VocoderModule(generator, "fp32" if self._tf32 else precision).eval()
        self._graphs: OrderedDict[tuple[int, ...], _Captured] = OrderedDict()
        self._pool = torch.cuda.graph_pool_handle()

    @torch.inference_mode()
    def __call__(self, mel: Tensor) -> Tensor:
        """mel [B, M, L], float32 -> wav [B, T], float32, in [-1, 1]."""
        shape = tuple(mel.shape)
        captured = self._graphs.pop(shape, None) or self._capture(mel)
        self._graphs[shape] = captured  # now the most recently used
        if len(self._graphs) > MAX_GRAPHS:
            self._graphs.popitem(last=False)
        captured.mel.copy_(mel)
        captured.graph.replay()
        return captured.wav.clone()

    def _capture(self, mel: Tensor) -> _Captured:
        static_mel = mel.clone()
        with self._set_cudnn_flags():
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):  # libraries select and load kernels in the first runs
                for _ in range(2):
                    self._module(static_mel)
            torch.cuda.current_stream().wait_stream(stream)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self._pool):
                wav = self._module(static_mel)
        return _Captured(graph, static_mel, wav)

    @contextlib.contextmanager
    def _set_cudnn_flags(self) -> Iterator[None]:
        """Use exact fp32 or TF32 whatever the program has set, and let cuDNN time its kernels to pick the fastest."""
        cudnn = torch.backends.cudnn
        before, cudnn.benchmark = cudnn.benchmark, True
        try:
            with use_tf32(convolutions=self._tf32, products=self._tf32):
                yield
        finally:
            cudnn.benchmark = before
