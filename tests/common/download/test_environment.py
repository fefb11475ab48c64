"""Addresses, checksums, and counts from the environment."""

from __future__ import annotations

import pytest

from common.download.datasets import DATASETS
from common.download.environment import replace_from_environment
from common.errors import InputError

SOURCE = DATASETS["ljspeech"]
FIELDS = ("url", "sha256", "clips")


def test_values_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert replace_from_environment("my-set", SOURCE, FIELDS) == SOURCE
    for field, value in (("URL", ""), ("SHA256", ""), ("CLIPS", "12"), ("FOLDER", "other")):
        monkeypatch.setenv(f"MY_SET_{field}", value)
    changed = replace_from_environment("my-set", SOURCE, FIELDS)
    assert (changed.url, changed.sha256, changed.clips, changed.folder) == (SOURCE.url, "", 12, SOURCE.folder)


def test_a_count_must_be_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SET_CLIPS", "many")
    with pytest.raises(InputError, match="MY_SET_CLIPS: 'many' is not a whole number"):
        replace_from_environment("my-set", SOURCE, FIELDS)
