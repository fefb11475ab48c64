"""Tokens that mix letters and digits: model names, house numbers, codes."""

from __future__ import annotations

import re

_MIXED = re.compile(r"(?<!\w)(?<!\w')(?=[A-Za-z]+\d|\d+[A-Za-z])[A-Za-z\d]+")
_RUNS = re.compile(r"\d+(?:st|nd|rd|th|s)$|\d+|[A-Za-z]+", re.IGNORECASE)
_HYPHENATED = re.compile(r"\b([A-Z]{1,2})-(\d{1,4})(?![\w-]|[.,]\d)")


def split_mixed(text: str) -> str:
    """Split model names and house numbers as they are read: A100 -> A 100, C2766 -> C 27 66, 221B -> 2 21 B, F-150."""
    return _MIXED.sub(_split_token, _HYPHENATED.sub(lambda m: f"{m[1]} {_group_digits(m[2])}", text))


def _split_token(match: re.Match[str]) -> str:
    token = match[0]
    # Digits after a point or comma belong to the number before it.
    after_point = bool(re.search(r"\d[.,]$", match.string[max(0, match.start() - 2) : match.start()]))
    parts = _RUNS.findall(token)
    if len(parts) == 1:  # 1920s, 3rd
        return token
    grouped = [
        part if not part.isdecimal() or (after_point and i == 0) else _group_digits(part)
        for i, part in enumerate(parts)
    ]
    return " ".join(grouped)


def _group_digits(digits: str) -> str:
    count = len(digits)
    if count > 4 or (count > 1 and digits[-2] == "0" and digits[-1] != "0"):
        return " ".join(digits)
    if count < 3 or digits.endswith("00"):
        return digits
    start = count % 2
    pairs = [digits[i : i + 2] for i in range(start, count, 2)]
    return " ".join([digits[:start], *pairs] if start else pairs)
