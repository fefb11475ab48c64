"""hashes/ agrees with requirements*.txt, is complete on each system, and names no package index."""

from __future__ import annotations

import importlib.metadata
import itertools
import re
from pathlib import Path

import pytest
from packaging.markers import Marker, default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scripts import hash_requirements
from scripts.hash_requirements import BASE, EXTENDS, FOLDER, TORCH_FILES, Entry, parse, render
from tests.support.paths import REPOSITORY

SETS = sorted(path.name for path in REPOSITORY.glob("requirements*.txt"))
HASHED = {name: parse((REPOSITORY / FOLDER / name).read_text(encoding="utf-8")) for name in [*SETS, *TORCH_FILES]}
SYSTEMS = [
    {
        **{key: str(value) for key, value in default_environment().items()},
        **{"python_version": python, "python_full_version": f"{python}.5", "implementation_version": f"{python}.5"},
        **{"sys_platform": system, "platform_system": "Linux" if system == "linux" else "Darwin"},
        **{"platform_machine": machine, "platform_python_implementation": "CPython"},
    }
    for python, (system, machine) in itertools.product(
        ("3.10", "3.11", "3.12", "3.13"), [("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64")]
    )
]


def is_active(marker: str, system: dict[str, str]) -> bool:
    return not marker or Marker(marker).evaluate(system)


def versions(files: list[str], system: dict[str, str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for entry in (entry for file in files for entry in HASHED[file] if is_active(entry.marker, system)):
        found.setdefault(canonicalize_name(entry.name), set()).add(entry.version)
    return found


def test_each_set_has_its_hashes() -> None:
    assert sorted(path.name for path in (REPOSITORY / FOLDER).iterdir()) == sorted([*SETS, *TORCH_FILES])
    for name, entries in HASHED.items():
        assert entries
        assert all(hashes and len(set(hashes)) == len(hashes) for hashes in entries.values()), name
        text = (REPOSITORY / FOLDER / name).read_text(encoding="utf-8")
        assert not re.search(r"://|--(extra-)?index-url|--find-links|@ ", text), f"{name} names a package index"


@pytest.mark.parametrize("name", SETS)
def test_pins_are_those_of_the_hashes(name: str) -> None:
    lines = (REPOSITORY / name).read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    files = [BASE, *EXTENDS.get(name, []), name, "torch-pypi.txt"]
    for system in SYSTEMS:
        hashed = versions(files, system)
        assert all(len(found) == 1 for found in hashed.values()), "two versions on one system"
        for pin in pins:
            if is_active(str(pin.marker or ""), system):
                (specifier,) = pin.specifier
                assert hashed[canonicalize_name(pin.name)] == {specifier.version}, (pin, system)


@pytest.mark.parametrize("name", SETS)
def test_nothing_that_a_package_needs_is_missing(name: str) -> None:
    """For this machine's system, by the metadata of the packages that are installed in the same version."""
    (system,) = [{str(key): str(value) for key, value in default_environment().items()}]
    hashed = versions([BASE, *EXTENDS.get(name, []), name, "torch-pypi.txt"], system)
    checked = 0
    for package, (version,) in hashed.items():
        try:
            found = importlib.metadata.distribution(package)
        except importlib.metadata.PackageNotFoundError:
            continue
        if found.version != version:
            continue
        checked += 1
        for needed in map(Requirement, found.requires or []):
            if needed.marker is None or needed.marker.evaluate({**system, "extra": ""}):
                assert canonicalize_name(needed.name) in hashed, f"{package} needs {needed}"
    assert checked


def test_torch_is_the_pinned_one() -> None:
    (pin,) = [line for line in (REPOSITORY / BASE).read_text().splitlines() if line.startswith("torch==")]
    (cpu,) = HASHED["torch-cpu.txt"]
    assert f"torch=={cpu.version}" == f"{pin}+cpu"
    assert len(HASHED["torch-cpu.txt"][cpu]) == 3
    assert pin in {f"{entry.name}=={entry.version}" for entry in HASHED["torch-pypi.txt"]}
    assert not any(entry.name == "torch" for entry in HASHED[BASE])


def test_files_are_read_as_they_are_written() -> None:
    entries = {Entry("b", "1.0", ""): ["a" * 64], Entry("a", "2+cpu", "python_version < '3.11'"): ["b" * 64, "c" * 64]}
    text = render(entries, "one\ntwo")
    assert parse(text) == entries
    assert text.startswith("# one\n# two\na==2+cpu ; python_version < '3.11' \\\n    --hash=sha256:b")


def test_a_missing_tool_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(hash_requirements.InputError, match="uv is missing: pip install uv"):
        hash_requirements.resolve([BASE], None)
