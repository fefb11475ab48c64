"""The table of export formats."""

from hifigan.export.formats import FORMATS


def test_formats_are_told_apart():
    assert all(kind.suffix.startswith(".") and "fp32" in kind.precisions for kind in FORMATS.values())
