"""The table of docs/formats.md is what the code finds out."""

import pytest

from scripts.format_table import ROWS, format_table
from tests.support.generators import formats
from tests.support.paths import REPOSITORY

PAGE = (REPOSITORY / "docs" / "formats.md").read_text(encoding="utf-8")


@pytest.mark.medium
def test_the_document_has_the_table():
    pytest.importorskip("h5py")
    assert format_table() in PAGE, "run python -m scripts.format_table and put its lines into docs/formats.md"


def test_every_fixture_has_a_row():
    assert sorted(row.fixture for row in ROWS) == formats.NAMES
