"""Flags, scripts, modules and variables that the README and the pages of docs/ name exist."""

import re

import pytest

from tests.support.paths import REPOSITORY

PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
SOURCES = [
    *REPOSITORY.glob("*.py"),
    *(
        file
        for folder in ("common", "hifigan", "fastpitch", "voice", "evaluation", "benchmarks", "scripts", "demo")
        for file in (REPOSITORY / folder).rglob("*.py")
    ),
]
# Flags of docker, torchrun, Slurm and pip.
FOREIGN = """
    --build-arg --gpus --ipc --shm-size --rm --user --volume --nproc-per-node --extra-index-url
    --no-deps --no-build-isolation
    --job-name --nodes --ntasks-per-node --gpus-per-node --cpus-per-task --time --signal --requeue --open-mode
""".split()


def known_flags():
    flags = {"--help", "--version"}
    for path in SOURCES:
        source = path.read_text(encoding="utf-8")
        names = re.findall(r"^    (\w+): .+= flag\(", source, re.MULTILINE)
        flags |= {f"--{name.replace('_', '-')}" for name in names}
        flags |= set(re.findall(r"add_argument\([^)]*?\"(--[\w-]+)\"", source))
    return flags | {flag.replace("--", "--no-", 1) for flag in flags}


def without_foreign_columns(text):
    """Drop the first cell of the tables that compare another program with this one."""
    return re.sub(r"^\| [^|]*(?:\\\|[^|]*)*\|", "|", text, flags=re.MULTILINE)


def flags_in(path):
    text = path.read_text(encoding="utf-8")
    if path.name == "coming-from.md":
        text = without_foreign_columns(text)
    code = "\n".join(re.findall(r"```\w*\n.*?```|`[^`]+`", text, re.DOTALL))
    return {flag.replace("_", "-") for flag in re.findall(r"(?<![\w-])--[a-z][\w-]+", code)}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_flags_exist(path):
    assert sorted(flags_in(path) - known_flags() - set(FOREIGN)) == []


def test_most_pages_name_flags():
    assert sum(len(flags_in(path)) for path in PAGES) > 80


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_scripts_and_modules_exist(path):
    text = path.read_text(encoding="utf-8")
    scripts = set(re.findall(r"(?<![\w/.-])(?:scripts|platform)/[\w/-]+\.sh", text))
    modules = {name for name in re.findall(r"python -m ([\w.]+)", text) if (REPOSITORY / name.split(".")[0]).is_dir()}
    assert [name for name in scripts if not (REPOSITORY / name).is_file()] == []
    for name in modules:
        place = REPOSITORY / name.replace(".", "/")
        assert place.with_suffix(".py").is_file() or (place / "__main__.py").is_file(), name


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_variables_are_read_by_a_script_or_program(path):
    """A variable before a command: `NUM_GPUS=1 bash scripts/train.sh`."""
    text = path.read_text(encoding="utf-8")
    set_before = set(re.findall(r"\b([A-Z][A-Z_]{2,})=\S+ (?=(?:\S+=\S+ )*\\?\s*(?:bash|python|torchrun) )", text))
    scripts = [file.read_text(encoding="utf-8") for file in (REPOSITORY / "scripts").rglob("*.sh")]
    known = "\n".join([*scripts, *(file.read_text(encoding="utf-8") for file in SOURCES)])
    assert [name for name in sorted(set_before) if not re.search(rf"\b{name}\b", known)] == []
