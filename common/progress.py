"""Progress bars."""

from __future__ import annotations

import sys

from tqdm import tqdm

from common.distributed import Distributed


def watched() -> bool:
    """Whether a person watches: progress bars are drawn on terminals only."""
    return sys.stderr.isatty()


def progress_bar(what: str, unit: str, total: int, place: Distributed) -> tqdm:
    """A bar for this process's share of some work, if someone watches; only that of the main process is drawn."""
    name = f"{what} (process 1 of {place.world_size})" if place.world_size > 1 else what
    return tqdm(total=total, desc=name, unit=unit, disable=not (watched() and place.is_main))
