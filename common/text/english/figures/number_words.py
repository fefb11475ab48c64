"""Integers in English words."""

from __future__ import annotations

_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
_TENS = "_ _ twenty thirty forty fifty sixty seventy eighty ninety".split()
_SCALES = (
    "_ thousand million billion trillion quadrillion quintillion sextillion septillion octillion nonillion decillion"
).split()
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
_MAX_DIGITS = 3 * len(_SCALES)


def has_words(number: str) -> bool:
    """Return whether `cardinal` has words for a number with this many digits."""
    return len(number.lstrip("0")) <= _MAX_DIGITS


def cardinal(number: int, *, hyphen: str = " ", comma: str = "") -> str:
    """123 -> one hundred and twenty three.

    Args:
        number: at least 0 and below 10 ** 36.
        hyphen: separator between tens and ones.
        comma: text after each group of thousands except the last.
    """
    if number < 1000:
        return _below_1000(number, hyphen)
    groups = []
    rest = number
    for scale in _SCALES:
        rest, group = divmod(rest, 1000)
        if group:
            groups.append(_below_1000(group, hyphen) + ("" if scale == "_" else f" {scale}"))
        if not rest:
            break
    last = number % 1000
    if 0 < last < 100:  # one thousand and five
        return f"{(comma + ' ').join(groups[:0:-1])} and {groups[0]}"
    return (comma + " ").join(reversed(groups))


def _below_1000(number: int, hyphen: str) -> str:
    hundreds, rest = divmod(number, 100)
    words = [f"{_SMALL[hundreds]} hundred"] if hundreds else []
    if rest or not hundreds:
        tens, ones = divmod(rest, 10)
        if rest < 20:
            words.append(_SMALL[rest])
        else:
            words.append(_TENS[tens] + (hyphen + _SMALL[ones] if ones else ""))
    return " and ".join(words)


def ordinal(number: int) -> str:
    """29 -> twenty-ninth. Unlike cardinals it has the hyphen, because the published models were trained with it."""
    words = cardinal(number, hyphen="-")
    start = max(words.rfind(" "), words.rfind("-")) + 1
    last = words[start:]
    if last in _ORDINALS:
        last = _ORDINALS[last]
    elif last.endswith("y"):
        last = last[:-1] + "ieth"
    else:
        last += "th"
    return words[:start] + last


def plain_number(number: int) -> str:
    """Read a number like a year: 1984 -> nineteen eighty four, 1500 -> fifteen hundred, 123 as in `cardinal`."""
    hundreds, rest = divmod(number, 100)
    if 1000 < number < 10000 and not rest and hundreds % 10:
        return f"{cardinal(hundreds)} hundred"
    if not 1000 < number < 3000 or number == 2000:
        return cardinal(number)
    if 2000 < number < 2010:
        return f"two thousand {_SMALL[rest]}"
    return f"{cardinal(hundreds)} {'oh ' if rest < 10 else ''}{cardinal(rest)}"


def digits(text: str) -> str:
    """Read digits one by one, as in codes and telephone numbers: 505 -> five zero five."""
    return " ".join(_SMALL[int(digit)] for digit in text)


def integer(number: str) -> str:
    """Read digits as a quantity, or one by one if there are too many."""
    return cardinal(int(number)) if has_words(number) else digits(number)


def decimal(whole: str, decimals: str) -> str:
    """1, 50 -> one point five zero. Empty decimals are not read; an empty whole is zero."""
    words = integer(whole or "0")
    return f"{words} point {digits(decimals)}" if decimals else words


def pairs(number: str) -> str:
    """Read three or four digits as in flights and rooms: 405 -> four oh five, 1549 -> fifteen forty nine."""
    if len(number) == 3 and number[0] != "0" and number[1:] != "00":
        rest = int(number[1:])
        return f"{_SMALL[int(number[0])]} {'oh ' if rest < 10 else ''}{cardinal(rest)}"
    return plain_number(int(number)) if number[0] != "0" else digits(number)


def plural(words: str) -> str:
    """nineteen twenty -> nineteen twenties, six -> sixes."""
    if words.endswith("y"):
        return words[:-1] + "ies"
    return words + ("es" if words.endswith("x") else "s")
