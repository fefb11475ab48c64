"""Choice of the way to compute each large convolution in 16 bits on this processor, by measurement.

Processors differ: with AMX, PyTorch's own kernels in bf16 are several times faster than anything in fp32. With AVX-512
BF16 alone, some of them are slower than in fp32, and products of columns are fast. Without either, fp32 is fast.

The choice changes the order of additions and so the rounding. It must therefore stay the same in a run and its
continuations: it is measured before the first step, kept in the user's cache for later runs, and in checkpoints.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from common.errors import InputError
from common.files.atomic import write_whole
from common.files.json_files import read_json
from common.project import user_cache
from hifigan.convolutions.passes import (
    CONVOLUTION,
    IN_FP32,
    PRODUCTS,
    ChosenWeight,
    Geometry,
    Ways,
    input_gradient,
    output,
    weight_gradient,
)
from hifigan.convolutions.rows import convolve_rows, prepared_weight, to_rows

log = logging.getLogger(__name__)

CACHE_FILE = "convolutions.json"
# Floating-point operations of an output. Smaller convolutions take the usual way: they cost little, and tests of whole
# runs, whose models are small, need no measurement.
MIN_FLOP = 10**8
FURTHER_RUNS = 2  # of each way that was not much slower in its first run
MUCH_SLOWER = 1.5
SIXTEEN_BITS = (CONVOLUTION, PRODUCTS)  # ways of each pass

Clock = Callable[[], float]


class ConvolutionCase(NamedTuple):
    """Convolution to choose ways for: input [N, C, T, P], output channels, geometry and 16-bit format."""

    shape: tuple[int, int, int, int]
    outputs: int
    geometry: Geometry
    dtype: torch.dtype

    @property
    def flop(self) -> int:
        """Return the floating-point operations of the output."""
        items, inputs, steps, columns = self.shape
        places = items * self.geometry.places(steps) * columns
        return 2 * places * self.outputs * inputs // self.geometry.groups * self.geometry.taps

    def key(self) -> str:
        """Return the name of the case in the cache."""
        numbers = [*self.shape, self.outputs, *self.geometry]
        return f"{str(self.dtype).removeprefix('torch.')} {' '.join(map(str, numbers))}"


def find_cases(modules: nn.ModuleDict, run: Callable[[], None], items: Mapping[str, int]) -> dict[str, ConvolutionCase]:
    """Return the large convolutions that `run` makes, under the names of their layers in `modules`.

    Call it with autocast on.

    Args:
        modules: modules whose convolutions have an attribute `ways`.
        run: calls each module with one item.
        items: items of a training step's largest call of each module.
    """
    found: dict[str, ConvolutionCase] = {}
    dtype = torch.get_autocast_dtype("cpu")

    def record(name: str, conv: Any, x: Tensor) -> None:
        shape = (items[name.partition(".")[0]], x.size(1), x.size(2), x.size(3) if x.dim() == 4 else 1)
        case = ConvolutionCase(shape, conv.out_channels, Geometry.of(conv), dtype)
        if case.flop >= MIN_FLOP and torch.is_autocast_enabled("cpu"):
            found[name] = case

    hooks = [
        layer.register_forward_pre_hook(lambda conv, inputs, name=name: record(name, conv, inputs[0]))
        for name, layer in modules.named_modules()
        if hasattr(layer, "ways")
    ]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    return found


def usual_clock() -> Clock:
    """Return the processor time of one thread, which other programs disturb less, or with several the wall clock."""
    return time.thread_time if torch.get_num_threads() == 1 else time.perf_counter


def choose(cases: Mapping[str, ConvolutionCase], clock: Clock | None = None) -> dict[str, Ways]:
    """Return ways for each case, from the user's cache, or measured and then kept there."""
    path, setting = user_cache() / CACHE_FILE, describe_setting()
    kept = _read(path)
    known = {key: Ways(*ways) for key, ways in kept.get(setting, {}).items()}
    missing = {case.key(): case for case in cases.values() if case.key() not in known}
    if missing:
        began = time.perf_counter()
        known |= {key: measure(case, clock or usual_clock()) for key, case in missing.items()}
        log.info("measured ways to compute %d convolutions: %.0f s", len(missing), time.perf_counter() - began)
        try:
            write_whole(path, json.dumps({**kept, setting: known}, indent=1).encode())
        except OSError as error:
            log.warning("%s cannot be written, so that the next run measures again: %s", path, error)
    return {name: known[case.key()] for name, case in cases.items()}


