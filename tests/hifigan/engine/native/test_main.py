"""Compiling everything at once, for a machine without a compiler."""

import os
import platform
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from common.errors import InputError
from hifigan.engine.native import instruction_sets, vector
from hifigan.engine.native.__main__ import main
from tests.support.paths import REPOSITORY


@pytest.mark.medium
@pytest.mark.parametrize("place", ["cache", "package"])
def test_everything_compiled_before_needs_no_compiler(compiler, fresh, place, monkeypatch, tmp_path):
    """As in the container, or an installed package, which may run on another processor than it was built on."""
    folder = fresh if place == "cache" else tmp_path / "package"
    monkeypatch.setattr("hifigan.engine.native.compiler.PACKAGED", tmp_path / "package")
    assert main([] if place == "cache" else ["--output", str(folder)]) == 0
    assert len(list(folder.iterdir())) == (5 if platform.machine() == "x86_64" else 1)
    monkeypatch.setenv("PATH", "")
    for each in instruction_sets.available():
        monkeypatch.setenv(instruction_sets.VARIABLE, each.name)
        vector.library.cache_clear()
        assert Path(vector.library()._name).parent == folder


def test_without_a_compiler_it_fails(monkeypatch, tmp_path):
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(InputError, match=r"vector\.c was not compiled, with no further flags"):
        main([])
    with pytest.raises(InputError, match=r"^no C compiler \(no-such-compiler\)$"):
        main(["--output", str(tmp_path)])


@pytest.mark.medium
@pytest.mark.skipif(platform.machine() != "x86_64", reason="only one set of flags")
def test_an_old_compiler_compiles_what_it_can(compiler, monkeypatch, tmp_path):
    old = tmp_path / "old-cc"
    real = " ".join((os.environ.get("CC") or "cc").split())
    old.write_text(
        '#!/bin/sh\ncase "$*" in *amx*) echo "error: unrecognized option -mamx-tile" >&2; exit 1;; esac\n'
        f'exec {real} "$@"\n'
    )
    old.chmod(stat.S_IRWXU)
    monkeypatch.setenv("CC", str(old))
    with pytest.raises(InputError, match=r"^amx\.c cannot be compiled: error: unrecognized option -mamx-tile$"):
        main(["--output", str(tmp_path / "package")])
    assert {path.name.partition("-")[0] for path in (tmp_path / "package").iterdir()} == {"vector"}


def test_it_runs_where_pytorch_is_absent():
    """As where the package is built: in an environment with setuptools alone."""
    code = "import sys; sys.modules['torch'] = sys.modules['numpy'] = None; import hifigan.engine.native.__main__"
    subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True)
