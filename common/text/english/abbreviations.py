"""Abbreviations, signs, and acronyms, written out as they are spoken.

To add an abbreviation, add it to one of the tables below. They also decide where sentences end.
"""

from __future__ import annotations

import re

# Each table contains abbreviations in lower case, without their full stop.
# Before names:
_TITLES = {
    # The published models were trained with "misess", but the dictionary has "missus".
    "mrs": "missus",
    "ms": "miss",
    "mr": "mister",
    "messrs": "messieurs",
    "dr": "doctor",
    "drs": "doctors",
    "prof": "professor",
    "rev": "reverend",
    "hon": "honorable",
    "maj": "major",
    "gen": "general",
    "lt": "lieutenant",
    "sgt": "sergeant",
    "capt": "captain",
    "col": "colonel",
    "sen": "senator",
    "gov": "governor",
    "mt": "mount",
}
# After names, and anywhere in a text:
_COMMON = {
    "co": "company",
    "bros": "brothers",
    "corp": "corporation",
    "inc": "incorporated",
    "ltd": "limited",
    "jr": "junior",
    "sr": "senior",
    "esq": "esquire",
    "etc": "et cetera",
    "dept": "department",
    "approx": "approximately",
    "vs": "versus",
}
_STREETS = {"st": "street", "ave": "avenue", "blvd": "boulevard", "rd": "road"}  # after names
_PLACES = {"st": "saint", "ft": "fort"}  # before names
_BEFORE_NUMBERS = {
    "vol": "volume",
    "vols": "volumes",
    "chap": "chapter",
    "ch": "chapter",
    "fig": "figure",
    "figs": "figures",
    "p": "page",
    "pp": "pages",
}
# Not written out, but their full stop does not end a sentence:
_UNCHANGED = frozenset("cpt cmdr rep ste mme mlle mgr ca cf al".split())
_UNCHANGED_BEFORE_NUMBERS = frozenset("sec art op".split())
_MAY_PRECEDE_SENTENCE = frozenset({"etc"})

# Some of these may end a sentence ("the Smith Co. He left"), but a missed end costs little.
NOT_SENTENCE_ENDS = frozenset({*_TITLES, *_COMMON, *_STREETS, *_PLACES, *_UNCHANGED}) - _MAY_PRECEDE_SENTENCE
NOT_SENTENCE_ENDS_BEFORE_NUMBERS = frozenset({"no", "nos", *_BEFORE_NUMBERS, *_UNCHANGED_BEFORE_NUMBERS})


def _compile_abbreviations(words: dict[str, str]) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w.'])({'|'.join(words)})\.(?!\w)", re.IGNORECASE)


# "He said no. I left.": a single I is a numeral only after the other abbreviations.
_NUMERAL = r"(?=#?\d|[A-Z]{1,4}\d|(?-i:[IVXLC]{2,}\b(?!\.\w)))"
_BEFORE_NUMBER = re.compile(
    rf"(?<![\w.'])(?:(nos?)\.\s*{_NUMERAL}|({'|'.join(_BEFORE_NUMBERS)})\.\s*(?:{_NUMERAL}|(?=(?-i:[IVX])\b)))"
    r"|(?<![\w#])#\s?(?=\d)",
    re.IGNORECASE,
)
_TITLE = _compile_abbreviations(_TITLES)
_BARE_TITLE = re.compile(r"\b(Mrs|Mr|Messrs|Dr|Drs)\b(?!\.)(?=\s+[A-Z])")
_COMMON_STOP = _compile_abbreviations(_COMMON)
_STREET = _compile_abbreviations({**_STREETS, **_PLACES})
_NAME_BEFORE = re.compile(r"(?:\b[A-Z][\w']*|\d(?:st|nd|rd|th))[ ]$")
_NAME_AFTER = re.compile(
    r"\s+(?!(?:He|She|It|They|We|I|You|The|A|An|This|That|There|But|And|In|On|At|When|His|Her)\b)[A-Z]"
)
_CLOSING = re.compile(r"[\s\"')\]]*\Z")
_NEW_SENTENCE = re.compile(r"\s+[A-Z]")

_SIGNS = [
    (re.compile(r"\s*%"), " percent"),
    (re.compile(r"\s*&\s*"), " and "),
    (re.compile(r"\s*@\s*"), " at "),
    (re.compile(r"(?<=[\w)])\s*=\s*(?=[\w(-])"), " equals "),
    (re.compile(r"(?<=[\w)])\s*\+\s*(?=[\w(-])"), " plus "),
    (re.compile(r"(?<=\d)\+"), " plus"),
]
_DOMAIN = re.compile(r"(?<=[A-Za-z\d])\.(com|gov|org|net|edu)\b(?!\.?[A-Z\d])", re.IGNORECASE)
_WWW = re.compile(r"\b(?:https?://)?www\.(?=\w)|\bhttps?://(?=\w)", re.IGNORECASE)

