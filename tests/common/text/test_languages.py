"""The registry of languages."""

from __future__ import annotations

import pytest

from common.errors import InputError
from common.text.languages import find_cleaners


def test_unknown_cleaner() -> None:
    with pytest.raises(InputError, match="unknown text cleaner 'english'; choose among basic_cleaners"):
        find_cleaners(["basic_cleaners", "english"])
