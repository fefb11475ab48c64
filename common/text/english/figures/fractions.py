"""Fractions and mixed numbers: 1/2, 2 1/2, 1-1/2, scores such as 9/10, blood pressure."""

from __future__ import annotations

import re

from common.text.english.figures.number_words import cardinal, ordinal, pairs
from common.text.english.figures.units import unit_after

_HYPHENATED = re.compile(r"(?<![\w/.,-])(\d{1,3})-(?=[1-9]\d?/[1-9]\d{0,2}(?![\w/]))")
_ARTICLE = re.compile(r"\b(?:an?|one)\s(?=1/\d{1,4}(?:st|nd|rd|th)?(?![\d/]))", re.IGNORECASE)
_FRACTION = re.compile(r"(?<![\w/.,$])(?:(\d{1,9})[ ]+)?(\d{1,3})/(\d{1,4})(?:(?<=\d)(?:rd|th|nd)s?)?(?![\w/]|\.\d)")
_PRESSURE = re.compile(
    r"(?:((?:blood pressure|\bBP)[\w\s:]{0,25}?\s)(\d{2,3})/(\d{2,3})(?![\w/])|"
    r"(?<![\w/])(\d{2,3})/(\d{2,3})(?=\s?mm\s?Hg))(\s?mm\s?Hg\b)?"
)
_MARK_BEFORE = re.compile(
    r"\b(?:score[ds]?|scoring|rat(?:ed?|es|ing)|got|gets|grade[ds]?|marks?|solid|perfect|pain|review)(?:\s[\w'-]+){0,3}\s*:?\s*$",
    re.IGNORECASE,
)
_MATH_BEFORE = re.compile(r"(?:=|equals|about|minus|plus|times|[+*<>])\s*$")
_HALF, _QUARTER = ("half", "halves"), ("quarter", "quarters")
_OUT_OF = frozenset({5, 10, 20, 100})
_LARGEST_PART = 100
# "1/4 tsp. salt" is a quarter teaspoon salt, "1/4 tsp of salt" a quarter of a teaspoon of salt.
_OF_RECIPES = frozenset("teaspoon tablespoon cup pint quart gallon ounce pound".split())
_INGREDIENT = re.compile(r"\s(?!of\b|or\b|and\b|to\b|in\b|per\b)[a-z]")
_CRICKET = re.compile(r"\b(?:declared|innings|wickets?|overs|stumps|all out|cricket|batsm[ae]n|bowlers?)\b")
_WICKETS = re.compile(r"(?<![\w/.,])(\d{2,3})/(\d{1,2})(?![\w/])")


def expand_fractions(text: str) -> str:
    """1/2 -> half, 3/4 -> three quarters, 2 1/2 -> 2 and a half, 1/4 tsp -> a quarter of a teaspoon."""
    if "/" not in text:
        return text
    text = _PRESSURE.sub(_expand_pressure, text)
    if _CRICKET.search(text):
        text = _WICKETS.sub(lambda m: f"{pairs(m[1]) if len(m[1]) == 3 else m[1]} for {m[2]}", text)
    text = _ARTICLE.sub("", _HYPHENATED.sub(r"\1 ", text))
    result, place = [], 0
    for match in _FRACTION.finditer(text):
        words, end = _expand_fraction(match)
        if match.start() >= place:
            result += [text[place : match.start()], words]
            place = end
    return "".join(result) + text[place:]


def _expand_pressure(match: re.Match[str]) -> str:
    before, first, second, third, fourth, unit = match.groups()
    high, low = (first, second) if first else (third, fourth)
    ending = " millimeters of mercury" if unit else ""
    return f"{before or ''}{pairs(high) if len(high) == 3 else cardinal(int(high))} over {cardinal(int(low))}{ending}"


def _part(below: int) -> tuple[str, str] | None:
    if below == 2:
        return _HALF
    if below == 4:
        return _QUARTER
    if 2 < below <= _LARGEST_PART or below in (1000, 200, 500, 400, 250):
        one = ordinal(below)
        return one, f"{one}s"
    return None


def _expand_fraction(match: re.Match[str]) -> tuple[str, int]:
    """Return the words, and where the text goes on."""
    text, end = match.string, match.end()
    whole, above, below = match[1], int(match[2]), int(match[3])
    before = text[max(0, match.start() - 50) : match.start()]
    if not whole and below in _OUT_OF and (above == below or (0 < above < below and _MARK_BEFORE.search(before))):
        return f"{match[2]} out of {match[3]}", end
    if _MATH_BEFORE.search(before) and above > below > 0 and not whole:
        return f"{above} over {below}", end
    part = _part(below)
    if not 0 < above < below or part is None or match[2][0] == "0" or (above > 20 and below % 10):
        return match[0], end
    one, many = part
    unit = unit_after(text, end)
    if whole:
        words = f"{whole} and {cardinal(above) if above > 1 else 'a'} {many if above > 1 else one}"
        return (f"{words} {unit.many}", unit.end) if unit else (words, end)
    hyphen = text.startswith("-", end)
    if above > 1:
        words = f"{cardinal(above)} {many}"
    elif below in (100, 200, 400, 500, 1000, 250):
        words = one if below == 1000 or below == 100 else f"one {one}"
        words = f"one {one}" if below == 100 else words
    else:
        article = "an" if one.startswith(("eigh", "eleven")) else "a"
        words = one if below == 2 or (hyphen and before.lower().endswith(("a ", "an "))) else f"{article} {one}"
    if text.startswith('"', end) and text.count('"', max(0, end - 200), end) % 2 == 0:  # no quotation is open
        return f"{words} of an inch", end + 1
    if unit and not hyphen and unit.one in _OF_RECIPES and _INGREDIENT.match(text, unit.end):
        return f"{words} {unit.one}", unit.end
    if unit and not hyphen:
        return f"{words} {'' if below == 2 and above == 1 else 'of '}{unit.article} {unit.one}", unit.end
    return words, end
