"""Abbreviations, written out as they are spoken.

To add an abbreviation, add it to one of the tables below. They also decide where sentences end.
"""

from __future__ import annotations

import re

from common.text.english.rules import ALWAYS, DIGITS, Rule, apply_rules

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
    "cpt": "captain",
    "cpl": "corporal",
    "pvt": "private",
    "cmdr": "commander",
    "adm": "admiral",
    "col": "colonel",
    "sen": "senator",
    "rep": "representative",
    "gov": "governor",
    "pres": "president",
    "supt": "superintendent",
    "insp": "inspector",
    "det": "detective",
    "fr": "father",
    "atty": "attorney",
    "amb": "ambassador",
    "mt": "mount",
    "wm": "william",
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
    "est": "estimated",
    "max": "maximum",
    "min": "minimum",
    "avg": "average",
    "temp": "temperature",
    "assn": "association",
    "assoc": "associates",
    "univ": "university",
    "govt": "government",
    "intl": "international",
    "natl": "national",
    "mfg": "manufacturing",
    "mgmt": "management",
    "misc": "miscellaneous",
    "tel": "telephone",
    "attn": "attention",
    "viz": "namely",
    "qty": "quantity",
    "incl": "including",
    "excl": "excluding",
    "cont": "continued",
    "resp": "respectively",
    "apt": "apartment",
    "ste": "suite",
    "bldg": "building",
    "jct": "junction",
    "cor": "corner",
    "cty": "county",
    "mtn": "mountain",
    "mts": "mountains",
}
_STREETS = {  # after names
    "st": "street",
    "ave": "avenue",
    "av": "avenue",
    "blvd": "boulevard",
    "rd": "road",
    "dr": "drive",
    "ln": "lane",
    "ct": "court",
    "pl": "place",
    "sq": "square",
    "pkwy": "parkway",
    "hwy": "highway",
    "expy": "expressway",
    "fwy": "freeway",
    "ter": "terrace",
    "cir": "circle",
    "trl": "trail",
    "plz": "plaza",
}
_PLACES = {"st": "saint", "ft": "fort", "mt": "mount", "pt": "point"}  # before names
_BEFORE_NUMBERS = {
    "vol": "volume",
    "vols": "volumes",
    "chap": "chapter",
    "ch": "chapter",
    "fig": "figure",
    "figs": "figures",
    "p": "page",
    "pp": "pages",
    "pg": "page",
    "sec": "section",
    "art": "article",
    "para": "paragraph",
    "col": "column",
    "cols": "columns",
    "rev": "revision",
    "ver": "version",
    "eq": "equation",
    "eqs": "equations",
    "ex": "example",
    "pt": "part",
    "ed": "edition",
    "ln": "line",
    "hwy": "highway",
    "rt": "route",
    "rte": "route",
    "apt": "apartment",
    "ste": "suite",
    "rm": "room",
    "ext": "extension",
    "tel": "telephone",
    "est": "established",
    "op": "opus",
    "ref": "reference",
}
# After an ordinal:
_AFTER_ORDINAL = {
    "gen": "generation",
    "ed": "edition",
    "edn": "edition",
    "cent": "century",
    "fl": "floor",
    "min": "minute",
    "cir": "circuit",
}
# Not written out, but their full stop does not end a sentence:
_UNCHANGED = frozenset("mme mlle mgr ca cf al".split())
_UNCHANGED_BEFORE_NUMBERS = frozenset("c".split())
_MAY_PRECEDE_SENTENCE = frozenset({"etc"})

# The full stop of these more often ends a sentence, or they are also words.
_OFTEN_LAST = frozenset("min max ct pl sq av ter pt temp ln cont resp tel apt est".split())
# Some of these may end a sentence ("the Smith Co. He left"), but a missed end costs little.
NOT_SENTENCE_ENDS = (
    frozenset({*_TITLES, *_COMMON, *_STREETS, *_PLACES, *_UNCHANGED}) - _MAY_PRECEDE_SENTENCE - _OFTEN_LAST
)
NOT_SENTENCE_ENDS_BEFORE_NUMBERS = frozenset({"no", "nos", *_BEFORE_NUMBERS, *_UNCHANGED_BEFORE_NUMBERS}) - {
    *NOT_SENTENCE_ENDS
}


