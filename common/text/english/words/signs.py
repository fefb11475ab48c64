"""Typographic and mathematical signs beyond ASCII, in words or in ASCII.

This is the first step, because transliteration would make micro (µ) an m, a square (²) a 2, and drop arrows.
"""

from __future__ import annotations

import re

_ARROWS = {
    **dict.fromkeys("→⇒➔➜➡⟶↦", " to "),
    **dict.fromkeys("↔⇔⟷", " and "),
    "←": " from ",
    "↑": " up ",
    "↓": " down ",
}
_OPERATORS = {
    "÷": " divided by ",
    "±": " plus or minus ",
    "≈": " is about ",
    "≃": " is about ",
    "≅": " is about ",
    "∼": "~",
    "≠": " != ",
    "≡": " is equivalent to ",
    "≤": " <= ",
    "≥": " >= ",
    "⩽": " <= ",
    "⩾": " >= ",
    "≪": " is much less than ",
    "≫": " is much greater than ",
    "∝": " is proportional to ",
    "√": " the square root of ",
    "∛": " the cube root of ",
    "∞": " infinity ",
    "∑": " the sum of ",
    "∏": " the product of ",
    "∫": " the integral of ",
    "∂": " partial ",
    "∇": " nabla ",
    "∈": " in ",
    "∉": " not in ",
    "⊂": " is a subset of ",
    "⊆": " is a subset of ",
    "∪": " union ",
    "∩": " intersected with ",
    "∅": " the empty set ",
    "∀": " for all ",
    "∃": " there exists ",
    "∴": " therefore ",
    "∠": " angle ",
    "∧": " and ",
    "∨": " or ",
    "¬": " not ",
}
_MARKS = {
    "§": " section ",
    "¶": " paragraph ",
    "©": " copyright ",
    "℅": " care of ",
    "‰": " per mille",
    "♯": " sharp ",
    "♭": " flat ",
    "″": '"',
    "℃": "°C",
    "℉": "°F",
    "☎": " telephone ",
    **dict.fromkeys("®℠†‡¿¡✓✔✗✘☐☑★☆", " "),
}
_WORDS = str.maketrans({**_ARROWS, **_OPERATORS, **_MARKS})

_GREEK_NAMES = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma tau upsilon phi chi "
    "psi omega"
).split()
_GREEK = {
    **dict(zip("αβγδεζηθικλμνξοπρστυφχψω", _GREEK_NAMES, strict=True)),
    **dict(zip("ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩ", _GREEK_NAMES, strict=True)),
    **{"µ": "mu", "Ω": "omega", "∆": "delta", "ϕ": "phi", "ϵ": "epsilon", "ϑ": "theta", "ς": "sigma"},
}
# Greek words are transliterated. Only a letter on its own is a symbol.
_GREEK_LETTER = re.compile(rf"(?<![\u0370-\u03ff\u1f00-\u1fff])[{''.join(_GREEK)}](?![\u0370-\u03ff\u1f00-\u1fff])")
# As units, micro is written mc, as in mcg, and the ohm in letters: the table of units has both.
_MICRO_UNITS = {"m": "meter", "g": "gram", "s": "second", "L": "liter", "l": "liter", "A": "amp", "V": "volt"}
_MICRO_UNITS |= {"W": "watt", "F": "farad", "H": "henry", "J": "joule", "M": "molar", "mol": "mole", "Sv": "sievert"}
_MICRO = re.compile(rf"(?<![A-Za-z])[µμ]({'|'.join(sorted(_MICRO_UNITS, key=len, reverse=True))})(?![A-Za-z])")
_OHM = re.compile(r"(?<=\d)(\s?-?)([kKMGm]|mc)?[ΩΩ]")

_ANGSTROM = re.compile(r"(?<=\d)\s?[ÅÅ](?!\w)")
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n")
_SUPERSCRIPT = re.compile(r"(?<=[\w)\]])[⁻⁺]?(?:[⁰¹²³⁴-⁹]+|ⁿ)")
_FOOTNOTE = re.compile(r"(?<=[.,;:!?\"”’])[⁰¹²³⁴-⁹]+(?=\s|$)")
_WORD_BEFORE = re.compile(r"[A-Za-z]{4,}$")
_CUBED_UNITS = frozenset({"inch", "feet", "foot", "yard", "mile", "meter"})

_BULLET_START = re.compile(r"(^|\n)[ \t]{0,9}[•‣▪●◦∙·■]\s?")
_TIMES_DOT = re.compile(r"(?<=\d)\s?[·⋅∙]\s?(?=\d)")
_BULLET = re.compile(r"\s?[•‣▪●◦∙·⋅■]\s?(?=(\S?))")

