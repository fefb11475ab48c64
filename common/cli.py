"""Command-line flags declared as fields of frozen dataclasses: field name == flag == checkpoint key.

Flags may be written with `-` or `_`. A flag that needs another one declares it (`only_with`, `not_with`), and the
parser refuses it where it would have no effect.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import difflib
import io
import logging
import math
import multiprocessing
import sys
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from common.errors import InputError, one_line, printable
from common.machine.signals_and_streams import (
    CLOSED_PIPE,
    describe_stop,
    drop_stdout,
    end_at_signals,
    flush_stdout,
    open_standard_streams,
    raise_at_signals,
    report,
)
from common.project import VERSION
from common.resources import use_allowed_threads

T = TypeVar("T")

_OPTIONAL = {"librosa", "matplotlib", "tensorboard"}  # packages that programs import, but a plain installation lacks


def flag(
    default: Any,
    help: str,
    *,
    short: Sequence[str] = (),
    choices: Sequence[str] | None = None,
    metavar: str = "",
    required: bool = False,
    only_with: str | Sequence[str] = (),
    not_with: str | Sequence[str] = (),
    refuse_default: bool = False,
    convert: Callable[[str], str] | None = None,
) -> Any:
    """Declare a dataclass field that is also a command-line flag.

    Args:
        default: default value. A tuple makes a flag that takes one or more values.
        help: one line for `--help`. Conditions are appended, and the default or "(required)".
        short: further spellings, such as `-o`.
        choices: allowed values.
        metavar: stands for the value in `--help`, such as PATH. By default the type decides.
        required: refuse a command line without it, or with an empty value.
        only_with: flags without which values other than the default have no effect. One of them is enough. Each is a
            field name, or `name=value` for one value of that flag.
        not_with: flags with which this one has no effect, written likewise.
        refuse_default: refuse the default value too where the flag has no effect.
        convert: what `from_flags` makes of a given text, such as the path of a model that is given by name.
    """
    metadata: dict[str, Any] = {"help": help, "short": tuple(short), "choices": choices, "convert": convert}
    metadata |= {"metavar": metavar, "required": required}
    conditions = {"only_with": _as_tuple(only_with), "not_with": _as_tuple(not_with), "refuse_default": refuse_default}
    return dataclasses.field(default=default, metadata={**metadata, **conditions})


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def program_name(name: str) -> str:
    """Return the console command that the user started, such as hifigan-train, or else `name`."""
    started = Path(sys.argv[0]).stem
    return started if started.startswith("hifigan-") else name


def command_line(name: str) -> str:
    """Return the words that start a program: `python train.py`, `python -m voice.say`, or its console command."""
    name = program_name(name)
    return f"python {name}" if name.endswith(".py") else f"python -m {name}" if "." in name else name


def is_started(module: str) -> bool:
    """Return whether the user started a program, or its console command, rather than that another module imports it.

    Programs then call `check_command_line` before they import PyTorch, which takes seconds.

    Args:
        module: `__name__` of the program.
    """
    return module == "__main__" or (
        program_name("").startswith("hifigan-") and multiprocessing.parent_process() is None
    )


def check_command_line(parse: Callable[[], object], prog: str) -> None:
    """Parse the command line. --help, --version and mistakes end the program, as in `run`."""
    prog = program_name(prog)
    open_standard_streams()
    end_at_signals(prog)
    with _errors_in_one_line(prog):
        parse()


class _HelpFormatter(argparse.HelpFormatter):
    """Wraps paragraphs, but not those of indented lines, such as examples."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        paragraphs = [
            part if part.startswith("  ") else super(_HelpFormatter, self)._fill_text(part, width, indent)
            for part in text.split("\n\n")
        ]
        return "\n\n".join(paragraphs)


