"""Units after a number, dimensions, temperatures, feet and inches.

A unit is a symbol of the tables below, with a prefix if its table allows that, and perhaps a power: g, kg, cm3, m^2.
Upper and lower case matter where they separate units (mW, MW), otherwise not (kb, KB).
"""

from __future__ import annotations

import dataclasses
import re

from common.text.english.figures.amounts import AMOUNT, NOT_INSIDE

# Micro is u in ASCII, or mc as in mcg; `signs` makes mc of the sign.
_PREFIXES = {
    "p": "pico",
    "n": "nano",
    "u": "micro",
    "mc": "micro",
    "m": "milli",
    "c": "centi",
    "d": "deci",
    "h": "hecto",
    "k": "kilo",
    "M": "mega",
    "G": "giga",
    "T": "tera",
    "P": "peta",
}
# Symbol, name, prefixes in use. "" stands for no prefix.
_METRIC = [
    ("m", "meter", ["", "n", "u", "mc", "m", "c", "d", "k"]),
    ("g", "gram", ["", "n", "u", "mc", "m", "c", "k"]),
    ("L", "liter", ["", "n", "u", "mc", "m", "c", "d", "h"]),
    ("l", "liter", ["", "n", "u", "mc", "m", "c", "d", "h"]),
    ("s", "second", ["", "n", "u", "mc", "m"]),
    ("sec", "second", ["n", "u", "m"]),
    ("W", "watt", ["", "u", "mc", "m", "k", "M", "G", "T"]),
    ("Wh", "watt hour", ["", "k", "M", "G", "T"]),
    ("V", "volt", ["", "u", "mc", "m", "k", "M"]),
    ("VA", "volt amp", ["k", "M"]),
    ("A", "amp", ["", "n", "u", "mc", "m", "k"]),
    ("Ah", "amp hour", ["", "m"]),
    ("Hz", "hertz", ["", "k", "M", "G", "T"]),
    ("J", "joule", ["", "m", "k", "M", "G"]),
    ("Pa", "pascal", ["h", "k", "M", "G"]),
    ("N", "newton", ["", "k", "m"]),
    ("Nm", "newton meter", [""]),
    ("F", "farad", ["p", "n", "u", "mc", "m"]),
    ("H", "henry", ["n", "u", "mc", "m"]),
    ("ohm", "ohm", ["", "m", "k", "M", "G"]),
    ("eV", "electron volt", ["", "m", "k", "M", "G", "T"]),
    ("mol", "mole", ["", "n", "u", "mc", "m", "k"]),
    ("M", "molar", ["n", "u", "mc", "m"]),
    ("cal", "calorie", ["", "k"]),
    ("bar", "bar", ["m"]),
    ("Sv", "sievert", ["", "m", "u", "mc"]),
    ("Gy", "gray", ["", "m"]),
    ("Bq", "becquerel", ["", "k", "M", "G", "T"]),
    ("B", "byte", ["k", "M", "G", "T", "P"]),
    ("bit", "bit", ["k", "M", "G", "T"]),
    ("bps", "bit per second", ["k", "M", "G", "T"]),
    ("flops", "flops", ["M", "G", "T", "P"]),
    ("lm", "lumen", [""]),
    ("lx", "lux", [""]),
    ("K", "kelvin", ["", "m"]),
    ("T", "tesla", ["m"]),
    ("t", "ton", ["", "M", "G"]),
    ("pc", "parsec", ["k", "M", "G"]),
    ("Da", "dalton", ["k"]),
]
_NAMED = {
    "kib": "kibibyte",
    "mib": "mebibyte",
    "gib": "gibibyte",
    "mph": "mile per hour",
    "kph": "kilometer per hour",
    "kmh": "kilometer per hour",
    "mpg": "mile per gallon",
    "fps": "frame per second",
    "bpm": "beat per minute",
    "wpm": "word per minute",
    "rpm": "r.p.m.",
    "psi": "p.s.i.",
    "dpi": "d.p.i.",
    "ppm": "part per million",
    "ppb": "part per billion",
    "bps": "basis point",
    "pct": "percent",
    "pct pts": "percentage point",
    "bu": "bushel",
    "db": "decibel",
    "dba": "decibel",
    "hp": "horsepower",
    "ft": "foot",
    "in": "inch",
    "mi": "mile",
    "yd": "yard",
    "yds": "yard",
    "lb": "pound",
    "lbs": "pound",
    "oz": "ounce",
    "gal": "gallon",
    "gals": "gallon",
    "qt": "quart",
    "qts": "quart",
    "pt": "pint",
    "pts": "point",
    "tsp": "teaspoon",
    "tsps": "teaspoon",
    "tbsp": "tablespoon",
    "tbsps": "tablespoon",
    "tbs": "tablespoon",
    "doz": "dozen",
    "fl oz": "fluid ounce",
    "sq ft": "square foot",
    "sq in": "square inch",
    "sq mi": "square mile",
    "sq yd": "square yard",
    "sq km": "square kilometer",
    "sq m": "square meter",
    "cu ft": "cubic foot",
    "cu in": "cubic inch",
    "cu yd": "cubic yard",
    "cu m": "cubic meter",
    "ft lb": "foot pound",
    "sqft": "square foot",
    "nmi": "nautical mile",
    "kt": "knot",
    "kts": "knot",
    "kn": "knot",
    "ha": "hectare",
    "cc": "cubic centimeter",
    "mmhg": "millimeter of mercury",
    "mm hg": "millimeter of mercury",
    "inhg": "inch of mercury",
    "atm": "atmosphere",
    "iu": "international unit",
    "ly": "light year",
    "px": "pixel",
    "mp": "megapixel",
    "hr": "hour",
    "hrs": "hour",
    "h": "hour",
    "min": "minute",
    "mins": "minute",
    "sec": "second",
    "secs": "second",
    "wk": "week",
    "wks": "week",
    "mo": "month",
    "mos": "month",
    "yr": "year",
    "yrs": "year",
    "amps": "amp",
    "kilos": "kilo",
    "angstrom": "angstrom",
    "rebs": "rebound",
    "asts": "assist",
    "MM": "million",
}
_PLURALS = {"foot": "feet", "inch": "inches", "henry": "henries"}
_WITHOUT_PLURAL = ("hertz", "lux", "flops", "horsepower", ".", "percent", "million", "dozen", "molar", "kelvin", "ago")


