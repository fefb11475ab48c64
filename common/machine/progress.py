"""Progress bars."""

from __future__ import annotations

import sys

from tqdm import tqdm


def watched() -> bool:
    """Return whether stderr is a terminal. Progress bars are drawn only there."""
    return sys.stderr.isatty()


def progress_bar(what: str, unit: str, total: int, rank: int, world_size: int) -> tqdm:
    """Return a progress bar for this process's share of the work. Only the main process draws it, on a terminal."""
    name = f"{what} (process 1 of {world_size})" if world_size > 1 else what
    return tqdm(total=total, desc=name, unit=unit, disable=not (watched() and rank == 0))