def _alternatives(words: dict[str, str] | frozenset[str]) -> str:
    return "|".join(sorted(words, key=len, reverse=True))


def _compile_abbreviations(words: dict[str, str]) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w.'])({_alternatives(words)})\.(?!\w)", re.IGNORECASE)


# "He said no. I left.": a single I is a numeral only after the other abbreviations.
_NUMERAL = r"(?=#?\d|[A-Z]{1,4}\d|(?-i:[IVXLC]{2,}\b(?!\.\w)))"
_BEFORE_NUMBER = re.compile(
    rf"(?<![\w.'])(?:(nos?)\.\s*{_NUMERAL}|({_alternatives(_BEFORE_NUMBERS)})\.\s*(?:{_NUMERAL}|(?=(?-i:[IVX])\b)))"
    r"|(?<![\w#])#\s?(?=\d)",
    re.IGNORECASE,
)
_CAPITAL_ROUTE = re.compile(r"\b(Hwy|Rte|Rt|Apt|Ste|Rm|Ext|Fig|Vol|Ch|Sec)\s(?=\d)")
_ORDINAL_BEFORE = re.compile(
    rf"(?<=\d)(st|nd|rd|th)\s(?:({_alternatives(_AFTER_ORDINAL)})\b)\.?(?=(\s+[A-Z])?)", re.IGNORECASE
)
_TITLE = _compile_abbreviations(_TITLES)
_BARE_TITLE = re.compile(r"\b(Mrs|Mr|Messrs|Dr|Drs|Prof|Capt|Lt|Sgt)\b(?!\.)(?=\s+[A-Z])")
_COMMON_STOP = _compile_abbreviations(_COMMON)
_STREET = _compile_abbreviations({**_STREETS, **_PLACES})
_DIRECTIONS = {"NW": "northwest", "NE": "northeast", "SW": "southwest", "SE": "southeast"}
_DIRECTIONS |= {"N": "north", "S": "south", "E": "east", "W": "west"}
_STREET_TYPE = r"St|Ave|Blvd|Rd|Dr|Ln|Pkwy|Hwy|Ct|Pl"
_BARE_STREET = re.compile(rf"((?<=\d )|(?<=\d(?:st|nd|rd|th) )|(?<=[a-z] ))({_STREET_TYPE})\b(?!\.|\s(?-i:[A-Z][a-z]))")
_HOUSE = re.compile(r"\d{1,6}[A-Z]?\s(?:[NSEW]\.?\s)?(?:[A-Z][\w']*\s|\d+(?:st|nd|rd|th)\s){1,3}$")
_DIRECTION_NEXT = re.compile(rf"\s(?:{'|'.join(_DIRECTIONS)})\b")
_DIRECTION_AFTER = re.compile(
    r"\b((?i:street|avenue|boulevard|road|drive|lane|parkway|highway|court|place)),? "
    r"(NW|NE|SW|SE|N|S|E|W)(?:\.(?!\w)|\b)"
)
_DIRECTION_BEFORE = re.compile(
    r"(\b\d{1,6}[A-Z]?\s)(NW|NE|SW|SE|N|S|E|W)\.?\s(?=(?:[A-Z][a-z]+|\d+(?:st|nd|rd|th))\b)|(?<![\w.])(N|S|E|W)\.?\s(?=\d+(?:st|nd|rd|th)\s(?:St|Ave|Street|Avenue)\b|[A-Z][a-z]+\s(?:St|Ave|Street|Avenue|Blvd|Boulevard)\b)"
)
_NAME_BEFORE = re.compile(r"(?:\b[A-Z][\w']*|\d(?:st|nd|rd|th)|\bjunior|\bsenior)[ ]$")
_STREET_WORD_BEFORE = re.compile(
    r"\b(?:Main|Wall|Fleet|Oak|Elm|Maple|High|Broad|Church|Bond|Beale|Bourbon|Downing|Baker|Market|State|Park|Pine|"
    r"Mission|Canal|Broadway|Front|Water|Center|Court|King|Queen|Bleecker|Lombard|\d+(?:st|nd|rd|th))[ ]$"
)
_NAME_AFTER = re.compile(
    r"\s+(?!(?:He|She|It|They|We|I|You|The|A|An|This|That|There|But|And|In|On|At|When|His|Her|N|S|E|W|NW|NE|SW|SE|Apt|Suite|Unit|Floor)\b)[A-Z]"
)
_CLOSING = re.compile(r"[\s\"')\]]*\Z")
_NEW_SENTENCE = re.compile(r"\s+[A-Z]")
_PLACE_BARE = re.compile(r"(?<![\w.'])(?<!\d )(St|Ste|Mt|Ft)\s(?=[A-Z][a-z])")
_BARE_PLACES = {"St": "saint", "Ste": "sainte", "Mt": "mount", "Ft": "fort"}
_SHORT_FORMS = {
    "w/o": "without",
    "w/": "with",
    "c/o": "care of",
    "b/c": "because",
    "a/c": "a.c.",
    "y/y": "year over year",
    "q/q": "quarter over quarter",
    "m/m": "month over month",
    "d/b/a": "doing business as",
    "a/k/a": "also known as",
}
_SHORT_FORM = re.compile(
    r"(?<![\w/])(d/b/a|a/k/a|w/o|c/o|b/c|a/c|y/y|q/q|m/m|w/)(?:(?=\s|[,.;:!?)])|(?<=w/)(?=[a-z]))(?![/])", re.IGNORECASE
)
_DIGIT = "zero|oh|one|two|three|four|five|six|seven|eight|nine"
_CIRCA = re.compile(
    r"(?<![\w.])(?:c|ca|circa)\.?\s?"
    rf"(?=\d{{3,4}}s?\b(?!,\s\d)|(?:{_DIGIT}|ten)\b[\w ]{{2,50}}[Bb]\.?[Cc]|\d{{1,2}} (?:\w+ )?[ap]\.m)"
    r"|(?<![\w.])ca\.\s?(?=\w)"
)
_STATUTE = re.compile(r"\b(?:[IVX]+|the \w+)\.?,? $")
_FOUNDED = re.compile(
    r"\b(Est)\.\s?(?=(?:in\s)?1\d{3}\b|(?:in\s)?20\d\d\b)|\b(est)\.\s?(?=(?:in\s)?1\d{3}\b|(?:in\s)?20\d\d\b)"
)
_VERSUS = re.compile(r"(?<=[A-Za-z.] )v\.?(?= [A-Z])|(?<=[a-z] )vs(?= [A-Za-z])|(?<=[A-Z][A-Z] )vs(?= [A-Z])")
_EXAMPLE = re.compile(r"(?<![\w.])[eE]\.g\.,?(?=\s)")
_THAT_IS = re.compile(r"\(i\.\s?e\.,?(?=\s)")
_COMPARE = re.compile(r"(?<![\w.])cf\.\s", re.IGNORECASE)
_STATES = dict(
    pair.split(":")
    for pair in (
        "AL:Alabama AK:Alaska AZ:Arizona AR:Arkansas CA:California CO:Colorado CT:Connecticut DE:Delaware "
        "FL:Florida GA:Georgia HI:Hawaii ID:Idaho IL:Illinois IN:Indiana IA:Iowa KS:Kansas KY:Kentucky "
        "LA:Louisiana ME:Maine MD:Maryland MA:Massachusetts MI:Michigan MN:Minnesota MS:Mississippi MO:Missouri "
        "MT:Montana NE:Nebraska NV:Nevada NH:New_Hampshire NJ:New_Jersey NM:New_Mexico NY:New_York "
        "NC:North_Carolina ND:North_Dakota OH:Ohio OK:Oklahoma OR:Oregon PA:Pennsylvania RI:Rhode_Island "
        "SC:South_Carolina SD:South_Dakota TN:Tennessee TX:Texas UT:Utah VT:Vermont VA:Virginia WA:Washington "
        "WV:West_Virginia WI:Wisconsin WY:Wyoming DC:D.C."
    ).split()
)
_STATE = re.compile(
    rf"(?<=[a-z], )({'|'.join(_STATES)})(?=\s\d{{5}}\b|\s(?:{_DIGIT})\s|[,.;!?)]|$)"
    rf"|(?<=[a-z] )({'|'.join(_STATES)})(?=\s\d{{5}}\b|\s(?:{_DIGIT}) (?:{_DIGIT}) )"
)
# Abbreviated in other ways than by a full stop at the end, or only in one place.
_PLAIN = [
    (re.compile(r"(?<=\d )m\.p\.h\.(?=\s[a-z]|[,;)])|(?<=\d )m\.p\.h(?!\w|\.)"), "miles per hour"),
    (re.compile(r"(?<=\d )m\.p\.h\."), "miles per hour."),
    (re.compile(r"(?<=\d )st(?=\.?$|[,;]|\s\d)"), "stone"),
    (re.compile(r"\bWW(?:II|2)\b"), "World War 2"),
    (re.compile(r"\bWW(?:I|1)\b"), "World War 1"),
    (re.compile(r"(?<=[a-z%] )p\.a\.(?=\s[a-z]|[,;)])"), "per annum"),
    (re.compile(r"(?<=[a-z%] )p\.a\.(?=$|\s[A-Z])"), "per annum."),
    (re.compile(r"\b([Dd])ep't\b\.?"), "department"),
    (re.compile(r"\b[Gg]ov't\b\.?"), "government"),
    (re.compile(r"\b[Ii]nt'l\b\.?"), "international"),
    (re.compile(r"\b[Nn]at'l\b\.?"), "national"),
    (re.compile(r"\b[Aa]ss'n\b\.?"), "association"),
    (re.compile(r"\b[Ee]xh?\.\s(?=[A-Z\d]\b)"), "exhibit "),
    (re.compile(r"\b[Aa]ttn:"), "attention:"),
    (re.compile(r"\b[Ll]at\.\s(?=\d)"), "latitude "),
    (re.compile(r"\b[Ll]ong\.\s(?=\d)"), "longitude "),
    (re.compile(r"\bn\.\s?(?=\d)"), "note "),
    (re.compile(r"\b[Mm]ed\.(?=\s(?:heat|high|low|size|sized|onion|egg|potato|carrot))"), "medium"),
    (re.compile(r"\b[Ss]q\.(?=\s(?:footage|root))"), "square"),
    (re.compile(r"(?<=\b(?:tel|acc)\. )no\.(?=\s(?:is|was|on)\b)"), "number"),
    (re.compile(r"(?<=(?:phone|count|erial|rence|order|voice) )no\.(?=\s(?:is|was|on)\b)"), "number"),
    (re.compile(r"(?<=\d )mil\.?(?=\s(?:dollars|pounds|euros|people|years)\b)"), "million"),
    (re.compile(r"(?<=\d )bil\.?(?=\s(?:dollars|pounds|euros|people|years)\b)"), "billion"),
]
_OLD_STATES = {
    "Calif": "California",
    "Mass": "Massachusetts",
    "Conn": "Connecticut",
    "Fla": "Florida",
    "Ill": "Illinois",
    "Ariz": "Arizona",
    "Colo": "Colorado",
    "Ore": "Oregon",
    "Tex": "Texas",
    "Mich": "Michigan",
    "Minn": "Minnesota",
    "Wis": "Wisconsin",
    "Okla": "Oklahoma",
    "Neb": "Nebraska",
    "Nev": "Nevada",
    "Tenn": "Tennessee",
    "Pa": "Pennsylvania",
    "Va": "Virginia",
    "Md": "Maryland",
    "Ga": "Georgia",
    "Ala": "Alabama",
    "Ark": "Arkansas",
    "Ky": "Kentucky",
    "Mo": "Missouri",
    "Wash": "Washington",
    "Wyo": "Wyoming",
    "Mont": "Montana",
    "Kan": "Kansas",
    "La": "Louisiana",
}
_OLD_STATE = re.compile(rf"(?:(?<=[a-z], )|(?<=\b[DR]-)|(?<=\b[DR]\., ))({'|'.join(_OLD_STATES)})\.(?!\w)")
_UNSURE_STATES = frozenset("IN OR ME OK HI OH ID AL LA PA MA MS MD DE CO MO AR".split())
_SURE_STATE = re.compile(rf"(?<=[a-z], )({'|'.join(sorted(set(_STATES) - _UNSURE_STATES))})(?=\s[a-z])")
_DISTANCE_DIRECTION = re.compile(
    r"(?<=\b)(miles?|kilometers?|meters|blocks?|feet|yards)\.? (N|S|E|W|NW|NE|SW|SE)(?:\.(?!\w)|\b(?!\.))"
)
_PH = re.compile(r"(?<!\w)pH(?!\w)")


