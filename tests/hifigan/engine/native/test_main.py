"""Compiling everything at once, for a machine without a compiler."""

import platform

import pytest

from common.errors import InputError
from hifigan.engine.native import instruction_sets, vector
from hifigan.engine.native.__main__ import main


@pytest.mark.medium
def test_everything_compiled_before_needs_no_compiler(compiler, fresh, monkeypatch):
    """As in the container, which may run on another processor than it was built on."""
    assert main([]) == 0
    assert len(list(fresh.iterdir())) == (5 if platform.machine() == "x86_64" else 1)
    monkeypatch.setenv("PATH", "")
    for each in instruction_sets.available():
        monkeypatch.setenv(instruction_sets.VARIABLE, each.name)
        vector.library.cache_clear()
        assert vector.library() is not None


def test_without_a_compiler_it_fails(monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(InputError, match=r"vector\.c was not compiled, with no further flags"):
        main([])
