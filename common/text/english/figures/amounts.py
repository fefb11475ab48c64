"""How amounts are written in figures, and one spelling for all: 1 000 000 -> 1000000, 1.234,56 -> 1234.56."""

from __future__ import annotations

import re

# 1,234 or 1234, then decimals. The comma form must not match the beginning of 1,2345.
INTEGER = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)"
AMOUNT = rf"{INTEGER}(?:\.\d+)?"
NOT_INSIDE = r"(?<![\w.,])"  # before an amount: not the end of a longer one

# Points between thousands and a decimal comma leave no doubt. 1.234 alone is a decimal fraction.
_CONTINENTAL = re.compile(r"(?<![\w.,])(\d{1,3}(?:\.\d{3}){1,9}),(\d{1,2})(?![\w]|[.,]\d)")
_EURO_POINTS = re.compile(
    r"(?<=[€])(\s?)(\d{1,3}(?:\.\d{3}){1,9})(?![\d.,]*\d)|(?<![\w.,])(\d{1,3}(?:\.\d{3}){1,9})(?=\s?€)"
)
_DECIMAL_COMMA = re.compile(r"(?<=€)(\s?)(\d{1,3}),(\d{1,2})(?!\d|[.,]\d)|(?<![\w.,])(\d{1,3}),(\d{1,2})(?=\s?€)")
# Two groups or more, or one after a currency or with a round number, are thousands. Other pairs of numbers stay two.
_SPACED = re.compile(r"(?<![\w.,(+-])(?<!\d )([$£€¥]\s?)?([1-9]\d{0,2})((?: \d{3}){1,9})(?![\w-]|[ .,]\d)")
_UNIT_AFTER = re.compile(r"\s?(?:[kcm]?m|[km]?g|[kMG]?W|[kMGT]?Wh|[kM]?Hz|ha|km/h)\b")  # 12 500 km is one amount
_SPACED_DECIMAL = re.compile(
    r"(?<=[€$£])(\s?\d{1,3}(?: \d{3}){1,9}),(\d{2})(?![\w,]|\.\d)|(?<![\w.,])(\d{1,3}(?: \d{3}){1,9}),(\d{2})(?=\s?€)"
)
_INDIAN = re.compile(r"(?<![\w.,])\d{1,2}(?:,\d{2}){1,9},\d{3}(?!\d|,\d)")


def join_thousands(text: str) -> str:
    """1 000 000 -> 1000000, $1 000 -> $1000, €1.234,56 -> €1234.56, 1,00,000 -> 100000."""
    text = _CONTINENTAL.sub(lambda m: f"{m[1].replace('.', '')}.{m[2]}", text)
    text = _EURO_POINTS.sub(lambda m: (m[1] or "") + (m[2] or m[3]).replace(".", ""), text)
    text = _DECIMAL_COMMA.sub(lambda m: f"{m[1] or ''}{m[2] or m[4]}.{m[3] or m[5]}", text)
    text = _SPACED_DECIMAL.sub(lambda m: (m[1] or m[3]).replace(" ", "") + "." + (m[2] or m[4]), text)
    text = _INDIAN.sub(lambda m: m[0].replace(",", ""), text)
    return _SPACED.sub(_join_spaced, text)


def _join_spaced(match: re.Match[str]) -> str:
    sign, first, rest = match[1] or "", match[2], match[3]
    is_pair = not sign and len(rest) == 4 and rest != " 000"
    if is_pair and not _UNIT_AFTER.match(match.string, match.end()):
        return match[0]
    return sign + first + rest.replace(" ", "")
