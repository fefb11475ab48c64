"""Amounts of money."""

from __future__ import annotations

import re

from common.text.english.figures.amounts import AMOUNT, join_thousands
from common.text.english.figures.number_words import cardinal, decimal, has_words
from common.text.english.rules import DIGITS, Rule, apply_rules

# one, many, one of the smaller unit, many of the smaller unit
_DOLLARS = ("dollar", "dollars", "cent", "cents")
_CURRENCIES = {
    "$": _DOLLARS,
    "£": ("pound", "pounds", "penny", "pence"),
    "€": ("euro", "euros", "cent", "cents"),
    "₩": ("won", "won", "jeon", "jeon"),
    "¥": ("yen", "yen", "sen", "sen"),
    "₹": ("rupee", "rupees", "paisa", "paise"),
    "₽": ("ruble", "rubles", "kopek", "kopeks"),
    "₺": ("lira", "lira", "kurus", "kurus"),
    "₪": ("shekel", "shekels", "agora", "agorot"),
    "฿": ("baht", "baht", "satang", "satang"),
    "₫": ("dong", "dong", "hao", "hao"),
    "₴": ("hryvnia", "hryvnias", "kopek", "kopeks"),
    "₦": ("naira", "naira", "kobo", "kobo"),
    "₱": ("peso", "pesos", "cent", "cents"),
    "₿": ("bitcoin", "bitcoins", "satoshi", "satoshis"),
}
SIGNS = "".join(_CURRENCIES)


def _in_country(country: str) -> tuple[str, str, str, str]:
    one, many, small_one, small_many = _DOLLARS
    return f"{country} {one}", f"{country} {many}", small_one, small_many


_DOLLARS_OF = {
    **dict.fromkeys(("US", "USD"), _in_country("u.s.")),
    **dict.fromkeys(("C", "CA", "CAD", "CDN"), _in_country("canadian")),
    **dict.fromkeys(("A", "AU", "AUD"), _in_country("australian")),
    **dict.fromkeys(("NZ", "NZD"), _in_country("new zealand")),
    **dict.fromkeys(("HK", "HKD"), _in_country("hong kong")),
    **dict.fromkeys(("S", "SG", "SGD"), _in_country("singapore")),
}
_CODES = {
    **{code: words for code, words in _DOLLARS_OF.items() if len(code) == 3},
    "EUR": _CURRENCIES["€"],
    "GBP": _CURRENCIES["£"],
    "JPY": _CURRENCIES["¥"],
    "KRW": _CURRENCIES["₩"],
    "INR": _CURRENCIES["₹"],
    "RUB": _CURRENCIES["₽"],
    "CHF": ("swiss franc", "swiss francs", "centime", "centimes"),
    "SEK": ("swedish krona", "swedish kronor", "ore", "ore"),
    "NOK": ("norwegian krone", "norwegian kroner", "ore", "ore"),
    "DKK": ("danish krone", "danish kroner", "ore", "ore"),
    "CNY": ("yuan", "yuan", "fen", "fen"),
    "RMB": ("yuan", "yuan", "fen", "fen"),
    "BRL": ("brazilian real", "brazilian reais", "centavo", "centavos"),
    "MXN": ("mexican peso", "mexican pesos", "centavo", "centavos"),
    "ZAR": ("rand", "rand", "cent", "cents"),
    "PLN": ("zloty", "zlotys", "grosz", "groszy"),
    "CZK": ("czech koruna", "czech korunas", "haler", "halers"),
    "HUF": ("forint", "forints", "filler", "filler"),
    "TRY": _CURRENCIES["₺"],
    "ILS": _CURRENCIES["₪"],
    "BTC": _CURRENCIES["₿"],
}
_MAGNITUDES = {
    **dict.fromkeys(("k",), "thousand"),
    **dict.fromkeys(("m", "mm", "mn", "mil", "mln"), "million"),
    **dict.fromkeys(("b", "bn", "bil", "bln"), "billion"),
    **dict.fromkeys(("t", "tn", "trn"), "trillion"),
}
_MAGNITUDE = r"(?:\s?-?(hundred|thousand|million|billion|trillion)|\s?(mln|bln|trn|mil|bil|mm|mn|bn|tn|[kmbt]))\b"
_OF = "|".join(sorted(_DOLLARS_OF, key=len, reverse=True))
_CODE = "|".join(_CODES)
_NUMBER = rf"(?:{AMOUNT}|\.\d+)"
_BEFORE = re.compile(
    rf"(?:(?<![A-Za-z])(?-i:(US|USD)\s?|({_OF}))(?=\$))?([{SIGNS}])\s?({_NUMBER})"
    rf"(?:\s?(?:-|–|to)\s?[{SIGNS}]?({_NUMBER})(?={_MAGNITUDE}))?(?:{_MAGNITUDE})?(?:\s?(?-i:US\$|USD|CAD|AUD)(?!\w))?",
    re.IGNORECASE,
)
_AFTER = re.compile(rf"(?<![\w.,])({AMOUNT})(?:{_MAGNITUDE})?\s?(?-i:({_OF})?)([{SIGNS}])(?!\s?\d)", re.IGNORECASE)
_CODE_BEFORE = re.compile(rf"\b(?-i:({_CODE}))\s?({AMOUNT})(?:{_MAGNITUDE})?", re.IGNORECASE)
_CODE_AFTER = re.compile(rf"(?<![\w.,])({AMOUNT})(?:{_MAGNITUDE})?\s?(?-i:({_CODE}))\b", re.IGNORECASE)
_RUPEES = re.compile(rf"\bRs\.?\s?({AMOUNT})")
_CENTS = re.compile(rf"(?<![\w.,])({AMOUNT})\s?¢")
_PENCE = re.compile(r"(?<![\w.,:/-])(\d{1,2})p(?![\w/])")
_SHILLINGS = re.compile(r"(?<=£)(\d{1,6}) (\d{1,2})s\.?(?: (\d{1,2})d\.?(?!\w))?")
_SIGN = re.compile(rf"(?:(?<![A-Za-z])({_OF}))?([{SIGNS}])\2{{0,4}}")

