"""Word errors: which words of a text are missing, added or replaced in what a listener understood."""

from __future__ import annotations

import dataclasses
import functools
import re
from typing import Any

LEGEND = "[-missing-], {+added+}, [-replaced-]{+by+}"
_MARK = re.compile(r"(\[-.+?-\]|\{\+.+?\+\})")


@dataclasses.dataclass(frozen=True)
class WordErrors:
    """The comparison of a text with what was understood.

    Attributes:
        reference: the normalised words of the text, separated by spaces.
        hypothesis: the normalised words that were understood, likewise.
        substitutions: number of words understood as another word.
        deletions: number of words that are missing.
        insertions: number of words that were added.
        marked: the text with its errors: as in `LEGEND`.
    """

    reference: str
    hypothesis: str
    substitutions: int
    deletions: int
    insertions: int
    marked: str

    @property
    def words(self) -> int:
        """Number of words of the text."""
        return len(self.reference.split())

    @property
    def errors(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Errors per word of the text. It can exceed 1."""
        return self.errors / self.words


def split_marks(marked: str) -> list[str]:
    """Split a text with marks into unmarked stretches (possibly empty) and marks `[-...-]` or `{+...+}`, in turn."""
    return _MARK.split(marked)


def normalise_words(text: str) -> str:
    """Return a text in lower case without punctuation, with numbers in digits, British spelling replaced and so on.

    It is the normaliser of Radford et al. 2022 (arXiv:2212.04356, appendix C), so that two spellings of a word count
    as the same.
    """
    words = _normaliser()(text).split()
    return " ".join(word for word in words if any(map(str.isalnum, word)))


@functools.cache
def _normaliser() -> Any:
    from whisper_normalizer.english import EnglishTextNormalizer

    return EnglishTextNormalizer()


def compare_words(text: str, understood: str) -> WordErrors:
    """Normalise both and align them with the fewest errors (Levenshtein distance of words).

    Raises:
        ValueError: no word of the text is left after normalisation.
    """
    import jiwer

    reference, hypothesis = normalise_words(text), normalise_words(understood)
    if not reference:
        raise ValueError("the text has no words")
    found = jiwer.process_words(reference, hypothesis)
    old, new = reference.split(), hypothesis.split()
    marked: list[str] = []
    for part in found.alignments[0]:
        before = " ".join(old[part.ref_start_idx : part.ref_end_idx])
        after = " ".join(new[part.hyp_start_idx : part.hyp_end_idx])
        if part.type == "equal":
            marked.append(before)
        else:
            marked.append((f"[-{before}-]" if before else "") + (f"{{+{after}+}}" if after else ""))
    return WordErrors(reference, hypothesis, found.substitutions, found.deletions, found.insertions, " ".join(marked))
