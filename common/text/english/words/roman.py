"""Roman numerals. The word before decides: Henry VIII is "the eighth", Part IV is "four", an IV drip is letters."""

from __future__ import annotations

import re

from common.text.english.figures.number_words import ordinal

_NUMERAL = r"(?=[MDCLXVI])M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})"
# Two or more letters that form a numeral, except capitals that are more often an abbreviation or a word.
_ROMAN = re.compile(rf"(?<![\w.])(?=[MDCLXVI]{{2,15}}\b){_NUMERAL}(?!\w|[’'](?!s\b)|-[A-Z])")
_NOT_ROMAN = frozenset(
    "CC CD CI CIV CL CM CV DC DI DIM DIV DIX DL DM DVI DX LI LIV LV MC MCI MD MDI MI MIX ML MM MV XL".split()
)
_VALUES = {"M": 1000, "D": 500, "C": 100, "L": 50, "X": 10, "V": 5, "I": 1}

_MONARCHS = (
    "Adrian Albert Alexander Alexandra Alfonso Alfred Amenhotep Anne Antiochus August Augustus Baldwin Benedict "
    "Boniface Casimir Catherine Charles Christian Christina Clement Constantine Darius David Edgar Edmund Edward "
    "Elizabeth Emmanuel Eugene Ferdinand Francis Franz Frederick George Gregory Gustav Haakon Harald Henri Henry "
    "Honorius Innocent Isabella Ivan James Jean Joan Joao John Jordan Joseph Juan Julius Leo Leopold Louis Ludwig "
    "Malcolm Margaret Maria Mary Maximilian Mehmed Michael Muhammad Murad Napoleon Nicholas Olaf Oscar Otto Paul "
    "Peter Philip Philippe Pius Ptolemy Ramesses Ramses Richard Robert Rudolf Rudolph Selim Sigismund Sixtus Stephen "
    "Thutmose Umberto Urban Victor Victoria Vittorio Wilhelm Willem William Xerxes"
).split()
_SURNAMES = "Ford|Rockefeller|Getty|Vanderbilt|Morgan|Kennedy|Carnegie|Jones|Smith|Brown|Johnson|Davis|Williams"
_REGNAL = re.compile(
    rf"(?<!\d )(?<!\w)((?:{'|'.join(_MONARCHS)})(?:\s(?:{_SURNAMES}))?)\s({_NUMERAL})(?!\w|\.\w|[’'](?!s\b))"
)
_NUMBERED = (
    "Act Part Type Phase Chapter Book Volume Class Stage Grade Level Category Title Article Section Figure Table War "
    "Bowl Mark Season Episode Scene Canto Schedule Appendix Group Division Tier Series Fantasy Wars Rocky Rambo "
    "Factor Tome Theorem Proposition Lemma Game Form Unit Lesson Vol Apollo Gemini Saturn Titan Schedule Annex "
    "Exhibit Step Round Vatican Model Punic Crusade Symphony Sonata Quartet Psalm Vol. Pt. Sec. Ch."
).split()
# In lower case too: "volume I", but not "the part I played".
_NUMBERED_IN_LOWER = "volume|chapter|section|article|act|scene|phase|stage|appendix|annex|canto|page|figure|table|title"
_SINGLE = re.compile(
    rf"(?<!\w)({'|'.join(map(re.escape, _NUMBERED))}|{_NUMBERED_IN_LOWER})\s([IVX])"
    r"(?=[,.;:!?)\"'\s-]|$)(?![’'](?!s\b))(?!\.\s?[A-Z]\.)"
)
_NO_SINGLE = frozenset({("Model", "X"), ("Factor", "X"), ("Series", "X"), ("Model", "I"), ("Game", "I"), ("Form", "X")})
# "Rocky V", "Civilization V", but not "Malcolm X", and no initial before a full stop.
_TITLE_V = re.compile(r"(?<=[a-z] )V(?=[,;:!?)\s]|\.?$)(?!\.? [A-Z])(?!\s(?:neck|shape|sign)\b)")
_TITLE_BEFORE = re.compile(r"(?:^|\W)[A-Z][a-z']+ $")
_VERB_AFTER = re.compile(
    r"\s(?:am|was|have|had|think|thought|know|knew|will|would|can|could|do|did|saw|want|wanted|must|should|never|also|"
    r"say|said|met|went|came|found|believe|felt|live|loved?|like|made|need|play(?:ed)?)\b"
)
_NUMBERED_BEFORE = re.compile(
    r"\b(?:Bowl|Part|Chapter|Volume|Book|Article|Title|Psalm|Canto|chapter|volume|article)\s$"
)
_PRONOUN_AFTER = re.compile(r"\s(?:am|think|know|want|love|believe|hope|guess|mean|wish)\b")
_INTRAVENOUS = re.compile(
    r"(?<![A-Z])(?<!\w)IV(?=\s(?:drip|fluids?|lines?|therapy|antibiotics?|bags?|poles?|needles?|injections?|infusions?|push|access|medications?|drugs?|treatment)\b)"
)
_LOWER_BEFORE = re.compile(
    rf"(?:^|\s)(?!(?:{_NUMBERED_IN_LOWER}|part|type|grade|level|book|class|group|war)\s)(?:[a-z]+|An?|The)\s$"
)
_ORDINAL_AFTER = re.compile(
    r"(?=[’']?\s(?:century|centuries|Century|dynasty|Dynasty|Olympiad|Olympics|Olympic|Congress|Corps|Amendment|Army|Legion)\b)"
)


