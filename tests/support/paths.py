"""Paths of the repository, its parity numbers and real recordings."""

from __future__ import annotations

import os
from pathlib import Path

PARITY = Path(__file__).parents[1] / "parity"

REPOSITORY = Path(__file__).parents[2]
DEMO_DATA = REPOSITORY / "data" / "demo"  # real speech in LJSpeech layout, part of the repository


def real_speech() -> Path | None:
    """Return the folder of real LJSpeech clips that HIFIGAN_TEST_DATA names, or None."""
    folder = os.environ.get("HIFIGAN_TEST_DATA")
    return Path(folder) if folder else None


def written(path: Path, content: str | bytes) -> Path:
    """Write a file and return its path."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path
