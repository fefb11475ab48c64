"""JSON files that are read, and those that are not JSON."""

import pytest

from common.errors import InputError
from common.files.json_files import read_json


def test_read_json(tmp_path):
    path = tmp_path / "a.json"
    with pytest.raises(FileNotFoundError):
        read_json(path)
    path.write_text('{"ä": 1}', encoding="utf-8")
    assert read_json(path) == {"ä": 1}
    for content in (b"{", b"", b"\xff"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"a\.json: not a JSON file \("):
            read_json(path)


def test_comments_are_skipped(tmp_path):
    (tmp_path / "c.json").write_text('{ // one\n "a": "x // no /* comment */", /* two\n lines */ "b": [1] // end\n}')
    assert read_json(tmp_path / "c.json") == {"a": "x // no /* comment */", "b": [1]}
