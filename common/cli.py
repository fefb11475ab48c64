"""Dataclass <-> command line <-> checkpoint dictionary.

Frozen dataclasses are the truth: field name == flag == checkpoint key. Flags may be written with `-` or `_`.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import math
import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

from common.errors import InputError

T = TypeVar("T")


def flag(default: Any, help: str, *, short: Sequence[str] = (), choices: Sequence[str] | None = None) -> Any:
    """A dataclass field that is also a command-line flag.

    Args:
        default: default value; a field that is a tuple makes a flag that takes one or more values.
        help: one line for `--help`; the default is appended, unless it ends with `(required)`.
        short: further spellings, such as `-o`.
        choices: allowed values.
    """
    return dataclasses.field(default=default, metadata={"help": help, "short": tuple(short), "choices": choices})


class ArgumentParser(argparse.ArgumentParser):
    """`argparse` with `-`/`_` alike in flag names, no abbreviations, and errors of one line."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("formatter_class", argparse.HelpFormatter)
        super().__init__(allow_abbrev=False, **kwargs)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        words = sys.argv[1:] if args is None else list(args)
        return super().parse_known_args([_dashed(word) for word in words], namespace)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def _dashed(word: str) -> str:
    if not word.startswith("--"):
        return word
    name, equals, value = word.partition("=")
    return name.replace("_", "-") + equals + value


def add_flags(parser: argparse.ArgumentParser, cls: type, title: str) -> None:
    """Adds one flag per field of the dataclass `cls`; only flags that the user gave appear in the namespace."""
    group = parser.add_argument_group(title)
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        if "help" not in field.metadata:
            continue
        kind = _plain_type(hints[field.name])
        options: dict[str, Any] = {"dest": field.name, "default": argparse.SUPPRESS}
        text = field.metadata["help"]
        if not text.endswith("(required)"):
            text = f"{text} (default: {_shown(field.default)})"
        options["help"] = text.replace("%", "%%")
        if kind is bool:
            options["action"] = argparse.BooleanOptionalAction if field.default else "store_true"
        else:
            options.update(type=kind, choices=field.metadata["choices"])
            options["metavar"] = None if field.metadata["choices"] else _metavar(kind)
            if typing.get_origin(hints[field.name]) is tuple:
                options["nargs"] = "+"
        group.add_argument(*field.metadata["short"], "--" + field.name.replace("_", "-"), **options)


def _plain_type(hint: Any) -> type:
    """`int | None` -> int, `tuple[str, ...]` -> str."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        hint = next(arg for arg in typing.get_args(hint) if arg is not type(None))
    if typing.get_origin(hint) is tuple:
        hint = typing.get_args(hint)[0]
    return typing.cast(type, hint)


def _metavar(kind: type) -> str:
    return {int: "N", float: "X"}.get(kind, "TEXT")


def _shown(default: Any) -> str:
    if default in (None, "", ()):
        return "none"
    if isinstance(default, tuple):
        return " ".join(map(str, default))
    return {True: "on", False: "off"}[default] if isinstance(default, bool) else str(default)


def from_flags(cls: type[T], given: Mapping[str, Any], **base: Any) -> T:
    """Builds `cls` from `base` values overridden by those of its flags that the user gave."""
    names = {field.name for field in dataclasses.fields(typing.cast(Any, cls))}
    chosen = {name: value for name, value in given.items() if name in names}
    return cls(**{**base, **{k: tuple(v) if isinstance(v, list) else v for k, v in chosen.items()}})


def refuse_contradictions(given: Mapping[str, Any], settled: Mapping[str, Any], source: str) -> None:
    """Raises `InputError` naming the first flag that was given another value than `source` settled."""
    for name, words in given.items():
        value = tuple(words) if isinstance(words, list) else words
        if name in settled and settled[name] != value:
            raise InputError(f"--{name.replace('_', '-')}: {value} contradicts {source}, which has {settled[name]}")


def positive(**values: float) -> None:
    """Raises `InputError` naming the first flag whose value is not above zero."""
    for name, value in values.items():
        if not (value > 0 and math.isfinite(value)):
            raise InputError(f"--{name.replace('_', '-')}: {value} is not above 0")


def not_negative(**values: float) -> None:
    """Raises `InputError` naming the first flag whose value is below zero."""
    for name, value in values.items():
        if not value >= 0:
            raise InputError(f"--{name.replace('_', '-')}: {value} is below 0")


def run(main: Callable[[], int | None], prog: str) -> NoReturn:
    """Runs a program's `main`; bad input ends it with one line on stderr and exit status 1."""
    logging.basicConfig(level=logging.INFO, format=f"{prog}: %(levelname)s: %(message)s")
    logging.captureWarnings(True)
    try:
        status = main()
    except (InputError, OSError) as error:
        print(f"{prog}: error: {_last_line(error)}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print(f"{prog}: interrupted", file=sys.stderr)
        sys.exit(130)
    sys.exit(status or 0)


def _last_line(error: Exception) -> str:
    # An exception from a data-loading worker carries that worker's traceback in its message; its last line is ours.
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[-1].removeprefix(f"{type(error).__module__}.").removeprefix(f"{type(error).__name__}: ")
