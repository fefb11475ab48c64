"""Dates, names of months and weekdays, years before Christ, decades."""

from __future__ import annotations

import re

from common.text.english.figures.number_words import ordinal, pairs, plain_number
from common.text.english.rules import ALWAYS, DIGITS, Rule, apply_rules

MONTHS = "January February March April May June July August September October November December".split()
SHORT_MONTHS = frozenset("jan feb mar apr jun jul aug sep sept oct nov dec".split())  # with a full stop
_WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
_SHORT_DAYS = "Mon Tues Tue Wed Thurs Thur Thu Fri Sat Sun".split()

_SHORT = "|".join(sorted((name.title() for name in SHORT_MONTHS), key=len, reverse=True))
_MONTH = "|".join(MONTHS)
_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_YEAR = r"(?:1\d{3}|20\d\d)"

_ISO = r"(?<![\w/-])(\d{4})-(\d{2})-(\d{2})"
_STAMP = re.compile(rf"{_ISO}[T ](\d{{2}}:\d{{2}})(?::(\d{{2}})(?:\.\d+)?)?(Z|[+-]\d\d:?\d\d)?(?![\w:])")
_ISO_DATE = re.compile(rf"{_ISO}(?![\w/-])")
_FIGURES = re.compile(r"(?<![\w/.-])(\d{1,2})([/.-])(\d{1,2})\2(\d{4}|\d{2})(?![\w/-]|\.\d)")
# Without a year, only after such a word, and not if it may be a fraction ("by 1/2").
_DAY_IN_FIGURES = re.compile(
    r"(?<=\b)((?:on|since|until|till|before|after|due|dated|from|through)\s)(\d{1,2})/(\d{1,2})(?![\w/%]|\s(?:of|a|an|cup|inch|mile))",
    re.IGNORECASE,
)
_SHORT_MONTH = re.compile(rf"\b({_SHORT})\b(?:\.(?!\w)(?=\s*[^\sA-Z])|(?=\.?,?\s\d)|(?=\s?[-–]\s?(?:{_SHORT})\b))\.?")
_MONTH_RANGE = re.compile(rf"\b({_SHORT})\.?\s?[-–]\s?({_SHORT})\b\.?(?!\w|\s\d)")
_CAPITAL_MONTH = re.compile(rf"\b(?:{_SHORT.upper()})\b(?=\.?\s\d)")
_AFTER_DAY = re.compile(rf"(?<=\d)((?:st|nd|rd|th)?(?:\s+of)?[\s-])({_SHORT})\b(\.?)")
_DAY_AFTER = re.compile(r"\s\d{1,2}(?!\d)")
_DATED_MONTH = re.compile(
    rf"\b((?i:in|of|by|since|until|from|to|and|last|next|late|early|mid|through)\s)({_SHORT})\b\.?(?!\w)"
)
_DAY_MONTH = re.compile(
    rf"(?<![\w.,:/$£€-])(?:(the)\s)?({_DAY})(st|nd|rd|th)?(\s+of)?[\s-]({_MONTH})\b(?:(,?)[\s-]({_YEAR})(?![\w-]))?"
)
_DAYS_MONTH = re.compile(rf"(?<![\w.,:/-])({_DAY})\s?[-–]\s?({_DAY})\s+({_MONTH})\b")
_MONTH_DAYS = re.compile(rf"\b({_MONTH})\s({_DAY})\s?[-–]\s?({_DAY})(?![\w-]|[:.]\d)")
_MONTH_DAY_TO = re.compile(rf"\b({_MONTH})\s({_DAY})\s?(?:[-–]|to)\s?({_MONTH})\s({_DAY})(?!\w)")
_MONTH_TO = re.compile(rf"\b({_MONTH})\s?[-–]\s?(?=(?:{_MONTH})\b)")