_RANGE = re.compile(rf"(?<=\d)\s?[-–]\s?(?=[{SIGNS}]\d)|(?<=\d[kmbt])\s?[-–]\s?(?=[{SIGNS}]\d)", re.IGNORECASE)
_SHORT_RANGE = re.compile(rf"([{SIGNS}])(\d{{1,3}})[-–](\d{{1,3}})(?![\w.,]*\d)(?!{_MAGNITUDE})", re.IGNORECASE)
_SIGN_AFTER = re.compile(rf"(?<![\w-])([{SIGNS}])-(?=\d)")  # $-5
_MINUS = re.compile(rf"(?<![\w-])-(?=[{SIGNS}]\s?\.?\d)")
_PER = re.compile(
    rf"([{SIGNS}]|\b(?:{_CODE})\b)(\s?{_NUMBER}(?:\s?(?:[kmb]|mn|bn|million|billion))?)\s?/\s?(?=[A-Za-z])"
)
_ARTICLE_BEFORE = re.compile(r"\b(?:an?|another|each|every)\s$", re.IGNORECASE)
_NOUN_AFTER = re.compile(
    r"\s(?!(?:a|an|per|of|in|and|or|at|on|for|to|from|is|was|each|by|than|as|more|less|every|with|the|off|if|when|but|"
    r"here|there|today|yesterday|now|later)\b)[A-Za-z]"
)
_LOSS = re.compile(rf"\(([{SIGNS}]{_NUMBER})\)(\s(?:million|billion|thousand))\b")
_COIN = re.compile(r"(?<![\w.,])(\d{1,2})c(?=\s(?:coins?|pieces?|stamps?|per|off|each|a\s)\b)")
_COUNT_OF_SIGNS = {2: "two", 3: "three", 4: "four", 5: "five"}


def expand_money(text: str) -> str:
    """$3.50 -> three dollars, fifty cents, £1.5 million -> one point five million pounds, a single £ -> pound."""
    if not any(character in text for character in SIGNS + "¢" + DIGITS):
        return text
    return apply_rules(_RULES, join_thousands(text))


def _named(country: str | None, sign: str) -> tuple[str, str, str, str]:
    return _DOLLARS_OF[country] if country and sign == "$" else _CURRENCIES[sign]


