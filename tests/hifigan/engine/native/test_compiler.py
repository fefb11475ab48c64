"""Compiling C at run time: the cache, and missing or failing compilers."""

import ctypes
import os
import stat

import pytest

from hifigan.engine.native import vector
from hifigan.engine.native.compiler import load_library


@pytest.mark.medium
def test_what_is_compiled_is_kept(compiler, fresh):
    vector.library()
    (kept,) = fresh.iterdir()
    before = kept.stat().st_mtime_ns
    vector.library.cache_clear()
    assert vector.library() is not None
    assert [path.stat().st_mtime_ns for path in fresh.iterdir()] == [before]


def test_no_compiler(monkeypatch, fresh, caplog):
    monkeypatch.setenv("CC", "no-such-compiler")
    with caplog.at_level("INFO"):
        assert vector.library() is None
    assert "no C compiler (no-such-compiler)" in caplog.text


@pytest.mark.medium
def test_a_compiler_with_arguments(compiler, monkeypatch, fresh):
    assert vector.library() is not None
    monkeypatch.setenv("CC", f"{os.environ.get('CC') or 'cc'} -DUNUSED")
    vector.library.cache_clear()
    assert vector.library() is not None
    assert len(list(fresh.iterdir())) == 2


@pytest.mark.medium
def test_any_file_beside_the_source_counts(compiler, fresh, tmp_path):
    """The source may include it."""
    folder = tmp_path / "sources"
    folder.mkdir()
    source, header = folder / "number.c", folder / "number.h"
    source.write_text('#include "number.h"\nint number(void) { return NUMBER; }\n')
    for number in (1, 2):
        header.write_text(f"#define NUMBER {number}\n")
        library = load_library(source, [], "", {"number": (ctypes.c_int, [])})
        assert library.number() == number
    assert len(list(fresh.glob("number-*"))) == 2


def test_a_failing_compiler(monkeypatch, fresh, tmp_path, caplog):
    failing = tmp_path / "failing-cc"
    failing.write_text("#!/bin/sh\necho in a function: >&2\necho error: it does not know this machine >&2\nexit 1\n")
    failing.chmod(stat.S_IRWXU)
    monkeypatch.setenv("CC", str(failing))
    assert vector.library() is None
    assert "vector.c cannot be compiled" in caplog.text
    assert "it does not know this machine" in caplog.text
    assert "in a function" not in caplog.text
    assert not fresh.exists()


@pytest.mark.medium
def test_a_damaged_cache(compiler, fresh, tmp_path, monkeypatch):
    vector.library()
    (kept,) = fresh.iterdir()
    damaged = tmp_path / "other" / "hifigan" / kept.name
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(kept.read_bytes()[:100])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    vector.library.cache_clear()
    assert vector.library() is not None
    assert damaged.read_bytes() == kept.read_bytes()


@pytest.mark.medium
def test_a_cache_that_cannot_be_written(compiler, tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert vector.library() is not None
    assert "compiles vector.c again" in caplog.text
