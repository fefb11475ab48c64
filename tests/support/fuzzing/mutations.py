"""Damage to texts, lists and configurations, as people, other programs and attackers cause it."""

from __future__ import annotations

import copy
import json
import math
import random
from collections.abc import Sequence
from typing import Any

ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252", "cp1251", "latin-1", "shift-jis"]
PIECES = (
    *("|", "||", "\t", "\r", "\n", "\r\n", "\0", "\ufeff", "../", "/etc/passwd", "C:\\", '"', "{", "}", "{HH AH0}"),
    *("\u2028", "\x85", "\ud800", "😀", "a" * 300, "." * 50, "* * *", "_", "-", "~", "|" * 40, "1" * 400, "\\"),
    *(".wav", "wavs/", "%s", "%n", "\x1b[2J", "١٢", "e\u0301" * 30, "I" * 200, "$", "https://a.b/c?d=e", "1e999"),
    *(
        "0x",
        "½",
        "1" * 5000,
        "{a {b {c} d} e}",
        "｛a｝",
        "/dev/zero",
        "/dev/stdin",
        "../" * 40,
        "pipe",
        "link",
        "#",
        ";;;",
    ),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, "", "x", "1", "nan", "x" * 10_000, "\ud800", "\0", "\x1b[2J", "../../etc/passwd", "/dev/zero"),
    *(-1, 0, 1, 2, 3, 7, 255, 2**16, 2**31, 2**63, 2**64, 10**30, 10**400, -(10**400)),
    *(0.5, -0.5, 8.5, 1e-320, 1e300, math.nan, math.inf, -math.inf),
    *([], {}, [[]], [1, "a"], [None], [0, 0, 0, 0], [-8, 8], [8.5, 8], [10**9] * 4, {"a": 1}, {"": {"": []}}),
    *([[1, 3, 5]] * 50, [8] * 200, [[10**12]] * 3, [2] * 60, list(range(5000)), "8822", ["8", "8"], [True, True]),
)


