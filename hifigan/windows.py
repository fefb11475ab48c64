"""Overlapping windows that cover a sequence too long for the memory at once."""

from __future__ import annotations

from typing import NamedTuple


class Window(NamedTuple):
    """Positions in the whole sequence: `first` to `last` are read, `start` to `end` of what comes of them are kept."""

    first: int
    last: int
    start: int
    end: int


def windows(length: int, size: int, context: int) -> list[Window]:
    """Windows of one length, `size` at most, whose kept parts join to the sequence without gap or overlap.

    A kept position has `context` others read to either side of it, or all that there are before the sequence's edge.

    Args:
        length: of the sequence; one that is not above `size` is one window.
        size: above twice the context.
        context: how far a result depends on its neighbours.
    """
    if length <= size:
        return [Window(0, length, 0, length)]
    inner = length - 2 * context
    count = -(-inner // (size - 2 * context))
    step = -(-inner // count)  # as even as they can be: a sequence just above `size` is not done twice
    found = []
    for i in range(count):
        first = min(i * step, inner - step)
        start = i * step + context if i > 0 else 0
        end = (i + 1) * step + context if i < count - 1 else length
        found.append(Window(first, first + step + 2 * context, start, end))
    return found
