"""Where a long text may be cut into pieces that are spoken one after the other."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence

from common.text.cleaners import collapse_space
from common.text.english.pronunciations import NOTATION

Span = tuple[int, int]  # start and end in the text; spaces after the words belong to the span

# With a full stop these do not end a sentence. Some may ("the Smith Co. He left"), but a cut missed costs little.
_ABBREVIATIONS = frozenset(
    """
    mr mrs ms messrs dr drs prof rev hon maj gen lt sgt capt cpt col cmdr sen gov rep mt st ste ft mme mlle mgr
    vs approx ca cf al co bros corp inc ltd jr sr esq dept ave blvd rd
    """.split()
)
_BEFORE_NUMBERS = frozenset(
    "no nos vol vols chap ch fig figs p pp sec art op jan feb mar apr jun jul aug sep sept oct nov dec".split()
)
_CLOSING = r"[\"'”’»)\]]*"
_END = re.compile(rf"[.!?…]+{_CLOSING}\s+")
_CLAUSE = re.compile(rf"[,;:!?…]+{_CLOSING}\s+|\s*(?:--+|[—–])\s*|\s-\s+|[)\]]\s+")
_SPACE = re.compile(r"\s+")
_LAST_WORD = re.compile(r"[\w.'’-]*$")
_OPENING = re.compile(r"[\"'“‘«(\[]*")


def split_text(text: str, max_characters: int) -> list[str]:
    """Cuts a text into pieces of at most `max_characters`, each as long as possible.

    Cuts are made at ends of sentences; inside a longer sentence after punctuation, else between words, and only
    in a word that is longer still between letters. A {pronunciation} in braces is never cut, however long.

    Args:
        text: on one line or several.
        max_characters: 1 or more, spaces at the ends of a piece not counted.

    Returns:
        the pieces in order, without spaces around them; together they are the text. Empty for a blank text.
    """
    text = collapse_space(text).strip()
    # Boundaries are looked for where each pronunciation is a word of as many capitals: no spaces, no punctuation.
    shadow = NOTATION.sub(lambda match: "X" * len(match[0]), text)
    finer: list[Callable[[Span], list[Span]]] = [
        lambda span: _cut(span, _ends(_CLAUSE, shadow, span)),
        lambda span: _cut(span, _ends(_SPACE, shadow, span)),
        lambda span: _cut(span, _letters(text, span, max_characters)),
    ]
    whole = (0, len(text))
    sentences = _cut(whole, [cut for cut in _ends(_END, shadow, whole) if _is_end(shadow, cut)])
    pieces = (text[start:end].strip() for start, end in _packed(text, sentences, max_characters, finer))
    return [piece for piece in pieces if piece]


def _ends(pattern: re.Pattern[str], shadow: str, span: Span) -> list[int]:
    return [match.end() for match in pattern.finditer(shadow, *span)]


def _cut(span: Span, cuts: Sequence[int]) -> list[Span]:
    places = [span[0], *sorted({cut for cut in cuts if span[0] < cut < span[1]}), span[1]]
    return list(itertools.pairwise(places))


def _is_end(shadow: str, cut: int) -> bool:
    """Whether a sentence ends before `cut`, where punctuation and spaces have been passed."""
    opening = _OPENING.match(shadow, cut)
    following = shadow[opening.end() if opening else cut :][:1]
    if following.islower():  # "Why?" he asked; approx. half
        return False
    before = shadow[max(0, cut - 40) : cut].rstrip().rstrip("\"'”’»)]")
    if not before.endswith(".") or before.endswith(".."):
        return True
    found = _LAST_WORD.search(before[:-1])
    word = found[0].lower() if found else ""
    if word in _BEFORE_NUMBERS:
        return not following.isdecimal()
    is_initial = len(word) == 1 and word.isalpha()  # J. F. Kennedy
    is_dotted = re.fullmatch(r"(?:[a-z]\.)+[a-z]", word) is not None  # U.S., a.m.
    return not (word in _ABBREVIATIONS or is_initial or is_dotted)


def _letters(text: str, span: Span, size: int) -> list[int]:
    """Cuts of a single word that is too long: every `size` characters, but not inside a pronunciation."""
    cuts, place = [], span[0]
    for match in NOTATION.finditer(text, *span):
        cuts += [*range(place, match.start(), size), match.start(), match.end()]
        place = match.end()
    return cuts + list(range(place, span[1], size))


def _packed(text: str, spans: Sequence[Span], limit: int, finer: Sequence[Callable[[Span], list[Span]]]) -> list[Span]:
    """Joins neighbouring spans as far as `limit` allows; longer ones are cut by the first of `finer`, and so on."""
    packed: list[Span] = []
    joinable = False  # the parts of a long span keep apart from what is beside it
    for span in spans:
        if _length(text, span) > limit and finer:
            packed += _packed(text, finer[0](span), limit, finer[1:])
            joinable = False
        elif joinable and _length(text, (packed[-1][0], span[1])) <= limit:
            packed[-1] = (packed[-1][0], span[1])
        else:
            packed.append(span)
            joinable = True
    return packed


def _length(text: str, span: Span) -> int:
    return len(text[slice(*span)].strip())
