"""Where the repository, its parity numbers and, where given, real recordings lie."""

from __future__ import annotations

import os
from pathlib import Path

PARITY = Path(__file__).parents[1] / "parity"


REPOSITORY = Path(__file__).parents[2]


def real_speech() -> Path | None:
    """The folder of real LJSpeech clips, where the environment names one."""
    folder = os.environ.get("HIFIGAN_TEST_DATA")
    return Path(folder) if folder else None


def written(path: Path, content: str | bytes) -> Path:
    """Write a file; return its path."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path