def _list_symbols() -> dict[str, str]:
    symbols = dict(_NAMED)
    for symbol, name, prefixes in _METRIC:
        for prefix in prefixes:
            symbols[prefix + symbol] = (_PREFIXES[prefix] if prefix else "") + name
    symbols["Mb/s"], symbols["Gb/s"], symbols["kb/s"] = "megabit per second", "gigabit per second", "kilobit per second"
    return symbols


_SYMBOLS = _list_symbols()
# In other cases than the table's, as people write them. Single letters and pairs that mean two units are not here.
_ANY_CASE = {symbol.lower(): name for symbol, name in _SYMBOLS.items() if len(symbol) > 1 and symbol != "MM"}
_ANY_CASE |= {"mw": "megawatt", "mm": "millimeter", "mg": "milligram", "ms": "millisecond", "gb": "gigabyte"}
_ANY_CASE |= {
    "tb": "terabyte",
    "mb": "megabyte",
    "kb": "kilobyte",
    "mv": "millivolt",
    "ma": "milliamp",
    "mt": "megaton",
}
_ANY_CASE |= {"kb/s": "kilobyte per second", "mb/s": "megabyte per second", "gb/s": "gigabyte per second"}
_ANY_CASE |= {"tb/s": "terabyte per second", "bps": "basis point", "kt": "knot", "mpa": "megapascal", "mj": "megajoule"}
_LOWER_ONLY = frozenset("mo mi in ha us um pt kn ly va ms ma mv nm pc".split())
_SYMBOLS["Ma"], _SYMBOLS["Ga"] = "million years ago", "billion years ago"

