"""Faults that are built into the clips of a voice are found, and clips without faults get no remark."""

import dataclasses

import pytest

from common.errors import InputError
from tests.support.paths import REPOSITORY
from voice.recordings.checks import check_segments
from voice.recordings.flags import RecordingsConfig
from voice.recordings.segment import EDITED, GIVEN, RECOGNISED, Segment

ENGLISH = RecordingsConfig()
GERMAN = "Wir wissen nicht, was das ist, aber es ist auch nicht die Frage, und die Antwort auf sie hat man noch."


def make_segments(**more):
    """Return segments with the sentences of the demo data, 15 characters a second."""
    rows = (REPOSITORY / "data" / "demo" / "metadata.csv").read_text(encoding="utf-8").splitlines()
    texts = [row.split("|")[1] for row in rows]
    values = {"source": GIVEN, **more}
    return [
        Segment(f"c{number}", "a.m4a", 10.0 * number, 10.0 * number + len(text) / 15, text=text, **values)
        for number, text in enumerate(texts)
    ]


def change(segments, number, **values):
    segments[number] = dataclasses.replace(segments[number], **values)


def check(segments, tmp_path, cfg=ENGLISH):
    checks = check_segments(segments, cfg, tmp_path)
    remarks = {item.clip: item.remarks for item in checks.segments if item.remarks}
    return checks, remarks


def test_good_clips_get_no_remarks(tmp_path):
    segments = make_segments()
    checks, remarks = check(segments, tmp_path)
    assert checks.segments == segments
    assert remarks == {}
    assert checks.num_texts == 40
    assert checks.lines[0] == f"{checks.minutes:.1f} minutes of usable speech in 40 clips"
    checks.require_enough()


def test_rates_are_compared_within_a_speaker(tmp_path):
    slow = [
        dataclasses.replace(
            item, clip=f"slow{item.clip}", recording="b.m4a", speaker="Bob", end_sec=item.start_sec + 2.2 * item.seconds
        )
        for item in make_segments()
    ]
    segments = [*make_segments(speaker="Ann"), *slow]
    change(segments, 3, end_sec=segments[3].start_sec + len(segments[3].text) / 45)
    checks, remarks = check(segments, tmp_path)
    assert remarks == {"c3": ("45.0 characters a second instead of about 15.0",)}
    assert "1 text hardly fits its audio: c3" in checks.lines


def test_words_that_the_dictionary_lacks(tmp_path):
    segments = make_segments()
    change(segments, 0, text="Zzyzx met Qwyxly.", source=RECOGNISED, confidence=0.9)
    change(segments, 1, text="Zzyzx, they read the record aloud.", end_sec=segments[1].start_sec + 34 / 15)
    checks, remarks = check(segments, tmp_path)
    line = next(line for line in checks.lines if "in the dictionary" in line)
    assert line == "2 words are not in the dictionary, so that the voice reads from their letters: zzyzx (2), qwyxly"
    assert remarks["c0"][0] == "unknown words: zzyzx, qwyxly", "a recogniser may have misheard"
    assert "c1" not in remarks, "the user's own words"


def test_texts_without_sound_or_with_odd_characters(tmp_path):
    segments = make_segments()
    change(segments, 0, text="?!")
    change(segments, 1, text="{HH AH0 L OX1}")
    change(segments, 2, text="")
    change(segments, 4, text=segments[4].text + " 😀😀")
    checks, remarks = check(segments, tmp_path)
    assert [item.clip for item in checks.segments if not item.use] == ["c0", "c1", "c2"]
    assert "unknown phonemes 'OX1'" in remarks["c1"][0]
    assert "2 texts cannot be spoken: c0, c1" in checks.lines
    assert any(line.startswith("2 characters in 1 of 39 texts have no symbol") for line in checks.lines)


