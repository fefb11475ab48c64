"""Addresses, files, options, and code."""

from __future__ import annotations

import re

from common.text.english.rules import DIGITS, Rule, apply_rules

# Ends of domains and files that are spoken as words. All others are spelt.
_SPOKEN_DOMAINS = frozenset("com org net gov mil info biz app dev edu shop online site blog cloud store news".split())
_SPELT_DOMAINS = frozenset(
    "io ai co uk de fr eu us tv fm ca au ch nl be it es se no dk fi pl ru jp cn kr in br nz za ie at gg xyz ly".split()
)
_DOMAIN_WORDS = frozenset("us be it no in at so to me is".split())  # only in a full address
_SPOKEN_FILES = frozenset("com doc zip tar log bin dat bat gif conf lock json yaml ini net".split())
_SPELT_FILES = frozenset(
    "txt pdf csv tsv xml html htm css js ts jsx tsx py ipynb rb rs cpp hpp java php sh md rst toml yml cfg exe dll iso "
    "dmg apk deb rpm gz bz2 xz 7z jpg jpeg png svg webp bmp tif tiff wav mp3 mp4 flac ogg m4a mov avi mkv xls xlsx "
    "docx ppt pptx odt epub sql db pt onnx npy pth bak tmp asp aspx jsp".split()
)
_WORDS_OF_FILES = {"docx": "doc x", "xlsx": "x.l.s. x", "pptx": "p.p.t. x"}

_LABEL = r"[A-Za-z\d](?:[\w-]{0,62})"
_EMAIL = re.compile(rf"(?<![\w.@+-])([\w.+-]{{1,64}})@({_LABEL}(?:\.{_LABEL}){{1,6}})", re.ASCII)
_URL = re.compile(
    rf"(?<![\w.@/-])(https?://|ftp://|www\.)?({_LABEL}(?:\.{_LABEL}){{0,6}}\.[A-Za-z]{{2,8}}|localhost)(:\d{{2,5}})?"
    r"(/[^\s\"'<>()]{0,300}|\?[^\s\"'<>()]{1,300})?(?![\w@-])",
    re.ASCII,
)
_SCHEME = re.compile(r"\b(?:https?|ftp)://(?:www\.)?|\bwww\.(?=\w)")
_FILE_END = "|".join(sorted(_SPELT_FILES | _SPOKEN_FILES, key=len, reverse=True))
_FILE_NAME = re.compile(
    rf"(?<![\w.@/])(\*|(?:[\w-]{{1,40}}/){{0,6}}[A-Za-z\d][\w-]{{0,60}}(?:\.\w{{1,20}}){{0,3}})?"
    rf"\.({_FILE_END})(?![\w@]|\.\w)",
    re.ASCII | re.IGNORECASE,
)
_PATH = re.compile(
    r"(?<![\w/.:~<])(~|\.{1,2})?((?:/[\w.+-]{0,60}[\w+-]){2,12})/?(?=[\s,;:!?)\"']|\.(?:\s|$)|$)", re.ASCII
)
_DRIVE = re.compile(r"\b([A-Za-z]):\\(?=\w)")
_CALL = re.compile(r"\b([A-Za-z_]\w{0,40}(?:\.[A-Za-z_]\w{0,40}){1,5})(?=\()", re.ASCII)
_EMPTY_CALL = re.compile(r"(?<=\w)\(\)")
_IP = re.compile(r"(?<![\w.])(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?![\w]|\.\d)")