_BASE = "|".join(
    sorted((re.escape(s).replace(r"\ ", r"\.?\s") for s in {*_SYMBOLS, *_ANY_CASE} if s), key=len, reverse=True)
)
_PER_WORDS = (
    "second sec s minute min hour hr h day d week wk month mo year yr person unit head capita night serving share "
    "barrel household pixel student user item piece employee game inch foot acre beat cell word dose pound ounce "
    "gallon liter litre mile kilometer kilometre meter metre cup child room seat car gram"
).split()
_PER_NAMES = {"sec": "second", "s": "second", "min": "minute", "hr": "hour", "h": "hour", "d": "day", "wk": "week"}
_PER_NAMES |= {"mo": "month", "yr": "year", "l": "liter"}
_DENOMINATOR = (
    rf"(?:\s?/\s?|\sper\s)(?:({'|'.join(sorted(_PER_WORDS, key=len, reverse=True))}|{_BASE})(?:\^?([23]))?)(?![\w'])"
)
_AFTER_NUMBER = (
    rf"({_BASE})(?:\^?([23])(?!\d))?(?![\w'’^]|/\d|\.[A-Za-z])((?:{_DENOMINATOR}){{0,2}})"
    r"(\.(?=\s+(?-i:[a-z])|\s+[(\d]|[,;)]))?"
)
_UNIT = re.compile(rf"{NOT_INSIDE}({AMOUNT})(?!\^)(\s?-?)(?:{_AFTER_NUMBER})", re.IGNORECASE)
_PER = re.compile(_DENOMINATOR, re.IGNORECASE)
# 2.5 million km
_SCALED = re.compile(
    rf"\b(hundred|thousand|million|billion|trillion)\s((?=[A-Za-z]{{2}})(?!in\b)(?-i:{_BASE}))(?![\w'/.])"
)
_WORD_PER = re.compile(
    rf"(?<=[A-Za-z])(?<!/)/({'|'.join(w for w in _PER_WORDS if len(w) > 2)}|kg|lb|oz|mL|L|hr|mo|yr|cm2|km2|turn)"
    r"\b(?!/)(?:\.(?=\s[a-z]))?"
)
_PER_SIGN = re.compile(rf"(?<=%)/({'|'.join(w for w in _PER_WORDS if len(w) > 1)})\b")
_ALONE = re.compile(rf"\s?-?({_BASE})(?:\^?([23]))?(?![\w'^/])(\.(?=\s+(?-i:[a-z])|\s+[(\d]|[,;)]))?", re.IGNORECASE)
_ATTRIBUTE_BEFORE = re.compile(r"\b(?:an?|each|every|per|first|single)\s$", re.IGNORECASE)
_NOUN_AFTER = re.compile(
    r"\s(?!(?:of|in|and|or|at|on|for|to|long|wide|tall|high|deep|thick|per|away|from|is|was|are|were|with|by|than|as|"
    r"before|after|below|above|under|over|every|each|apart|more|less|later|ago|if|when|while|but|then|up|down|off|out|"
    r"into|through|around|across|between|old|that|which|the|an?|today|a|here|there|north|south|east|west)\b)[A-Za-z]"
)

_RACE_AFTER = re.compile(
    r"\s(?:race|relay|dash|sprint|run|freestyle|backstroke|breaststroke|butterfly|hurdles|final|medley|freighter)\b"
)
_CLOSED_NOUN = re.compile(
    r"\)\s(?:cans?|jars?|packages?|bags?|box(?:es)?|bottles?|containers?|cartons?|bars?|tins?|packets?)\b"
)
_CUPS = re.compile(rf"({NOT_INSIDE}{AMOUNT}|half|quarters?|thirds?)\sc\.(?=\s(?:of\s)?[a-z])")
_PER_QUANTITY = re.compile(r"(?<=[A-Za-z])/(?=\d+(?:\.\d+)?\s?(?:mL|ml|L|g|kg|km|m)\b)")
_PER_UNIT = re.compile(
    r"(?<=\bper )(bu|oz|lb|kg|mo|yr|hr|wk|sq\.? ft|gal|MWh|kWh|min|sec|bbl|L|mL|g)\b(\.(?=\s[a-z]))?"
)
_PRIMES = re.compile(r"\b([35])'(\s?(?:to|-)\s?)([35])'(?!\w)|\b([35])'(?=-end|\send|\sUTR)")
_MINUTE_MARK = re.compile(r"(?<=\d)'(?=\smin)")
_SCALES = {"C": " degrees Celsius", "F": " degrees Fahrenheit", "K": " kelvin", None: " degrees"}
_DEGREES = re.compile(r"(?<=\d)\s?(?:°|º)(?:\s?([CFK])\b)?")
_COORDINATE = re.compile(
    r"(\d{1,3}(?:\.\d+)?)\s?°\s?(?:(\d{1,2}(?:\.\d+)?)\s?['’]\s?)?(?:(\d{1,2}(?:\.\d+)?)\s?(?:\"|'')\s?)?([NSEW])(?!\w)"
)
_POINTS = {"N": "north", "S": "south", "E": "east", "W": "west"}
_PLACE_BEFORE = re.compile(
    r"\b(?:apt|apartment|unit|suite|ste|room|seat|gate|building|bldg|no|flat|form|schedule|exhibit|platform|row|"
    r"section|grade|class|plan|model|type|page|table|figure|appendix|bus|line|number|title|part|locker|cell|box|lot)\b"
    r"\.?\s?#?$",
    re.IGNORECASE,
)
_TEMPERATURE = re.compile(rf"{NOT_INSIDE}(\d{{1,3}}(?:\.\d)?)(\s?(?:to|-)\s?\d{{1,3}}(?:\.\d)?)?([CF])(?![\w'’+#-])")

