"""Numbers that are read digit by digit or in groups: telephone, cards, codes, rooms, routes."""

from __future__ import annotations

import re

from common.text.english.figures.number_words import cardinal, digits, pairs

_EXTENSION = r"(?:,?\s*(?:x|ext\.?|extension)\s?(\d{1,6})(?!\w))?"
_NANP = re.compile(
    r"(?<![\w,.+-])(?:(\+?1)[ .-]\s?)?(?:\((\d{3})\)\s?-?|(\d{3})([-. ]))(\d{3})[-. ](\d{4})(?![\w-]|\.\d)"
    + _EXTENSION,
    re.IGNORECASE,
)
_LOCAL = re.compile(r"(?<![\w,.$£€-])(\d{3})-(\d{4})(?![\w-]|\.\d)" + _EXTENSION, re.IGNORECASE)
_WORD_NUMBER = re.compile(
    r"(?<![\w.-])(?:(1)-)?(8\d\d)-([A-Z]{2,9}(?:-[A-Z\d]{2,9}){0,2}|[A-Z\d]{3}-?[A-Z\d]{4})(?![\w-])"
)
_INTERNATIONAL = re.compile(r"(?<![\w+])\+(\d{1,3})((?:[ .-]?\(?\d{1,5}\)?){2,6})(?!\w)")
_TRUNK = re.compile(
    r"(?<![\w,.:-])(0\d{1,4})((?:[ -]\d{2,5}){1,4})(?![\w-]|[.:]\d)"
    r"|(?<![\w.,])\((0\d{1,4})\)((?:[ -]?\d{2,5}){1,4})(?![\w-])"
)
_EMERGENCY = re.compile(
    r"\b((?i:dial|dialed|dialled|call|called|calling|phone|phoned|ring|rang|text)\s(?:the\s)?)(\d{3,6})(?![\w.,-]*\d)"
)
_EMERGENCY_CALL = re.compile(r"\b(911|999|112)(?=\s(?:calls?|dispatchers?|operators?|emergency)\b)")

_CARD = re.compile(
    r"(?<![\w-])(\d{4})([ -])(\d{4})\2(\d{4})\2(\d{4})(?![\w-])|(?<![\w-])(\d{4})([ -])(\d{6})\7(\d{5})(?![\w-])"
)
_SOCIAL = re.compile(r"(?<![\w-])(\d{3})-(\d{2})-(\d{4})(?![\w-])")
_ISBN = re.compile(r"\b(ISBN|ISSN|EAN|UPC|IBAN)((?:-1[03])?:?\s?)([A-Z]{0,2}\d[\d -]{5,32}[\dXx])(?!\w)")
_ZIP = re.compile(r"(?<![\w.,$£€-])(\d{5})-(\d{4})(?![\w-])")
_ZIP_ALONE = re.compile(
    r"\b((?i:zip(?:\s?codes?)?)\s(?:is\s|was\s)?|[A-Z][a-z]+,?\s(?:[A-Z]{2}|D\.C\.)\s)(\d{5})(?![\w,-]|\.\d)"
)
_CODE = re.compile(
    r"\b((?:pin|pin code|code|password|passcode|account|account number|acct\.?|routing number|serial number|"
    r"tracking number|order number|confirmation number|case number|license number|member id|id number|order|ticket|"
    r"reference|invoice|docket|badge)(?:\s(?:no\.|number|is|was))?:?\s#?)(\d{3,20})(?![\w%]|[.,:/-]\d|\s(?:percent|people))",
    re.IGNORECASE,
)
_DASHED_CODE = re.compile(r"(?<![\w.,/$£€-])\d{1,6}(?:-\d{1,6}){3,8}(?![\w-]|\.\d)")
# Read in pairs: flight 370, room 405.
_PLACE = re.compile(
    r"\b((?i:flight|room|rm\.|suite|ste\.|apt\.|apartment|route|rte?\.|highway|hwy\.?|"
    r"interstate|bus|channel|gate|area code|error|status code)"
    r"\s(?:no\.\s)?#?|(?:Boeing|Airbus|Flight|Apt|Ste|Peugeot|Porsche|I-|US-)\s?)(\d{3,4})(?![\w%]|[.,:/-]\d)"
)
_SHORT_PLACES = {"hwy.": "highway", "hwy": "highway", "rt.": "route", "rte.": "route", "rt": "route", "rte": "route"}
_SHORT_PLACES |= {"rm.": "room", "ste.": "suite", "ste": "suite", "apt.": "apartment", "apt": "apartment"}
_DIRECTIONS = {"N": "north", "S": "south", "E": "east", "W": "west"}
_ROUTE_DIRECTION = re.compile(
    r"\b((?:Route|Rte?\.?|Hwy\.?|Highway|Interstate|Exit|US|I)[ -])(\d{1,3})\s?([NSEW])\b(?!\.[A-Z])"
)
_POSTAL = re.compile(r"(?<=[a-z], )\d{5}(?= [A-Z][a-z])")
# Rule 12(b)(6)
_CLAUSES = re.compile(r"(?<![\w.,])(\d{1,4})((?:\((?:[A-Za-z]|[ivx]{1,4}|\d{1,2})\)){1,5})(?!\w)")
_RETIREMENT = re.compile(r"\b([45]\d\d)\(([a-z])\)(?:\((\d)\))?")
_KNOWN = [
    (re.compile(r"(?<![\w/])9/11(?![\w/])"), "nine eleven"),
    (re.compile(r"(?<![\w/])24/7(?![\w/])"), "twenty four seven"),
    (re.compile(r"(?<![\w/])20/20(?![\w/])"), "twenty twenty"),
    (re.compile(r"(?<![\w/])50/50(?![\w/])"), "fifty fifty"),
    (re.compile(r"(?<![\w.])802\.11(?=[a-z]{0,2}\b)"), "eight oh two dot eleven "),
]


