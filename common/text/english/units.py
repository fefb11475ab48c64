"""Expand units after a number, dimensions, and tokens that mix letters and digits."""

from __future__ import annotations

import re

from common.text.english.numbers import AMOUNT

_UNITS = {
    "kb": "kilobyte",
    "mb": "megabyte",
    "gb": "gigabyte",
    "tb": "terabyte",
    "pb": "petabyte",
    "hz": "hertz",
    "khz": "kilohertz",
    "mhz": "megahertz",
    "ghz": "gigahertz",
    "kbps": "kilobits per second",
    "mbps": "megabits per second",
    "gbps": "gigabits per second",
    "gflops": "gigaflops",
    "tflops": "teraflops",
    "pflops": "petaflops",
    "mm": "millimeter",
    "cm": "centimeter",
    "km": "kilometer",
    "mg": "milligram",
    "kg": "kilogram",
    "ml": "milliliter",
    "kw": "kilowatt",
    "kwh": "kilowatt hour",
    "mph": "miles per hour",
    "km/h": "kilometers per hour",
    "kb/s": "kilobytes per second",
    "mb/s": "megabytes per second",
    "gb/s": "gigabytes per second",
    "tb/s": "terabytes per second",
    "fps": "frames per second",
    "ft": "foot",
    "lb": "pound",
    "lbs": "pound",
    "oz": "ounce",
}
_PLURALS = {"foot": "feet"}
_BEFORE = r"(?<![\w.,])"
_NAMES = "|".join(sorted(map(re.escape, _UNITS), key=len, reverse=True))
_UNIT = re.compile(rf"{_BEFORE}({AMOUNT})([ -]?)({_NAMES})(?![\w'])(\.(?=\s+[a-z]))?", re.IGNORECASE)
_DEGREES = re.compile(r"(?<=\d)\s?°(?:\s?([CF])\b)?")
_SCALES = {"C": " degrees Celsius", "F": " degrees Fahrenheit", None: " degrees"}

_BY = re.compile(rf"{_BEFORE}(?!0[xX])({AMOUNT})\s*[xX×]\s*(?=\d)")
# In "a 2 x 4 in the cellar" and "3 x 4 in size", a noun phrase follows the preposition.
_INCH = re.compile(rf"(?<= by )({AMOUNT})\s?in\b(?!\s+(?!and\b|or\b|by\b|with\b|for\b|on\b)\w)")

_MIXED = re.compile(r"(?<!\w)(?<!\w')(?=[A-Za-z]+\d|\d+[A-Za-z])[A-Za-z\d]+")
_RUNS = re.compile(r"\d+(?:st|nd|rd|th|s)$|\d+|[A-Za-z]+", re.IGNORECASE)


def expand_units(text: str) -> str:
    """80GB -> 80 gigabytes, 3 x 4 in -> 3 by 4 inch, 20 °C -> 20 degrees Celsius."""
    text = _INCH.sub(r"\1 inch", _BY.sub(r"\1 by ", text))
    text = _DEGREES.sub(lambda m: _SCALES[m[1]], text)
    return _UNIT.sub(_expand_unit, text)


def _expand_unit(match: re.Match[str]) -> str:
    amount, gap, name = match[1], match[2], _UNITS[match[3].lower()]
    if gap == "-":  # a 10-GB file
        return f"{amount}-{name}"
    if amount != "1" and not name.endswith(("hertz", "flops", "second", "hour")):
        name = _PLURALS.get(name, f"{name}s")
    elif amount != "1" and name == "kilowatt hour":
        name += "s"
    return f"{amount} {name}"


def split_mixed(text: str) -> str:
    """Split model names and house numbers as they are read: A100 -> A 100, C2766 -> C 27 66, 221B -> 2 21 B."""
    return _MIXED.sub(_split_token, text)


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
