"""Read text files that people write: any line ends, byte order marks, and the encodings of Windows."""

from __future__ import annotations

import codecs
import logging
import string
from pathlib import Path

from common.errors import InputError
from common.files.bounded.regular_files import read_bounded

log = logging.getLogger(__name__)

LARGEST_BYTES = 128 * 2**20  # a file list of a million clips has 100 MB
LONGEST_LINE = 300_000  # characters; a chapter of a book has 30,000, and reading takes a kilobyte for each
MOST_FOREIGN = 1 / 3  # share of a western text's letters that are not ASCII
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_guessed: set[Path] = set()  # files whose guessed encoding was named


def read_lines(path: str | Path) -> list[str]:
    """Read the lines of a text file with any line ends, without byte order marks.

    The encoding is UTF-8, or UTF-16 or UTF-32 if the file begins with their mark. Else it is guessed, which one line in
    the log says: UTF-16, or Windows' western code page 1252. `str.splitlines` would also split at other characters that
    web texts contain, such as U+2028.

    Raises:
        FileNotFoundError: no such file.
        InputError: not a text file, of another encoding, larger than 128 MB, or with a line of 300,000 characters.
    """
    path = Path(path)
    text = _decode(path, read_bounded(path, LARGEST_BYTES, "a list of texts or files"))
    if "\0" in text:
        number = text[: text.index("\0")].count("\n") + 1
        raise InputError(f"{path}: not a text file: line {number} has a zero byte")
    # Marks also stand inside, where files were joined.
    lines = text.replace("\ufeff", "").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    longest = max(range(len(lines)), key=lambda index: len(lines[index]))
    if len(lines[longest]) > LONGEST_LINE:
        raise InputError(f"{path}: line {longest + 1} has {len(lines[longest]):,} characters; split it into lines")
    return lines


def _decode(path: Path, content: bytes) -> str:
    marked = next((encoding for mark, encoding in _MARKS if content.startswith(mark)), "")
    encoding = marked or "utf-8"
    try:
        if marked or content.count(0) < len(content) / 4:
            return content.decode(encoding)
    except UnicodeDecodeError as error:
        if marked:
            raise InputError(f"{path}: not a text file: it begins like {marked.upper()}, but is not") from error
    encoding = _guess(content)
    try:
        text = content.decode(encoding)
    except (UnicodeDecodeError, LookupError) as error:
        raise InputError(f"{path}: not a UTF-8 text file; save it as UTF-8") from error
    if path not in _guessed:
        _guessed.add(path)
        log.warning("%s: not UTF-8; read as %s, a guess: if letters are wrong, save it as UTF-8", path, encoding)
    return text


def _guess(content: bytes) -> str:
    """Return the probable encoding of bytes that are not UTF-8, or "" if there is none."""
    if b"\0" in content:  # as every second byte of ASCII characters in UTF-16
        even, odd = content[::2].count(0), content[1::2].count(0)
        if len(content) % 2 == 0 and min(even, odd) == 0:
            return "utf-16-le" if odd else "utf-16-be"
        return ""
    letters = len(content) - len(content.translate(None, string.ascii_letters.encode()))
    foreign = len(content) - len(content.translate(None, bytes(range(128, 256))))
    # In other code pages, such as those of Cyrillic, most letters are not ASCII.
    return "cp1252" if foreign <= MOST_FOREIGN * (letters + foreign) else ""
