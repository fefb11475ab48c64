"""Data set of the tests of prepare_dataset.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.preparation import add, tone


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Write a data set in LJSpeech layout, in which two speakers have a clip of the same name."""
    root = tmp_path / "data"
    add(root, "wavs/anna/001.wav", tone(9000))
    add(root, "wavs/ben/001.wav", tone(5000, peak=0.1))
    add(root, "wavs/c.flac", tone(22050))
    (root / "metadata.csv").write_text("anna/001|One.\nben/001|Dr. 2|Doctor two.\nc|Three.\n", encoding="utf-8")
    return root
