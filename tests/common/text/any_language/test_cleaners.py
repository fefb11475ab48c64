"""The cleaners that fit every language."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from common.text.languages import CLEANERS


@pytest.mark.medium
@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
@example("اع `")
def test_simple_cleaners_are_idempotent(text: str) -> None:
    for name in ("basic_cleaners", "transliteration_cleaners"):
        once = CLEANERS[name](text)
        assert CLEANERS[name](once) == once