_BY = re.compile(
    rf"{NOT_INSIDE}(?!0[xX])({AMOUNT})((?:\s?(?:cm|mm|in|ft|m|km|foot|feet|inch|inches|\"|')\.?)?)\s*[xX×]\s*(?=\d)"
)
_TIMES_AFTER = re.compile(r"[\d.,\sxX×*()^+-]{0,60}=|10\s?\^")
_INCH = re.compile(rf"(?<= by )({AMOUNT})\s?in(?:\.(?=\s[a-z])|\b(?!\s+(?!and\b|or\b|by\b|with\b|for\b|on\b)\w))")
_FEET_INCHES = re.compile(r"(?<![\w.,])(\d{1,2})(?:['’]\s?|\s?ft\.?\s)(\d{1,2}(?:\.5)?)\s?(?:\"|”|''|in\b\.?)(?!\w)")
_FEET = re.compile(
    r"(?<![\w.,'’\"])(\d{1,5})['’](?=\s(?:tall|wide|long|high|deep|by|x|×|[a-z]{3,}\s(?:fence|wall|board|pole|rope))|\s?[x×]\s?\d)"
)
_INCHES = re.compile(
    r"(?<![\w.,\"”])(\d{1,3}(?:\.\d+)?)(?:\"|”)(?=\s?(?:[x×]\s?\d|by\s\d)|\s(?:screen|display|monitor|tv|television|pipe|"
    r"wide|long|tall|deep|thick|high|disk|vinyl|pizza|laptop|model|diameter|wheels?|rims?|of|in)\b)",
    re.IGNORECASE,
)
_MEASURED_NOUN = re.compile(
    r"\s(?!(?:wide|long|tall|deep|thick|high|of|in|by|from|x|above|below|and|or|to|away|apart|across|more|less|at|on|"
    r"is|was|for|with|than|per|longer|taller|wider)\b)[a-z]"
)
_QUOTATION = re.compile(r"(?:(?<![\w.,])(\d{1,3}(?:\.\d+)?))?\"(?=(\s[a-z])?)")
_FEET_LAST = re.compile(r"(?<= by )(\d{1,3})'(?!\w)")
_INCHES_LAST = re.compile(r"(?<= by )(\d{1,3}(?:\.\d+)?)(?:\"|”)(?!\w)")
_SIZE_AFTER = (
    r"(?=\s?(?:long|wide|tall|deep|thick|high|in diameter|square|across|of rain|of snow|from|below|above|by)\b)"
)
_INCH_LONG = re.compile(
    rf"{NOT_INSIDE}({AMOUNT})(?:(-)in\.|(\s)in\.(?=\s[a-z]|[,;)])|(\s?-?)in(?:\.|\b)(?=\s?{_SIZE_AFTER}))"
)
_CROWD = (
    r"people|users|customers|followers|subscribers|views|downloads|copies|units|visitors|players|members|homes|jobs|"
    r"barrels|shares|tons|tonnes|records|accounts|euros|dollars|pounds|years|children|students|workers|employees|votes|"
    r"streams|items|rows|parameters|tokens|images|books|cars|vehicles|households|acres|readers|fans|residents|refugees"
)
_MILLION = re.compile(rf"{NOT_INSIDE}({AMOUNT})\s?(m|M|mn|mln|B|bn|k|K|tn)(?=\s(?:{_CROWD})\b)")
_MAGNITUDES = {"m": "million", "mn": "million", "mln": "million", "b": "billion", "bn": "billion", "k": "thousand"}
_CAPITAL_MAGNITUDE = re.compile(rf"{NOT_INSIDE}({AMOUNT})(M|B|bn)(?=\s[a-z])")
_HOURS_MINUTES = re.compile(r"(?<![\w.,:])(\d{1,2})h\s?(\d{1,2})(?:m|min)?(?![\w.])")