_LONG_OPTION = re.compile(r"(?<![\w-])(?:--)(?=[a-z][a-z\d]*(?:-[a-z\d]+)*(?:[\s=.,;:)\"']|$))")
_SHORT_OPTION = re.compile(r"(?<![\w-])-([A-Za-z]{1,3})(?=[\s,.;:)\"']|$)")
_OPTION_CONTEXT = re.compile(
    r"\b(?:flags?|options?|switch|switches|arguments?|run|pass|use|with|add|command|python|pip|git|npm|or|and)\s*$|"
    r"(?:^|\s)-{1,2}[a-z][\w-]*(?:\s\S{1,30})?\s*$",
    re.IGNORECASE,
)
_COMMAND = re.compile(
    r"\b(?:git|python3?|pip3?|npm|docker|curl|wget|ls|rm|cp|mv|tar|gcc|make|bash|sh|sudo|ssh|cat|grep|kubectl|apt|brew|"
    r"conda|node|cargo|go)\s[^.!?]{0,60}$"
)
_DOT_NAME = re.compile(r"(?<!\S)\.(?=[a-z][a-z\d]{1,20}(?:[\s,;:)]|\.?$|\.\s))")
_SHARE_CLASS = re.compile(r"(?<![\w.])([A-Z]{2,4})\.([AB])(?![\w.])")
_HEX = re.compile(r"(?<![\w&])#(?=(?:[\dA-Fa-f]{6}|[\dA-Fa-f]{3})\b)(?=\d{0,5}[A-Fa-f])")
_AND = re.compile(r"\b([A-Z]{2,3})&([A-Z]{1,3})\b|\b([A-Z])&([A-Z]{2,3})\b")
_OPTION_AFTER = re.compile(r"[a-z][a-z\d-]*(?:=|\s+(?:flags?|options?|switch|argument|to)\b)")

_HASHTAG = re.compile(r"(?<![\w&#/])#(?=[A-Za-z])(\w{2,60})")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_HANDLE = re.compile(r"(?<![\w.@])@(?=[A-Za-z]\w)")
_SHARP = re.compile(r"\b([A-GJ])#(?!\w)")
_PLUS_PLUS = re.compile(r"\b([A-Za-z])\+\+(?!\w)")
_DOT_NET = re.compile(r"(?<![\w.])\.(?=NET\b)")
_VERSION_PIN = re.compile(r"(?<=[a-z])==(?=\d+\.\d)")
_TAG = re.compile(r"</?[a-z][a-z\d]{0,15}(?:\s[^<>]{0,200})?/?>")
_MARKDOWN = re.compile(r"(\*{1,3}|~~|`)(?=\S)([^*`~\n]{1,200}?)(?<=\S)\1(?!\w)")
_PARTS_OF_PATH = {"/": " slash ", "-": " dash ", "_": " underscore ", ".": " dot ", "?": " question mark "}
_PARTS_OF_PATH |= {"=": " equals ", "&": " and ", "#": " hash ", "%": " percent ", "+": " plus ", "~": " tilde "}
_PART_OF_PATH = re.compile(r"[/\-_.?=&#%+~]")


def expand_web(text: str) -> str:
    """name.com -> name dot com, jane.doe@mail.org -> jane dot doe at mail dot org, a.txt -> a dot t.x.t."""
    return apply_rules(_RULES, text)


def spell(letters: str) -> str:
    """txt -> t.x.t."""
    return "".join(f"{letter}." for letter in letters.lower())


def _speak_parts(text: str) -> str:
    return " ".join(_PART_OF_PATH.sub(lambda m: _PARTS_OF_PATH[m[0]], text).split())


def _speak_domain(domain: str) -> str:
    *labels, end = domain.split(".")
    ends = [end]
    if labels and end.lower() in _SPELT_DOMAINS and labels[-1] in ("co", "ac", "gov", "org", "com"):
        ends.insert(0, labels.pop())
    words = [label.replace("-", " dash ").replace("_", " underscore ") for label in labels]
    return " dot ".join([*words, *(_speak_domain_end(part) for part in ends)])


def _speak_domain_end(end: str) -> str:
    if end.lower() in ("ac", "tv", "io", "ai", "uk") or (end.lower() in _SPELT_DOMAINS and end.lower() != "co"):
        return spell(end).removesuffix(".") + "."
    return end.lower()


def _expand_url(match: re.Match[str]) -> str:
    scheme, domain, port, path = match.groups()
    end = domain.rpartition(".")[2]
    known = end.lower() in _SPOKEN_DOMAINS | _SPELT_DOMAINS and (end.islower() or domain.isupper())
    in_full = bool(scheme or path or port or domain.count(".") > 1)
    # "I saw it.It was": a missing space looks like an Italian address. Files and names (Node.js) are not addresses.
    if not scheme and (not known or (end.lower() in _DOMAIN_WORDS and not in_full)):
        return match[0]
    if not scheme and path and not known:
        return match[0]
    tail = ""
    rest = path or ""
    while rest and rest[-1] in ".,;:!?/":
        tail = (rest[-1] if rest[-1] != "/" else "") + tail
        rest = rest[:-1]
    domain = domain.removeprefix("www.")
    words = _speak_domain(domain) if "." in domain else domain
    if port:
        words += f" port {port[1:]}"
    words += f" {_speak_path(rest)}" if rest else ""
    return _close(words, match, tail)


