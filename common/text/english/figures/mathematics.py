"""Operators and powers in formulas and code: =, ==, !=, <, >, *, /, ^, ->."""

from __future__ import annotations

import re

from common.text.english.figures.number_words import ordinal
from common.text.english.rules import ALWAYS, DIGITS, Rule, apply_rules

_TERM_BEFORE, _TERM_AFTER = r"(?<=[\w)\]%°.'\"])", r"(?=[\w(\[$£€.√'\"-])"
_POWER = re.compile(r"(?<=[\w)\]])\s?(?:\^|\*\*)\s?(?:\(?(-|\+|minus |plus )?(\d{1,3})\)?|([A-Za-z])\b|(?=\())")
_EXPONENT = re.compile(r"(?<![\w.])(\d{1,3}(?:\.\d+)?)[eE]([-+]?\d{1,3})(?![\w.])")  # 2.5e-3
_COEFFICIENT = re.compile(r"(?<=\b)([a-z])([a-z])(?=\^\d)")  # mc^2
_LINKING = re.compile(
    r"\b(?:is|was|are|were|be|been|of|with|at|by|to|than|for|from|only|just|about|reads?|has|had|have|rate|and|or|if)\s*$|[:(,;]\s*$|^\s*$",
    re.IGNORECASE,
)
_COMPARISONS = {
    ">=": "greater than or equal to",
    "=>": "to",
    "<=": "less than or equal to",
    "!=": "not equal to",
    "<>": "not equal to",
    "==": "equals",
    "===": "equals",
    ":=": "is",
    "+=": "plus equals",
    "-=": "minus equals",
    ">": "greater than",
    "<": "less than",
}
_COMPARISON = re.compile(r"\s*(===|==|!=|<>|>=|<=|:=|\+=|-=)\s*")
_ARROW = re.compile(r"\s*(?:<-{1,2}>|<=>|-{1,2}>|=>)\s*")
_LEFT_ARROW = re.compile(r"(?<=[\w)])\s*<-{1,2}\s*(?=[A-Za-z(])")
_QUOTE = re.compile(r"(^|\n)\s*(?:>\s?)+(?=\S)")
_MENU = re.compile(r"(?<=[A-Za-z])\s+>\s+(?=[A-Z][a-z])")
_ORDER = re.compile(r"\s*([<>])\s*(?=[-+]?[\d$£€.]|[A-Za-z(]|minus\b|pi\b)")
_DIVIDED = re.compile(r"(?<=[\d)])\s/\s(?=[\d(])")
_DIVIDED_IN_EQUATION = re.compile(
    r"(?<=[\w)])\s?/\s?(?=[\w(][\w\s()]{0,20}=)|(?<=[=+*]\s)([A-Za-z\d])\s?/\s?(?=[A-Za-z\d]\b)"
)
_ABSOLUTE = re.compile(r"(?<![\w|])\|(\w{1,3}(?: [+-] \w{1,3})?)\|(?![\w|])")
_PI_OVER = re.compile(r"(?<=\bpi)\s?/\s?(?=\d)")
_TIMES = re.compile(r"(?<=[\w)])\s*\*\s*(?=[\d(])|(?<=\d)\s*\*\s*(?=\w)|(?<=[\w)])\s\*\s(?=\w)")
_TIMES_SIGN = re.compile(r"(?<=\d)\s?[×xX]\s?(?=10\b|\d+(?:\.\d+)?\s?(?:=|equals))|(?<=[\w)])\s*×\s*(?=[\w(])")
_FASTER = re.compile(
    r"(?<=\d)\s?[xX×](?=\s(?:faster|slower|more|less|as|higher|lower|larger|bigger|smaller|better|cheaper|longer|the|"
    r"greater|stronger|your|its|their|his|her|my|our|that|this|what|normal|speed-?up)\b|[,.;)](?:\s|$)|$)"
)
_EQUALS = re.compile(rf"{_TERM_BEFORE}\s*=\s*{_TERM_AFTER}")
_PLUS = re.compile(r"(?<=[\w)])\s*\+\s*(?=[\w(-])|(?<=\d)\s*\+\s*(?=[$£€]?\d)")
_AFTER_PLUS = re.compile(r"(?<=\d)\+")
_GRADE = re.compile(r"\b([A-F])([+-])(?=[\s,.;:!?)\"']|$)")
_SIGNED = re.compile(r"(?<![\w)])\+(?=\d)")
_MINUS = re.compile(r"(?<=\b[a-zA-Z])\s-\s(?=[a-zA-Z\d]\b)|(?<=\d)\s-\s(?=[a-zA-Z]\b)|(?<=squared)\s-\s(?=\w)")
_IS_ABOUT = re.compile(r"\b(is|was|are|were|of|be)\s+is about\b")
_FUNCTION = re.compile(r"\b([fgh])\(([a-z])\)")


