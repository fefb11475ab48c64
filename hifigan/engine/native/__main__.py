"""Compile the C sources for all processors of this kind into the cache: `python -m hifigan.engine.native`.

Where the cache goes along, such as in a container image, no compiler is needed.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from common.cli import ArgumentParser, run
from common.errors import InputError
from hifigan.engine.native import amx, instruction_sets, vector
from hifigan.engine.native.compiler import load_library

log = logging.getLogger(__name__)


def main(argv: list[str] | None = None) -> int:
    parser = ArgumentParser(prog="hifigan.engine.native", description=__doc__)
    parser.parse_args(argv)
    sets = instruction_sets.list_all()
    builds: list[tuple[Path, Sequence[str]]] = [
        (vector.SOURCE, flags) for flags in dict.fromkeys(s.flags for s in sets)
    ]
    builds += [(amx.SOURCE, each.matrix_flags) for each in sets if each.matrix_flags]
    for source, flags in builds:
        if load_library(source, flags, "it is not in the cache", {}) is None:
            raise InputError(f"{source.name} was not compiled, with {' '.join(flags) or 'no further flags'}")
        log.info("%s: compiled with %s", source.name, " ".join(flags) or "no further flags")
    return 0


if __name__ == "__main__":
    run(main, "hifigan.engine.native")
