"""Places of files in a clone and in an installed package."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from common import project
from tests.support.paths import REPOSITORY


def no_home() -> Path:
    raise RuntimeError("Could not determine home directory.")


def test_a_clone_holds_its_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MODELS_DIR", raising=False)
    assert project.IS_CLONE
    assert REPOSITORY.resolve() == project.PROJECT
    assert project.models_dir() == project.PROJECT / "pretrained_models"


def test_the_environment_decides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MODELS_DIR", str(tmp_path / "models"))
    assert project.models_dir() == tmp_path / "models"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert project.user_cache() == tmp_path / "cache" / "hifigan"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert project.user_cache() == tmp_path / ".cache" / "hifigan"
    monkeypatch.setattr(Path, "home", no_home)
    assert project.user_cache().name == f"hifigan-{os.getuid()}", "a container's user without a home directory"


def test_an_installed_package_uses_the_cache(tmp_path: Path) -> None:
    """The files lie as pyproject.toml installs them: `hifigan_recipe` beside `common`."""
    (tmp_path / "common").mkdir()
    (tmp_path / "hifigan_recipe").mkdir()
    shutil.copy(project.__file__, tmp_path / "common")
    code = "from common.project import IS_CLONE, PROJECT, models_dir; print(IS_CLONE, PROJECT, models_dir())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"XDG_CACHE_HOME": "/cache"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [
        "False",
        str(tmp_path.resolve() / "hifigan_recipe"),
        "/cache/hifigan/pretrained_models",
    ]


def test_commands_of_a_clone_exist() -> None:
    assert [words for words in project.COMMANDS if not (REPOSITORY / words.split()[1]).is_file()] == []
    assert [words for words in project.COMMANDS if project.command(words) != words] == []
