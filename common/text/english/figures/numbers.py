"""All numbers that the steps before have left: decimals, ordinals, years, quantities."""

from __future__ import annotations

import re

from common.text.english.figures.amounts import INTEGER
from common.text.english.figures.number_words import digits, has_words, integer, ordinal, plain_number, plural

_CALIBRE = re.compile(r"(?<![\w.])\.(?=\d\d[ -](?:calib|special|magnum|revolver|pistol|rifle|gun))", re.IGNORECASE)
_BORDER = re.compile(r"(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])(?!(?:st|nd|rd|th|s)\b)", re.IGNORECASE)
_NUMBER = re.compile(
    rf"(?P<version>\d+(?:\.\d+){{2,}})|(?P<integer>{INTEGER})?(?P<decimals>\.\d+)(?!\d)"
    rf"|(?P<whole>{INTEGER})(?:(?P<ordinal>st|nd|rd|th)\b|(?P<plural>'?s)\b)?",
    re.IGNORECASE,
)
# 1024 bytes is a quantity, not a year. A plural after other numbers may follow a year (in 1984 students ...).
_COUNTED = re.compile(
    r"(?<![\w.,/-])(?P<number>1\d{3}|2[0-8]\d\d)(?=(?: (?:more|other|new|different|of the|active|unique|extra))?[ -]"
    r"(?:(?P<people>people|men|women|children|students|patients|users|cases|homes|deaths|voters|soldiers|troops|votes|"
    r"houses|units|files|images|items|shares|copies)|bytes|bits|pixels|pages|words|miles|meters|metres|feet|"
    r"kilometers|kilometres|kilograms|grams|pounds|tons|tonnes|liters|litres|gallons|hours|minutes|seconds|days|"
    r"weeks|years|calories|kilocalories|watts|volts|megawatts|kilowatts|hertz|megahertz|kilohertz|megabytes|"
    r"gigabytes|kilobytes|milligrams|micrograms|milliliters|millimeters|degrees|barrels|dozen|"
    r"points|steps|rows|columns|species|dead|"
    r"acres|hectares|square|cubic|revolutions|horsepower|r\.p\.m|percent)\b)"
)
_YEAR_BEFORE = re.compile(r"\b(?:in|since|by|during|until|till|from|of|after|before|the)\s$", re.IGNORECASE)


def expand_numbers(text: str) -> str:
    """Expand every number in the text."""
    if not any(c.isdecimal() for c in text):
        return text
    text = _CALIBRE.sub("", text)
    text = _COUNTED.sub(_expand_counted, text)
    return _NUMBER.sub(_expand_number, _BORDER.sub(" ", text))


def _expand_counted(match: re.Match[str]) -> str:
    number = match["number"]
    is_year = match["people"] and _YEAR_BEFORE.search(match.string[max(0, match.start() - 12) : match.start()])
    return match[0] if number.endswith("00") or is_year else integer(number)


def _expand_number(match: re.Match[str]) -> str:
    if match["version"]:
        return " point ".join(_plain(part) for part in match["version"].split("."))
    if match["decimals"]:
        whole = (match["integer"] or "").replace(",", "")
        spoken = f"point {digits(match['decimals'][1:])}"
        if whole:
            return f"{integer(whole)} {spoken}"
        return (" " if match.string[max(0, match.start() - 1) : match.start()].isalnum() else "") + spoken
    number = match["whole"].replace(",", "")
    if match["ordinal"]:
        return ordinal(int(number)) if has_words(number) else f"{digits(number)} {match['ordinal']}"
    if "," in match["whole"] and number[-2:] != "00":  # a quantity, not a year
        return integer(number)
    words = _plain(number)
    if match["plural"] and "'" in match["plural"] and number[-1] != "0":  # 2016's figure, but the 1920's
        return f"{words}'s"
    return plural(words) if match["plural"] else words


def _plain(number: str) -> str:
    if number.startswith("0") and len(number) > 1:
        return f"oh {_plain(number[1:])}" if len(number) == 2 and number != "00" else digits(number)
    return plain_number(int(number)) if has_words(number) else digits(number)
