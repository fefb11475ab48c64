"""Overlapping windows over a sequence that is too long to process at once."""

from __future__ import annotations

from typing import NamedTuple


class Window(NamedTuple):
    """Positions in the whole sequence: `first` to `last` are read, the results for `start` to `end` are kept."""

    first: int
    last: int
    start: int
    end: int


def windows(length: int, size: int, context: int) -> list[Window]:
    """Return windows of one length, at most `size`, whose kept parts cover the sequence without gap or overlap.

    Each kept position is read with `context` positions on either side, or with all of them up to the sequence's edge.

    Args:
        length: length of the sequence. Up to `size`, it is one window.
        size: largest window, above twice the context.
        context: distance to the furthest position that a result depends on.
    """
    if length <= size:
        return [Window(0, length, 0, length)]
    inner = length - 2 * context
    count = -(-inner // (size - 2 * context))
    step = -(-inner // count)  # as even as possible, so a sequence just above `size` is not computed twice
    found = []
    for i in range(count):
        first = min(i * step, inner - step)
        start = i * step + context if i > 0 else 0
        end = (i + 1) * step + context if i < count - 1 else length
        found.append(Window(first, first + step + 2 * context, start, end))
    return found
