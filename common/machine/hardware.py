"""Provenance of a measurement, and resources of this machine."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from common.project import PROJECT
from common.resources import available_cores, available_memory

if TYPE_CHECKING:
    import torch


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
    return {
        "machine": machine,
        "versions": versions,
        "commit": commit(PROJECT),
        "date": now.isoformat(sep=" ", timespec="minutes"),
        "command": f"python -m {program} {shlex.join(words)}",
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


def half_precision(device: str | torch.device) -> str:
    """Return the 16-bit format of mixed precision on a device: "fp16" on GPUs, "bf16" on CPUs."""
    return "fp16" if str(device).startswith("cuda") else "bf16"


PRECISIONS = ("fp32", "fp16", "bf16")  # names of number formats
AMP_FORMATS = f"{half_precision('cuda')} on GPUs, {half_precision('cpu')} on CPUs"  # for help and messages