_FONT_AFTER = re.compile(r"\s(?:font|type|text|bold)")
_NAME_AFTER = re.compile(r"\s(?:[A-Z]|\d+(?:st|nd|rd|th))")
_CIRCUIT_AFTER = re.compile(r"\s(?:fuse|breaker|circuit|outlet|charger|socket|of current|current)")
_RUN_AFTER = re.compile(r"\s(?:race|run|walk|tv)\b")


@dataclasses.dataclass(frozen=True)
class Unit:
    """A unit found in a text: one, many, the article of one, and where the text goes on."""

    one: str
    many: str
    article: str
    end: int


def expand_units(text: str) -> str:
    """80GB -> 80 gigabytes, 3 x 4 in -> 3 by 4 inch, 20 °C -> 20 degrees Celsius, 5 mg/kg, 6'2"."""
    text = _PER_UNIT.sub(_expand_per_unit, _PER_QUANTITY.sub(" per ", text))
    text = _PER_SIGN.sub(r" per \1", _WORD_PER.sub(_expand_word_per, text))
    if not any(c.isdecimal() for c in text):
        return text
    text = _MINUTE_MARK.sub("", _PRIMES.sub(_expand_primes, text))
    text = _COORDINATE.sub(_expand_coordinate, text)  # first, since 26' 46" in it are no feet
    text = _expand_inch_marks(_FEET_INCHES.sub(_expand_feet_inches, text))
    text = _CUPS.sub(lambda m: f"{m[1]} {'cup' if m[1] in ('1', 'half', 'quarter', 'third') else 'cups'}", text)
    text = _BY.sub(_expand_by, _FEET.sub(_expand_feet, _INCHES.sub(_expand_inches, text)))
    text = _FEET_LAST.sub(r"\1 foot" if " foot by " in text else r"\1 feet", text)
    text = _INCHES_LAST.sub(r"\1 inches", _INCH.sub(r"\1 inch", text))
    text = _INCH_LONG.sub(_expand_inch_long, text)
    text = _DEGREES.sub(lambda m: _SCALES[m[1]], text)
    text = _TEMPERATURE.sub(_expand_temperature, text)
    text = _MILLION.sub(lambda m: f"{m[1]} {_MAGNITUDES.get(m[2].lower(), 'trillion')}", text)
    text = _CAPITAL_MAGNITUDE.sub(lambda m: f"{m[1]} {_MAGNITUDES[m[2].lower()]}", text)
    text = _HOURS_MINUTES.sub(lambda m: f"{_plural_of('hour', m[1])} {_plural_of('minute', m[2])}", text)
    text = _SCALED.sub(lambda m: f"{m[1]} {_many(_find(m[2]) or m[2])}", text)
    return _UNIT.sub(_expand_unit, text)


def unit_after(text: str, place: int) -> Unit | None:
    """Return the unit that follows a number or fraction at a place of the text."""
    match = _ALONE.match(text, place)
    if not match:
        return None
    name = _find(match[1])
    if (
        not name
        or (match[1] in ("in", "IN", "In") and not match[3])
        or (match[1] in "msMhgAKNVWTtlL" and match[1] not in "gmLlh")
    ):
        return None
    one = _power(name, match[2])
    vowel = one[0] in "aeio" or one.startswith("hour")
    return Unit(one, _many(one), "an" if vowel else "a", match.end())