def expand_abbreviations(text: str) -> str:
    """Dr. Smith -> doctor Smith, No. 5 -> number 5, 12 Baker St. in -> 12 Baker street in, St. Paul -> saint Paul."""
    return apply_rules(_RULES, text)


def _ends(match: re.Match[str]) -> bool:
    """Return whether the full stop of an abbreviation also ends the sentence."""
    if not match[0].endswith("."):
        return False
    return bool(_CLOSING.match(match.string, match.end()) or _NEW_SENTENCE.match(match.string, match.end()))


def _expand_short_form(match: re.Match[str]) -> str:
    words = _SHORT_FORMS[match[1].lower()]
    return words + " " * match.string[match.end() : match.end() + 1].isalnum()


def _expand_circa(match: re.Match[str]) -> str:
    # "31 George III. c. 46" is a chapter of a statute.
    return match[0] if _STATUTE.search(match.string[max(0, match.start() - 12) : match.start()]) else "circa "


def _expand_after_ordinal(match: re.Match[str]) -> str:
    words = f"{match[1]} {_AFTER_ORDINAL[match[2].lower()]}"
    if match[2].lower() == "gen" and match[2][0] == "G" and match[3]:
        return match[0]
    return words + ("." if _ends(match) else "")


def _expand_before_number(match: re.Match[str]) -> str:
    if match[2]:
        return f"{_BEFORE_NUMBERS[match[2].lower()]} "
    return "numbers " if (match[1] or "").lower() == "nos" else "number "


