"""Expand numbers to words: amounts of money, decimals, fractions, ordinals, years, Roman numerals."""

from __future__ import annotations

import re

from common.text.english.number_words import cardinal, digits, has_words, ordinal, plain_number, plural

# 1,234 or 1234, then decimals. The comma form must not match the beginning of 1,2345.
_INTEGER = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)"
AMOUNT = rf"{_INTEGER}(?:\.\d+)?"

_CURRENCIES = {
    "$": ("dollar", "dollars", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "€": ("euro", "euros", "cent", "cents"),
    "₩": ("won", "won", "jeon", "jeon"),
    "¥": ("yen", "yen", "sen", "sen"),
    "₹": ("rupee", "rupees", "paisa", "paise"),
}
_SIGNS = "".join(_CURRENCIES)
_MAGNITUDES = {"k": "thousand", "m": "million", "mn": "million", "b": "billion", "bn": "billion", "t": "trillion"}
_MAGNITUDE = r"(?:\s?-?(hundred|thousand|million|billion|trillion)|\s?(mn|bn|[kmbt]))\b"
_MONEY_BEFORE = re.compile(rf"(?:\bUS)?([{_SIGNS}])\s?({AMOUNT}|\.\d+)(?:{_MAGNITUDE})?", re.IGNORECASE)
_MONEY_AFTER = re.compile(rf"(?<![\w.,])({AMOUNT})\s?([{_SIGNS}])(?!\s?\d)")
_CENTS = re.compile(rf"(?<![\w.,])({AMOUNT})\s?¢")
_SIGN = re.compile(rf"[{_SIGNS}]")

_MONEY_RANGE = re.compile(rf"(?<=\d)\s?-\s?(?=[{_SIGNS}]\d)")
_MINUS = re.compile(rf"(?<![\w-])-(?=[{_SIGNS}]?\.?\d)")
_TELEPHONE = re.compile(r"(?<![\w,.-])(?:\+?1[ -])?(?:\((\d{3})\) ?|(\d{3})[-.])?(\d{3})-(\d{4})(?![\w-])")
_RANGE = re.compile(rf"(?<![\w.,-])({AMOUNT})\s?-\s?({AMOUNT})(?![\w-])")
_FRACTION = re.compile(r"(?<![\w/.,])(?:(\d{1,9})[ ]+)?(\d{1,2})/(\d{1,3})(?![\w/])")
_CALIBRE = re.compile(r"(?<![\w.])\.(?=\d\d[ -](?:calib|special|magnum|revolver|pistol|rifle|gun))", re.IGNORECASE)
_BORDER = re.compile(r"(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])(?!(?:st|nd|rd|th|s)\b)", re.IGNORECASE)
_NUMBER = re.compile(
    rf"(?P<version>\d+(?:\.\d+){{2,}})|(?P<integer>{_INTEGER})?(?P<decimals>\.\d+)(?!\d)"
    rf"|(?P<whole>{_INTEGER})(?:(?P<ordinal>st|nd|rd|th)\b|(?P<plural>'?s)\b)?",
    re.IGNORECASE,
)

# Two or more letters that form a numeral, except capitals that are more often an abbreviation or a word.
_ROMAN = re.compile(
    r"(?<![\w.])(?=[MDCLXVI]{2,15}\b)M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})(?!\w)"
)
_NOT_ROMAN = frozenset(
    "CC CD CI CIV CL CM CV DC DI DIM DIV DIX DL DM DVI DX LI LIV LV MC MCI MD MDI MI MIX ML MM MV XL".split()
)
_ROMAN_DIGITS = {"M": 1000, "D": 500, "C": 100, "L": 50, "X": 10, "V": 5, "I": 1}

_PARTS = {
    2: ("half", "halves"),
    3: ("third", "thirds"),
    4: ("quarter", "quarters"),
    5: ("fifth", "fifths"),
    6: ("sixth", "sixths"),
    7: ("seventh", "sevenths"),
    8: ("eighth", "eighths"),
    9: ("ninth", "ninths"),
    10: ("tenth", "tenths"),
    12: ("twelfth", "twelfths"),
    16: ("sixteenth", "sixteenths"),
    32: ("thirty-second", "thirty-seconds"),
    64: ("sixty-fourth", "sixty-fourths"),
    100: ("hundredth", "hundredths"),
}


def expand_money(text: str) -> str:
    """$3.50 -> three dollars, fifty cents, £1.5 million -> one point five million pounds, a single £ -> pound."""
    text = _MINUS.sub("minus ", _MONEY_RANGE.sub(" to ", text))
    text = _MONEY_BEFORE.sub(lambda m: _separate(m, _expand_money(m[1], m[2], m[3] or m[4])), text)
    text = _MONEY_AFTER.sub(lambda m: _separate(m, _expand_money(m[2], m[1], None)), text)
    text = _CENTS.sub(lambda m: _separate(m, f"{m[1]} {'cent' if m[1] == '1' else 'cents'}"), text)
    return _SIGN.sub(lambda m: _separate(m, _CURRENCIES[m[0]][0]), text)


def _separate(match: re.Match[str], words: str) -> str:
    """Add spaces between the words and letters or digits that touched the sign or amount."""
    before, after = match.string[match.start() - 1 : match.start()], match.string[match.end() : match.end() + 1]
    return (" " if before.isalnum() else "") + words + (" " if after.isalnum() else "")


def _expand_money(sign: str, amount: str, magnitude: str | None) -> str:
    one, many, small_one, small_many = _CURRENCIES[sign]
    whole, _, decimals = amount.replace(",", "").partition(".")
    if magnitude:
        return f"{_decimal(whole, decimals)} {_MAGNITUDES.get(magnitude.lower(), magnitude.lower())} {many}"
    if len(decimals) > 2 or not has_words(whole):
        return f"{_decimal(whole, decimals)} {many}"
    large, small = int(whole or 0), int(decimals.ljust(2, "0"))
    # Amounts have commas and hyphens, as in the training of the published models.
    parts = []
    if large or not small:
        parts.append(f"{cardinal(large, hyphen='-', comma=',')} {one if large == 1 else many}")
    if small:
        parts.append(f"{cardinal(small, hyphen='-')} {small_one if small == 1 else small_many}")
    return ", ".join(parts)


def _decimal(whole: str, decimals: str) -> str:
    words = _whole(whole or "0")
    return f"{words} point {digits(decimals)}" if decimals else words


def _whole(number: str) -> str:
    return cardinal(int(number)) if has_words(number) else digits(number)


def expand_numbers(text: str, *, roman: bool = True) -> str:
    """Expand every number in the text.

    Args:
        roman: also expand Roman numerals of two or more capitals (II -> two).
    """
    if roman:
        text = _ROMAN.sub(_expand_roman, text)
    if not any(c.isdecimal() for c in text):
        return text
    text = _MINUS.sub("minus ", text)
    text = _TELEPHONE.sub(_expand_telephone, text)
    text = _FRACTION.sub(_expand_fraction, text)
    text = _RANGE.sub(_expand_range, text)
    text = _CALIBRE.sub("", text)
    return _NUMBER.sub(_expand_number, _BORDER.sub(" ", text))


def _expand_roman(match: re.Match[str]) -> str:
    numeral = match[0]
    if numeral in _NOT_ROMAN:
        return numeral
    values = [_ROMAN_DIGITS[letter] for letter in numeral]
    return str(sum(-v if v < after else v for v, after in zip(values, [*values[1:], 0], strict=True)))


def _expand_telephone(match: re.Match[str]) -> str:
    return ", ".join(digits(group) for group in match.groups() if group)


def _expand_fraction(match: re.Match[str]) -> str:
    whole, above, below = match[1], int(match[2]), int(match[3])
    if not 0 < above < below or below not in _PARTS:
        return match[0]
    one, many = _PARTS[below]
    if above > 1:
        words = f"{cardinal(above)} {many}"
    else:
        words = one if below == 2 and not whole else f"a {one}"
    return f"{whole} and {words}" if whole else words


def _expand_range(match: re.Match[str]) -> str:
    first, last = (float(group.replace(",", "")) for group in match.groups())
    is_years = len(match[1]) == 4 and len(match[2]) == 2 and first % 100 < last
    return f"{match[1]} to {match[2]}" if first < last or is_years else match[0]


def _expand_number(match: re.Match[str]) -> str:
    if match["version"]:
        return " point ".join(_plain(part) for part in match["version"].split("."))
    if match["decimals"]:
        whole = (match["integer"] or "").replace(",", "")
        spoken = f"point {digits(match['decimals'][1:])}"
        return f"{_whole(whole)} {spoken}" if whole else spoken
    number = match["whole"].replace(",", "")
    if match["ordinal"]:
        return ordinal(int(number)) if has_words(number) else f"{digits(number)} {match['ordinal']}"
    if "," in match["whole"] and number[-2:] != "00":  # a quantity, not a year
        return _whole(number)
    words = _plain(number)
    return plural(words) if match["plural"] else words


def _plain(number: str) -> str:
    if number.startswith("0") and len(number) > 1:
        return f"oh {_plain(number[1:])}" if len(number) == 2 and number != "00" else digits(number)
    return plain_number(int(number)) if has_words(number) else digits(number)