def _find(symbol: str) -> str | None:
    symbol = re.sub(r"\.?\s", " ", symbol)
    if symbol in _SYMBOLS:
        return _SYMBOLS[symbol] or None
    lower = symbol.lower()
    if symbol[-1] == "s" and len(symbol) > 2 and symbol.isalpha() and symbol[:-1].isupper():  # 25 HRs
        return None
    return None if lower in _LOWER_ONLY else _ANY_CASE.get(lower)


def _power(name: str, power: str | None) -> str:
    if not power:
        return name
    if name.endswith("second"):
        return f"{name} {'squared' if power == '2' else 'cubed'}"
    return f"{'square' if power == '2' else 'cubic'} {name}"


def _many(name: str) -> str:
    """bit per second -> bits per second, foot -> feet."""
    for middle in (" per ", " of ", " squared", " cubed"):
        head, found, tail = name.partition(middle)
        if found:
            return _many(head) + found + tail
    first, space, last = name.rpartition(" ")
    if last.endswith(_WITHOUT_PLURAL):
        return name
    return first + space + _PLURALS.get(last, f"{last}s")


def _plural_of(name: str, amount: str) -> str:
    return f"{int(amount)} {name if int(amount) == 1 else _many(name)}"


def _expand_unit(match: re.Match[str]) -> str:
    amount, gap, symbol, power, per = match.group(1, 2, 3, 4, 5)
    text = match.string
    before = text[max(0, match.start() - 24) : match.start()]
    after = text[match.end() : match.end() + 24]
    name = _choose(amount, gap, symbol, bool(power or per), before, after)
    if not name:
        return match[0]
    # "5 m3" is a power, "5 mm 3" cannot be here. A power of a unit of time or of data is a model name (H 264).
    name = _power(name, power)
    for found in _PER.finditer(per):
        name += " per " + _power(_PER_NAMES.get(found[1].lower()) or _find(found[1]) or found[1].lower(), found[2])
    if symbol == "pt" and "-" in gap:
        name = "point"
    if "-" in gap:  # a 10-GB file
        return f"{amount}-{name.replace(' ', '-') if ' ' in name and ' per ' not in name else name}"
    attribute = bool(
        (_ATTRIBUTE_BEFORE.search(before) and _NOUN_AFTER.match(after) and not per)
        or _RACE_AFTER.match(after)
        or (before.endswith("(") and _CLOSED_NOUN.match(after))
    )
    if len(amount) == 4 and amount.isdecimal():  # 1013 mbar is no year
        amount = f"{amount[0]},{amount[1:]}"
    words = f"{amount} {name if amount == '1' or attribute else _many(name)}"
    return words[:-1] if words.endswith(".") and after.startswith(".") else words


def _choose(amount: str, gap: str, symbol: str, compound: bool, before: str, after: str) -> str | None:
    """Return the name of a unit, or None if letters after a number are more likely something else."""
    name = _find(symbol)
    if not name:
        return None
    attached, integer = not gap, amount.isdecimal()
    if re.search(r"[A-Za-z]-$", before):  # F-16s
        return None
    if symbol.lower() == "in" and not compound:
        return None  # a preposition, except in the patterns above
    if compound or ("-" in gap and len(symbol) > 1):
        return name
    if symbol in ("pt", "pts"):
        is_point = symbol == "pts" or not integer or int(amount) > 5 or _FONT_AFTER.match(after)
        return "point" if is_point else name
    if symbol.lower() in ("ma", "mo", "pa", "mp") and symbol.isupper() and not attached:
        return None
    return name if len(symbol) > 1 or _is_letter_unit(symbol, amount, gap, after) else None


def _is_letter_unit(symbol: str, amount: str, gap: str, after: str) -> bool:
    """Return whether a single letter after a number is a unit, and not a point of the compass, a plural or a size."""
    attached, integer = not gap, amount.isdecimal()
    if symbol == "s":  # 9.58s, 30 s and 45s, but the 90s, 747s
        return not integer or gap == " " or (len(amount) == 2 and amount[1] != "0")
    if symbol in ("W", "N", "t", "J"):  # 60W, but 60 W 42nd St
        return not _NAME_AFTER.match(after) and not (attached and symbol in ("N", "t"))
    if symbol == "A":  # 0.5A, but apartment 15A
        return not integer or _CIRCUIT_AFTER.match(after) is not None
    if symbol == "K":  # 300 K and a 6500K lamp, but a 5K run
        return len(amount) == 4 if attached else gap == " " and not _RUN_AFTER.match(after)
    return True


