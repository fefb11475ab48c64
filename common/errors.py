"""The one exception that programs turn into a single line for the user."""

from __future__ import annotations


class InputError(ValueError):
    """Bad input: the message names the file or flag, the value seen and the remedy, in one line."""