def expand_digit_groups(text: str) -> str:
    """321 434-5049 -> three two one, four three four, five zero four nine, Room 405 -> Room four oh five."""
    if not any(c.isdecimal() for c in text):
        return text
    for pattern, words in _KNOWN:
        text = pattern.sub(words, text)
    text = _RETIREMENT.sub(_expand_retirement, text)
    text = _ISBN.sub(lambda m: f"{m[1]}{m[2]}{_read(m[3])}", text)
    text = _CARD.sub(lambda m: _join(m.group(1, 3, 4, 5, 6, 8, 9)), text)
    text = _SOCIAL.sub(lambda m: _join(m.groups()), text)
    text = _WORD_NUMBER.sub(_expand_word_number, text)
    text = _NANP.sub(
        lambda m: _join((_digits_only(m[1]), m[2] or m[3], m[5], m[6]), m[7], plus="+" in (m[1] or "")), text
    )
    text = _INTERNATIONAL.sub(lambda m: "plus " + _read(f"{m[1]} {m[2].strip()}"), text)
    text = _LOCAL.sub(lambda m: _join((m[1], m[2]), m[3]), text)
    text = _ZIP.sub(lambda m: f"{_zip(m[1])}, {_zip(m[2])}", text)
    text = _TRUNK.sub(_expand_trunk, text)
    text = _ZIP_ALONE.sub(lambda m: m[1] + _zip(m[2]), text)
    text = _EMERGENCY.sub(lambda m: m[1] + digits(m[2]), text)
    text = _EMERGENCY_CALL.sub(lambda m: digits(m[1]), text)
    text = _CODE.sub(_expand_code, text)
    text = _DASHED_CODE.sub(lambda m: _read(m[0]), text)
    text = _POSTAL.sub(lambda m: digits(m[0]), text)
    text = _CLAUSES.sub(lambda m: f"{m[1]} {' '.join(re.findall(r'[A-Za-z0-9]+', m[2]))}", text)
    text = _ROUTE_DIRECTION.sub(lambda m: f"{m[1]}{m[2]} {_DIRECTIONS[m[3]]}", text)
    return _PLACE.sub(_expand_place, text)


def _expand_place(match: re.Match[str]) -> str:
    before = _SHORT_PLACES.get(match[1].strip().lower())
    return (f"{before} " if before else match[1].replace("-", " ")) + pairs(match[2])


def _digits_only(text: str | None) -> str:
    return "".join(c for c in text or "" if c.isdecimal())


def _join(groups: tuple[str | None, ...], extension: str | None = None, *, plus: bool = False) -> str:
    words = ", ".join(digits(group) for group in groups if group)
    return (
        ("plus " if plus else "")
        + words
        + (f", extension {cardinal(int(extension)) if len(extension) < 3 else digits(extension)}" if extension else "")
    )


def _read(groups: str) -> str:
    """Read groups of digits, and an X as a check digit, with pauses between the groups."""
    found = re.findall(r"\d+|[A-Za-z]+", groups)
    return ", ".join(digits(group) if group.isdecimal() else group for group in found)


def _zip(code: str) -> str:
    return digits(code).replace("zero", "oh")


def _expand_retirement(match: re.Match[str]) -> str:
    number, letter, last = match.groups()
    return f"{pairs(number)} {letter}" + (f" {last}" if last else "")


def _expand_word_number(match: re.Match[str]) -> str:
    one, prefix, word = match.groups()
    if not any(c.isalpha() for c in word):
        return match[0]
    parts = [digits(p) if p.isdecimal() else p.lower() if len(p) > 3 else p for p in re.findall(r"\d+|[A-Z]+", word)]
    hundreds = f"{digits(prefix[0])} hundred" if prefix.endswith("00") else digits(prefix)
    return " ".join([*(["one"] if one else []), hundreds, *parts])


def _expand_trunk(match: re.Match[str]) -> str:
    first, rest = match[1] or match[3], match[2] or match[4]
    count = sum(c.isdecimal() for c in first + rest)
    return _read(f"{first} {rest}") if 8 <= count <= 13 else match[0]


def _expand_code(match: re.Match[str]) -> str:
    before, number = match.groups()
    # "Order 500 units" is a quantity, "code 404" a code.
    weak = re.match(r"(?i)(?:order|ticket|reference|account|case|badge|invoice)\s$", before)
    if weak or (len(number) == 3 and re.match(r"(?i)code", before)):
        return before + pairs(number) if weak is None else match[0]
    return before + digits(number)
