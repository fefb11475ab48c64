"""Write hashes/: the tested versions of requirements*.txt with all that they depend on, and the SHA-256 of each file.

    python -m scripts.hash_requirements    needs uv (pip install uv) and the package index; takes a minute

`pip install --require-hashes --no-deps -r hashes/...` then installs these files and no others. One file covers Python
3.10 to 3.13 on Linux and macOS. SECURITY.md shows the commands.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from common.cli import ArgumentParser, run
from common.errors import InputError
from common.files.atomic import write_whole
from common.project import PROJECT

FOLDER = "hashes"
BASE = "requirements.txt"
# Sets that extend others than requirements.txt, as their first comments describe.
EXTENDS = {
    "requirements-dev.txt": ["requirements-export.txt"],
    "requirements-voice.txt": ["requirements-evaluation.txt"],
}
OLDEST_PYTHON = "3.10"
TORCH_FILES = ("torch-pypi.txt", "torch-cpu.txt")
_OF_TORCH = re.compile(r"(torch|triton|nvidia-.*|cuda-.*)")

# Wheels of PyTorch's CPU index for Linux x86-64, which PyPI does not have. The first was computed from the wheel that
# the tests run with. The others were not downloaded here: they are the index's own, as public lock files record them.
TORCH_CPU = {
    "3.11": "6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b",
    "3.12": "4ca4a9394b0c771238a4f73590fdbbc4debad85ed0fa63d026ae1b085da7d6e2",
    "3.13": "3fbf9c9d1f3c10c2d59d04aca426dee9ccc6ceb32d255c61e93acc3b4f75fae6",
}
TORCH_CPU_VERSION = "2.13.0+cpu"


class Entry(NamedTuple):
    """A package: its name, version, and the environments that need it, "" for all."""

    name: str
    version: str
    marker: str


def parse(text: str) -> dict[Entry, list[str]]:
    """Return the entries of a requirements file with their SHA-256 checksums."""
    found: dict[Entry, list[str]] = {}
    for line in text.replace("\\\n", " ").splitlines():
        if match := re.match(r"([A-Za-z0-9._-]+)==([^\s;]+)\s*(?:;\s*(.*?))?\s*(?=--hash|#|$)", line):
            found[Entry(match[1], match[2], match[3] or "")] = re.findall(r"--hash=sha256:([0-9a-f]{64})", line)
    return found


def render(entries: dict[Entry, list[str]], comment: str) -> str:
    """Return a requirements file with hashes."""
    lines = [f"# {line}" for line in comment.splitlines()]
    for entry, hashes in sorted(entries.items()):
        marker = f" ; {entry.marker}" * bool(entry.marker)
        lines.append(
            " \\\n".join([f"{entry.name}=={entry.version}{marker}", *(f"    --hash=sha256:{h}" for h in hashes)])
        )
    return "\n".join(lines) + "\n"


def resolve(files: list[str], constraints: Path | None, *, hashes: bool = False) -> dict[Entry, list[str]]:
    """Return all packages that requirements files need, for all systems.

    Raises:
        InputError: uv is missing or fails.
    """
    command = ["uv", "pip", "compile", "--quiet", "--universal", "--python-version", OLDEST_PYTHON, "--no-header"]
    command += ["--no-annotate", *(["--generate-hashes"] if hashes else []), *files]
    command += ["--constraint", str(constraints)] if constraints else []
    try:
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise InputError("uv is missing: pip install uv") from error
    if done.returncode:
        raise InputError(f"{', '.join(files)}: {' '.join(done.stderr.split())}")
    found = parse(done.stdout)
    return {entry: value for entry, value in found.items() if entry.marker != "sys_platform == 'win32'"}


def make_files() -> dict[str, str]:
    """Return the files of hashes/: name -> content."""
    sets = sorted(path.name for path in PROJECT.glob("requirements*.txt"))
    with tempfile.TemporaryDirectory() as folder:
        known = {(entry.name, entry.version): value for entry, value in resolve(sets, None, hashes=True).items()}
        constraints = Path(folder, "constraints.txt")
        together = "".join(f"{name}=={version}\n" for name, version in known if _is_single(name, known))
        constraints.write_text(together, encoding="utf-8")
        base = resolve([BASE], constraints)
        files = {BASE: _with_hashes({entry for entry in base if not _OF_TORCH.fullmatch(entry.name)}, known)}
        torch = _with_hashes({entry for entry in base if _OF_TORCH.fullmatch(entry.name)}, known)
        for name in sets:
            if name == BASE:
                continue
            below = [BASE, *EXTENDS.get(name, [])]
            more = set(resolve([*below, name], constraints)) - set(resolve(below, constraints))
            own = set(parse((PROJECT / name).read_text(encoding="utf-8")))
            own_names = {entry.name for entry in own}
            more = {entry for entry in more if entry.name in own_names or not _OF_TORCH.fullmatch(entry.name)}
            files[name] = _with_hashes(more, known)
    comment = (
        "Written by `python -m scripts.hash_requirements`: {}, with all that it needs{}. SECURITY.md shows the use."
    )
    contents = {
        name: render(entries, comment.format(name, " but PyTorch" if name == BASE else f" beyond {BASE}"))
        for name, entries in files.items()
    }
    contents["torch-pypi.txt"] = render(torch, comment.format("PyTorch from PyPI", ", on Linux with CUDA"))
    only = f"sys_platform == 'linux' and platform_machine == 'x86_64' and python_version >= '{min(TORCH_CPU)}'"
    cpu = {Entry("torch", TORCH_CPU_VERSION, only): list(TORCH_CPU.values())}
    contents["torch-cpu.txt"] = render(cpu, "PyTorch's CPU build for Linux x86-64, see scripts/hash_requirements.py.")
    return contents


def _is_single(name: str, known: dict[tuple[str, str], list[str]]) -> bool:
    """Return whether all systems have the same version. Others follow from the markers of the pins again."""
    return sum(other == name for other, _ in known) == 1


def _with_hashes(entries: set[Entry], known: dict[tuple[str, str], list[str]]) -> dict[Entry, list[str]]:
    missing = sorted(f"{entry.name}=={entry.version}" for entry in entries if (entry.name, entry.version) not in known)
    if missing:
        raise InputError(f"resolved differently on its own: {', '.join(missing)}")
    return {entry: sorted(known[entry.name, entry.version]) for entry in entries}


def main() -> None:
    ArgumentParser(prog="scripts.hash_requirements", description=(__doc__ or "").partition("\n")[0]).parse_args()
    for name, content in make_files().items():
        write_whole(PROJECT / FOLDER / name, content.encode())
        print(f"{FOLDER}/{name}: {len(parse(content))} packages")


if __name__ == "__main__":
    run(main, "scripts.hash_requirements")
