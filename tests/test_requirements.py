"""pyproject.toml admits the pinned versions of requirements*.txt and names the same packages."""

import importlib
import re
import sys

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from tests.support.paths import REPOSITORY

tomllib = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
FILES = {"": "requirements.txt"} | {name: f"requirements-{name}.txt" for name in PROJECT["optional-dependencies"]}


def ranges(extra: str) -> dict[str, SpecifierSet]:
    """Return the version range of each package in an extra, or in the dependencies for ''."""
    lines = PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]
    return {item.name: item.specifier for item in map(Requirement, lines)}


def pins(file: str) -> list[Requirement]:
    lines = (REPOSITORY / file).read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def test_each_requirements_file_has_an_extra():
    assert sorted(FILES.values()) == sorted(path.name for path in REPOSITORY.glob("requirements*.txt"))


@pytest.mark.parametrize("extra", FILES)
def test_pins_lie_in_their_ranges(extra):
    admitted = ranges(extra)
    pinned = pins(FILES[extra])
    assert {pin.name for pin in pinned} == set(admitted)
    for pin in pinned:
        (version,) = pin.specifier
        assert version.operator == "=="
        assert version.version in admitted[pin.name], str(pin)


def test_python_versions_are_those_of_the_scripts():
    environment = (REPOSITORY / "scripts" / "lib" / "env.sh").read_text(encoding="utf-8")
    assert PROJECT["requires-python"] == ">=3.10,<3.14"
    assert "(3, 10) <= sys.version_info < (3, 14)" in environment


def test_pre_commit_runs_the_pinned_ruff():
    text = (REPOSITORY / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r"ruff==[\d.]+", text)) == {str(pin) for pin in pins(FILES["dev"]) if pin.name == "ruff"}