def mutate_text(rng: random.Random, text: str, pieces: Sequence[str] = PIECES) -> bytes:
    """Return a text with a few changes of lines, columns, characters, encoding and bytes."""
    for _ in range(rng.choice((0, 1, 1, 2, 3, 8))):
        text = _mutate_once(rng, text, pieces)
    content = bytearray(text.encode(rng.choice(ENCODINGS) if rng.random() < 0.4 else "utf-8", "ignore"))
    for _ in range(rng.choice((0, 0, 0, 1, 4, 40))):
        if content:
            at = rng.randrange(len(content))
            content[at : at + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
    return bytes(content[: rng.randrange(len(content) + 1)] if rng.random() < 0.1 else content)


def _mutate_once(rng: random.Random, text: str, pieces: Sequence[str]) -> str:
    lines = text.split("\n")
    i = rng.randrange(len(lines))
    kind = rng.randrange(8)
    if kind == 0:
        lines[i] = lines[rng.randrange(len(lines))]
    elif kind == 1:
        lines[i] = "|".join(lines[i].split("|")[: rng.randrange(3)])
    elif kind == 2:
        lines[i] += "|" + rng.choice(pieces)
    elif kind == 3:
        columns = lines[i].split("|")
        rng.shuffle(columns)
        lines[i] = "|".join(columns)
    elif kind == 4 and len(lines[i]) < 2000:  # repeated again and again it would fill the memory
        lines[i] = lines[i] * rng.choice((2, 50, 500))
    elif kind == 5:
        lines.insert(i, rng.choice(pieces))
    elif kind == 6:
        del lines[i]
    text = "\n".join(lines)
    if kind == 7:
        at = rng.randrange(len(text) + 1)
        text = text[:at] + rng.choice(pieces) + text[at + rng.randrange(3) :]
    return text


def mutate_settings(rng: random.Random, settings: Any) -> Any:
    """Return settings with a few changed, missing, added, exchanged and nested values."""
    settings = copy.deepcopy(settings)
    for _ in range(rng.choice((0, 1, 1, 1, 2, 4))):
        places = list(_places(settings))
        if not places:
            return rng.choice(VALUES)
        holder, key = rng.choice(places)
        kind = rng.randrange(10)
        if kind < 6:
            holder[key] = copy.deepcopy(rng.choice(VALUES))
        elif kind == 6:
            del holder[key]
        elif kind == 7:
            other, other_key = rng.choice(places)
            holder[key] = copy.deepcopy(other[other_key])
        elif kind == 8:
            holder[key] = [holder[key]] * rng.choice((0, 1, 3, 50))
        elif isinstance(holder, dict):
            holder[rng.choice(("", "x" * 500, "\ud800", "speakers", "config", "\x1b[2J"))] = rng.choice(VALUES)
    return settings


def _places(value: Any) -> list[tuple[Any, Any]]:
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    found = [(value, key) for key in keys]
    for _, key in list(found):
        found += _places(value[key])
    return found


def write_json(rng: random.Random, settings: Any) -> bytes:
    """Return JSON of settings, sometimes with repeated keys, comments, or bytes that are damaged."""
    text = json.dumps(settings, indent=rng.choice((None, 1)), ensure_ascii=rng.random() < 0.7)
    kind = rng.randrange(12)
    if kind == 0 and isinstance(settings, dict) and settings:
        key = rng.choice(list(settings))
        text = text.rstrip()[:-1] + f", {json.dumps(key)}: {json.dumps(rng.choice(VALUES))}}}"
    elif kind == 1:
        text = "// comment\n" + text + rng.choice(("/* open", "// end", '"open', "/**/", '\\"' * 5000, "/*" * 5000))
    elif kind == 2:
        depth = rng.choice((10, 500, 100_000))
        text = "[" * depth + text + "]" * depth
    elif kind == 3:
        return mutate_text(rng, text, (*PIECES, "[", "]", "{", ":", ",", "NaN", "-Infinity", "1e400", "1" * 5000, "//"))
    return text.encode("utf-8", "surrogatepass" if kind == 4 else "replace")


def write_yaml(rng: random.Random, settings: Any) -> bytes:
    """Return YAML of settings, sometimes with tags, anchors that multiply, or bytes that are damaged."""
    text = json.dumps(settings, indent=rng.choice((None, 1)))  # which is YAML
    kind = rng.randrange(10)
    if kind < 4:
        text = "".join(f"{json.dumps(key)}: {json.dumps(value)}\n" for key, value in _items(settings))
    if kind == 0:
        text += rng.choice(BOMBS)
    elif kind == 1:
        text = text.replace(": ", f": {rng.choice(TAGS)} ", rng.choice((1, 3, 1000)))
    elif kind == 2:
        return mutate_text(
            rng, text, (*PIECES, *TAGS, *BOMBS, "[", "{", "- ", "? ", "&a ", "*a", "<<: ", "---\n", "| ")
        )
    return text.encode("utf-8", "replace")


def _items(settings: Any) -> list[tuple[Any, Any]]:
    return list(settings.items()) if isinstance(settings, dict) else [("a", settings)]


def _laughs(item: str, depth: int) -> str:
    """Return YAML whose last value names the one before ten times, that one the one before it ten times, and so on."""
    lines = [f"a0: &a0 {item}"]
    for i in range(1, depth):
        names = ",".join([f"*a{i - 1}"] * 10)
        lines.append(f"a{i}: &a{i}\n  <<: [{names}]" if item.startswith("{") else f"a{i}: &a{i} [{names}]")
    return "\n".join(lines) + "\n"


TAGS = (
    *("!!python/object/apply:os.system", "!!python/name:os.system", "!new:os.system", "!!int", "!!float", "!!bool"),
    *("!!timestamp", "!!binary", "!!set", "!!omap", "!!pairs", "!!null", "!x", "!!merge", "!", "!!str"),
)
BOMBS = (
    _laughs("[x]", 30),
    _laughs("{x: 1, y: 2}", 9),
    "generator_params: " + _laughs("[8]", 12).replace("a11:", "upsample_scales:"),
    "sampling_rate: 1" + ":1" * 20_000 + "\n",
    "a: &a [*a]\n",
    "a: &a {*a : 1}\n",
    "a: " + "[" * 5000 + "\n",
    "".join(f"{'  ' * i}a:\n" for i in range(200)),
    "a: !!int _\nb: !!float ''\n",
    "{}," * 20_000,
)
