"""Subtitles of both kinds, well formed and damaged, and the files that Whisper writes."""

import json

import pytest

from common.errors import InputError
from voice.recordings.segment import Cue
from voice.recordings.texts.subtitles import read_subtitles

SRT = """1
00:00:01,000 --> 00:00:02,500
<i>Good evening,</i>
everyone.

2
00:00:02,600 --> 00:00:04,000 X1:117 X2:300
[music]

3
01:00:05,000 --> 01:00:06,250
- It's {\\an8}late.
"""
VTT = """WEBVTT - A talk
Kind: captions

NOTE not spoken

STYLE
::cue { color: red }

intro
00:01.000 --> 00:02.500 align:start
<v Anna>Good evening &amp; welcome.

00:00:03.000 --> 00:00:04.000
What?
"""


def read(path, content, encoding="utf-8"):
    path.write_bytes(content.encode(encoding))
    return read_subtitles(path)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_subrip(end, tmp_path):
    found = read(tmp_path / "a.srt", SRT.replace("\n", end), "utf-8-sig")
    assert found.cues == (Cue(1.0, 2.5, "Good evening, everyone."), Cue(3605.0, 3606.25, "It's late."))
    assert found.text == "Good evening, everyone. It's late."


def test_webvtt(tmp_path):
    found = read(tmp_path / "a.vtt", VTT)
    assert found.cues == (Cue(1.0, 2.5, "Good evening & welcome."), Cue(3.0, 4.0, "What?"))


def test_encodings_of_windows(tmp_path):
    text = "1\n00:00:01,000 --> 00:00:02,500\nA café\n"
    assert read(tmp_path / "a.srt", text, "cp1252").text == "A café"
    assert read(tmp_path / "b.srt", text, "utf-16").text == "A café"


def test_out_of_order_without_numbers_or_empty_lines(tmp_path):
    later, sooner = "00:00:05.000 --> 00:00:06.000\nLater.\n", "7\n00:00:01,0 --> 00:00:02,5\nSooner.\n"
    content = f"{later}{sooner}00:00:03,0 --> 00:00:04,0\nThen.\n"
    found = read(tmp_path / "a.srt", content)
    assert [(cue.start_sec, cue.text) for cue in found.cues] == [(1.0, "Sooner."), (3.0, "Then."), (5.0, "Later.")]


def test_a_number_that_is_said_stays(tmp_path):
    assert read(tmp_path / "a.srt", "1\n00:00:01,000 --> 00:00:02,500\n1984\n").text == "1984"


def test_damaged_times_are_named(tmp_path, caplog):
    content = SRT.replace("00:00:01,000 -->", "0:xx -->")
    assert read(tmp_path / "a.srt", content).text == "It's late."
    assert "a.srt: texts whose times cannot be read are skipped: 1, the first at line 2" in caplog.text


def test_a_file_without_any_readable_time_is_one_problem(tmp_path, caplog):
    with pytest.raises(InputError, match="no text with times"):
        read(tmp_path / "a.srt", "1\n00:00:xx --> what\nHello\n")
    assert not caplog.text


@pytest.mark.parametrize("content", ["", "WEBVTT\n", "Just a text.\n", "1\n00:00:09,000 --> 00:00:02,500\nBackwards\n"])
def test_no_times(content, tmp_path):
    with pytest.raises(InputError, match=r"a\.srt: no text with times, such as 00:00:01,500 --> "):
        read(tmp_path / "a.srt", content)


def test_rolling_captions_are_counted_once(tmp_path):
    rows = [
        ("00:01.000", "00:02.000", " \nhello<00:01.500><c> there</c>"),
        ("00:02.000", "00:02.010", "hello there\n "),
        ("00:02.010", "00:04.000", "hello there\ngeneral<00:03.000><c> matters</c>"),
        ("00:04.000", "00:04.010", "general matters\n "),
        ("00:09.000", "00:10.000", "general matters"),  # said again, later
    ]
    content = "WEBVTT\n\n" + "".join(f"{start} --> {end}\n{text}\n\n" for start, end, text in rows)
    found = read(tmp_path / "a.vtt", content)
    assert [cue.text for cue in found.cues] == ["hello there", "general matters", "general matters"]


def test_files_of_whisper(tmp_path):
    segments = [{"start": 0.5, "end": 2, "text": " Good day."}, {"start": 2, "end": 3.5, "text": " Bye."}]
    expected = (Cue(0.5, 2.0, "Good day."), Cue(2.0, 3.5, "Bye."))
    assert read(tmp_path / "a.json", json.dumps({"text": "", "segments": segments})).cues == expected
    assert read(tmp_path / "a.tsv", "start\tend\ttext\n500\t2000\tGood day.\n2000\t3500\tBye.\n").cues == expected
    with pytest.raises(InputError, match=r"a\.json: not a transcript of Whisper"):
        read(tmp_path / "a.json", '{"segments": [{"start": 1}]}')
    with pytest.raises(InputError, match=r"a\.json: no text with times"):
        read(tmp_path / "a.json", '{"sampling_rate": 22050}')
