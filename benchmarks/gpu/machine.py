"""Stages of `benchmarks.gpu_first`: the machine, and kernels in Triton."""

from __future__ import annotations

import importlib
import pkgutil
import shutil
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.findings import Findings
from benchmarks.peak import peak_flops
from common.machine import hardware
from common.machine.precision import full_precision, tf32_allowed


def find_machine(find: Findings) -> None:
    """Versions, peaks, the costs of launches, and what compiles kernels."""
    found: dict[str, Any] = {**hardware.describe(find.device, "benchmarks.gpu_first", sys.argv[1:], ("triton",))}
    found |= {"tf32": tf32_allowed()._asdict(), "full_precision": full_precision(find.device)}
    found |= {"compiler": shutil.which("cc") or shutil.which("gcc"), "python_headers": _has_python_headers()}
    if not find.dry:
        found |= {"capability": torch.cuda.get_device_capability(), "built_for": torch.cuda.get_arch_list()}
        found |= {"free_gib": round(torch.cuda.mem_get_info()[0] / 2**30, 1)}
    find.say(**found)
    x = torch.empty(2**20 if find.dry else 2**29, device=find.device)
    find.say(copy_gb_per_sec=round(2 * x.nbytes / find.milliseconds(x.clone, 5) / 1e6))
    del x
    names = ("fp32", "bf16") if find.dry else ("fp16", "bf16", "tf32", "fp32")
    find.say(peak_tflops={name: round(peak_flops(find.device, name) / 1e12, 3) for name in names})
    if not find.dry:
        y = torch.zeros(64, device=find.device)

        def launch() -> None:
            for _ in range(1000):
                y.add_(1)

        eager_ms = find.milliseconds(launch, 3)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            launch()
        find.say(us_per_launch=eager_ms, us_per_kernel_in_a_graph=find.milliseconds(graph.replay, 5))


def _has_python_headers() -> bool:
    return (Path(sysconfig.get_paths()["include"]) / "Python.h").is_file()


def find_kernels(find: Findings) -> None:
    """Does every kernel in Triton compile, and equal PyTorch's operators?"""
    checks: dict[str, Callable[[torch.device], None]] = {}
    for package in ("hifigan.gpu", "fastpitch.gpu"):
        for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
            with find.guarded(f"import {module.name}"):
                check = getattr(importlib.import_module(f"{package}.{module.name}"), "check", None)
                checks |= {module.name: check} if check else {}
    for place, name in (("fastpitch.alignment", "check_search"), ("fastpitch.losses", "check_ctc")):
        if check := getattr(importlib.import_module(place), name, None):
            checks[name] = check
    for name, check in checks.items():
        began = time.perf_counter()
        with find.guarded(name):
            check(find.device)
            find.say(kernel=name, proved=True, sec=round(time.perf_counter() - began, 1))
