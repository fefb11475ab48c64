"""Recordings become clips on disk. A second run makes only what has changed, and bad files do not stop the others."""

import json
import logging
import os
import signal

import numpy as np
import pytest
import soundfile

from common.audio_files import load_wav
from common.errors import InputError
from tests.support.paths import DEMO_DATA, written
from voice.recordings import segmenting
from voice.recordings.audio.speech_activity import Span
from voice.recordings.files import find_recordings
from voice.recordings.segment import GIVEN, Cue, Transcript
from voice.recordings.segmenting import segment_recordings

RATE = 22050


@pytest.fixture
def fake_speech(monkeypatch):
    """Let loud parts be speech, which needs no model."""
    pytest.importorskip("pyloudnorm")

    def find(wav):
        loud = np.abs(wav) > 0.01
        edges = np.flatnonzero(np.diff(np.concatenate([[0], np.convolve(loud, np.ones(2000), "same") > 0, [0]])))
        return [Span(a / RATE, min(b, len(wav)) / RATE) for a, b in edges.reshape(-1, 2)]

    monkeypatch.setattr(segmenting, "find_speech", find)


def record(path, *parts, level=0.1):
    """Write noise of these lengths in seconds, with pauses of a second around."""
    generator = np.random.default_rng(len(path.name))
    pause = 1e-5 * generator.standard_normal(RATE)
    wav = [pause]
    for seconds in parts:
        wav += [level * generator.standard_normal(round(seconds * RATE)), pause]
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.concatenate(wav), RATE)
    return path


def stored(work):
    return sorted(path.relative_to(work / "data" / "wavs").as_posix() for path in (work / "data").rglob("*.wav"))


@pytest.mark.parametrize("jobs", [1, 2])
def test_clips_and_records(tmp_path, fake_speech, jobs):
    folder, work = tmp_path / "in", tmp_path / "work"
    record(folder / "ann" / "a.wav", 3, 4)
    record(folder / "bob" / "b.wav", 2.5)
    made = segment_recordings(find_recordings(folder), work, {}, jobs)
    assert [(s.clip, s.recording, s.speaker) for s in made.segments] == [
        ("ann/a_0001", "ann/a.wav", "ann"),
        ("ann/a_0002", "ann/a.wav", "ann"),
        ("bob/b_0001", "bob/b.wav", "bob"),
    ]
    assert stored(work) == [f"{segment.clip}.wav" for segment in made.segments]
    first = made.segments[0]
    assert (first.text, first.source, first.use) == ("", "", True)
    assert first.start_sec == pytest.approx(0.9, abs=0.06)
    wav, rate = load_wav(work / "data" / "wavs" / f"{first.clip}.wav")
    assert rate == RATE
    assert len(wav) / RATE == pytest.approx(first.seconds, abs=0.002)
    assert np.abs(wav).max() <= 0.951
    quality = json.loads((work / "recordings" / "bob" / "b.json").read_text())["quality"]
    assert quality["speech_sec"] == pytest.approx(2.5, abs=0.1)
    assert made.qualities["bob/b.wav"].to_json() == quality


@pytest.mark.medium
def test_a_second_run_makes_what_has_changed(tmp_path, fake_speech, monkeypatch):
    folder, work = tmp_path / "in", tmp_path / "work"
    for name in ("a", "b", "c"):
        record(folder / f"{name}.wav", 3)
    first = segment_recordings(find_recordings(folder), work, {})
    reader = segmenting.read_recording
    names = tmp_path / "read"

    def noting(path):  # in a process of its own
        with names.open("a") as file:
            file.write(f"{path.name}\n")
        return reader(path)

    monkeypatch.setattr(segmenting, "read_recording", noting)
    assert segment_recordings(find_recordings(folder), work, {}) == first
    assert not names.exists()
    record(folder / "a.wav", 4)
    (folder / "b.wav").unlink()
    (work / "data" / "wavs" / "c_0001.wav").unlink()
    second = segment_recordings(find_recordings(folder), work, {})
    assert names.read_text().split() == ["a.wav", "c.wav"]
    assert stored(work) == ["a_0001.wav", "c_0001.wav"]
    assert second.segments[0].seconds > first.segments[0].seconds
    assert sorted(path.name for path in (work / "recordings").iterdir()) == ["a.json", "c.json"]
    written(work / "recordings" / "a.json", "{")
    assert (
        segment_recordings(find_recordings(folder), work, {"c.wav": Transcript("Now with a text.")}).segments[1].source
        == GIVEN
    )
    assert names.read_text().split() == ["a.wav", "c.wav"] * 2


@pytest.mark.medium
def test_texts(tmp_path, fake_speech):
    folder = tmp_path / "in"
    record(folder / "whole.wav", 3, 4, 3)
    record(folder / "long.wav", 8, 9)
    record(folder / "cues.wav", 3, 4, level=0.1)
    texts = {
        "whole.wav": Transcript("All of it."),
        "long.wav": Transcript("Its place is unknown."),
        "cues.wav": Transcript("", (Cue(0.9, 4.1, "One."), Cue(4.9, 9.2, "Two."))),
    }
    made = segment_recordings(find_recordings(folder), tmp_path / "work", texts)
    assert [(s.clip, s.text, s.source) for s in made.segments] == [
        ("cues_0001", "One.", GIVEN),
        ("cues_0002", "Two.", GIVEN),
        ("long_0001", "", ""),
        ("long_0002", "", ""),
        ("whole_0001", "All of it.", GIVEN),
    ]