def _expand_word_per(match: re.Match[str]) -> str:
    """words/minute, but not and/or. A pair of nouns (hour/day) stays."""
    word = re.search(r"([a-z]+|[A-Z]{3,})$", match.string[max(0, match.start() - 20) : match.start()])
    if not word or (word[1].islower() and not word[1].endswith("s") and word[1] not in ("people", "percent")):
        return match[0]
    name = match[1]
    power = name[-1] if name[-1] in "23" else None
    name = name.rstrip("23")
    return " per " + _power(_PER_NAMES.get(name) or _find(name) or name, power)


def _expand_by(match: re.Match[str]) -> str:
    amount, unit = match[1], match[2]
    if not unit and _TIMES_AFTER.match(match.string, match.end()):
        return f"{amount} times "
    if not unit and re.search(r"times $", match.string[max(0, match.start() - 8) : match.start()]):
        return f"{amount} times "
    unit = {'"': " inches", "'": " feet"}.get(unit.strip(), unit)
    if unit.strip().rstrip(".") == "in":
        unit = " inches"
    return f"{amount}{unit} by "


def _expand_feet_inches(match: re.Match[str]) -> str:
    """6'2" -> 6 foot 2, 6 ft 2 in -> 6 feet 2 inches."""
    feet, inches = match.groups()
    if "ft" not in match[0]:
        return f"{feet} foot {inches}"
    return f"{feet} {'foot' if feet == '1' else 'feet'} {inches} {'inch' if inches == '1' else 'inches'}"


def _expand_feet(match: re.Match[str]) -> str:
    is_attribute = _ATTRIBUTE_BEFORE.search(match.string[max(0, match.start() - 8) : match.start()])
    return f"{match[1]} {'foot' if match[1] == '1' or is_attribute else 'feet'}"


def _expand_inches(match: re.Match[str]) -> str:
    noun = re.match(
        r"\s(?!wide|long|tall|deep|thick|high|of|in|by)[a-zA-Z]", match.string[match.end() : match.end() + 8]
    )
    return f"{match[1]} inch" if match[1] == "1" or noun else f"{match[1]} inches"


def _expand_inch_long(match: re.Match[str]) -> str:
    if match[2] or "-" in (match[4] or ""):
        return f"{match[1]}-inch"
    return f"{match[1]} {'inch' if match[1] == '1' else 'inches'}"


def _expand_inch_marks(text: str) -> str:
    """6" from the heat -> 6 inches from the heat. After an opening quotation mark, it is the closing one."""
    if '"' not in text:
        return text
    parts, place, is_open = [], 0, False
    for match in _QUOTATION.finditer(text):
        if match[1] and not is_open and match[2]:
            is_one = match[1] == "1" or _MEASURED_NOUN.match(text, match.end())
            parts += [text[place : match.start()], f"{match[1]} {'inch' if is_one else 'inches'}"]
            place = match.end()
        else:
            is_open = not is_open
    return "".join(parts) + text[place:]


def _expand_primes(match: re.Match[str]) -> str:
    return f"{match[4]} prime" if match[4] else f"{match[1]} prime{match[2]}{match[3]} prime"


def _expand_per_unit(match: re.Match[str]) -> str:
    return _PER_NAMES.get(match[1]) or _find(match[1]) or "barrel"


def _expand_coordinate(match: re.Match[str]) -> str:
    degrees, minutes, seconds, point = match.groups()
    words = f"{degrees} degree{'s' * (degrees != '1')}"
    words += f", {minutes} minute{'s' * (minutes != '1')}" if minutes else ""
    words += f", {seconds} second{'s' * (seconds != '1')}" if seconds else ""
    return f"{words} {_POINTS[point]}"


def _expand_temperature(match: re.Match[str]) -> str:
    amount, to, scale = match.groups()
    before = match.string[max(0, match.start() - 24) : match.start()]
    if (
        _PLACE_BEFORE.search(before)
        or re.search(r"[A-Za-z#]-?$", before)
        or (len(amount) < 2 and "minus" not in before)
    ):
        return match[0]
    return f"{amount}{(to or '').replace('-', ' to ')}{_SCALES[scale]}"
