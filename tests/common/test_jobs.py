"""Which outputs of a job are finished, by the times of its files."""

import os

import pytest

from common.jobs import JOB_FILE, is_finished, start_job

SECOND = 10**9


@pytest.fixture
def output(tmp_path):
    """A job of an hour ago, with an output of half an hour ago."""
    start_job(tmp_path, {"model": "a"}, anew=False)
    path = tmp_path / "sub" / "one.wav"
    path.parent.mkdir()
    path.write_bytes(b"audio")
    job = tmp_path / JOB_FILE
    now = job.stat().st_mtime_ns
    os.utime(job, ns=(now, now - 3600 * SECOND))
    os.utime(path, ns=(now, now - 1800 * SECOND))
    return path


def test_the_same_job_goes_on(output):
    start_job(output.parents[1], {"model": "a"}, anew=False)
    assert is_finished(output)
    assert not is_finished(output.with_name("two.wav"))


@pytest.mark.parametrize(("description", "anew"), [({"model": "b"}, False), ({"model": "a"}, True)])
def test_another_job_begins_anew(output, description, anew):
    start_job(output.parents[1], description, anew)
    assert not is_finished(output)


def test_what_is_older_than_its_source_is_made_again(output):
    source = output.with_name("source.wav")
    source.write_bytes(b"new")
    assert not is_finished(output, source)
    os.utime(source, ns=(0, 0))
    assert is_finished(output, source)
