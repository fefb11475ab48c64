"""Exported files as bytes: metadata and checksums."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from common.errors import InputError
from common.files.exports import SEAL, check_undamaged, export_metadata, is_export, onnx_metadata, sealed


def test_a_flipped_bit_in_an_onnx_file_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    field = b"\x3a\x05graph"  # field 7, 5 bytes
    path.write_bytes(field)
    check_undamaged(path)  # without a checksum
    path.write_bytes(sealed(field))
    check_undamaged(path)
    assert onnx_metadata(path).keys() == {SEAL}
    content = bytearray(path.read_bytes())
    content[4] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.onnx: damaged or changed since it was exported"):
        check_undamaged(path)


def test_archives_have_checksums_and_a_description(tmp_path: Path) -> None:
    path = tmp_path / "a.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/extra/hifigan.json", "{}")
    assert export_metadata(path) == "{}"
    assert is_export(path)
    check_undamaged(path)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"{}", b"[]", 1))
    with pytest.raises(InputError, match="damaged"):
        check_undamaged(path)


def test_other_files_are_not_exports(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(b"text")
    assert not is_export(tmp_path / "a.pt")
    assert not is_export(tmp_path / "absent.onnx")
