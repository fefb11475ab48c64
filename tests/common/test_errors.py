"""The rule for one bad file among many."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from common.errors import InputError, by_remark, first_line, first_three, others_go_on

RAISED: dict[str, tuple[Any, str]] = {
    "own line": (InputError("data/a.wav: too short"), "data/a.wav: too short"),
    "no name": (InputError("too short"), "data/a.wav: too short"),
    "missing": (FileNotFoundError(2, "No such file", "data/a.wav"), "[Errno 2] No such file: 'data/a.wav'"),
    "long name": (OSError(errno.ENAMETOOLONG, "File name too long"), "data/a.wav: its name is too long; rename it"),
    "memory": (MemoryError(), "data/a.wav: not enough memory for this file; cut it into shorter ones"),
    "memory of PyTorch": (
        RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory: you tried"),
        "data/a.wav: not enough memory for this file; cut it into shorter ones",
    ),
    "text": (str.encode, "data/a.wav: its name or content is not valid UTF-8; rename or convert it"),
    "defect": (
        ValueError("array\nis too big"),
        "data/a.wav: cannot be used (ValueError: array is too big); replace or remove it",
    ),
    "silent": (KeyError(), "data/a.wav: cannot be used (KeyError); replace or remove it"),
}


@pytest.mark.parametrize("kind", RAISED)
def test_whatever_a_file_raises_is_one_line(kind: str) -> None:
    error, line = RAISED[kind]
    problems: list[str] = []
    with others_go_on(Path("data/a.wav"), problems):
        if isinstance(error, Exception):
            raise error
        error("\udce9")
    assert problems == [line]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), OSError(errno.ENOSPC, "No space left")])
def test_what_ends_the_job(error: BaseException) -> None:
    problems: list[str] = []
    with pytest.raises(type(error)), others_go_on("a.wav", problems):
        raise error
    assert not problems


def test_reasons_are_cut_between_words() -> None:
    error = RuntimeError("\nPytorchStreamReader failed " + 30 * "reading archive " + "\nframe #0: c10")
    assert first_line(error).endswith((" reading ...", " archive ..."))
    assert 180 < len(first_line(error)) <= 200
    assert first_line(RuntimeError("first\nsecond")) == "first"
    assert first_line(MemoryError()) == "MemoryError"


def test_first_three() -> None:
    assert first_three(["a", "b"]) == "a; b"
    assert first_three(["a", "b", "c", "d", "e"]) == "a; b; c (and 2 more)"


def test_a_remark_is_made_once():
    remarks = [("a", "noisy"), ("b", "dull"), *((name, "noisy") for name in "cde")]
    assert by_remark(remarks) == ["a; c; d (and 1 more): noisy", "b: dull"]
