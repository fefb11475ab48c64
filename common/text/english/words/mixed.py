"""Tokens that mix letters and digits: model names, house numbers, codes."""

from __future__ import annotations

import re

_MIXED = re.compile(r"(?<!\w)(?<!\w')(?=[A-Za-z]+\d|\d+[A-Za-z])[A-Za-z\d]+")
_RUNS = re.compile(r"\d+(?:st|nd|rd|th|s)$|\d+|[A-Za-z]+", re.IGNORECASE)
# A formula with an element of two letters. SpO2 is the saturation of the blood.
_FORMULA = re.compile(r"(?<!\w)(\d{0,3})((?:[A-Z][a-z]?\d{0,3}){2,8})(?![\w'])")
_ELEMENT = re.compile(r"[A-Z][a-z]?")
_ELEMENTS = frozenset(
    "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Ti Cr Mn Fe Ni Cu Zn As Se Br Ag Sn I Ba Pt Au Hg Pb U "
    "Sp".split()
)
_NOT_FORMULAS = frozenset("NaN CoS HeLa LiPo PhD BaFin".split())
_JOINED = re.compile(r"\b([A-Z]{2,3})([A-Z][a-z]{3,})\b")  # JPMorgan
_HYPHENATED = re.compile(r"\b([A-Z]{1,2})-(\d{1,4})(?![\w-]|[.,]\d)")


def split_mixed(text: str) -> str:
    """Split model names and house numbers as they are read: A100 -> A 100, C2766 -> C 27 66, 221B -> 2 21 B, F-150."""
    text = _JOINED.sub(lambda m: f"{'.'.join(m[1])}. {m[2]}", _FORMULA.sub(_spell_formula, text))
    return _MIXED.sub(_split_token, _HYPHENATED.sub(lambda m: f"{m[1]} {_group_digits(m[2])}", text))


def _split_token(match: re.Match[str]) -> str:
    token = match[0]
    # Digits after a point or comma belong to the number before it.
    after_point = bool(re.search(r"\d[.,]$", match.string[max(0, match.start() - 2) : match.start()]))
    parts = _RUNS.findall(token)
    if len(parts) == 1:  # 1920s, 3rd
        return token
    grouped = [
        _spell_letters(part) if not part.isdecimal() else part if after_point and i == 0 else _group_digits(part)
        for i, part in enumerate(parts)
    ]
    return " ".join(grouped)


def _spell_letters(part: str) -> str:
    """H2SO4: letters, although SO is a word."""
    return ".".join(part) + "." if part.isupper() and 1 < len(part) < 4 else part


def _spell_formula(match: re.Match[str]) -> str:
    """NaCl -> N.a.C.l., SpO2 -> S.p.O. 2."""
    count, token = match.groups()
    pieces = _ELEMENT.findall(token)
    if (
        token in _NOT_FORMULAS
        or not all(piece in _ELEMENTS for piece in pieces)
        or token.isupper()
        or sum(map(str.isupper, token)) < 2
    ):
        return match[0]
    letters = re.sub(r"([A-Za-z])", r"\1.", token)
    letters = f"{count} {letters}" if count else letters
    return re.sub(r"(?<=\.)(?=\d)|(?<=\d)(?=[A-Z])", " ", letters)


def _group_digits(digits: str) -> str:
    count = len(digits)
    if count > 4 or (count > 1 and digits[-2] == "0" and digits[-1] != "0"):
        return " ".join(digits)
    if count < 3 or digits.endswith("00"):
        return digits
    start = count % 2
    pairs = [digits[i : i + 2] for i in range(start, count, 2)]
    return " ".join([digits[:start], *pairs] if start else pairs)
