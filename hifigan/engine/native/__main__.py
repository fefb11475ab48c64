"""Compile the C sources for all processors of this kind: `python -m hifigan.engine.native [--output FOLDER]`.

Without --output, the libraries go into the user's cache. Where it goes along, such as in a container image, no compiler
is needed. The build of the package puts them into the package (scripts/fresh_build.py). It runs this without PyTorch.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from common.cli import ArgumentParser, run
from common.errors import InputError
from hifigan.engine.native import instruction_sets
from hifigan.engine.native.compiler import compile_for_package, load_library

log = logging.getLogger(__name__)


def main(argv: list[str] | None = None) -> int:
    parser = ArgumentParser(prog="hifigan.engine.native", description=__doc__)
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="of the libraries (default: the user's cache)")
    output: Path | None = parser.parse_args(argv).output
    failures = [failure for source, flags in list_builds() if (failure := build(source, flags, output))]
    if failures:
        raise InputError("; ".join(dict.fromkeys(failures)))
    return 0


def list_builds() -> list[tuple[Path, tuple[str, ...]]]:
    """Return the sources, each with every set of compiler flags that a processor of this kind may need."""
    sets = instruction_sets.list_all()
    vector, amx = (Path(__file__).with_name(name) for name in ("vector.c", "amx.c"))
    builds = [(vector, flags) for flags in dict.fromkeys(each.flags for each in sets)]
    return builds + [(amx, each.matrix_flags) for each in sets if each.matrix_flags]


def build(source: Path, flags: Sequence[str], output: Path | None) -> str:
    """Compile one source. Return the reason if that fails, so that the others are still compiled."""
    words = f"with {' '.join(flags) or 'no further flags'}"
    if output is None:
        if load_library(source, flags, "it is not in the cache", {}) is None:
            return f"{source.name} was not compiled, {words}"
    else:
        output.mkdir(parents=True, exist_ok=True)
        try:
            compile_for_package(source, flags, output)
        except InputError as error:
            return str(error)
    log.info("%s: compiled %s", source.name, words)
    return ""


if __name__ == "__main__":
    run(main, "hifigan.engine.native")
