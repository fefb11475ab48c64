"""docs/architecture.md names files and definitions that exist."""

import ast
import re
from pathlib import Path

import pytest

from tests.support.paths import REPOSITORY

TEXT = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
CHANGES = re.findall(
    r"^\| (.+) \| (.+) \|$", TEXT.split("## To change X, go to Y")[1].split("## Glossary")[0], re.MULTILINE
)[1:]
MOST_OFTEN_ASKED = 20


def is_path(word: str) -> bool:
    return "/" in word or word.endswith((".py", ".md", ".c"))


def definitions(path: Path) -> set[str]:
    """Return the names that a Python file defines: functions, classes, methods, variables and fields."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


def test_paths_in_the_document_exist():
    paths = [word for word in re.findall(r"`([^`\s]+)`", TEXT) if is_path(word)]
    assert [path for path in paths if not (REPOSITORY / path).exists()] == []


def test_table_of_changes_is_long_enough():
    assert len(CHANGES) >= MOST_OFTEN_ASKED
    assert len({change for change, _ in CHANGES}) == len(CHANGES)


@pytest.mark.parametrize(("change", "places"), CHANGES, ids=[change for change, _ in CHANGES])
def test_places_of_a_change_are_defined(change, places):
    path = None
    for word in re.findall(r"`([^`]+)`", places):
        if is_path(word):
            path = REPOSITORY / word
            assert path.exists()
        else:
            assert path is not None
            assert word in definitions(path), f"{path} does not define {word}"
    assert path is not None
