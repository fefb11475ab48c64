"""Times of day and durations."""

from __future__ import annotations

import re

from common.text.english.rules import ALWAYS, DIGITS, Rule, apply_rules

_HALF = r"([ap])(?:\.\s?m\.|\.?m\b\.?)"
_CLOCK = re.compile(
    rf"(?<![\d:.,])(\d{{1,2}}):([0-5]\d)(?::([0-5]\d)(?:[.,]\d+)?)?(?![\d:]|\.\d)(?:\s*{_HALF})?", re.IGNORECASE
)
_POINT_CLOCK = re.compile(rf"(?<![\d:.,])(1[0-2]|0?[1-9])\.([0-5]\d)\s*{_HALF}", re.IGNORECASE)
_HOUR = re.compile(rf"(?<![\d:.,])(1[0-2]|0?[1-9])\s*{_HALF}\.?", re.IGNORECASE)
_HOUR_RANGE = re.compile(
    rf"(?<![\d:.,])(1[0-2]|0?[1-9])\s?[-–]\s?(?=(?:1[0-2]|0?[1-9])(?::[0-5]\d)?\s*{_HALF})", re.IGNORECASE
)
_CLOCK_RANGE = re.compile(r"(?<=:[0-5]\d)\s?[-–]\s?(?=\d{1,2}:[0-5]\d)")
_HALF_RANGE = re.compile(
    r"(?<=[ap]\.m\.)\s?[-–]\s?(?=\d|noon|midnight)|(?<=\d[ap]m)\s?[-–]\s?(?=\d|noon|midnight)", re.IGNORECASE
)
_NOON_RANGE = re.compile(r"\b(noon|midnight)\s?[-–]\s?(?=\d)", re.IGNORECASE)
_RATIO = re.compile(r"(?<=\d):(?=\d)")
_RATIO_BEFORE = re.compile(
    r"\b(?:ratio|ratios|scale|odds|mix|mixture|proportions?|diluted|dilution)(?:\s\w+){0,2}\s*$", re.IGNORECASE
)
_AT_BEFORE = re.compile(r"\b(?:at|by|until|till|before|after|since|around|from|to)\s*$", re.IGNORECASE)
_PRECISE = re.compile(r"(?<![\d:.,])(\d{1,2}):([0-5]\d)\.(\d{1,3})(?![\d:])")
_CENTRAL = re.compile(r"(?<![\w:/])(\d{1,2}(?::[0-5]\d)?)/(\d{1,2}(?::[0-5]\d)?)c\b")  # 8:30/7:30c on television
_BIBLE = (
    "Genesis Exodus Leviticus Numbers Deuteronomy Joshua Judges Ruth Samuel Kings Chronicles Ezra Nehemiah Esther Job "
    "Psalm Psalms Proverbs Ecclesiastes Isaiah Jeremiah Lamentations Ezekiel Daniel Hosea Joel Amos Obadiah Jonah "
    "Micah Nahum Habakkuk Zephaniah Haggai Zechariah Malachi Matthew Mark Luke John Acts Romans Corinthians Galatians "
    "Ephesians Philippians Colossians Thessalonians Timothy Titus Philemon Hebrews James Peter Jude Revelation Surah"
).split()
_SHORT_BOOKS = {
    "Gen": "Genesis",
    "Ex": "Exodus",
    "Exod": "Exodus",
    "Lev": "Leviticus",
    "Deut": "Deuteronomy",
    "Sam": "Samuel",
    "Ps": "Psalm",
    "Prov": "Proverbs",
    "Isa": "Isaiah",
    "Jer": "Jeremiah",
    "Matt": "Matthew",
    "Rom": "Romans",
    "Cor": "Corinthians",
    "Gal": "Galatians",
    "Eph": "Ephesians",
    "Phil": "Philippians",
    "Heb": "Hebrews",
    "Rev": "Revelation",
}
_VERSE = re.compile(
    rf"\b(?:([1-3])\s)?({'|'.join(_BIBLE)}|{'|'.join(_SHORT_BOOKS)})\.?\s(\d{{1,3}}):(\d{{1,3}})(?:[-–](\d{{1,3}}))?(?![\w:])"
)


def expand_times(text: str) -> str:
    """10:30 am -> 10 30 a.m., 9:00PM -> 9 p.m., 9:00 -> 9 o'clock, 9:05 -> 9 oh 5, a ratio 16:9 -> 16 to 9."""
    return apply_rules(_RULES, text) if any(digit in text for digit in DIGITS) else text


def _expand_verse(match: re.Match[str]) -> str:
    book = _SHORT_BOOKS.get(match[2], match[2])
    words = f"{match[1] + ' ' if match[1] else ''}{book} {match[3]} {int(match[4])}"
    return words + (f" to {match[5]}" if match[5] else "")


def _count(number: str, unit: str) -> str:
    return f"{int(number)} {unit}{'s' * (int(number) != 1)}"


def _expand_clock(match: re.Match[str]) -> str:
    hour, minute, second, half = match.groups()
    before = match.string[max(0, match.start() - 30) : match.start()]
    if second and not half and not _AT_BEFORE.search(before):  # a duration
        parts = [_count(hour, "hour"), _count(minute, "minute"), _count(second, "second")]
        parts = [part for part in parts if not part.startswith("0 ")] or [parts[-1]]
        return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
    if _RATIO_BEFORE.search(before) and not half:
        return match[0]
    if int(hour) > 24:  # minutes and seconds: 34:20
        if minute == "00":
            return match[0]
        return f"{hour} {minute}" if minute[0] != "0" else f"{hour} oh {int(minute)}"
    words = str(int(hour))
    if minute != "00":
        words += f" {minute}" if minute >= "10" else f" oh {int(minute)}"
    elif not half or second:
        words += " o'clock" if 0 < int(hour) < 13 and not second else " hundred"
    if second and second != "00":
        words += f" and {_count(second, 'second')}"
    return f"{words} {half.lower()}.m." if half else words


_RULES: tuple[Rule, ...] = (
    ("/", _CENTRAL, r"\1, \2 central"),
    (":", _CLOCK_RANGE, " to "),
    ("-–", _HALF_RANGE, " to "),
    ("-–", _HOUR_RANGE, r"\1 to "),
    ("-–", _NOON_RANGE, r"\1 to "),
    (".", _POINT_CLOCK, r"\1:\2 \3.m."),
    (":", _VERSE, _expand_verse),
    (":", _PRECISE, lambda m: f"{_count(m[1], 'minute')}, {int(m[2])} point {' '.join(m[3])} seconds"),
    (":", _CLOCK, _expand_clock),
    (ALWAYS, _HOUR, lambda m: f"{int(m[1])} {m[2].lower()}.m."),
    (":", _RATIO, " to "),
)