def measure(case: ConvolutionCase, clock: Clock) -> Ways:
    """Return the fastest ways for a case on this processor with the current number of threads."""
    g = case.geometry
    x = to_rows(torch.ones(case.shape, dtype=case.dtype))
    weight = torch.ones(case.outputs, case.shape[1] // g.groups, g.taps, 1)
    chosen = ChosenWeight(weight, g, Ways(CONVOLUTION, CONVOLUTION, CONVOLUTION), case.dtype)
    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        grad = torch.ones_like(output(CONVOLUTION, x, chosen, None))
        passes: list[Callable[[str], Any]] = [
            lambda way: output(way, x, chosen, None),
            lambda way: input_gradient(way, grad, x, chosen),
            lambda way: weight_gradient(way, grad, x, chosen),
        ]
        taken = [time_each({way: _bound(work, way) for way in SIXTEEN_BITS}, clock) for work in passes]
    fastest = Ways(*(min(seconds, key=seconds.__getitem__) for seconds in taken))
    in_16_bits = sum(min(seconds.values()) for seconds in taken)
    full = time_each({IN_FP32: lambda: _run_in_fp32(x, weight, grad, g)}, clock, in_16_bits)[IN_FP32]
    return Ways(IN_FP32, IN_FP32, IN_FP32) if full < in_16_bits else fastest


def time_each(ways: Mapping[str, Callable[[], Any]], clock: Clock, known_sec: float | None = None) -> dict[str, float]:
    """Return the shortest time of each way, from runs in turn. A way that is much slower runs only once.

    Args:
        ways: ways to measure.
        clock: seconds.
        known_sec: time of a further way, which is not in `ways`.
    """
    seconds: dict[str, float] = {}
    for number in range(1 + FURTHER_RUNS):
        for way, work in ways.items():
            best = min([*seconds.values(), *([] if known_sec is None else [known_sec])], default=0.0)
            if number and seconds[way] > MUCH_SLOWER * best:
                continue
            began = clock()
            work()
            seconds[way] = min(clock() - began, seconds.get(way, float("inf")))
    return seconds


def _bound(work: Callable[[str], Any], way: str) -> Callable[[], Any]:
    return lambda: work(way)


def _run_in_fp32(x: Tensor, weight: Tensor, grad: Tensor, g: Geometry) -> None:
    """Compute output and gradients as an fp32 layer within 16-bit ones does, with its conversions."""
    if x.size(3) == 1:
        x, weight, grad = x.squeeze(3), weight.squeeze(3), grad.squeeze(3)
    with torch.autocast("cpu", enabled=False):
        inputs = x.float().requires_grad_(), weight.detach().requires_grad_()
        prepared = prepared_weight(inputs[1], g)
        y = convolve_rows(inputs[0], prepared, None, g).to(x.dtype)
        torch.autograd.grad(y, inputs, grad)


def describe_setting() -> str:
    """Return a digest of everything beside the case that decides which way is fast."""
    parts = [
        *_processor(),
        torch.__version__,
        f"{torch.get_num_threads()} threads",
        os.environ.get("ONEDNN_MAX_CPU_ISA", ""),
        *(hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(Path(__file__).parent.glob("*.py"))),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _processor() -> Iterator[str]:
    """Yield architecture, name and instruction sets of the processor."""
    yield platform.machine()
    yield torch.backends.cpu.get_cpu_capability()
    info = Path("/proc/cpuinfo")
    if info.is_file():  # of Linux
        of_first_core = info.read_text(encoding="utf-8").partition("\n\n")[0].splitlines()
        wanted = ("model name", "cpu family", "model\t", "stepping", "flags", "Features", "CPU ")
        yield from (line for line in of_first_core if line.startswith(wanted))


def _read(path: Path) -> dict[str, dict[str, list[str]]]:
    """Return the cache's content. A file that is damaged counts as empty, and is mentioned."""
    try:
        content = read_json(path)
        valid = all(
            len(ways) == len(Ways._fields) and {*ways} <= {*SIXTEEN_BITS, IN_FP32}
            for known in content.values()
            for ways in known.values()
        )
    except FileNotFoundError:
        return {}
    except (InputError, OSError, AttributeError, TypeError) as error:
        log.warning("%s is damaged, so that this run measures again: %s", path, error)
        return {}
    if not valid:
        log.warning("%s is damaged, so that this run measures again", path)
        return {}
    return dict(content)