def _speak_path(path: str) -> str:
    stem, dot, end = path.rpartition(".")
    if dot and end.lower() in _SPELT_FILES:
        return f"{_speak_parts(stem)} dot {_WORDS_OF_FILES.get(end.lower(), spell(end))}"
    return _speak_parts(path)


def _close(words: str, match: re.Match[str], tail: str = "") -> str:
    """Add what followed the address. The stop of a spelt end is not doubled."""
    following = tail or match.string[match.end() : match.end() + 1]
    if words.endswith(".") and following.startswith("."):
        words = words[:-1]
    return words + tail


def _expand_file(match: re.Match[str]) -> str:
    name, end = match[1] or "", match[2].lower()
    if end in ("net", "com", "log", "in") and name.islower() and end != "log":
        return match[0]
    if not name and end in _SPOKEN_FILES:
        return match[0]
    stem = "star" if name == "*" else name.replace("_", " ").replace(".", " dot ").replace("/", " slash ")
    spoken = end if end in _SPOKEN_FILES else _WORDS_OF_FILES.get(end, spell(end))
    stem = re.sub(r"\b(?:gz|xz|js|min)\b(?=$| dot)", lambda m: m[0] if m[0] == "min" else spell(m[0]), stem)
    return _close(f"{stem} dot {spoken}".strip(), match)


def _expand_ip(match: re.Match[str]) -> str:
    return " dot ".join(match.groups()) if all(int(part) < 256 for part in match.groups()) else match[0]


def _expand_option(match: re.Match[str]) -> str:
    text, long = match.string, match[0].startswith("--")
    before = text[max(0, match.start() - 40) : match.start()]
    after = text[match.end() : match.end() + 40]
    command = text[max(0, match.start() - 80) : match.start()]
    alone = long and not before.strip(" \"'(") and re.match(r"[a-z][a-z-]*(?:[\s,.]|$)", after)
    if not (
        alone or _COMMAND.search(command) or _OPTION_CONTEXT.search(before) or (long and _OPTION_AFTER.match(after))
    ):
        return match[0]
    return "dash dash " if long else f"dash {' '.join(match[1])}"


_RULES: tuple[Rule, ...] = (
    ("<", _TAG, " "),
    ("*`~", _MARKDOWN, r"\2"),
    ("=", _VERSION_PIN, " "),
    (".", _DOT_NET, " dot "),
    ("+", _PLUS_PLUS, r"\1 plus plus"),
    ("#", _SHARP, r"\1 sharp"),
    ("@", _EMAIL, lambda m: f"{_speak_parts(m[1])} at {_speak_domain(m[2])}"),
    (DIGITS, _IP, _expand_ip),
    ("./", _URL, _expand_url),
    ("/.", _SCHEME, ""),
    (".", _FILE_NAME, _expand_file),
    ("/", _PATH, lambda m: f"{'tilde' if m[1] == '~' else ''}{_speak_parts(m[2])}"),
    ("\\", _DRIVE, r"\1 drive, "),
    ("(", _CALL, lambda m: m[1].replace(".", " dot ")),
    ("(", _EMPTY_CALL, ""),
    ("-", _LONG_OPTION, _expand_option),
    ("-", _SHORT_OPTION, _expand_option),
    (".", _SHARE_CLASS, r"\1 \2"),
    (".", _DOT_NAME, "dot "),
    ("#", _HEX, "hash "),
    ("&", _AND, lambda m: f"{spell(m[1] or m[3])} and {spell(m[2] or m[4])}".replace(" .", "")),
    ("#", _HASHTAG, lambda m: "hashtag " + _CAMEL.sub(" ", m[1].replace("_", " "))),
    ("@", _HANDLE, "at "),
)
