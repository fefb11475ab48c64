"""The generator on GPUs: in 16 bits where asked for, each size as one CUDA graph.

A generator is some hundred short kernels; at batch size 1 a GPU waits for the CPU that launches them. A graph replays
them with one launch.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections import OrderedDict
from collections.abc import Iterator

import torch
from torch import Tensor

from hifigan.generator import Generator
from hifigan.vocoder_module import VocoderModule

FRAME_STEP = 32  # lengths are rounded up to it, so that graphs are used again
MOST_GRAPHS = 32  # kept, those used last; they share one memory pool


@dataclasses.dataclass(frozen=True)
class _Captured:
    """A graph, and the tensors that it reads and writes."""

    graph: torch.cuda.CUDAGraph
    mel: Tensor
    wav: Tensor


class CudaEngine:
    """A generator's copy for a GPU.

    Args:
        generator: on the GPU, in evaluation mode, weight norm removed.
        precision: "fp32", "tf32" (fp32 whose products are rounded to 11 bits), "fp16" or "bf16".
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
        self._graphs[shape] = captured  # behind all others
        if len(self._graphs) > MOST_GRAPHS:
            self._graphs.popitem(last=False)
        captured.mel.copy_(mel)
        captured.graph.replay()
        return captured.wav.clone()

    def _capture(self, mel: Tensor) -> _Captured:
        given = mel.clone()
        with self._products():
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):  # libraries choose and load their kernels in the first runs
                for _ in range(2):
                    self._module(given)
            torch.cuda.current_stream().wait_stream(stream)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self._pool):
                wav = self._module(given)
        return _Captured(graph, given, wav)

    @contextlib.contextmanager
    def _products(self) -> Iterator[None]:
        """In fp32 exactly, or in TF32, whatever the program has set; with the kernels that a trial finds fastest."""
        cudnn = torch.backends.cudnn
        before = cudnn.allow_tf32, cudnn.benchmark
        cudnn.allow_tf32, cudnn.benchmark = self._tf32, True
        try:
            yield
        finally:
            cudnn.allow_tf32, cudnn.benchmark = before