def test_short_speech_is_kept_but_not_used(tmp_path, fake_speech):
    record(tmp_path / "in" / "a.wav", 0.4)
    (segment,) = segment_recordings(find_recordings(tmp_path / "in"), tmp_path / "work", {}).segments
    assert not segment.use
    assert segment.remarks == ("shorter than 1 s",)


def test_bad_files_are_named_and_the_others_go_on(tmp_path, fake_speech, caplog):
    folder, work = tmp_path / "in", tmp_path / "work"
    record(folder / "good.wav", 3)
    soundfile.write(folder / "silent.wav", np.zeros(3 * RATE), RATE)
    soundfile.write(folder / "quiet.wav", np.full(3 * RATE, 0.005) * np.sin(np.arange(3 * RATE)), RATE)
    written(folder / "broken.flac", "no audio")
    made = segment_recordings(find_recordings(folder), work, {})
    assert [segment.clip for segment in made.segments] == ["good_0001"]
    problems = sorted(problem.removeprefix(f"{folder}/") for problem in made.problems)
    assert problems[0].startswith("broken.flac: not a readable audio file")
    assert problems[1:] == [
        "quiet.wav: no speech found in 3 s (perhaps music or noise); remove it",
        "silent.wav: no speech found in 3 s (silence); remove it",
    ]
    assert all(problem in caplog.text for problem in made.problems)
    assert sorted(segment_recordings(find_recordings(folder), work, {}).problems) == sorted(made.problems), (
        "also the next time"
    )
    (folder / "good.wav").unlink()
    with pytest.raises(InputError, match=r"no usable recording: .*no speech found.*not a readable"):
        segment_recordings(find_recordings(folder), work, {})
    assert stored(work) == []


def test_files_that_a_killed_run_left_are_removed(tmp_path, fake_speech):
    record(tmp_path / "in" / "a.wav", 3)
    left = [tmp_path / "work" / name for name in ("recordings/.a.json.7.tmp", "data/wavs/.a_0001.wav.7.tmp")]
    for path in left:
        path.parent.mkdir(parents=True)
        path.touch()
    segment_recordings(find_recordings(tmp_path / "in"), tmp_path / "work", {})
    assert not any(path.exists() for path in left)


def test_weaknesses_are_said_once(tmp_path, fake_speech, caplog):
    caplog.set_level(logging.INFO)
    for name in ("a", "b"):
        path = record(tmp_path / "in" / f"{name}.wav", 3)
        soundfile.write(path, soundfile.read(path)[0][::4], 8000)
    segment_recordings(find_recordings(tmp_path / "in"), tmp_path / "work", {})
    assert caplog.text.count("a.wav; b.wav: recorded at 8000 Hz") == 1


@pytest.mark.medium
def test_real_speech(tmp_path):
    """Three clips joined with pauses are found again by the real model."""
    for package in ("silero_vad", "pyloudnorm"):
        pytest.importorskip(package)
    clips = [load_wav(path)[0] for path in sorted((DEMO_DATA / "wavs").glob("*.flac"))[:3]]
    pause = 1e-4 * np.random.default_rng(0).standard_normal(RATE)
    (tmp_path / "in").mkdir()
    wav = np.concatenate([pause, *(part for clip in clips for part in (clip, pause))])
    soundfile.write(tmp_path / "in" / "a.flac", wav, RATE)
    made = segment_recordings(find_recordings(tmp_path / "in"), tmp_path / "work", {})
    assert len(made.segments) == 3
    for segment, clip, start in zip(
        made.segments, clips, np.cumsum([0, *(len(clip) + RATE for clip in clips)]) / RATE + 1, strict=False
    ):
        assert start - 0.2 <= segment.start_sec <= segment.end_sec <= start + len(clip) / RATE + 0.2
        assert segment.seconds > 0.7 * len(clip) / RATE


def test_a_recording_that_ends_its_process_does_not_end_the_others(tmp_path, fake_speech, monkeypatch):
    """By a lack of memory, or a defect of a decoder."""
    folder = tmp_path / "in"
    for name in ("a", "b", "c"):
        record(folder / f"{name}.wav", 3)
    reader = segmenting.read_recording

    def dying(path):
        if path.name == "b.wav":
            os.kill(os.getpid(), signal.SIGKILL)
        return reader(path)

    monkeypatch.setattr(segmenting, "read_recording", dying)
    for jobs in (1, 2):
        found = segment_recordings(find_recordings(folder), tmp_path / f"work{jobs}", {}, jobs)
        assert {segment.recording for segment in found.segments} == {"a.wav", "c.wav"}
        (problem,) = found.problems
        assert problem.startswith(f"{folder / 'b.wav'}: ended the process that read it, perhaps for lack of memory; ")
