"""Clean texts of what nobody says: marks of subtitles, names of speakers, descriptions of sounds, line ends, bars."""

from __future__ import annotations

import html
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

# Invisible characters and marks of subtitles that hold no words: <i>, <c.yellow>, <v Anna>, <00:00:01.500>, {\an8}.
_MARKS = re.compile(r"</?[A-Za-z][^<>]*>|<[\d:.,]+>|\{\\[^{}]*\}")
_BRACKETS = re.compile(r"\[[^\][]*\]:?")
_SOUNDS = (
    "laugh chuckl giggl music song sing appla cheer sigh cough sneez inaudible unintelligible indistinct silence noise "
    "sound pause breath inhal exhal gasp scream sob crying whistl hum crowd audience clap knock ring bell door phone "
    "static beep buzz thunder footsteps clears"
)
# At most five words in round brackets, one of which names a sound: (laughs), (soft music playing).
_SOUND = re.compile(rf"\((?:[^()\s]+\s+){{0,4}}?(?:{'|'.join(_SOUNDS.split())})[^()\s]*(?:\s+[^()\s]+){{0,4}}\)", re.I)
_CAPITALS_LABEL = re.compile(r"(?:>>+\s*)?(?:[A-Z][A-Z .'\-]{0,30}[A-Z.]|SPEAKER[ _]?\d+|Speaker[ _]?\d+)\s*\d*:\s+")
_NAME_LABEL = re.compile(r"([A-Z][\w'\-]+(?: [A-Z][\w'.\-]+){0,2}):\s+")
_TURN = re.compile(r"(?:>>+|[-\u2013\u2014](?!\d))\s*(?=\S)")


def clean_text(text: str) -> str:
    """Return a text on one line, without bars and invisible characters."""
    text = "".join(" " if char.isspace() or char == "|" else char for char in text)
    visible = (char for char in text if unicodedata.category(char) not in ("Cc", "Cf", "Co", "Cs"))
    return " ".join("".join(visible).split())


def clean_recognised(text: str) -> str:
    """Clean a recogniser's text, which also names sounds, as in `[Music]` or `(laughs)`."""
    if any(note in text for note in "\u266a\u266b"):
        return ""
    return clean_text(_SOUND.sub(" ", _BRACKETS.sub(" ", text)))


def clean_cues(texts: Sequence[str]) -> list[str]:
    """Clean the texts of a file of subtitles, each of one or more lines. Texts without words become "".

    Names before a colon are removed if they are in capitals, or if the file has them at least twice: then they are
    names of speakers.
    """
    plain = [_MARKS.sub("", html.unescape(text)) for text in texts]
    starts = (match[1] for text in plain for line in text.split("\n") if (match := _NAME_LABEL.match(_no_turn(line))))
    names = {name for name, count in Counter(starts).items() if count > 1}
    return [_clean_cue(text, names) for text in plain]


def _clean_cue(text: str, names: set[str]) -> str:
    if "\u266a" in text or "\u266b" in text or text.strip().startswith("#"):  # is sung
        return ""
    text = _SOUND.sub(" ", _BRACKETS.sub(" ", text))
    lines = [_no_label(_no_turn(line), names) for line in text.split("\n")]
    cleaned = clean_text(" ".join(lines))
    if re.fullmatch(r"\([^()]*\)", cleaned) or not any(map(str.isalnum, cleaned)):
        return ""
    return cleaned


def _no_turn(line: str) -> str:
    """Remove the dash or the arrows before a speaker's turn."""
    line = line.strip()
    return line[match.end() :] if (match := _TURN.match(line)) else line


def _no_label(line: str, names: set[str]) -> str:
    if match := _CAPITALS_LABEL.match(line):
        return line[match.end() :]
    match = _NAME_LABEL.match(line)
    return line[match.end() :] if match and match[1] in names else line
