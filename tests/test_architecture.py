"""The layers of the repository: programs -> evaluation -> hifigan -> common, and programs -> fastpitch -> common."""

import ast
from pathlib import Path

import pytest

from tests.support.paths import REPOSITORY

PACKAGES = ("common", "hifigan", "fastpitch", "evaluation")
PROGRAMS = tuple(path.stem for path in REPOSITORY.glob("*.py"))
AROUND = ("benchmarks", "scripts", "tests")  # which use the rest, and which nothing of the rest uses
ALLOWED = {
    "common": {"common"},
    "hifigan": {"hifigan", "common"},
    "fastpitch": {"fastpitch", "common"},
    "evaluation": {"evaluation", "hifigan", "common"},
}
SOURCES = [path for package in PACKAGES for path in (REPOSITORY / package).glob("**/*.py")]


def imports(path: Path) -> set[str]:
    """First parts of all imported names, at any depth of the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add((node.module or "").split(".")[0])
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_packages_import_only_what_lies_below_them(path):
    ours = imports(path) & {*PACKAGES, *PROGRAMS, *AROUND}
    assert ours <= ALLOWED[path.relative_to(REPOSITORY).parts[0]]


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_import_packages_only(program):
    assert not imports(REPOSITORY / f"{program}.py") & {*PROGRAMS, *AROUND}


def test_folders_that_would_shadow_the_standard_library_are_no_packages():
    assert not (REPOSITORY / "platform" / "__init__.py").exists()
    assert not (REPOSITORY / "phrases" / "__init__.py").exists()


def test_logs_have_one_writer():
    sources = [*SOURCES, *REPOSITORY.glob("*.py")]
    assert [path.name for path in sources if "dllogger" in imports(path)] == ["dllogger_lines.py"]
    assert [path.name for path in sources if "SummaryWriter" in path.read_text()] == ["run_log.py"]
