"""Provenance of a measurement, and resources of this machine."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from common.errors import InputError
from common.project import PROJECT
from common.resources import available_cores, available_memory

if TYPE_CHECKING:
    import torch

CPU_ISA_VARIABLE = "HIFIGAN_CPU_ISA"  # names the instruction set for a measurement (hifigan/engine/native)


def describe(device: torch.device, program: str, words: Sequence[str], packages: Sequence[str] = ()) -> dict[str, str]:
    """Return machine, versions, commit, time, and command of a measurement, one line each.

    Args:
        device: measured device.
        program: module that was run.
        words: its command line.
        packages: further packages whose versions to record, if installed.
    """
    import torch  # imported late: counting cores does not need it

    machine = f"{_read_processor_name()}, cores: {available_cores()}, threads used: {torch.get_num_threads()}"
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    if device.type == "cuda":
        machine = f"{torch.cuda.get_device_name(device)}; {machine}"
        versions += f", CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
    for package in packages:
        try:
            versions += f", {package} {importlib.metadata.version(package)}"
        except importlib.metadata.PackageNotFoundError:
            continue
    now = datetime.datetime.now(datetime.timezone.utc)
    isa = os.environ.get(CPU_ISA_VARIABLE)
    return {
        "machine": machine,
        "versions": versions,
        "commit": commit(PROJECT),
        "date": now.isoformat(sep=" ", timespec="minutes"),
        "command": f"{f'{CPU_ISA_VARIABLE}={isa} ' if isa else ''}python -m {program} {shlex.join(words)}",
    }


def markdown(header: Mapping[str, str]) -> list[str]:
    """Return the entries as lines of a list."""
    return [f"- {name}: {f'`{value}`' if name == 'command' else value}" for name, value in header.items()]


def commit(folder: Path) -> str:
    """Return a clone's commit, and whether files have local changes, or "unknown" outside a clone."""
    if not (folder / ".git").exists():  # git would search the parent folders
        return "unknown"
    try:
        name, changes = (
            subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()
            for words in (["rev-parse", "--short=10", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        )
    except (OSError, subprocess.CalledProcessError):  # no git, or git refuses another user's clone
        return "unknown"
    return f"{name} with local changes" if changes else name


def _read_processor_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def free_bytes(device: torch.device) -> int | None:
    """Return the free bytes on a device, or None if unknown."""
    import torch  # imported late: counting cores does not need it

    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return available_memory()


def check_kernels(device: torch.device) -> None:
    """Check that this build of PyTorch has code for a GPU. PyTorch only warns, and fails in the first kernel.

    Raises:
        InputError: the GPU is older or newer than the build. It names both, and a build that fits.
    """
    import torch  # imported late: counting cores does not need it

    if torch.version.cuda is None:  # AMD's architectures have other names
        return
    capability = torch.cuda.get_device_capability(device)
    # "sm_80" runs on 8.0 and later 8.x, "compute_90" is compiled at run time for 9.0 and all later. A letter behind
    # stands for one model's instructions only ("a") or those of its family ("f").
    builds = [re.fullmatch(r"(sm|compute)_(\d+)(\d)([af]?)", name) for name in torch.cuda.get_arch_list()]
    found = [(build[1], (int(build[2]), int(build[3])), build[4]) for build in builds if build]
    if not found or any(_runs(*build, capability) for build in found):
        return
    first, last = (".".join(map(str, pick(build[1] for build in found))) for pick in (min, max))
    older = capability < min(build[1] for build in found)
    remedy = f"pip install torch --index-url {OLD_GPU_WHEELS}" if older else "a newer PyTorch"
    raise InputError(
        f"--cuda: this PyTorch ({torch.__version__}) has kernels for GPUs of compute capability {first} to {last}, not "
        f"for {torch.cuda.get_device_name(device)} ({'.'.join(map(str, capability))}); install one that has them "
        f"({remedy}), or omit the flag to use the CPU"
    )


def _runs(kind: str, built: tuple[int, int], suffix: str, capability: tuple[int, int]) -> bool:
    """Return whether code for one capability runs on a GPU of another one."""
    if suffix == "a":
        return built == capability
    if kind == "compute" and not suffix:
        return built <= capability
    return built[0] == capability[0] and built <= capability


def supports_bf16(device: str | torch.device) -> bool:
    """Return whether a device computes in bf16. GPUs before Ampere do not, and PyTorch's emulation is slow."""
    import torch  # imported late: counting cores does not need it

    if torch.device(device).type != "cuda" or not torch.cuda.is_available():
        return True
    return torch.cuda.is_bf16_supported(including_emulation=False)


def half_precision(device: str | torch.device) -> str:
    """Return the 16-bit format of mixed precision on a device: "fp16" on GPUs, "bf16" on CPUs."""
    return "fp16" if str(device).startswith("cuda") else "bf16"


OLD_GPU_WHEELS = "https://download.pytorch.org/whl/cu126"  # PyTorch's last builds with kernels for Volta and before
PRECISIONS = ("fp32", "fp16", "bf16")  # names of number formats
AMP_FORMATS = f"{half_precision('cuda')} on GPUs, {half_precision('cpu')} on CPUs"  # for help and messages