def expand_mathematics(text: str) -> str:
    """x^2 -> x squared, 10^6 -> 10 to the sixth, y != 0 -> y is not equal to 0, 3 * 4 = 12 -> 3 times 4 equals 12."""
    return apply_rules(_RULES, text)


def _expand_power(match: re.Match[str]) -> str:
    sign, number, letter = match.groups()
    if letter:
        return f" to the {letter}"
    if not number:
        return " to the power "
    if sign in ("-", "minus "):
        return f" to the minus {number}"
    if number in ("2", "3"):
        return " squared" if number == "2" else " cubed"
    return f" to the {ordinal(int(number))}"


def _compare(match: re.Match[str], sign: str) -> str:
    """After a verb or preposition "less than 5", after a term "is less than 5"."""
    words = _COMPARISONS[sign]
    before = match.string[max(0, match.start() - 12) : match.start()]
    attached = not match[0].endswith(" ") and match[0][:1] == " "
    if sign in "<>" and re.search(r"[A-Za-z]{3,}$" if not attached else r"[A-Za-z]{2,}$", before):  # people <60
        return f" {words} "
    if sign in ("==", "===", ":=", "+=", "-=") or _LINKING.search(before):
        return f" {words} "
    return f" is {words} "


def _divide(match: re.Match[str]) -> str:
    after = match.string[match.end() : match.end() + 24]
    before = match.string[max(0, match.start() - 24) : match.start()]
    is_equation = re.match(r"[\w.()]+\s?(?:=|equals)", after) or re.search(r"(?:=|equals)\s[\w.()]+$", before)
    return " divided by " if is_equation else match[0]


_RULES: tuple[Rule, ...] = (
    (ALWAYS, _IS_ABOUT, r"\1 about"),
    ("(", _FUNCTION, r"\1 of \2"),
    ("|", _ABSOLUTE, r"the absolute value of \1"),
    (DIGITS, _TIMES_SIGN, " times "),
    ("×", _TIMES_SIGN, " times "),
    (DIGITS, _FASTER, " times"),
    (DIGITS, _EXPONENT, r"\1 times 10^\2"),
    ("^", _COEFFICIENT, r"\1 \2"),
    ("^*", _POWER, _expand_power),
    (">", _QUOTE, r"\1"),
    (">", _MENU, ", "),
    (">", _ARROW, " to "),
    ("<", _LEFT_ARROW, " from "),
    ("=<>", _COMPARISON, lambda m: _compare(m, m[1])),
    ("<>", _ORDER, lambda m: _compare(m, m[1])),
    ("&", re.compile(r"\s*&&\s*"), " and "),
    ("|", re.compile(r"\s*\|\|\s*"), " or "),
    ("/", _PI_OVER, " over "),
    ("/", _DIVIDED_IN_EQUATION, lambda m: f"{m[1]} over " if m[1] else " divided by "),
    ("/", _DIVIDED, _divide),
    ("*", _TIMES, " times "),
    ("-", _MINUS, " minus "),
    ("=", _EQUALS, " equals "),
    ("+-", _GRADE, lambda m: f"{m[1]} {'plus' if m[2] == '+' else 'minus'}"),
    ("+", _PLUS, " plus "),
    ("+", _AFTER_PLUS, " plus"),
    ("+", _SIGNED, "plus "),
)
