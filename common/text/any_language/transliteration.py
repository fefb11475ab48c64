"""Transliterate any script to ASCII: drop accents, expand ligatures, and replace typographic marks."""

from __future__ import annotations

import unicodedata

# Replaced before Unicode's compatibility forms, which would turn 2½ into 21/2 and ™ into TM.
_MARKS = str.maketrans(
    {
        **dict.fromkeys("‘’‚‛′ʼ´`", "'"),
        **dict.fromkeys("“”„‟″«»", '"'),
        **dict.fromkeys("‐‑‒–−", "-"),
        **dict.fromkeys("—―", " -- "),
        "™": "",
        "№": "No. ",
        "⁄": "/",
        **{character: f" {character}" for character in "½¼¾⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"},
    }
)
_SLASH = str.maketrans({"⁄": "/"})


def to_ascii(text: str) -> str:
    """Spell letters, digits, and marks of any script in ASCII. Signs without a reading (£, emoji) stay.

    Later rules read some of these signs, and the encoder's warning names the others.
    """
    if text.isascii():
        return _plain(text)
    text = unicodedata.normalize("NFKC", text.translate(_MARKS)).translate(_SLASH)
    return _plain("".join(c if c.isascii() else _spell(c) for c in text))


def _spell(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cf":  # soft hyphens, joiners, marks of direction
        return ""
    if category[0] not in "LMNPZ":
        return character
    # Imported here, because most text is ASCII. Chosen over unidecode, which is GPL.
    from anyascii import anyascii

    spelling = anyascii(character)
    return spelling if spelling or category[0] == "M" else character


def _plain(text: str) -> str:
    """Replace grave accents, which serve as quotation marks, and control characters."""
    text = text.replace("`", "'")
    return text if text.isprintable() else "".join(" " if unicodedata.category(c) == "Cc" else c for c in text)