def _expand_direction_before(match: re.Match[str]) -> str:
    if match[3]:
        return f"{_DIRECTIONS[match[3]]} "
    return f"{match[1]}{_DIRECTIONS[match[2]]} "


def _expand_title(match: re.Match[str]) -> str:
    """A title before a name. Otherwise another reading: Sunset Dr., a 3rd gen. model, the temp. col."""
    short = match[1].lower()
    text = match.string
    named = _NAME_AFTER.match(text, match.end()) or re.match(
        r"\s+(?:[A-Z]\.|of\b)", text[match.end() : match.end() + 6]
    )
    before = text[max(0, match.start() - 40) : match.start()]
    if short == "dr" and _NAME_BEFORE.search(before) and (not named or _HOUSE.search(before)):
        return match[0]
    if short in ("rep", "pres", "det", "fr", "mt", "amb", "adm", "insp", "gov") and not named:
        return match[0]
    return _TITLES[short]


def _expand_bare_title(match: re.Match[str]) -> str:
    before = match.string[max(0, match.start() - 40) : match.start()]
    return match[0] if match[1] == "Dr" and _HOUSE.search(before) else _TITLES[match[1].lower()]


def _expand_common(match: re.Match[str]) -> str:
    """Expand an abbreviation. Keep the full stop at the end of the text, and after `etc.` if a new sentence begins."""
    short = match[1].lower()
    words = _COMMON[short]
    if short in ("min", "max", "temp", "est", "apt", "tel", "cont", "resp", "ste", "univ"):
        stop = _CLOSING.match(match.string, match.end()) or _NEW_SENTENCE.match(match.string, match.end())
        if match[1][0].isupper() and stop:  # "I met Max."
            return match[0]
        return words + ("." if stop else "")
    stop = _CLOSING.match(match.string, match.end())
    if not stop and short in _MAY_PRECEDE_SENTENCE:
        stop = _NEW_SENTENCE.match(match.string, match.end())
    return words + "." if stop else words


