"""Texts of recordings in the layouts of several data sets."""

import pytest

from common.errors import InputError
from voice.recordings.segment import Cue, Recording
from voice.recordings.texts.transcripts import find_transcripts

CUE = "1\n00:00:01,000 --> 00:00:02,000\n{}\n"


def find(folder, files, names, language="en"):
    """Write texts, and return the texts found for recordings of these names."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    recordings = [Recording(folder / name, name) for name in names]
    return {name: found.text for name, found in find_transcripts(folder, recordings, language).items()}


@pytest.mark.parametrize(
    ("files", "names"),
    [
        ({"metadata.csv": "a|Dr. X|Doctor X\nb|Why?|Why?\n"}, ["wavs/a.wav", "wavs/b.flac"]),
        ({"metadata.csv": "a|Doctor X\nb|Why?\n"}, ["wav/a.wav", "wav/b.wav"]),
        ({"metadata.csv": "wav/a.wav|anna|Doctor X\nwav/b.wav|anna|Why?\n"}, ["wav/a.wav", "wav/b.wav"]),
        ({"metadata.csv": "a|anna|Doctor X\na|ben|Why?\n" * 2}, ["anna/a.wav", "ben/a.wav"]),
        ({"metadata.csv": "file|text\na.wav|Doctor X\nb.wav|Why?\n"}, ["deep/down/a.wav", "b.wav"]),
        ({"anna/metadata.csv": "a|Doctor X\n", "ben/metadata.csv": "a|Why?\n"}, ["anna/wavs/a.wav", "ben/wavs/a.wav"]),
        ({"a.txt": "Doctor\nX\n", "b.TXT": "Why?"}, ["a.m4a", "b.mp3"]),
        ({"anna/txt/a.txt": "Doctor X", "txt/b.txt": "Why?"}, ["anna/a.m4a", "b.mp3"]),
        ({"p/a.normalized.txt": "Doctor X", "p/b.normalized.txt": "Why?"}, ["p/a.wav", "p/b.wav"]),
        (
            {"txt/p225/p225_001.txt": "Doctor X\n", "txt/p226/p226_001.txt": "Why?\n"},
            ["wav48_silence_trimmed/p225/p225_001_mic1.flac", "wav48_silence_trimmed/p226/p226_001_mic2.flac"],
        ),
        ({"a.srt": CUE.format("Doctor X"), "b.en.vtt": "WEBVTT\n\n" + CUE.format("Why?")}, ["a.mp3", "b.mp3"]),
        ({"a.en-GB.srt": CUE.format("Doctor X"), "b.ja.srt": CUE.format("Why?")}, ["a.mp3", "b.mp3"]),
        ({"a.tsv": "0\t900\tDoctor X\n", "b.json": '[{"start": 0, "end": 1, "text": "Why?"}]'}, ["a.mp3", "b.mp3"]),
    ],
    ids=[
        *("LJSpeech", "piper", "piper, speakers", "speakers share names", "header", "a list for each speaker"),
        *("beside", "txt folder", "LibriTTS", "VCTK", "subtitles", "languages", "whisper"),
    ],
)
def test_layouts(files, names, tmp_path):
    assert find(tmp_path, files, names) == dict(zip(names, ["Doctor X", "Why?"], strict=True))


def test_subtitles_keep_their_times(tmp_path):
    (tmp_path / "a.srt").write_text(CUE.format("Yes | no"))
    found = find_transcripts(tmp_path, [Recording(tmp_path / "a.mp3", "a.mp3")])
    assert found["a.mp3"].cues == (Cue(1.0, 2.0, "Yes no"),)


def test_the_language_picks_the_subtitles(tmp_path):
    files = {f"a.{code}.srt": CUE.format(code) for code in ("en", "de")} | {"a.srt": CUE.format("any")}
    assert find(tmp_path, files, ["a.mp3"], "de") == {"a.mp3": "de"}
    assert find(tmp_path, {}, ["a.mp3"], "fr") == {"a.mp3": "any"}
    (tmp_path / "a.srt").unlink()
    assert find(tmp_path, {}, ["a.mp3"], "fr") == {}, "either of two may be wrong"


def test_the_best_text_counts(tmp_path):
    files = {"a.srt": CUE.format("subtitles"), "a.txt": "file", "metadata.csv": "a|list\nb|list\n"}
    assert find(tmp_path, files, ["a.mp3", "b.mp3"]) == {"a.mp3": "subtitles", "b.mp3": "list"}
    (tmp_path / "a.srt").unlink()
    assert find(tmp_path, {}, ["a.mp3"]) == {"a.mp3": "file"}


def test_a_damaged_file_is_named_and_another_taken(tmp_path, caplog):
    files = {"a.srt": "no times", "a.txt": "file", "b.vtt": "WEBVTT", "c.txt": "\n"}
    assert find(tmp_path, files, ["a.mp3", "b.mp3", "c.mp3", "d.mp3"]) == {"a.mp3": "file"}
    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert line.startswith("texts that cannot be used: ")
    for name in ("a.srt: no text with times", "b.vtt: no text with times", "c.txt: has no words"):
        assert name in line


def test_a_damaged_list(tmp_path, caplog):
    with pytest.raises(InputError, match=r"metadata.csv: line 1 is not 'id"):
        find(tmp_path, {"metadata.csv": "a,Comma\n"}, ["a.wav"])
    with pytest.raises(InputError, match=r"metadata.csv: names none of the recordings \(x and others\)"):
        find(tmp_path, {"metadata.csv": "x|Text\n"}, ["a.wav"])
    files = {"metadata.csv": "a,Comma\n", "more/metadata.csv": "b|Text\n"}
    assert find(tmp_path, files, ["a.wav", "more/b.wav"]) == {"more/b.wav": "Text"}
    assert "'id|transcript'" in caplog.text


def test_names_that_are_not_unique_match_only_by_path(tmp_path):
    files = {"metadata.csv": "x/a|Deep\nb|Top\n"}
    assert find(tmp_path, files, ["x/a.wav", "y/a.wav", "p/b.wav", "q/b.wav"]) == {"x/a.wav": "Deep"}


def test_no_texts(tmp_path):
    assert find(tmp_path, {"README.txt": "Read me"}, ["a.wav"]) == {}
