"""Any script to ASCII letters: accents dropped, ligatures spelt, typographic marks replaced by plain ones."""

from __future__ import annotations

import unicodedata

# What must be read before Unicode's own compatibility forms are: they would glue 2½ to 21/2, ™ to the word TM.
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
    """Spells letters, digits and marks of any script in ASCII; signs without a reading (£, emoji) stay as they are.

    Signs stay so that later rules can read some of them and the encoder can name the others in its warning.
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
    # Imported where needed: most text is ASCII. Chosen over unidecode, which is GPL.
    from anyascii import anyascii

    spelling = anyascii(character)
    return spelling if spelling or category[0] == "M" else character


def _plain(text: str) -> str:
    """ASCII's own oddities: the grave accent as a quotation mark, which some spellings use too; control characters."""
    text = text.replace("`", "'")
    return text if text.isprintable() else "".join(" " if unicodedata.category(c) == "Cc" else c for c in text)
