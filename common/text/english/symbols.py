"""The symbol sets of published FastPitch checkpoints, whose embeddings depend on the order, and ARPAbet."""

from __future__ import annotations

from common.text.any_language.notation import PAD, phoneme_symbols

VOWELS = frozenset("AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW".split())
CONSONANTS = frozenset("B CH D DH F G HH JH K L M N NG P R S SH T TH V W Y Z ZH".split())


def _list_phonemes() -> tuple[str, ...]:
    names: list[str] = []
    for name in sorted(VOWELS | CONSONANTS):
        names.append(name)
        if name in VOWELS:  # without a stress mark, unstressed, primary stress, secondary stress
            names += [f"{name}{stress}" for stress in "012"]
    return tuple(names)


PHONEMES = _list_phonemes()

_ARPABET = tuple(phoneme_symbols(PHONEMES))
_LOWER = "abcdefghijklmnopqrstuvwxyz"
_LETTERS = _LOWER.upper() + _LOWER

SYMBOL_SETS: dict[str, tuple[str, ...]] = {
    "english_basic": (*PAD, *"-", *"!'(),.:;? ", *_LETTERS, *_ARPABET),
    "english_basic_lowercase": (*PAD, *"-", *"!'\"(),.:;? ", *_LOWER, *_ARPABET),
    # The only set whose padding symbol is not the first.
    "english_expanded": (*"!'\",.:;? ", *"#%&*+-/[]()", *"_@©°½—₩€$", *"áçéêëñöøćž", *_LETTERS, *_ARPABET),
}