def _expand_street(match: re.Match[str]) -> str:
    short = match[1].lower()
    text = match.string
    before = text[max(0, match.start() - 40) : match.start()]
    named = _NAME_AFTER.match(text, match.end())
    if short in ("ft", "mt", "pt"):
        if named:
            return _PLACES[short]
        return "feet" if short == "ft" else match[0]
    is_street = _NAME_BEFORE.search(before) and (
        not named or _STREET_WORD_BEFORE.search(before) or _HOUSE.search(before)
    )
    if short != "st" and short in ("blvd", "pkwy", "hwy", "expy", "fwy", "ave", "rd"):
        is_street = is_street or _NAME_BEFORE.search(before)
    stop = "." if _ends(match) and not named and not _DIRECTION_NEXT.match(text, match.end()) else ""
    if not is_street:
        return _PLACES.get(short, match[0]) if named or short == "st" else match[0]
    return _STREETS[short] + stop


def _expand_bare_street(match: re.Match[str]) -> str:
    """An address without full stops: 1600 Pennsylvania Ave NW."""
    short = match[2]
    before = match.string[max(0, match.start() - 40) : match.start()]
    sure = short in ("Ave", "Blvd", "Rd", "Pkwy", "Hwy") and re.search(r"(?:[A-Z][\w']*|\d(?:st|nd|rd|th))\s$", before)
    ordinal = re.search(r"\d(?:st|nd|rd|th)\s$", before)
    if sure or ordinal or _HOUSE.search(before) or (short == "St" and _STREET_WORD_BEFORE.search(before)):
        return _STREETS[short.lower()]
    return match[0]


