"""Records survive a kill at any moment."""

import json
import math
import subprocess
import sys

from benchmarks.journal import Journal, plain
from tests.support.paths import REPOSITORY


def test_records_are_written_at_once_even_if_the_process_is_killed(tmp_path):
    code = "import os, sys; from pathlib import Path; from benchmarks.journal import Journal\n"
    code += "j = Journal(Path(sys.argv[1])); j.add('row', a=1, b=[float('nan')]); j.add('end'); os.kill(os.getpid(), 9)"
    path = tmp_path / "a.jsonl"
    assert subprocess.run([sys.executable, "-c", code, path], cwd=REPOSITORY).returncode == -9
    assert Journal(path, continued=True).records() == [{"kind": "row", "a": 1, "b": ["nan"]}, {"kind": "end"}]


def test_a_torn_record_is_skipped_and_others_follow(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"kind": "row", "a": 1}\n{"kind": "ro')
    journal = Journal(path, continued=True)
    journal.add("row", a=2)
    journal.add("other")
    assert [record["a"] for record in journal.records("row")] == [1, 2]
    assert len(journal.records()) == 3
    assert Journal(path).records() == []


def test_each_line_of_an_empty_file_that_is_continued_is_a_record(tmp_path):
    path = tmp_path / "a.jsonl"
    Journal(path)
    Journal(path, continued=True).add("row")
    assert path.read_text() == '{"kind": "row"}\n'


def test_values_for_json():
    value = plain({"a": (1, math.inf), 2: [-math.inf, 0.5, None, "x"]})
    assert value == {"a": [1, "inf"], "2": ["-inf", 0.5, None, "x"]}
    json.dumps(value, allow_nan=False)