def expand_roman(text: str) -> str:
    """Henry VIII -> Henry the eighth, Part X -> Part 10, XIX century -> nineteenth century, II -> 2."""
    text = _INTRAVENOUS.sub("I.V.", text)
    text = _REGNAL.sub(_expand_regnal, text)
    text = _SINGLE.sub(_expand_single, text)
    text = _TITLE_V.sub(_expand_title, text)
    return _ROMAN.sub(_expand_numeral, text)


def _value(numeral: str) -> int:
    values = [_VALUES[letter] for letter in numeral]
    return sum(-v if v < after else v for v, after in zip(values, [*values[1:], 0], strict=True))


def _expand_regnal(match: re.Match[str]) -> str:
    name, numeral = match.groups()
    text, end = match.string, match.end()
    if len(numeral) == 1 and re.match(r"\s[A-Z][a-z]", text[end : end + 3]):  # Robert I Bouck
        return match[0]
    if len(numeral) == 1 and (_PRONOUN_AFTER.match(text, end) or (name in ("Malcolm",) and numeral == "X")):
        return match[0]
    # "John V. Smith" has an initial; "by George III. from the pit" a numeral with a full stop, as printers set it.
    if text.startswith(".", end) and len(numeral) == 1 and re.match(r"\.\s[A-Z]", text[end : end + 3]):
        return match[0]
    if _value(numeral) > 40 or numeral in ("MC", "MD", "DC", "CD"):
        return match[0]
    return f"{name} the {ordinal(_value(numeral))}"


def _expand_single(match: re.Match[str]) -> str:
    word, numeral = match.groups()
    if word.islower() and numeral == "I" and match.string[match.end() : match.end() + 1].isspace():
        return match[0]  # "the volume I brought"
    if (word, numeral) in _NO_SINGLE or (numeral == "I" and _VERB_AFTER.match(match.string, match.end())):
        return match[0]
    return f"{word} {_value(numeral)}"


def _expand_title(match: re.Match[str]) -> str:
    return "5" if _TITLE_BEFORE.search(match.string[max(0, match.start() - 24) : match.start()]) else match[0]


def _expand_numeral(match: re.Match[str]) -> str:
    numeral = match[0]
    before = match.string[max(0, match.start() - 24) : match.start()]
    if numeral in _NOT_ROMAN and not _NUMBERED_BEFORE.search(before):
        return numeral
    if numeral == "IV" and _LOWER_BEFORE.search(before):
        return "I.V."
    value = _value(numeral)
    return ordinal(value) if _ORDINAL_AFTER.match(match.string, match.end()) else str(value)