def _name_sign(match: re.Match[str]) -> str:
    count = len(match[0]) - len(match[1] or "")
    one = _named(match[1], match[2])[0]
    return _separate(match, f"{_COUNT_OF_SIGNS[count]} {one} signs" if count > 1 else one)


def _separate(match: re.Match[str], words: str) -> str:
    """Add spaces between the words and letters or digits that touched the sign or amount."""
    before, after = match.string[max(0, match.start() - 1) : match.start()], match.string[match.end() : match.end() + 1]
    return (" " if before.isalnum() else "") + words + (" " if after.isalnum() else "")


def _expand_before(match: re.Match[str]) -> str:
    country, sign, amount, last = match[1] or match[2], match[3], match[4], match[5]
    magnitude = match[8] or match[9]
    currency = _named(country, sign)
    if sign == "$" and match[0].endswith(("US$", "USD")):
        currency = _DOLLARS_OF["US"]
    if last:
        return _separate(match, f"{_figure(amount)} to {_expand(currency, last, magnitude)}")
    before = match.string[max(0, match.start() - 10) : match.start()]
    if _ARTICLE_BEFORE.search(before) and _NOUN_AFTER.match(match.string, match.end()):  # a $5 bill
        currency = (currency[0], currency[0], currency[2], currency[2])
    return _separate(match, _expand(currency, amount, magnitude))


def _figure(amount: str) -> str:
    whole, _, decimals = amount.replace(",", "").partition(".")
    return decimal(whole, decimals)


def _expand(currency: tuple[str, str, str, str], amount: str, magnitude: str | None) -> str:
    one, many, small_one, small_many = currency
    whole, _, decimals = amount.replace(",", "").partition(".")
    if magnitude:
        return f"{decimal(whole, decimals)} {_MAGNITUDES.get(magnitude.lower(), magnitude.lower())} {many}"
    if len(decimals) > 2 or not has_words(whole):
        return f"{decimal(whole, decimals)} {many}"
    large, small = int(whole or 0), int(decimals.ljust(2, "0"))
    # Amounts have commas and hyphens, as in the training of the published models.
    parts = []
    if large or not small:
        parts.append(f"{cardinal(large, hyphen='-', comma=',')} {one if large == 1 else many}")
    if small:
        parts.append(f"{cardinal(small, hyphen='-')} {small_one if small == 1 else small_many}")
    return ", ".join(parts)


def _expand_shillings(match: re.Match[str]) -> str:
    """£3 10s. 6d. -> £3, 10 shillings, 6 pence."""
    pounds, shillings, pence = match.groups()
    words = f"{pounds}, {shillings} shilling{'s' * (shillings != '1')}"
    return words + (f", {pence} {'penny' if pence == '1' else 'pence'}" if pence else "")


_RULES: tuple[Rule, ...] = (
    ("(", _LOSS, r"(\1\2)"),
    (DIGITS, _COIN, r"\1 cent"),
    (DIGITS, _PENCE, lambda m: f"{m[1]} {'penny' if m[1] == '1' else 'pence'}"),
    (SIGNS, _RANGE, " to "),
    (SIGNS, _SIGN_AFTER, r"-\1"),
    (SIGNS, _MINUS, "minus "),
    ("/", _PER, r"\1\2 per "),
    (SIGNS, _SHORT_RANGE, r"\1\2 to \1\3"),
    ("£", _SHILLINGS, _expand_shillings),
    (SIGNS, _BEFORE, _expand_before),
    (SIGNS, _AFTER, lambda m: _separate(m, _expand(_named(m[4], m[5]), m[1], m[2] or m[3]))),
    (DIGITS, _CODE_BEFORE, lambda m: _separate(m, _expand(_CODES[m[1]], m[2], m[3] or m[4]))),
    (DIGITS, _CODE_AFTER, lambda m: _separate(m, _expand(_CODES[m[4]], m[1], m[2] or m[3]))),
    (DIGITS, _RUPEES, lambda m: _separate(m, _expand(_CODES["INR"], m[1], None))),
    ("¢", _CENTS, lambda m: _separate(m, f"{m[1]} {'cent' if m[1] == '1' else 'cents'}")),
    (SIGNS, _SIGN, _name_sign),
)
