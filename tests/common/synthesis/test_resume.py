"""The record of a synthesis job: which outputs are finished, and which have to be made."""

import json
import os

import pytest

from common.errors import InputError
from common.synthesis.resume import JOB_FILE, file_version, start_job, unusable_inputs

SETTINGS = {"model": "a", "rates": (8, 8)}
SOURCES = {"one.wav": "1", "sub/two.wav": "2"}


@pytest.fixture
def folder(tmp_path):
    """The folder of a finished job, with a mel beside each output."""
    assert start_job(tmp_path, SETTINGS, SOURCES, redo=False) == list(SOURCES)
    for name in SOURCES:
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


def to_make(folder, settings=SETTINGS, sources=SOURCES, redo=False):
    return start_job(folder, settings, sources, redo, companions=(".npy",))


def test_the_same_job_resumes(folder):
    for _ in range(2):
        assert to_make(folder) == []
    (folder / "one.wav").unlink()
    (folder / "sub" / "two.npy").unlink()
    assert to_make(folder) == list(SOURCES)
    assert start_job(folder, SETTINGS, SOURCES, redo=False) == list(SOURCES), "a wav without its mel is not finished"


def test_added_and_changed_outputs_are_made(folder):
    assert to_make(folder, sources={**SOURCES, "new.wav": "3"}) == ["new.wav"]
    assert to_make(folder, sources={**SOURCES, "one.wav": "1b"}) == ["one.wav"]
    assert to_make(folder) == ["one.wav"], "1b was begun, so the file of 1 may have been replaced"


@pytest.mark.parametrize(("settings", "redo"), [({"model": "b"}, False), (SETTINGS, True)])
def test_a_job_that_starts_again_can_be_interrupted(folder, settings, redo):
    assert to_make(folder, settings, redo=redo) == list(SOURCES)
    assert to_make(folder, settings) == list(SOURCES)
    # Old files stay until they are replaced. Only their modification time distinguishes them from new ones.
    path = write(folder, "one.wav")
    os.utime(path, ns=(0, 0))
    assert to_make(folder, settings) == ["sub/two.wav"]
    write(folder, "sub/two.wav")
    assert to_make(folder, settings) == []


def test_jobs_of_the_same_settings_share_a_folder(folder):
    assert to_make(folder, sources={"other.wav": "4"}, redo=True) == ["other.wav"]
    write(folder, "other.wav")
    assert to_make(folder) == []
    assert to_make(folder, sources={"other.wav": "4"}) == []


def test_files_without_a_record_or_content_are_not_finished(folder):
    write(folder, "mine.wav")
    assert to_make(folder, sources={"mine.wav": "5"}) == ["mine.wav"]
    write(folder, "one.wav", b"")
    assert to_make(folder) == ["one.wav"]


@pytest.mark.parametrize("content", ["", "null", "[]", "{}", '{"settings": {}, "made_of": {}, "outdated": {}}'])
def test_foreign_records_are_not_overwritten(folder, content):
    path = folder / JOB_FILE
    path.write_text(content)
    with pytest.raises(InputError, match="not the record of a synthesis"):
        to_make(folder, redo=True)
    assert path.read_text() == content


def test_a_damaged_record_is_refused(folder):
    path = folder / JOB_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), "made_of": ["one.wav"]}))
    with pytest.raises(InputError, match="damaged"):
        to_make(folder)


def test_file_version_changes_with_path_size_and_time(tmp_path):
    path = write(tmp_path, "a.wav")
    known = file_version(path)
    assert file_version(tmp_path / "." / "a.wav") == known
    os.utime(path, ns=(0, path.stat().st_mtime_ns - 1))
    assert file_version(path) != known
    assert file_version(write(tmp_path, "b.wav")) != file_version(path)


def test_message_about_unusable_inputs():
    assert unusable_inputs(["x: bad"], 3) == "1 of 3 input files cannot be used; all others are made: x: bad"
    assert unusable_inputs(list("abcd"), 4) == "4 of 4 input files cannot be used: a; b; c (and 1 more)"
