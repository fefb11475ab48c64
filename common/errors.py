"""The one exception that programs turn into a single line for the user."""

from __future__ import annotations

from collections.abc import Sequence


class InputError(ValueError):
    """Bad input: the message names the file or flag, the value seen and the remedy, in one line."""


def first_three(problems: Sequence[str]) -> str:
    """The first of many problems, and how many more there are."""
    rest = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
    return "; ".join(problems[:3]) + rest
