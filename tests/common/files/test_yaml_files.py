"""YAML files are read as plain values, and nothing that they name is run."""

import pytest

from common.errors import InputError
from common.files.yaml_files import LARGEST_BYTES, dump_yaml, parse_yaml, read_yaml


def test_plain_values(tmp_path):
    (tmp_path / "a.yaml").write_text("a: [1, 2.5, null, true]\nb: {c: text}\n")
    assert read_yaml(tmp_path / "a.yaml") == {"a": [1, 2.5, None, True], "b": {"c": "text"}}
    assert parse_yaml(dump_yaml({"a": [1, None], "b": "x"}), "b.yaml") == {"a": [1, None], "b": "x"}


def test_tags_run_nothing(tmp_path):
    made = tmp_path / "made"
    text = f"""
a: !!python/object/apply:os.mkdir ["{made}"]
b: !new:os.mkdir {{path: "{made}"}}
c: !ref <a>
d: !!python/name:os.mkdir ""
"""
    assert parse_yaml(text, "x") == {"a": [str(made)], "b": {"path": str(made)}, "c": "<a>", "d": ""}
    assert not made.exists()


@pytest.mark.parametrize(
    "text",
    ["a: [1", "\0", "a: b: c", "? [1]\n: 2", "&a [*a" + "]" * 3, "[" * 3000, "2020-99-99", "a: *b", "<<: 3"],
    ids=lambda text: text[:8],
)
def test_damaged_text_is_one_line(text):
    with pytest.raises(InputError) as caught:
        parse_yaml(text, "x.yaml")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("x.yaml: not a YAML file (")


def test_too_much_text():
    with pytest.raises(InputError, match="too large"):
        parse_yaml(b" " * (LARGEST_BYTES + 1), "x.yaml")
