"""Digests of data sets, and files that are older than their sources."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from common.errors import InputError
from common.files.fingerprints import (
    Unchanged,
    ends_digest,
    expire_if_changed,
    file_digest,
    fingerprint,
    is_newer,
    times_ns,
)


def test_a_data_set_is_known_by_names_sizes_and_its_first_file(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a", "b")]
    for path in paths:
        path.write_bytes(b"one")
    known = fingerprint(paths, tmp_path)
    assert known.startswith("2 clips, ")
    os.utime(paths[0], (0, 0))
    assert fingerprint(paths, tmp_path) == known
    assert fingerprint(paths[::-1], tmp_path) != known
    paths[1].write_bytes(b"three")
    assert fingerprint(paths, tmp_path) != known
    paths[1].write_bytes(b"one")
    paths[0].write_bytes(b"two")
    assert fingerprint(paths, tmp_path) != known


def test_digest(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    assert file_digest(tmp_path / "a") == "e3b0c44298fc"  # of no bytes


def test_results_that_are_older_than_a_source(tmp_path: Path) -> None:
    result, source = tmp_path / "result", tmp_path / "source"
    source.touch()
    assert not is_newer(result, source)
    result.touch()
    os.utime(source, (1, 1))
    assert is_newer(result, source)
    os.utime(result, (0, 0))
    assert not is_newer(result, source)


def test_only_the_ends_of_a_large_file_are_read(tmp_path: Path) -> None:
    file = tmp_path / "a"
    content = bytearray(3 << 20)
    file.write_bytes(content)
    whole = ends_digest(file)
    for place, counts in ((0, True), (3 << 19, False), ((3 << 20) - 1, True)):
        content[place] = 1
        file.write_bytes(content)
        assert (ends_digest(file) != whole) == counts
        content[place] = 0
    file.write_bytes(b"short")
    assert ends_digest(file) != whole


def test_a_result_of_a_file_that_changes_meanwhile_is_old(tmp_path: Path) -> None:
    source, result = tmp_path / "source", tmp_path / "result"
    source.touch()
    for change, is_current in ((lambda: None, True), (lambda: os.utime(source, (1, 1)), False), (source.unlink, False)):
        before = times_ns(source)
        change()
        result.write_bytes(b"of the old content")
        expire_if_changed(result, before, source)
        if not source.exists():
            source.touch()
        assert is_newer(result, source) is is_current


def test_files_that_change_are_named(tmp_path: Path) -> None:
    changed, missing, gone = (tmp_path / name for name in ("changed", "missing", "gone"))
    changed.write_bytes(b"1234")
    gone.write_bytes(b"1")
    unchanged = Unchanged([changed, missing, gone])
    missing.write_bytes(b"new")
    gone.unlink()
    for path in (changed, missing, gone):  # reading names those that are missing
        unchanged.check(path)
    changed.write_bytes(b"12345")
    with pytest.raises(InputError, match=r"changed since this run started \(then 4 bytes, now 5\); put the"):
        unchanged.check(changed)
    changed.write_bytes(b"5678")
    os.utime(changed, ns=(0, 0))
    with pytest.raises(InputError, match="now 4"):
        unchanged.check(changed)
