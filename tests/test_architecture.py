"""Imports run downward: programs -> evaluation -> voice -> hifigan and fastpitch -> common.

Inside a package they run from floor to floor: FLOORS in scripts/draw_architecture.py.
"""

import ast
import graphlib
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from scripts.draw_architecture import BELOW, FLOORS, imports, modules, room
from tests.support.paths import REPOSITORY

PROGRAMS = tuple(path.stem for path in REPOSITORY.glob("*.py"))
AROUND = ("benchmarks", "demo", "scripts", "tests")  # import the rest, and nothing of the rest imports them
MODULES = modules()
IMPORTS = {name: imports(path, MODULES) for name, path in MODULES.items()}
FLOOR_OF_ROOM = {
    f"{package}.{name}": -index
    for package, floors in FLOORS.items()
    for index, floor in enumerate(floors)
    for name in floor.split()
}
# Sub-packages whose __init__ holds public names. All others are empty.
WITH_PUBLIC_NAMES = {"common.text"}
MOST_FILES_IN_A_FOLDER = 13


def first_parts(path: Path) -> set[str]:
    """Return the first parts of all names that a file imports, at any depth of its code."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add((node.module or "").split(".")[0])
    return found


def sources() -> list[Path]:
    """Return the Python files of the repository outside tests."""
    folders = [path for path in (*FLOORS, *AROUND) if path != "tests"]
    return [*REPOSITORY.glob("*.py"), *(path for folder in folders for path in (REPOSITORY / folder).rglob("*.py"))]


@pytest.mark.parametrize("module", MODULES)
def test_packages_import_only_what_lies_below_them(module):
    package = module.split(".")[0]
    ours = first_parts(MODULES[module]) & {*FLOORS, *PROGRAMS, *AROUND}
    assert ours <= {package, *BELOW[package]}


def test_each_room_is_on_one_floor():
    assert {room(name) for name in MODULES if "." in name} == set(FLOOR_OF_ROOM)
    assert sum(len(floor.split()) for floors in FLOORS.values() for floor in floors) == len(FLOOR_OF_ROOM)


@pytest.mark.parametrize("module", [name for name in MODULES if "." in name])
def test_rooms_import_only_what_lies_on_floors_below_them(module):
    package = module.split(".")[0]
    targets = {name for name in IMPORTS[module] if name.split(".")[0] == package}
    assert package not in targets, "imports the public names of its own package"
    upward = [
        name
        for name in sorted(targets)
        if room(name) != room(module) and FLOOR_OF_ROOM[room(name)] >= FLOOR_OF_ROOM[room(module)]
    ]
    assert not upward


def test_modules_import_each_other_in_no_circle():
    graphlib.TopologicalSorter(IMPORTS).prepare()


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_import_packages_only(program):
    assert not first_parts(REPOSITORY / f"{program}.py") & {*PROGRAMS, *AROUND}


def test_sub_packages_hold_no_names_of_their_own():
    inside = {name: path for name, path in MODULES.items() if path.name == "__init__.py" and "." in name}
    holding = {name for name, path in inside.items() if any(not is_docstring(node) for node in body(path))}
    assert holding == WITH_PUBLIC_NAMES


def body(path: Path) -> list[ast.stmt]:
    return ast.parse(path.read_text(encoding="utf-8")).body


def is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def test_folders_stay_small():
    tests = (REPOSITORY / "tests").rglob("*.py")
    counts = Counter(path.parent for path in [*sources(), *tests])
    large = {str(folder): count for folder, count in counts.items() if count > MOST_FILES_IN_A_FOLDER}
    assert not large


def test_class_names_stand_for_one_thing():
    places = defaultdict(list)
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(str(path.relative_to(REPOSITORY)))
    twice = {name: found for name, found in places.items() if len(found) > 1}
    assert not twice


def test_folders_that_would_shadow_the_standard_library_are_no_packages():
    assert not (REPOSITORY / "platform" / "__init__.py").exists()
    assert not (REPOSITORY / "phrases" / "__init__.py").exists()


def test_logs_have_one_writer():
    paths = [*MODULES.values(), *REPOSITORY.glob("*.py")]
    assert [path.name for path in paths if "dllogger" in first_parts(path)] == ["dllogger_lines.py"]
    assert [path.name for path in paths if "SummaryWriter" in path.read_text()] == ["log.py"]
