"""A small pronouncing dictionary."""

import pytest

DICTIONARY = "HELLO  HH AH0 L OW1\nWORLD  W ER1 L D\nSO  S OW1\nMANY  M EH1 N IY0\nWORDS  W ER1 D Z\n"


@pytest.fixture
def dictionary(tmp_path):
    (tmp_path / "dictionary").write_text(DICTIONARY)
    return str(tmp_path / "dictionary")
