"""Which outputs of a job are finished, by its record and the files that are there."""

import json
import os

import pytest

from common.errors import InputError
from common.synthesis.resume import JOB_FILE, left_out, stamp, start_job

SETTINGS = {"model": "a", "rates": (8, 8)}
MADE_OF = {"one.wav": "1", "sub/two.wav": "2"}


@pytest.fixture
def folder(tmp_path):
    """A job that was ended, with a mel beside each output."""
    assert start_job(tmp_path, SETTINGS, MADE_OF, anew=False) == list(MADE_OF)
    for name in MADE_OF:
        write(tmp_path, name)
    return tmp_path


def write(folder, name, content=b"audio"):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    for target in (path, path.with_suffix(".npy")):
        new = target.with_suffix(".new")
        new.write_bytes(content)
        new.replace(target)
    return path


def to_make(folder, settings=SETTINGS, made_of=MADE_OF, anew=False):
    return start_job(folder, settings, made_of, anew, beside=(".npy",))


def test_the_same_job_goes_on(folder):
    for _ in range(2):
        assert to_make(folder) == []
    (folder / "one.wav").unlink()
    (folder / "sub" / "two.npy").unlink()
    assert to_make(folder) == list(MADE_OF)
    assert start_job(folder, SETTINGS, MADE_OF, anew=False) == list(MADE_OF), "its wav is of no use any more"


def test_what_is_added_or_changed_is_made(folder):
    assert to_make(folder, made_of={**MADE_OF, "new.wav": "3"}) == ["new.wav"]
    assert to_make(folder, made_of={**MADE_OF, "one.wav": "1b"}) == ["one.wav"]
    assert to_make(folder) == ["one.wav"], "1b was begun, and 1 may be overwritten"


@pytest.mark.parametrize(("settings", "anew"), [({"model": "b"}, False), (SETTINGS, True)])
def test_a_job_that_begins_anew_can_be_broken_off(folder, settings, anew):
    assert to_make(folder, settings, anew=anew) == list(MADE_OF)
    assert to_make(folder, settings) == list(MADE_OF)
    # Old files stay until they are replaced, and are told from new ones by their time alone.
    path = write(folder, "one.wav")
    os.utime(path, ns=(0, 0))
    assert to_make(folder, settings) == ["sub/two.wav"]
    write(folder, "sub/two.wav")
    assert to_make(folder, settings) == []


def test_jobs_of_the_same_settings_share_a_folder(folder):
    assert to_make(folder, made_of={"other.wav": "4"}, anew=True) == ["other.wav"]
    write(folder, "other.wav")
    assert to_make(folder) == []
    assert to_make(folder, made_of={"other.wav": "4"}) == []


def test_files_without_a_record_or_content_are_not_finished(folder):
    write(folder, "mine.wav")
    assert to_make(folder, made_of={"mine.wav": "5"}) == ["mine.wav"]
    write(folder, "one.wav", b"")
    assert to_make(folder) == ["one.wav"]


@pytest.mark.parametrize("content", ["", "null", "[]", "{}", '{"settings": {}, "made_of": {}, "outdated": {}}'])
def test_a_record_that_is_not_ours_is_kept(folder, content):
    path = folder / JOB_FILE
    path.write_text(content)
    with pytest.raises(InputError, match="not the record of a synthesis"):
        to_make(folder, anew=True)
    assert path.read_text() == content


def test_a_damaged_record_is_refused(folder):
    path = folder / JOB_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), "made_of": ["one.wav"]}))
    with pytest.raises(InputError, match="damaged"):
        to_make(folder)


def test_a_stamp_tells_place_size_and_time(tmp_path):
    path = write(tmp_path, "a.wav")
    known = stamp(path)
    assert stamp(tmp_path / "." / "a.wav") == known
    os.utime(path, ns=(0, path.stat().st_mtime_ns - 1))
    assert stamp(path) != known
    assert stamp(write(tmp_path, "b.wav")) != stamp(path)


def test_what_was_left_out_is_told():
    assert left_out(["x: bad"], 3) == "1 of 3 input files cannot be used; all others are made: x: bad"
    assert left_out(list("abcd"), 4) == "4 of 4 input files cannot be used: a; b; c (and 1 more)"
