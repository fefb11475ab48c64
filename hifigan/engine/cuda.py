"""The generator on GPUs: kernels of its own or PyTorch's, whichever a short measurement finds faster, in CUDA graphs.

A generator consists of some hundred short kernels. At batch size 1 the GPU waits for the CPU to launch them. A graph
replays them with one launch.

Shapes: B batch, M mel bands, L frames, T samples.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Iterator

import torch
from torch import Tensor

from common.machine import triton_kernels
from common.machine.graph_capture import CudaRecorder, Recorder
from common.machine.precision import use_tf32
from common.machine.timing import now_sec
from hifigan.engine.graph_cache import GraphCache, Work
from hifigan.engine.transfers import on_device
from hifigan.generator import Generator
from hifigan.vocoder_module import VocoderModule

log = logging.getLogger(__name__)

FRAME_STEP = 32  # without masks, lengths are rounded up to a multiple, so that graphs are reused
CHECKED_LENGTHS = (29, 13)  # frames of two utterances: shorter and longer than the receptive field of V1
MEASURED_FRAMES = 256  # 3 s of speech
MEASURED_RUNS = 3
# Of noise, root mean square: half a step of 16-bit samples, and the tolerated multiple of the other way's noise.
LEAST_NOISE, MOST_NOISE = 2**-16, 2.0


@dataclasses.dataclass(frozen=True)
class _Way:
    """A way to run the generator."""

    name: str
    run: GraphCache
    masks_padding: bool


class CudaEngine:
    """Copies a generator, and runs it through CUDA graphs.

    Attributes:
        device: the GPU.
        masks_padding: frames behind the end of an utterance neither affect its samples nor cost time.

    Args:
        generator: on the GPU, in evaluation mode, weight norm removed.
        precision: "fp32", "tf32" (fp32 with products rounded to 11 bits), "fp16" or "bf16".
        recorder: records graphs, by default a `CudaRecorder` whose graphs share memory.
    """

    def __init__(self, generator: Generator, precision: str = "fp32", recorder: Recorder | None = None) -> None:
        self.device = generator.device
        self._samples = generator.config.num_samples
        with on_device(self.device):
            self._way = _choose(generator, precision, recorder or CudaRecorder(self.device, shares_memory=True))
        self.masks_padding = self._way.masks_padding

    @torch.inference_mode()
    def __call__(self, mel: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Compute audio.

        Args:
            mel: [B, M, L], float32.
            lengths: frames of each utterance, [B], int32, on the GPU, at most L. None means L. Only engines that mask
                padding take them.

        Returns:
            wav [B, T], float32, in [-1, 1]. It is valid until the next call.
        """
        frames = mel.size(2)
        if lengths is None:
            lengths = torch.full((len(mel),), frames, dtype=torch.int32, device=self.device)
        with on_device(self.device):
            return self._way.run(mel, lengths)[:, : self._samples(frames)]


def _choose(generator: Generator, precision: str, recorder: Recorder) -> _Way:
    """Return the faster way. Kernels of our own must be as exact as PyTorch's on this GPU."""
    plain = _by_pytorch(generator, precision)
    ways = [_Way("PyTorch's kernels", GraphCache(plain, recorder, masks_padding=False), masks_padding=False)]
    if triton_kernels.may_run(generator.device):
        from hifigan.engine.cuda_rows import RowGenerator  # imports Triton

        rows = RowGenerator(generator, precision)
        if triton_kernels.works("of the generator", lambda _: _check(generator, rows, plain), generator.device):
            ways.append(_Way("kernels in Triton", GraphCache(rows, recorder, masks_padding=True), masks_padding=True))
    if len(ways) == 1:
        return ways[0]
    times_ms = [1e3 * _seconds(way.run, generator) for way in ways]
    best = min(range(len(ways)), key=times_ms.__getitem__)
    results = ", ".join(f"{way.name} {time_ms:.2f} ms" for way, time_ms in zip(ways, times_ms, strict=True))
    log.info("vocoder on %s: %s (%s for %d frames)", generator.device, ways[best].name, results, MEASURED_FRAMES)
    return ways[best]


def _by_pytorch(generator: Generator, precision: str) -> Work:
    """Run PyTorch's operators, in exact fp32 or TF32 whatever the program has set."""
    tf32 = precision == "tf32"
    module = VocoderModule(generator, "fp32" if tf32 else precision).eval()

    def run(mel: Tensor, lengths: Tensor) -> Tensor:
        with _cudnn_settings(tf32):
            return module(mel)

    return run


@contextlib.contextmanager
def _cudnn_settings(tf32: bool) -> Iterator[None]:
    """Fix TF32, and let cuDNN choose by its rules: timing its kernels would take seconds for each new length."""
    cudnn = torch.backends.cudnn
    before, cudnn.benchmark = cudnn.benchmark, False
    try:
        with use_tf32(convolutions=tf32, products=tf32):
            yield
    finally:
        cudnn.benchmark = before


@torch.inference_mode()
def _check(generator: Generator, rows: Work, plain: Work) -> None:
    """Raise `ArithmeticError` if the kernels are less exact than the precision is with PyTorch's operators."""
    device, bands = generator.device, generator.config.num_mels
    fewest = generator.config.min_frames
    sizes = [frames + fewest - 1 for frames in CHECKED_LENGTHS]
    noise = torch.randn(len(sizes), bands, max(sizes), generator=torch.Generator().manual_seed(0))
    mel = (2 * noise - 5).to(device)
    made = rows(mel, torch.tensor(sizes, dtype=torch.int32, device=device))
    for item, frames in enumerate(sizes):
        alone = mel[item : item + 1, :, :frames].contiguous()
        with _cudnn_settings(tf32=False):
            exact = generator(alone)[0, 0]
        usual = plain(alone, alone)[0]
        allowed = MOST_NOISE * _rms(usual - exact) + LEAST_NOISE
        found = _rms(made[item, : len(exact)] - exact)
        if not found <= allowed:
            raise ArithmeticError(f"noise of {found:.1e}, more than {allowed:.1e}")


def _rms(x: Tensor) -> float:
    return x.square().mean().sqrt().item()


@torch.inference_mode()
def _seconds(run: GraphCache, generator: Generator) -> float:
    """Return the shortest time of a call in a graph."""
    device = generator.device
    mel = torch.full((1, generator.config.num_mels, MEASURED_FRAMES), -5.0, device=device)
    lengths = torch.full((1,), MEASURED_FRAMES, dtype=torch.int32, device=device)
    for _ in range(2):  # the second records
        run(mel, lengths)
    times = []
    for _ in range(MEASURED_RUNS):
        began = now_sec(device)
        run(mel, lengths)
        times.append(now_sec(device) - began)
    return min(times)