class ArgumentParser(argparse.ArgumentParser):
    """`argparse` with `-` and `_` alike in flag names, no abbreviations, one-line errors, and conditions of flags.

    Args:
        prog: `train.py` for a program, `voice.say` for a module. A console command has its own name.
        needs: what the user has to give in addition to the positional arguments and the flags that are required.
        examples: command lines without the program, for the end of `--help`.
        epilog: text before the examples.
        complete: gets the flags that the user gave, before their conditions are checked, and may add flags that follow
            from these.
        kwargs: arguments of `argparse.ArgumentParser`.
    """

    def __init__(
        self,
        prog: str,
        *,
        needs: str = "",
        examples: Sequence[str] = (),
        epilog: str = "",
        complete: Callable[[MutableMapping[str, Any]], None] | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("formatter_class", _HelpFormatter)
        self.needs = needs
        self.command = command_line(prog)
        prog = program_name(prog)
        if examples:
            lines = "\n".join(f"  {self.command} {words}" for words in examples)
            epilog = f"{epilog}\n\nexamples:\n\n{lines}".strip()
        super().__init__(prog=prog, allow_abbrev=False, epilog=epilog or None, **kwargs)
        self.add_argument("--version", action="version", version=f"{prog}, version {VERSION} of hifigan-recipe")
        self.complete = complete
        self.flag_defaults: dict[str, Any] = {}
        self.required: dict[str, str] = {}
        self.group_of: dict[str, str] = {}
        self.refused_defaults: set[str] = set()
        self.only_with: dict[str, tuple[str, ...]] = {}
        self.not_with: dict[str, tuple[str, ...]] = {}

    def format_help(self) -> str:
        self.usage = self.usage or self._usage()
        return super().format_help()

    def _usage(self) -> str:
        """Name what the user has to give. The list of all flags follows in `--help`."""
        words = [self.command, *([self.needs] if self.needs else [])]
        for action in self._actions:
            metavar = str(action.metavar or action.dest)
            if not action.option_strings:
                words.append(
                    {"+": f"{metavar} [{metavar} ...]", "*": f"[{metavar} ...]"}.get(str(action.nargs), metavar)
                )
            elif action.required or action.dest in self.required:
                value = "" if action.nargs == 0 else f"{{{','.join(action.choices)}}}" if action.choices else metavar
                words.append(f"{action.option_strings[0]} {value}".rstrip())
        return " ".join([*words, "[flags]"])

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        words = sys.argv[1:] if args is None else list(args)
        return super().parse_known_args([_dashed(word) for word in words], namespace)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse the command line.

        Raises:
            InputError: a required flag is missing, or a flag has no effect with, or without, another one.
        """
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            self.error(f"unknown arguments: {' '.join(unknown)}{self._suggestion(unknown[0])}")
        if self.complete:
            self.complete(vars(parsed))
        for name, spelling in self.required.items():
            if not vars(parsed).get(name):
                raise InputError(f"{spelling}: is required (see {self.command} --help)")
        self._refuse_idle_flags(vars(parsed))
        return parsed

    def _suggestion(self, word: str) -> str:
        known = [spelling for action in self._actions for spelling in action.option_strings]
        close = difflib.get_close_matches(word.partition("=")[0], known, n=1) if word.startswith("-") else []
        return f"; did you mean {close[0]}?" if close else ""

    def _refuse_idle_flags(self, given: Mapping[str, Any]) -> None:
        values = {**self.flag_defaults, **given}
        for name, default in self.flag_defaults.items():
            if name not in given:
                continue
            # A script may pass on the default of a single flag. The flags of a group are refused at any value.
            may_be_idle = _as_tuple(given[name]) == _as_tuple(default) and name not in self.refused_defaults
            if (group := self.group_of[name]) and not _is_met(group, values):
                raise InputError(f"{_spelled(name)}: has no effect without {_spelled(group)}")
            only_with, not_with = self.only_with[name], self.not_with[name]
            if only_with and not may_be_idle and not any(_is_met(condition, values) for condition in only_with):
                raise InputError(f"{_spelled(name)}: has no effect without {list_words(map(_spelled, only_with))}")
            for condition in not_with:
                if not may_be_idle and _is_met(condition, values):
                    raise InputError(f"{_spelled(name)}: has no effect with {_spelled(condition)}")

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {one_line(message)} (see {self.command} --help)\n")


def _is_met(condition: str, values: Mapping[str, Any]) -> bool:
    """Evaluate `name` (the flag is set) or `name=value`. A name without a flag is a KeyError: a defect of ours."""
    name, equals, value = condition.partition("=")
    return str(values[name]) == value if equals else bool(values[name])


def _spelled(condition: str) -> str:
    """Spell a field name or a condition as on the command line: `format=onnx` -> `--format onnx`."""
    name, _, value = condition.partition("=")
    return f"--{name.replace('_', '-')} {value}".rstrip()


def list_words(words: Iterable[str]) -> str:
    """Join words for a message: "a, b or c"."""
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last


def _dashed(word: str) -> str:
    if not word.startswith("--"):
        return word
    name, equals, value = word.partition("=")
    return name.replace("_", "-") + equals + value


def add_flags(parser: ArgumentParser, cls: type, title: str, only_with: str = "", or_with: str = "") -> None:
    """Add one flag per field of the dataclass `cls`. Only flags that the user gave appear in the namespace.

    Args:
        parser: gets the flags.
        cls: a dataclass.
        title: heading of these flags in `--help`.
        only_with: name of the flag without which all others of this class have no effect.
        or_with: what else gives them an effect, for the heading. `complete` then sets the flag of `only_with`.
    """
    needed = " or ".join([_spelled(only_with), *([or_with] if or_with else [])]) if only_with else ""
    group = parser.add_argument_group(f"{title} (with {needed})" if needed else title)
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        if "help" not in field.metadata:
            continue
        kind = _plain_type(hints[field.name])
        options: dict[str, Any] = {"dest": field.name, "default": argparse.SUPPRESS}
        options["help"] = _help_text(field).replace("%", "%%")
        if kind is bool:
            options["action"] = argparse.BooleanOptionalAction if field.default else "store_true"
        else:
            options.update(type=kind, choices=field.metadata["choices"])
            options["metavar"] = None if field.metadata["choices"] else field.metadata["metavar"] or _metavar(kind)
            if typing.get_origin(hints[field.name]) is tuple:
                options["nargs"] = "+"
        group.add_argument(*field.metadata["short"], "--" + field.name.replace("_", "-"), **options)
        parser.flag_defaults[field.name] = field.default
        if field.metadata["required"]:
            parser.required[field.name] = [*field.metadata["short"], _spelled(field.name)][0]
        parser.group_of[field.name] = only_with if only_with != field.name else ""
        parser.only_with[field.name] = field.metadata["only_with"]
        parser.not_with[field.name] = field.metadata["not_with"]
        if field.metadata["refuse_default"]:
            parser.refused_defaults.add(field.name)


def _help_text(field: dataclasses.Field[Any]) -> str:
    text: str = field.metadata["help"]
    conditions = [
        f"{word} {list_words(map(_spelled, field.metadata[key]))}"
        for key, word in (("only_with", "with"), ("not_with", "not with"))
        if field.metadata[key]
    ]
    if conditions:
        text = f"{text} ({', '.join(conditions)})"
    return f"{text} (required)" if field.metadata["required"] else f"{text} (default: {_shown(field.default)})"


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
    """Build `cls` from `base` values, overridden by the flags that the user gave, converted."""
    fields = {field.name: field for field in dataclasses.fields(typing.cast(Any, cls))}
    return cls(**{**base, **{name: _converted(fields[name], given[name]) for name in given if name in fields}})


def _converted(field: dataclasses.Field[Any], value: Any) -> Any:
    convert = field.metadata.get("convert") or (lambda text: text)
    return tuple(map(convert, value)) if isinstance(value, list) else convert(value)


def refuse_contradictions(given: Mapping[str, Any], stored: Mapping[str, Any], source: str) -> None:
    """Raise `InputError` for the first flag whose value differs from the one stored in `source`."""
    for name, words in given.items():
        value = tuple(words) if isinstance(words, list) else words
        if name in stored and stored[name] != value:
            raise InputError(f"{_spelled(name)}: {value} contradicts {source}, which has {stored[name]}")


def positive(**values: float) -> None:
    """Raise `InputError` for the first flag whose value is not above zero."""
    for name, value in values.items():
        if not 0 < value < math.inf:
            raise InputError(f"{_spelled(name)}: {value} is not above 0")
        _refuse_enormous(name, value)


def _refuse_enormous(name: str, value: float) -> None:
    """Raise `InputError` for a whole number that neither a tensor nor a float can hold."""
    if isinstance(value, int) and value >= 2**63:
        raise InputError(f"{_spelled(name)}: {value} is too large")


def not_negative(**values: float) -> None:
    """Raise `InputError` for the first flag whose value is below zero."""
    for name, value in values.items():
        if not value >= 0:
            raise InputError(f"{_spelled(name)}: {value} is below 0")
        _refuse_enormous(name, value)


def folders(**values: str) -> None:
    """Raise `InputError` for the first flag of a folder to write whose value, or a folder above it, is a file."""
    for name, value in values.items():
        path = Path(value)
        for place in (path, *path.parents) if value else ():
            if place.exists() and not place.is_dir():
                what = "is a file" if place == path else f"cannot be a folder, because {place} is a file"
                raise InputError(f"{_spelled(name)}: {value} {what}; give the name of a folder")


def share(**values: float) -> None:
    """Raise `InputError` for the first flag whose value does not lie between 0 and 1, both included."""
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise InputError(f"{_spelled(name)}: {value} is not between 0 and 1")


def run(main: Callable[[], int | None], prog: str) -> NoReturn:
    """Run a program's `main` and exit. Bad input ends it with one line on stderr and exit status 1."""
    prog = program_name(prog)
    open_standard_streams()
    raise_at_signals()
    use_allowed_threads()
    if isinstance(sys.stdout, io.TextIOWrapper):  # file names need not be valid in its encoding
        sys.stdout.reconfigure(errors="backslashreplace")
    handler = logging.StreamHandler()
    handler.setFormatter(_LogFormatter(f"{prog}: %(levelname)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.captureWarnings(True)
    with _errors_in_one_line(prog):
        status = main()
        flush_stdout()
    sys.exit(status or 0)


@contextlib.contextmanager
def _errors_in_one_line(prog: str) -> Iterator[None]:
    """Exit with status 1 and one line on bad input, with 130 on Ctrl-C, 143 on SIGTERM, 141 if nobody reads stdout."""
    try:
        yield
    except (InputError, OSError) as error:
        if isinstance(error, BrokenPipeError) and drop_stdout():
            sys.exit(CLOSED_PIPE)
        _end(prog, f"error: {_describe(error)}", 1)
    except ModuleNotFoundError as error:
        if (package := str(error.name)) not in _OPTIONAL:
            raise
        _end(prog, f"error: the package {package} is missing: pip install {package}", 1)
    except KeyboardInterrupt as stop:
        _end(prog, *describe_stop(stop))


def _end(prog: str, message: str, status: int) -> NoReturn:
    report(f"{prog}: {message}")
    drop_stdout()
    sys.exit(status)


def _describe(error: Exception) -> str:
    message = one_line(str(error)) or type(error).__name__
    return message.removeprefix(f"{type(error).__module__}.").removeprefix(f"{type(error).__name__}: ")


class _LogFormatter(logging.Formatter):
    """Escapes what names and texts in messages would do to a terminal. Line ends stay."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return printable(super().formatMessage(record), keep="\n\t")
