"""Own words beside a dictionary: a file of pronunciations, which win over the dictionary."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from common.errors import InputError
from common.files.bounded.regular_files import read_bounded

LARGEST_BYTES = 4 * 2**20  # the whole CMU dictionary, which is given otherwise, has 3.7
MOST_WORDS = 20_000  # each is also cleaned: 0.2 ms
_VARIANT = re.compile(r"\(\d+\)$")
ParsePhonemes = Callable[[str], list[str] | None]


def read_own_words(path: str | Path, word: re.Pattern[str], parse_phonemes: ParsePhonemes) -> dict[str, str]:
    """Read pronunciations: word as written -> phonemes separated by spaces.

    The file has the format of the CMU dictionary: lines `WORD  P H O N E S`, comments after `;;;` or `#`, in UTF-8. If
    a word occurs several times, in whatever case, its last line wins.

    Args:
        path: the file.
        word: what a word of the language may look like.
        parse_phonemes: checks phonemes, as in `Language`.

    Raises:
        InputError: no such file, not UTF-8, or a line that is no pronunciation. The message names file and line.
    """
    try:
        content = read_bounded(path, LARGEST_BYTES, "own words; give a dictionary with --cmudict-path")
        lines = content.decode("utf-8-sig").splitlines()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file of pronunciations") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable text file in UTF-8: {error}") from error
    words: dict[str, tuple[str, str]] = {}
    written: dict[str, str] = {}  # in capitals -> as written last
    for number, line in enumerate(lines, 1):
        entry = line.partition("#")[0].strip()
        if entry and not entry.startswith(";;;"):
            name, *phonemes = entry.split(None, 1)
            name = _VARIANT.sub("", name)
            words.pop(written.get(name.upper(), ""), None)
            written[name.upper()] = name
            words[name] = (f"{path}: line {number}", "".join(phonemes))
    return check_own_words(words, word, parse_phonemes)


def check_own_words(
    words: Mapping[str, tuple[str, str]], word: re.Pattern[str], parse_phonemes: ParsePhonemes
) -> dict[str, str]:
    """Return checked pronunciations by word. `words` has the place, for messages, and phonemes of each word.

    Raises:
        InputError: a word that texts cannot contain as one word, or phonemes that the language does not know.
    """
    if len(words) > MOST_WORDS:
        place = next(iter(words.values()))[0].partition(": line")[0]
        raise InputError(f"{place}: {len(words):,} own words, at most {MOST_WORDS:,} are allowed; give a dictionary")
    checked = {}
    for name, (place, phonemes) in words.items():
        if not word.fullmatch(name):
            raise InputError(f"{place}: {name!r} is not one word of letters and apostrophes")
        try:
            parsed = parse_phonemes(phonemes)
        except InputError as error:
            raise InputError(f"{place}: {error}") from error
        if parsed is None:
            raise InputError(
                f"{place}: {phonemes.strip()!r} are not phonemes; write {name}, two spaces, and phonemes such as "
                "HH AH0 L OW1"
            )
        checked[name] = " ".join(parsed)
    return checked


def compile_words(words: Iterable[str]) -> re.Pattern[str] | None:
    """Return a pattern of these words as they are written, perhaps with 's, or None if there are none."""
    alternatives = "|".join(sorted(map(re.escape, words), key=len, reverse=True))
    return re.compile(rf"(?<![\w'{{])(?:{alternatives})(?:'s)?(?![\w}}])") if alternatives else None
