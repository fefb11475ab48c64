"""What a model can read: the symbol sets of published FastPitch checkpoints, whose embeddings depend on the order."""

from __future__ import annotations

from common.errors import InputError

PAD = "_"
VOWELS = frozenset("AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW".split())
CONSONANTS = frozenset("B CH D DH F G HH JH K L M N NG P R S SH T TH V W Y Z ZH".split())


def _phonemes() -> tuple[str, ...]:
    names: list[str] = []
    for name in sorted(VOWELS | CONSONANTS):
        names.append(name)
        if name in VOWELS:  # without stress, unstressed, primary and secondary stress
            names += [f"{name}{stress}" for stress in "012"]
    return tuple(names)


PHONEMES = _phonemes()

# "@" keeps the phoneme B apart from the letter B.
_ARPABET = tuple(f"@{phoneme}" for phoneme in PHONEMES)
_LOWER = "abcdefghijklmnopqrstuvwxyz"
_LETTERS = _LOWER.upper() + _LOWER

SYMBOL_SETS: dict[str, tuple[str, ...]] = {
    "english_basic": (*PAD, *"-", *"!'(),.:;? ", *_LETTERS, *_ARPABET),
    "english_basic_lowercase": (*PAD, *"-", *"!'\"(),.:;? ", *_LOWER, *_ARPABET),
    # The one set whose padding symbol is not the first.
    "english_expanded": (*"!'\",.:;? ", *"#%&*+-/[]()", *"_@©°½—₩€$", *"áçéêëñöøćž", *_LETTERS, *_ARPABET),
}


def symbols_of(symbol_set: str) -> tuple[str, ...]:
    """The symbols of a set; a symbol's id is its position.

    Raises:
        InputError: no set of this name.
    """
    if symbol_set not in SYMBOL_SETS:
        raise InputError(f"unknown symbol set {symbol_set!r}; choose among {', '.join(SYMBOL_SETS)}")
    return SYMBOL_SETS[symbol_set]
