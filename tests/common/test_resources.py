"""Limits of cores and memory: affinity, cgroups of both versions, ulimit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from common import resources
from tests.support.paths import REPOSITORY


@pytest.fixture
def cgroup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(resources, "_CGROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))
    return tmp_path


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def in_groups(monkeypatch: pytest.MonkeyPatch, lines: str) -> None:
    whole = Path.read_text

    def read_text(path: Path, *args: str) -> str:
        return lines if str(path) == "/proc/self/cgroup" else whole(path, *args)

    monkeypatch.setattr(Path, "read_text", read_text)


def test_quota_of_version_2(cgroup: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_groups(monkeypatch, "0::/pod/box\n")
    assert resources.available_cores() == 16
    write(cgroup / "pod" / "box", cpu__max="max 100000", memory__max="max", memory__current="5")
    assert resources.available_cores() == 16
    write(cgroup / "pod", cpu__max="350000 100000", memory__max="1000000", memory__current="400000")
    assert resources.available_cores() == 3
    assert resources.available_memory() == 600000
    write(cgroup / "pod" / "box", cpu__max="50000 100000")
    assert resources.available_cores() == 1


def test_quota_of_version_1(cgroup: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_groups(monkeypatch, "4:cpu,cpuacct:/docker/x\n7:memory:/docker/x\n")
    write(cgroup / "cpu", cpu__cfs_quota_us="-1", cpu__cfs_period_us="100000")
    assert resources.available_cores() == 16
    write(cgroup / "cpu", cpu__cfs_quota_us="200000")  # the container's own group, mounted at the root
    assert resources.available_cores() == 2
    write(cgroup / "memory", memory__limit_in_bytes="9223372036854771712", memory__usage_in_bytes="1")
    assert (resources.available_memory() or 0) > 1 << 20
    write(cgroup / "memory" / "docker" / "x", memory__limit_in_bytes="5000", memory__usage_in_bytes="9000")
    assert resources.available_memory() == 0


def test_affinity_limits_a_quota(cgroup: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_groups(monkeypatch, "0::/\n")
    write(cgroup, cpu__max="1200000 100000")
    assert resources.available_cores() == 12
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 5})
    assert resources.available_cores() == 2


def test_threads(cgroup: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_groups(monkeypatch, "0::/\n")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    resources.use_allowed_threads()
    assert "OMP_NUM_THREADS" not in os.environ, "there is no quota"
    write(cgroup, cpu__max="300000 100000")
    monkeypatch.setitem(sys.modules, "torch", None)
    resources.use_allowed_threads()
    assert os.environ["OMP_NUM_THREADS"] == "3"
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    resources.use_allowed_threads()
    assert os.environ["OMP_NUM_THREADS"] == "7"


@pytest.mark.skipif(sys.platform != "linux", reason="address space limits")
def test_ulimit() -> None:
    code = "from common.resources import available_memory; print(available_memory())"
    limited = ["bash", "-c", f'ulimit -v 1000000; exec "{sys.executable}" -c "{code}"']
    free = int(subprocess.run(limited, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout)
    assert 0 < free < 1_024_000_000