_RULES: tuple[Rule, ...] = (
    ("/", _SHORT_FORM, _expand_short_form),
    ("H", _PH, "P.H."),
    (",0123456789", _STATE, lambda m: _STATES[m[1] or m[2]].replace("_", " ")),
    (",", _SURE_STATE, lambda m: _STATES[m[1]].replace("_", " ")),
    (".", _OLD_STATE, lambda m: _OLD_STATES[m[1]] + ("." if _ends(m) else "")),
    *((".':" + DIGITS, pattern, words) for pattern, words in _PLAIN),
    ("NSEW", _DISTANCE_DIRECTION, lambda m: f"{m[1]} {_DIRECTIONS[m[2]]}" + ("." if _ends(m) else "")),
    (DIGITS, _FOUNDED, lambda m: "Established " if m[1] else "established "),
    (ALWAYS, _CIRCA, _expand_circa),
    (ALWAYS, _VERSUS, "versus"),
    (".", _EXAMPLE, "for example,"),
    (".", _COMPARE, "compare "),
    ("(", _THAT_IS, "(that is,"),
    (DIGITS, _ORDINAL_BEFORE, _expand_after_ordinal),
    (DIGITS, _CAPITAL_ROUTE, lambda m: f"{_BEFORE_NUMBERS[m[1].lower()]} "),
    (".#", _BEFORE_NUMBER, _expand_before_number),
    (DIGITS + "NSEW", _DIRECTION_BEFORE, _expand_direction_before),
    (".", _TITLE, _expand_title),
    (ALWAYS, _BARE_TITLE, _expand_bare_title),
    (".", _COMMON_STOP, _expand_common),
    (".", _STREET, _expand_street),
    (ALWAYS, _BARE_STREET, _expand_bare_street),
    (ALWAYS, _PLACE_BARE, lambda m: f"{_BARE_PLACES[m[1]]} "),
    ("NSEW", _DIRECTION_AFTER, lambda m: f"{m[1]} {_DIRECTIONS[m[2]]}" + ("." if _ends(m) else "")),
)
