"""The exception that programs report to the user as a single line, and the rule for one bad file among many."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence

log = logging.getLogger(__name__)
_ENDS_EVERY_JOB = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # no other file could be written either

_TRACEBACK = "Traceback"
_NAMES_A_FILE = re.compile(r"[^:]*\.\w{1,5}: ")  # "pitch/a.pt: ..."


LONGEST_MESSAGE = 1200  # characters


class InputError(ValueError):
    """Bad input. The one-line message names the file or flag, the value found, and the remedy.

    Names and texts in it may come from damaged files: what a terminal would not show is escaped.
    """

    def __init__(self, *values: object) -> None:
        super().__init__(*(_keep_traceback(value) if isinstance(value, str) else value for value in values))


def _keep_traceback(message: str) -> str:
    """Return a message in one line, but leave the line ends of a data loader's, which holds its worker's traceback."""
    return printable(message, keep="\n") if _TRACEBACK in message and "\n" in message else one_line(message)


def one_line(message: str) -> str:
    """Return a message in one line: without control characters, and without the middle of a very long one.

    Of a data loader's exception, which holds its worker's traceback, the last line counts. It is ours.
    """
    lines = message.strip().splitlines()
    if len(lines) > 1 and _TRACEBACK in message:
        message = lines[-1]
    shown = printable(message)
    if len(shown) <= LONGEST_MESSAGE:
        return shown
    return f"{shown[: LONGEST_MESSAGE * 2 // 3]} ... {shown[-LONGEST_MESSAGE // 3 + 5 :]}"


def printable(text: str, keep: str = "") -> str:
    """Escape line ends, control characters and lone surrogates, except those in `keep`."""
    if text.isprintable():
        return text
    shown = (c if c.isprintable() or c in keep else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
    return "".join(shown)


def first_three(problems: Sequence[str]) -> str:
    """Join the first three problems, and count the others."""
    rest = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
    return "; ".join(problems[:3]) + rest


def by_remark(remarks: Iterable[tuple[str, str]]) -> list[str]:
    """Return a line for each different remark, with the names of the first three files that have it.

    Args:
        remarks: name of a file, and a remark on it.
    """
    names: dict[str, list[str]] = {}
    for name, remark in remarks:
        names.setdefault(remark, []).append(name)
    return [f"{first_three(found)}: {remark}" for remark, found in names.items()]


def first_line(error: BaseException) -> str:
    """Return the first line of a library's error, cut between words if it is long, or else the error's type."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return textwrap.shorten(lines[0], 200, placeholder=" ...")


@contextlib.contextmanager
def others_go_on(path: str | os.PathLike[str], problems: list[str]) -> Iterator[None]:
    """Process one file of many: whatever it raises becomes one line in `problems`, so that the others are processed.

    Every program that walks over files uses this rule, and ends with exit status 1 if there were problems. Ctrl-C,
    SIGTERM and a full or read-only disk still end the job.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _ENDS_EVERY_JOB:
            raise
        problems.append(describe_problem(path, error))
        if not isinstance(error, InputError | OSError):
            log.debug("%s", path, exc_info=True)


def describe_problem(path: str | os.PathLike[str], error: BaseException) -> str:
    """Describe in one line why a file cannot be used, with its name and what to do."""
    name = os.fspath(path)
    reason = " ".join(str(error).split())
    if isinstance(error, InputError | OSError) and reason:
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            return f"{name}: its name is too long; rename it"
        named = name in reason or _NAMES_A_FILE.match(reason) or getattr(error, "filename", None)
        return reason if named else f"{name}: {reason}"
    if isinstance(error, MemoryError) or "allocate memory" in reason:  # PyTorch raises a RuntimeError
        return f"{name}: not enough memory for this file; cut it into shorter ones"
    if isinstance(error, UnicodeError):
        return f"{name}: its name or content is not valid UTF-8; rename or convert it"
    return f"{name}: cannot be used ({type(error).__name__}{': ' * bool(reason)}{reason}); replace or remove it"
