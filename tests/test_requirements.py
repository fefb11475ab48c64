"""pyproject.toml admits the pinned versions of requirements*.txt and names the same packages."""

import importlib
import re
import sys

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from tests.support.paths import REPOSITORY

tomllib = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
PYPROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
# The extras of each file. "" are the dependencies.
FILES = {
    "requirements.txt": ("", "train", "report"),
    "requirements-export.txt": ("export",),
    "requirements-evaluation.txt": ("evaluate",),
    "requirements-formats.txt": ("formats",),
    "requirements-hub.txt": ("hub",),
    "requirements-demo.txt": ("demo",),
    "requirements-voice.txt": ("voice",),
    "requirements-docs.txt": ("docs",),
    "requirements-dev.txt": ("dev",),
}


def ranges(extra: str) -> dict[str, SpecifierSet]:
    """Return the version range of each package in an extra, or in the dependencies for ''."""
    lines = PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]
    # An extra may name other extras, whose packages are pinned in files of their own.
    return {item.name: item.specifier for item in map(Requirement, lines) if item.name != PROJECT["name"]}


def pins(file: str) -> list[Requirement]:
    lines = (REPOSITORY / file).read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def test_each_requirements_file_has_an_extra():
    assert sorted(FILES) == sorted(path.name for path in REPOSITORY.glob("requirements*.txt"))
    assert {extra for extras in FILES.values() for extra in extras} == {"", *PROJECT["optional-dependencies"]}


@pytest.mark.parametrize("extra", ["voice", "evaluate"])
def test_extras_of_extras_exist(extra):
    lines = map(Requirement, PROJECT["optional-dependencies"][extra])
    (named,) = [line.extras for line in lines if line.name == PROJECT["name"]]
    assert named <= set(PROJECT["optional-dependencies"])


@pytest.mark.parametrize("file", FILES)
def test_pins_lie_in_their_ranges(file):
    admitted = {name: range_ for extra in FILES[file] for name, range_ in ranges(extra).items()}
    pinned = pins(file)
    # Packages of several files are pinned in requirements.txt, which all of them need.
    others = set() if file == "requirements.txt" else {pin.name for pin in pins("requirements.txt")}
    assert {pin.name for pin in pinned} == set(admitted) - others
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
    assert set(re.findall(r"ruff==[\d.]+", text)) == {
        str(pin) for pin in pins("requirements-dev.txt") if pin.name == "ruff"
    }