def test_repetitions(tmp_path):
    wavs = tmp_path / "data" / "wavs"
    wavs.mkdir(parents=True)
    segments = make_segments()
    change(segments, 7, text=segments[0].text, end_sec=segments[7].start_sec + segments[0].seconds)
    for number in (4, 9):
        (wavs / f"c{number}.wav").write_bytes(b"the same file")
    checks, remarks = check(segments, tmp_path)
    assert remarks == {"c9": ("same audio as c4",)}
    assert [item.clip for item in checks.segments if not item.use] == ["c9"]
    assert "1 clip repeats the audio of another and is skipped: 1 of a.m4a from a.m4a" in checks.lines
    assert f"1 text occurs more than once, which is fine: {segments[0].text!r} (2 times)" in checks.lines
    assert checks.num_texts == 38


def test_of_copies_the_one_with_the_users_text_is_used(tmp_path):
    segments = make_segments()
    change(segments, 0, source=RECOGNISED, confidence=0.9)
    for clip in ("c0", "c1"):
        (tmp_path / "data" / "wavs").mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / "wavs" / f"{clip}.wav").write_bytes(b"the same bytes")
    remarks = check(segments, tmp_path)[1]
    assert remarks == {"c0": ("same audio as c1",)}


def test_speakers_with_little_speech_are_named(tmp_path):
    segments = make_segments(speaker="Ann")
    change(segments, 0, speaker="Bob", end_sec=segments[0].start_sec + 4)
    line = "speakers with less than 60 seconds, too little to learn: Bob (4 s)"
    assert line in check(segments, tmp_path)[0].lines
    assert not any("speakers" in line for line in check(make_segments(), tmp_path)[0].lines)


def test_languages(tmp_path):
    segments = make_segments()
    length = len(GERMAN) / 15
    for number in (5, 6):
        change(segments, number, recording="b.m4a", text=GERMAN, end_sec=segments[number].start_sec + length)
    change(segments, 7, text="Привет, как дела, мой дорогой друг?")
    checks, remarks = check(segments, tmp_path)
    assert remarks["c5"] == remarks["c6"] == ("another language: de",)
    assert "letters of another script: Cyrillic" in remarks["c7"]
    assert "1 recording has a text that is not in language 'en': b.m4a (de)" in checks.lines
    assert "1 text is in another script: c7 (Cyrillic)" in checks.lines
    other, _ = check(segments, tmp_path, RecordingsConfig(language="de", prepare_only=True))
    assert "1 recording has a text that is not in language 'de': a.m4a (en)" in other.lines


@pytest.mark.parametrize(("doubtful", "advice"), [(3, "to listen and correct: "), (4, "correct these first: open ")])
def test_advice_to_review(tmp_path, doubtful, advice):
    segments = make_segments(source=RECOGNISED, confidence=0.9)
    for number in range(doubtful):
        change(segments, number, confidence=0.5)
    change(segments, 10, confidence=0.65)
    change(segments, 11, source=EDITED, confidence=None)
    checks, _ = check(segments, tmp_path)
    about = "\n".join(checks.lines)
    assert f"39 texts by a recogniser: it is sure of {38 - doubtful}, unsure of 1, and doubts {doubtful} (" in about
    assert f"{advice}{tmp_path / 'review.html'}" in about


def test_earlier_remarks_are_counted_and_not_repeated(tmp_path):
    segments = make_segments()
    for number in (1, 2):
        change(segments, number, remarks=(f"clipped: {number} samples", "noisy"))
    change(segments, 3, end_sec=segments[3].start_sec + len(segments[3].text) / 45)
    first, _ = check(segments, tmp_path)
    assert any(line.startswith("remarks on clips: ") and "clipped (2)" in line for line in first.lines)
    again, _ = check(first.segments, tmp_path)
    assert again.segments == first.segments


def test_too_little_speech(tmp_path):
    checks, _ = check(make_segments()[:10], tmp_path)
    with pytest.raises(InputError, match="seconds of usable speech are too little"):
        checks.require_enough()
    empty, _ = check([], tmp_path)
    with pytest.raises(InputError, match=r"^0 seconds of usable speech"):
        empty.require_enough()
