"""Times of day and dates in figures, converted to numbers that are read one after the other."""

from __future__ import annotations

import re

_CLOCK = re.compile(
    r"(?<![\d:.,])(\d{1,2}):([0-5]\d)(?::([0-5]\d))?(?![\d:])(?:\s*([ap])(?:\.\s?m\.|\.?m\b))?", re.IGNORECASE
)
_HOUR = re.compile(r"(?<![\d:.,])(1[0-2]|0?[1-9])\s*([ap])(?:\.\s?m\.|\.?m\b)\.?", re.IGNORECASE)
_CLOCK_RANGE = re.compile(r"(?<=:[0-5]\d)\s?-\s?(?=\d{1,2}:[0-5]\d)")
_RATIO = re.compile(r"(?<=\d):(?=\d)")

_MONTHS = "January February March April May June July August September October November December".split()
SHORT_MONTHS = frozenset("jan feb mar apr jun jul aug sep sept oct nov dec".split())  # with a full stop
_ISO_DATE = re.compile(r"(?<![\w/-])(\d{4})-(\d{2})-(\d{2})(?![\w/-])")
_SLASH_DATE = re.compile(r"(?<![\w/-])(\d{1,2})/(\d{1,2})/(\d{4}|\d{2})(?![\w/-])")
_SHORT_MONTH = re.compile(rf"\b({'|'.join(sorted(name.title() for name in SHORT_MONTHS))})\.?(?=\s\d)")


def expand_times(text: str) -> str:
    """10:30 am -> 10 30 a.m., 9:00PM -> 9 p.m., 9:00 -> 9 o'clock, 9:05 -> 9 oh 5, a ratio 16:9 -> 16 to 9."""
    text = _CLOCK.sub(_expand_clock, _CLOCK_RANGE.sub(" to ", text))
    text = _HOUR.sub(lambda m: f"{int(m[1])} {m[2].lower()}.m.", text)
    return _RATIO.sub(" to ", text)


def _expand_clock(match: re.Match[str]) -> str:
    hour, minute, second, half = match.groups()
    if int(hour) > 24:
        return match[0]
    words = str(int(hour))
    if minute != "00":
        words += f" {minute}" if minute >= "10" else f" oh {int(minute)}"
    elif not half or second:
        words += " o'clock" if 0 < int(hour) < 13 and not second else " hundred"
    if second:
        words += f" and {int(second)} second{'s' * (second != '01')}"
    return f"{words} {half.lower()}.m." if half else words


def expand_dates(text: str) -> str:
    """2021-03-05 and 3/5/2021 (month first if possible) -> March 5, 2021, Nov. 5 -> November 5."""
    text = _ISO_DATE.sub(lambda m: _format_date(m, m[1], int(m[2]), int(m[3])), text)
    text = _SLASH_DATE.sub(_expand_slash_date, text)
    return _SHORT_MONTH.sub(lambda m: next(month for month in _MONTHS if month.startswith(m[1][:3])), text)


def _expand_slash_date(match: re.Match[str]) -> str:
    month, day = int(match[1]), int(match[2])
    return _format_date(match, match[3], *((month, day) if month <= 12 else (day, month)))


def _format_date(match: re.Match[str], year: str, month: int, day: int) -> str:
    return f"{_MONTHS[month - 1]} {day}, {year}" if 1 <= month <= 12 and 1 <= day <= 31 else match[0]
