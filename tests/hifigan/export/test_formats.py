"""The table of export formats."""

from hifigan.export.files import FORMATS


def test_formats_are_told_apart():
    assert all(kind.suffix.startswith(".") and "fp32" in kind.precisions for kind in FORMATS.values())