_SHORT_DAY = "|".join(_SHORT_DAYS)
_DAY_NAME = "|".join(_WEEKDAYS)
_DAY_RANGE = re.compile(rf"\b({_SHORT_DAY}|{_DAY_NAME})\.?\s?[-–]\s?({_SHORT_DAY}|{_DAY_NAME})\b\.?(?!\w)")
_WEEKDAY = re.compile(rf"\b({_SHORT_DAY})\b\.?,?(?=\s(?:(?:{_MONTH}|{_SHORT})\b|\d|at\s\d|&|and\s(?:{_SHORT_DAY})\b))")
_ON_WEEKDAY = re.compile(rf"\b((?i:on|every|last|next|this|by|until|each)\s)({_SHORT_DAY})\b(\.?)(?!\w)")
_WEEKDAY_AFTER = re.compile(rf"(?<=day and )({_SHORT_DAY})\b\.?")

_ERA = r"(?:B\.?C\.?E?\.?|C\.E\.|CE|A\.D\.|AD)(?![\w])"
_YEARS_OF_ERA = re.compile(rf"(?<![\w.,$£€-])(\d{{1,4}})(?:\s?(?:-|–|to)\s?(\d{{1,4}}))?(?=\s{_ERA})")
_AFTER_ERA = re.compile(r"\b(A\.?D\.?\s)(\d{3})(?![\w.,]*\d)")
_DECADE = re.compile(r"(?<!\w)['’](?=\d0'?s\b)")
_SHORT_YEAR = re.compile(r"(?<=[a-z] )['’](\d\d)(?![\w'’%])")
_DECADES = re.compile(r"\b((?:1\d|20)\d0s)\s?[-–]\s?((?:(?:1\d|20))?\d0s)\b")


def expand_dates(text: str) -> str:
    """2021-03-05 and 3/5/2021 (month first if possible) -> March fifth, 2021, 7 Dec -> the seventh of December."""
    return apply_rules(_RULES, text)


def _day(number: str) -> str:
    return ordinal(int(number))


def _month(short: str) -> str:
    return next(month for month in MONTHS if month.startswith(short[:3].title()))


def _weekday(short: str) -> str:
    return next(day for day in _WEEKDAYS if day.startswith(short[:3]))


def _expand_on_weekday(match: re.Match[str]) -> str:
    if not match[3] and match[2] in ("Sat", "Sun", "Wed"):  # words, and a newspaper
        return match[0]
    ends = match[3] and not match.string[match.end() :].strip(" \"')")
    return match[1] + _weekday(match[2]) + ("." if ends else "")


def _expand_weekday(match: re.Match[str]) -> str:
    return _weekday(match[1]) + ("," if match[0].endswith(",") else "")


def _name_date(match: re.Match[str], year: str, month: int, day: int) -> str:
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return match[0]
    if len(year) == 2:  # 24 is 2024, 65 is 1965
        year = ("20" if int(year) < 50 else "19") + year
    return f"{MONTHS[month - 1]} {ordinal(day)}, {plain_number(int(year))}"


def _expand_stamp(match: re.Match[str]) -> str:
    year, month, day, clock, second, zone = match.groups()
    date = _name_date(match, year, int(month), int(day))
    if date == match[0]:
        return date
    seconds = f":{second}" if second and second != "00" else ""
    return f"{date}, at {clock}{seconds}" + (" U.T.C." if zone == "Z" else f" {zone}" if zone else "")


def _expand_figures(match: re.Match[str]) -> str:
    first, mark, second, year = int(match[1]), match[2], int(match[3]), match[4]
    if mark != "/" and len(year) == 2:  # 1.2.10 is a version
        return match[0]
    day_first = mark == "." or first > 12
    return _name_date(match, year, *((second, first) if day_first else (first, second)))


def _expand_day_in_figures(match: re.Match[str]) -> str:
    month, day = int(match[2]), int(match[3])
    if not (1 <= month <= 12 and 1 <= day <= 31) or (month < day <= 4 and month < 4):
        return match[0]
    return f"{match[1]}{MONTHS[month - 1]} {ordinal(day)}"


