"""The notation that every language shares: padding, and pronunciations in braces such as {HH AH0 L OW1}."""

from __future__ import annotations

import re
from collections.abc import Iterable

PAD = "_"  # the symbol that fills batches
PRONUNCIATION = re.compile(r"\{([^{}]*)\}")


def phoneme_symbols(phonemes: Iterable[str]) -> list[str]:
    """Prefix each phoneme with `@`, which keeps the phoneme B apart from the letter B."""
    return [f"@{phoneme}" for phoneme in phonemes]
