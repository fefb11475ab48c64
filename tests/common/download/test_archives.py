"""Extraction: complete under the final name, or nothing."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from common.download.archives import extract_tar, extract_zip_member
from common.errors import InputError

CONTENT = b"weights" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def make_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as package:
        for name, content in members.items():
            package.writestr(name, content)
    return path


def make_tar(path: Path, members: dict[str, bytes], mode: str = "w:bz2") -> Path:
    with tarfile.open(path, mode) as package:  # type: ignore[call-overload]
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            package.addfile(entry, io.BytesIO(content))
    return path


def test_only_the_named_member_is_extracted(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {"data/model.pt": CONTENT, "data/code.py": b"x", "../evil": b"x"})
    dest = tmp_path / "out" / "model.pt"
    assert extract_zip_member(archive, "data/model.pt", dest, sha256=SHA256) == SHA256
    assert dest.read_bytes() == CONTENT
    assert names(dest.parent) == ["model.pt"]


def test_a_member_in_a_folder_is_found_by_its_name(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {"version/model.pt": CONTENT})
    extract_zip_member(str(archive), "model.pt", str(tmp_path / "model.pt"))
    assert (tmp_path / "model.pt").read_bytes() == CONTENT


def test_an_extracted_member_is_kept_without_the_archive(tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(CONTENT)
    assert extract_zip_member(tmp_path / "absent.zip", "model.pt", tmp_path / "model.pt") == SHA256


def test_a_missing_member_lists_what_is_there(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {"other.pt": CONTENT})
    with pytest.raises(InputError, match=r"no model\.pt in it, only: other\.pt"):
        extract_zip_member(archive, "model.pt", tmp_path / "model.pt")
    assert names(tmp_path) == ["a.zip"]


def test_a_member_with_another_checksum_is_refused(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {"model.pt": b"other"})
    with pytest.raises(InputError, match=f"not {SHA256}"):
        extract_zip_member(archive, "model.pt", tmp_path / "model.pt", sha256=SHA256)
    assert names(tmp_path) == ["a.zip"]


def test_a_damaged_zip_is_refused(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {"model.pt": CONTENT})
    content = bytearray(archive.read_bytes())
    content[100] ^= 1  # in the stored data: the CRC no longer fits
    archive.write_bytes(content)
    for damaged in (bytes(content), CONTENT):
        archive.write_bytes(damaged)
        with pytest.raises(InputError, match=r"a\.zip: damaged zip archive"):
            extract_zip_member(archive, "model.pt", tmp_path / "model.pt")
        assert names(tmp_path) == ["a.zip"]


WAVS = {"Set/wavs/1.wav": b"RIFF1", "Set/wavs/2.wav": b"RIFF2", "Set/metadata.csv": b"1|one\n2|two\n"}


@pytest.mark.parametrize("mode", ["w:bz2", "w:gz", "w:xz", "w"])
def test_a_tar_becomes_a_folder(tmp_path: Path, mode: str) -> None:
    archive = make_tar(tmp_path / "a.tar", WAVS, mode)
    extract_tar(archive, tmp_path / "Set-1.1", root="Set", expect="wavs/*.wav", count=2)
    assert (tmp_path / "Set-1.1/wavs/2.wav").read_bytes() == b"RIFF2"
    assert names(tmp_path) == ["Set-1.1", "a.tar"]


def test_what_a_killed_run_left_does_not_count(tmp_path: Path) -> None:
    stale = tmp_path / ".Set.part" / "Set" / "wavs"
    stale.mkdir(parents=True)
    (stale / "3.wav").write_bytes(b"RIFF3")
    extract_tar(make_tar(tmp_path / "a.tar", WAVS), tmp_path / "Set", root="Set", expect="wavs/*.wav", count=2)
    assert names(tmp_path / "Set/wavs") == ["1.wav", "2.wav"]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (WAVS, "holds 2 files wavs/.*, not 3"),
        ({**WAVS, "Set/wavs/3.wav": b""}, "holds 2 files"),
        ({"Other/wavs/1.wav": b"x"}, "no folder Set in it"),
        ({**WAVS, "../evil": b"x"}, "damaged or unsafe tar archive"),
    ],
)
def test_another_archive_leaves_nothing(tmp_path: Path, members: dict[str, bytes], message: str) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    archive = make_tar(inside / "a.tar", members)
    with pytest.raises(InputError, match=message):
        extract_tar(archive, inside / "Set", root="Set", expect="wavs/*.wav", count=3)
    assert names(inside) == ["a.tar"]
    assert names(tmp_path) == ["inside"]


def test_a_truncated_tar_leaves_nothing(tmp_path: Path) -> None:
    archive = make_tar(tmp_path / "a.tar", {**WAVS, "Set/wavs/3.wav": os.urandom(100_000)})
    archive.write_bytes(archive.read_bytes()[:-50_000])
    with pytest.raises(InputError, match="damaged or unsafe tar archive"):
        extract_tar(archive, tmp_path / "Set", root="Set")
    assert names(tmp_path) == ["a.tar"]


def test_data_reaches_the_disk_before_the_folder_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    monkeypatch.setattr(os, "sync", lambda: seen.append((tmp_path / "Set").exists()))
    extract_tar(make_tar(tmp_path / "a.tar", WAVS), tmp_path / "Set", root="Set")
    assert seen == [False]


def test_a_python_without_safe_extraction_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(tarfile, "data_filter")
    with pytest.raises(InputError, match=r"this Python .* use 3\.10\.12"):
        extract_tar(make_tar(tmp_path / "a.tar", WAVS), tmp_path / "Set", root="Set")


def test_an_existing_folder_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "Set").mkdir()
    with pytest.raises(InputError, match="exists already"):
        extract_tar(make_tar(tmp_path / "a.tar", WAVS), tmp_path / "Set", root="Set")
    assert names(tmp_path / "Set") == []