_ACRONYM = re.compile(r"(?<!\w)(?<!\w')([A-Z]{2,})('?s)?(?!\w|'[A-Z])")
_SHOUTED = re.compile(r"\b(?:(?:[A-Z]{2,}|[AI])[ ]){2,}(?:[A-Z]{2,}|[AI])\b")
_FUNCTION_WORDS = frozenset(
    "A AND ARE AS AT BY FOR FROM HE I IN IS IT NO NOT OF ON OR THE THIS TO WAS WE WITH YOU".split()
)
# Longer runs of capitals are ordinary words, not acronyms.
_LONGEST_ACRONYM = 6
_SPOKEN_AS_WORDS = frozenset(
    "AIDS ASAP COVID GIF LASER LEGO NAFTA NASA NASDAQ NATO OPEC RADAR RAM SARS SCUBA SONAR SWAT UNESCO UNICEF".split()
)
_SPELT_IN_PART = {"NVIDIA": "N.VIDIA"}
_EMAIL = re.compile(r"\b(e)(?=mail(?:s|ed|ing)?\b)", re.IGNORECASE)


def expand_web(text: str) -> str:
    """name.com -> name dot com."""
    return _DOMAIN.sub(r" dot \1", _WWW.sub("", text))


def expand_signs(text: str) -> str:
    """20% -> 20 percent, & -> and, @ -> at. Between words or numbers also = -> equals and + -> plus."""
    for pattern, words in _SIGNS:
        text = pattern.sub(words, text)
    return text


def expand_abbreviations(text: str) -> str:
    """Dr. Smith -> doctor Smith, No. 5 -> number 5, 12 Baker St. in -> 12 Baker street in, St. Paul -> saint Paul."""
    text = _BEFORE_NUMBER.sub(_expand_before_number, text)
    text = _TITLE.sub(lambda m: _TITLES[m[1].lower()], text)
    text = _BARE_TITLE.sub(lambda m: _TITLES[m[1].lower()], text)
    text = _COMMON_STOP.sub(_expand_common, text)
    return _STREET.sub(_expand_street, text)


def _expand_before_number(match: re.Match[str]) -> str:
    if match[2]:
        return f"{_BEFORE_NUMBERS[match[2].lower()]} "
    return "numbers " if (match[1] or "").lower() == "nos" else "number "


def _expand_common(match: re.Match[str]) -> str:
    """Expand an abbreviation. Keep the full stop at the end of the text, and after `etc.` if a new sentence begins."""
    short = match[1].lower()
    words = _COMMON[short]
    stop = _CLOSING.match(match.string, match.end())
    if not stop and short in _MAY_PRECEDE_SENTENCE:
        stop = _NEW_SENTENCE.match(match.string, match.end())
    return words + "." if stop else words


def _expand_street(match: re.Match[str]) -> str:
    short = match[1].lower()
    before = match.string[max(0, match.start() - 40) : match.start()]
    if short == "ft":
        return _PLACES[short] if _NAME_AFTER.match(match.string, match.end()) else "feet"
    is_street = _NAME_BEFORE.search(before) and not _NAME_AFTER.match(match.string, match.end())
    if not is_street:
        return _PLACES.get(short, match[0])
    ends = _CLOSING.match(match.string, match.end()) or _NEW_SENTENCE.match(match.string, match.end())
    return _STREETS[short] + ("." if ends else "")


def spell_acronyms(text: str) -> str:
    """BBC -> B.B.C., TVs -> T.V.'s. Several words in capitals are emphasis and become lower case."""
    text = _SHOUTED.sub(_lower_emphasis, text)
    return _EMAIL.sub(r"\1-", _ACRONYM.sub(_spell_acronym, text))


def _lower_emphasis(match: re.Match[str]) -> str:
    words = match[0].split(" ")
    return match[0].lower() if len(words) > 3 or not _FUNCTION_WORDS.isdisjoint(words) else match[0]


def _spell_acronym(match: re.Match[str]) -> str:
    letters, ending = match[1], match[2] or ""
    if letters in _SPOKEN_AS_WORDS or len(letters) > _LONGEST_ACRONYM:
        return letters.lower() + ending
    if letters in _SPELT_IN_PART:
        return _SPELT_IN_PART[letters] + ending
    # An apostrophe separates the ending. A following full stop is not doubled.
    stop = "" if not ending and match.string.startswith(".", match.end()) else "."
    return ".".join(letters) + stop + (f"'{ending.lstrip(chr(39))}" if ending else "")