# A no-break or thin space, or an apostrophe, between groups of three digits.
_GROUPED = re.compile(
    r"(?<![\d.,'’])[1-9]\d{0,2}(?:[\u00a0\u2007\u2009\u202f]\d{3})+(?![\d'’])|(?<![\d.,'’])[1-9]\d{0,2}(?:['’]\d{3})+(?![\d'’])"
)
_ABOUT = re.compile(r"(?<![\w~/])[~∼]\s?(?=[$£€]?\d)")
_MINUS_BETWEEN = re.compile(r"(?<=[\w)])\s?−\s?(?=[\w(√])")
_DOUBLE_SECTION = re.compile(r"§§\s*")
_ENTITY = re.compile(r"&(amp|nbsp|lt|gt|quot|apos|#39|mdash|ndash|hellip);")
_ENTITIES = {"amp": "&", "nbsp": " ", "lt": "<", "gt": ">", "quot": '"', "apos": "'", "#39": "'"}
_ENTITIES |= {"mdash": "—", "ndash": "–", "hellip": "…"}


def expand_typographic_signs(text: str) -> str:
    """5 µm -> 5 mcm, x² -> x^2, 5 kΩ -> 5 kohm, A→B -> A to B, θ -> theta, 1 000 with a thin space -> 1000."""
    text = _ENTITY.sub(lambda m: _ENTITIES[m[1]], text)
    text = _ABOUT.sub("about ", text)
    if text.isascii():
        return text
    text = _GROUPED.sub(lambda m: "".join(c for c in m[0] if c.isdecimal()), text)
    text = _MINUS_BETWEEN.sub(" minus ", text)
    text = _SUPERSCRIPT.sub(_expand_superscript, _FOOTNOTE.sub("", text))
    text = _OHM.sub(r"\1\2ohm", _MICRO.sub(_expand_micro, text))
    text = _ANGSTROM.sub(" angstrom", text.replace("M☉", " solar masses "))
    text = _GREEK_LETTER.sub(_name_greek, text)
    text = _BULLET_START.sub(r"\1", _TIMES_DOT.sub(" times ", text))
    text = _BULLET.sub(lambda m: ", " if m[1].isalnum() else " ", text)
    return _DOUBLE_SECTION.sub(" sections ", text).translate(_WORDS)


def _expand_micro(match: re.Match[str]) -> str:
    """After a number or a slash, the symbol mc for the table of units. Otherwise (the µm scale) words."""
    before = match.string[max(0, match.start() - 2) : match.start()].rstrip(" -")
    if before and (before[-1].isdecimal() or before[-1] == "/"):
        return f"mc{match[1]}"
    return f"micro{_MICRO_UNITS[match[1]]}"


def _name_greek(match: re.Match[str]) -> str:
    before, after = match.string[max(0, match.start() - 1) : match.start()], match.string[match.end() : match.end() + 1]
    return f"{' ' * before.isalnum()}{_GREEK[match[0]]}{' ' * after.isalnum()}"


def _expand_superscript(match: re.Match[str]) -> str:
    """A power. After a longer word, the number of a footnote, which is not spoken."""
    word = _WORD_BEFORE.search(match.string[max(0, match.start() - 20) : match.start()])
    if word and word[0].lower() not in _CUBED_UNITS:
        return ""
    return "^" + match[0].translate(_SUPERSCRIPTS)


# Where a pattern begins with a run of spaces, (?<!\s) keeps it from searching the rest of a long run again and again.
_AFTER_WORDS = [
    (re.compile(r"(?:(?<!\s)\s+)?%"), " percent"),
    (re.compile(r"(?:(?<!\s)\s+)?&\s*"), " and "),
    (re.compile(r"(?:(?<!\s)\s+)?@\s*"), " at "),
    (re.compile(r"(?<=[\w)])\s*=\s*(?=[\w(-])"), " equals "),
    (re.compile(r"(?<=[\w)])\s*\+\s*(?=[\w(-])"), " plus "),
    (re.compile(r"(?<=\d)\+"), " plus"),
    # Signs that remain are not spoken, but must not join the words around them.
    (re.compile(r"[/\\_|~^*<>#=]+"), " "),
    (re.compile(r"(?<! ) +(?=[,;:!?)](?:\s|$)|\.(?:\s|$))"), ""),
    (re.compile(r"(?<=\() +"), ""),
]


def expand_signs(text: str) -> str:
    """20% -> 20 percent, & -> and, @ -> at. Other signs become spaces."""
    for pattern, words in _AFTER_WORDS:
        text = pattern.sub(words, text)
    return text
