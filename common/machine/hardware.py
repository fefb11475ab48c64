"""On what, with what and from what a measurement was made."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

REPOSITORY = Path(__file__).parents[2]


def describe(device: torch.device, program: str, words: Sequence[str], packages: Sequence[str] = ()) -> dict[str, str]:
    """Machine, versions, commit, time and command, each as one line.

    Args:
        device: what is measured on.
        program: its module.
        words: its command line.
        packages: whose versions matter beside PyTorch's, where they are installed.
    """
    machine = f"{_processor()}, cores: {available_cores()}, threads used: {torch.get_num_threads()}"
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
    return {
        "machine": machine,
        "versions": versions,
        "commit": commit(REPOSITORY),
        "date": now.isoformat(sep=" ", timespec="minutes"),
        "command": f"python -m {program} {shlex.join(words)}",
    }


def markdown(header: Mapping[str, str]) -> list[str]:
    """One line of a list for each entry."""
    return [f"- {name}: {f'`{value}`' if name == 'command' else value}" for name, value in header.items()]


def commit(folder: Path) -> str:
    """The commit of a clone, and whether its files have been changed since; "unknown" outside a clone."""
    if not (folder / ".git").exists():  # else git would take a clone that this folder lies in
        return "unknown"
    try:
        name, changes = (
            subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()
            for words in (["rev-parse", "--short=10", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        )
    except (OSError, subprocess.CalledProcessError):  # no git, or a clone of another user, which it refuses to read
        return "unknown"
    return f"{name} with local changes" if changes else name


def full_precision(device: torch.device) -> str:
    """What float32 convolutions are computed in: "TF32" where the GPU has it and PyTorch lets cuDNN use it."""
    if device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0):
        return "TF32" if torch.backends.cudnn.allow_tf32 else "fp32"
    return "fp32"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def available_cores() -> int:
    """CPU cores this process may use, which may be fewer than the machine has (affinity, batch systems)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_bytes(device: torch.device) -> int | None:
    """Of a GPU's or the CPU's memory; None where the system does not tell."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:  # not Linux
        return None
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
