"""Compiling C at run time: the cache, and missing or failing compilers."""

import ctypes
import os
import stat
from pathlib import Path

import pytest

from hifigan.engine.native import amx, instruction_sets, vector
from hifigan.engine.native.compiler import compile_for_package, load_library


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
    for _ in range(2):
        assert vector.library() is None
        assert amx.library() is None
    (record,) = caplog.records
    assert record.getMessage().startswith("no C compiler (no-such-compiler): the CPU engine computes with PyTorch's ")


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


@pytest.mark.medium
def test_libraries_of_the_package_come_first(compiler, monkeypatch, tmp_path):
    """They need no compiler, and do not depend on the one that CC names."""
    monkeypatch.setattr("hifigan.engine.native.compiler.PACKAGED", tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))
    compile_for_package(vector.SOURCE, instruction_sets.chosen().flags, tmp_path)
    for name in ("no-such-compiler", "cc -O0"):
        monkeypatch.setenv("CC", name)
        vector.library.cache_clear()
        assert Path(vector.library()._name).parent == tmp_path
    assert not (tmp_path / "empty").exists()
    monkeypatch.setattr(instruction_sets.InstructionSet, "flags", ["-DOTHER"])
    monkeypatch.setenv("CC", "no-such-compiler")
    vector.library.cache_clear()
    assert vector.library() is None, "those of other flags are not used"


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
