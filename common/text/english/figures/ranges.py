"""A hyphen or dash between numbers: a range, a score, or a sign of subtraction. Also minus signs."""

from __future__ import annotations

import re

from common.text.english.figures.amounts import AMOUNT
from common.text.english.figures.number_words import pairs

_SIGNED = re.compile(rf"(?<![\w.,-])(-?{AMOUNT})\s?(?:-|–|to)\s?(?=-\d)")
_AFTER_PERCENT = re.compile(r"(?<=[%°])(?P<unit>[CF]?)\s?[-–~]\s?(?=-?\d)")
_TILDE = re.compile(r"(?<=\d)\s?~\s?(?=\d)")
_ABOUT = re.compile(r"(?<![\w~])~\s?(?=[$£€]?\d)")
_SUBTRACTION = re.compile(r"(?<=[\w)])\s-\s(?=[\w(][\w\s()+*/^.-]{0,40}=)|(?<=\d)\s?[-–]\s?(?=\d{1,6}\s?=)")
_SPACED_MINUS = re.compile(rf"(?<![\w.,-])({AMOUNT})\s-\s({AMOUNT})(?![\w-])")
_MINUS = re.compile(r"(?<![\w-])[-–](?=\.?\d)")
_THREE = re.compile(r"(?<![\w.,/-])(\d{1,2})-(\d{1,2})-(\d{1,2})(?![\w/-])")
_PAIR = re.compile(rf"(?<![\w.,/$£€-])({AMOUNT})\s?[-–]\s?({AMOUNT})(?=([\w-]?))")

_SCORE = re.compile(
    r"\b(?:w[io]ns?|winning|winners?|lost|loss|los(?:e|es|ing)|beat|beats|beaten|beating|defeat(?:s|ed)?|victory|lead|leads|led|"
    r"leading|score[ds]?|scoring|tied?|ties|drew|draw|drawn|record|ahead|trail(?:s|ed|ing)?|down|up|series|sets?|"
    r"match|game|final|finals|semifinal|playoffs?|shootout|aggregate|overtime|penalties|goal|goals|finished|triumph|rout)\b",
    re.IGNORECASE,
)
_VOTE = re.compile(
    r"\b(?:vote[ds]?|voting|ruled|ruling|decision|passed|majority|approved|split|senate|house|court|poll|jury|verdict|panel|board|affirmed|reversed)\b",
    re.IGNORECASE,
)
_CRICKET = re.compile(
    r"\b(?:declared|innings|wickets?|overs|stumps|all out|cricket|test match|run chase)\b", re.IGNORECASE
)
_RANGE_BEFORE = re.compile(
    r"\b(?:pages?|pp\.|ages?|aged|about|between|from|in|for|chapters?|verses?|lines?|takes?|grades?)\s*$", re.IGNORECASE
)
_SCORE_AFTER = re.compile(
    r"\s?(?:win|victory|loss|defeat|lead|draw|tie|record|score|scoreline|thrashing|rout|start|home)\b"
)
_BEFORE_CHRIST = re.compile(r"\s?(?:B\.?C|b\.c|Ma\b|Ga\b|mya\b|BP\b)")
_TEAMS = re.compile(r"(?:[A-Z][a-z]+|[A-Z]{2,4}) \Z")
_NEAR = 60


def expand_ranges(text: str) -> str:
    """5-10 -> 5 to 10, a 2-1 win -> a 2 1 win, 50%-60% -> 50% to 60%, 10 - 7 = 3 -> 10 minus 7 = 3, -5 -> minus 5."""
    if not any(c.isdecimal() for c in text):
        return text
    text = _AFTER_PERCENT.sub(r"\g<unit> to ", _SIGNED.sub(r"\1 to ", text))
    text = _ABOUT.sub("about ", _TILDE.sub(" to ", text))
    text = _SUBTRACTION.sub(" minus ", text)
    text = _THREE.sub(r"\1 \2 \3", text)
    text = _PAIR.sub(_expand_pair, text)
    text = _SPACED_MINUS.sub(r"\1 minus \2", text)
    return _MINUS.sub("minus ", text)


def _number(text: str) -> float:
    return float(text.replace(",", ""))


def _expand_pair(match: re.Match[str]) -> str:
    left, right, after = match[1], match[2], match[3]
    if after in ("-", "_"):
        return match[0]
    text = match.string
    before = text[max(0, match.start() - _NEAR) : match.start()]
    following = text[match.end() : match.end() + _NEAR]
    first, last = _number(left), _number(right)
    # "1914-18" is a range. "3-D", "5-4th" are not pairs.
    is_years = len(left) == 4 and len(right) == 2 and first % 100 < last
    spaced = " " in match[0]
    if _CRICKET.search(before + " " + following) and first >= 20 and last <= 10 and not after.isalpha():
        return f"{pairs(left) if len(left) == 3 else left} for {right}"
    if after.isalpha() and re.match(r"(?:st|nd|rd|th)\b", following) is None and first >= last:
        return match[0]
    if re.search(r"\bbetween $", before) and first != last:
        return f"{left} and {right}"
    if re.search(r"\b(?:pp\.|[Pp]ages) $", before) and len(right) < len(left):  # pp. 112-15
        return f"{left} to {right}"
    small = first < 600 and last < 600 and not (after.isalpha() or "." in left + right or "," in left + right)
    if small and not _RANGE_BEFORE.search(before):
        if _TEAMS.search(before) and re.match(r" [A-Z]", following) and max(first, last) < 200:
            return f"{left} {right}"
        if _SCORE_AFTER.match(following) or _SCORE.search(before) or _in_list_of_scores(before, following):
            return f"{left} {right}"
        if _VOTE.search(before) or re.match(r"\s(?:vote|ruling|decision|majority)\b", following):
            return f"{left} to {right}"
    if 100 <= first < 900 and last <= 10 and small and not spaced:  # runs and wickets
        return f"{pairs(left)} for {right}"
    if 7 <= first <= 11 and 3 <= last <= 6 and small:  # hours of work: 9-5
        return f"{left} to {right}"
    if first < last or is_years or _BEFORE_CHRIST.match(following):
        return f"{left} to {right}"
    return match[0] if spaced else f"{left} {right}"


def _in_list_of_scores(before: str, after: str) -> bool:
    """Sets of tennis: 6-4, 3-6. One of the neighbours must fall, as no range does."""
    for near in (
        re.search(r"(\d{1,2})[- ](\d{1,2})(?:\(\d+\))?, (?:and )?$", before),
        re.match(r"(?:\(\d+\))?, (?:and )?(\d{1,2})-(\d{1,2})\b", after),
    ):
        if near and int(near[1]) >= int(near[2]):
            return True
    return False
