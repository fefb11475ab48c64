"""CPU cores and memory that this process may use, which affinity, containers and batch systems limit."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")  # where containers and systemd see their limits
_THREADS_VARIABLE = "OMP_NUM_THREADS"


def available_cores() -> int:
    """Return the number of CPU cores this process may use, at least one."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _core_quota()
    return allowed if quota is None else max(1, min(allowed, int(quota)))


def available_memory() -> int | None:
    """Return the bytes of memory that this process can still allocate, or None if unknown."""
    known = [free for free in (_free_in_system(), _free_in_cgroup(), _free_address_space()) if free is not None]
    return max(0, min(known)) if known else None


def use_allowed_threads() -> None:
    """Start no more threads than a container's CPU quota allows, unless OMP_NUM_THREADS is set.

    PyTorch starts one thread for each core of its affinity. More threads than the quota allows take turns, and every
    operation waits for the slowest of them.
    """
    if os.environ.get(_THREADS_VARIABLE) or _core_quota() is None:
        return
    cores = available_cores()
    os.environ[_THREADS_VARIABLE] = str(cores)
    if torch := sys.modules.get("torch"):  # it has read the variable already
        torch.set_num_threads(cores)


def _core_quota() -> float | None:
    """Return the cores' worth of time that cgroups grant, or None without a limit."""
    found = _own_values("cpu.max", "cpu")  # version 2: "200000 100000", or "max 100000"
    quotas = [int(words[0]) / int(words[1]) for words in found if len(words) == 2 and words[0] != "max"]
    for quota, period in zip(_own_values("cpu.cfs_quota_us", "cpu"), _own_values("cpu.cfs_period_us", "cpu")):  # noqa: B905
        if int(quota[0]) > 0:
            quotas.append(int(quota[0]) / int(period[0]))
    return min(quotas, default=None)


def _free_in_cgroup() -> int | None:
    free = []
    for limit, used in (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")):
        for most, now in zip(_own_values(limit, "memory"), _own_values(used, "memory")):  # noqa: B905
            if most[0] != "max" and int(most[0]) < 1 << 60:  # version 1 writes a huge number for no limit
                free.append(int(most[0]) - int(now[0]))
    return min(free, default=None)


def _own_values(name: str, controller: str) -> list[list[str]]:
    """Return the words of a file of each cgroup around this process, from its own up to the root."""
    found = []
    for folder in _own_cgroups(controller):
        try:
            found.append((folder / name).read_text().split())
        except OSError:
            continue
    return [words for words in found if words]


def _own_cgroups(controller: str) -> list[Path]:
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:  # not Linux
        return []
    folders: dict[Path, None] = {}
    for line in lines:  # "0::/path" (version 2) or "4:cpu,cpuacct:/path"
        _, names, path = line.split(":", 2)
        if names and controller not in names.split(","):
            continue
        root = _CGROUP / controller if names else _CGROUP
        # Inside a container, the path may be the host's, while its own group is mounted at the root.
        inner = root / path.lstrip("/")
        for folder in (inner, *inner.parents):
            if folder == root or folder.is_relative_to(root):
                folders[folder] = None
    return list(folders)


def _free_in_system() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:  # not Linux
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable")), None)


def _free_address_space() -> int | None:
    """Return what `ulimit -v` leaves, or None without a limit."""
    try:
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (ImportError, OSError):  # not Linux
        return None
    return None if limit == resource.RLIM_INFINITY else limit - pages * resource.getpagesize()