def _expand_month_after_day(match: re.Match[str]) -> str:
    if "-" in match[1] and _DAY_AFTER.match(match.string, match.end()):  # May 2-Sept. 27
        return match[0]
    ends = match[3] and not match.string[match.end() :].strip(" \"')")
    return f"{match[1].replace('-', ' ')}{_month(match[2])}{'.' if ends else ''}"


def _expand_dated_month(match: re.Match[str]) -> str:
    if not match[0].endswith(".") and match[2] in ("Mar", "Jan", "Jun"):  # may be a name
        return match[0]
    ends = match[0].endswith(".") and not match.string[match.end() :].strip(" \"')")
    return match[1] + _month(match[2]) + ("." if ends else "")


def _expand_month_days(match: re.Match[str]) -> str:
    if int(match[2]) >= int(match[3]):
        return match[0]
    return f"{match[1]} {_day(match[2])} to {_day(match[3])}"


def _expand_day_month(match: re.Match[str]) -> str:
    article, day, ending, of, month, comma, year = match.groups()
    if article and (of or ending):  # "the 29th June", as published models read it, and "the 4th of July"
        words = f"the {_day(day)}{' of' if of else ''} {month}"
    elif of:
        words = f"{_day(day)} of {month}"
    else:
        words = f"the {_day(day)} of {month}"
    return words + (f"{comma} {plain_number(int(year))}" if year else "")


def _expand_years_of_era(match: re.Match[str]) -> str:
    first, last = match.groups()
    return pairs(first) + (f" to {pairs(last)}" if last else "")


def _expand_short_year(match: re.Match[str]) -> str:
    return f"oh {int(match[1])}" if match[1][0] == "0" else match[1]


_RULES: tuple[Rule, ...] = (
    (DIGITS, _STAMP, _expand_stamp),
    (DIGITS, _ISO_DATE, lambda m: _name_date(m, m[1], int(m[2]), int(m[3]))),
    (DIGITS, _FIGURES, _expand_figures),
    ("/", _DAY_IN_FIGURES, _expand_day_in_figures),
    (DIGITS, _CAPITAL_MONTH, lambda m: m[0].title()),
    ("-–", _DAY_RANGE, lambda m: f"{_weekday(m[1])} to {_weekday(m[2])}"),
    (ALWAYS, _ON_WEEKDAY, _expand_on_weekday),
    (ALWAYS, _WEEKDAY, _expand_weekday),
    (ALWAYS, _WEEKDAY_AFTER, lambda m: _weekday(m[1])),
    ("-–", _MONTH_RANGE, lambda m: f"{_month(m[1])} to {_month(m[2])}"),
    (DIGITS, _AFTER_DAY, _expand_month_after_day),
    (ALWAYS, _SHORT_MONTH, lambda m: _month(m[1])),
    (ALWAYS, _DATED_MONTH, _expand_dated_month),
    (DIGITS, _MONTH_DAY_TO, lambda m: f"{m[1]} {_day(m[2])} to {m[3]} {_day(m[4])}"),
    (DIGITS, _MONTH_DAYS, _expand_month_days),
    (DIGITS, _DAYS_MONTH, lambda m: f"{_day(m[1])} to {_day(m[2])} of {m[3]}"),
    (DIGITS, _DAY_MONTH, _expand_day_month),
    ("-–", _MONTH_TO, r"\1 to "),
    (DIGITS, _YEARS_OF_ERA, _expand_years_of_era),
    (DIGITS, _AFTER_ERA, lambda m: m[1] + pairs(m[2])),
    (DIGITS, _DECADE, ""),
    (DIGITS, _DECADES, lambda m: f"{m[1]} to {m[2]}"),
    ("'’", _SHORT_YEAR, _expand_short_year),
)
