"""The exception that programs report to the user as a single line."""

from __future__ import annotations

from collections.abc import Sequence


class InputError(ValueError):
    """Bad input. The one-line message names the file or flag, the value found, and the remedy."""


def first_three(problems: Sequence[str]) -> str:
    """Join the first three problems, and count the others."""
    rest = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
    return "; ".join(problems[:3]) + rest
