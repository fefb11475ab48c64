"""Recordings become a data set, and the user's corrections change it. Real speech, with its texts."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

from common.cli import ArgumentParser, add_flags, from_flags
from common.errors import InputError
from tests.support.paths import DEMO_DATA
from voice.recordings.flags import RecordingsConfig
from voice.recordings.preparation import Preparation, prepare, read_times

pytest.importorskip("silero_vad")
pytest.importorskip("pyloudnorm")
pytestmark = pytest.mark.medium
CLIPS = 22


def texts() -> dict[str, str]:
    lines = (DEMO_DATA / "metadata.csv").read_text().splitlines()[:CLIPS]
    return {name: text for name, text, _ in (line.split("|") for line in lines)}


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Clips with a text file each."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name, text in texts().items():
        shutil.copy(DEMO_DATA / "wavs" / f"{name}.flac", folder)
        (folder / f"{name}.txt").write_text(text)
    return folder


def metadata(work: Path) -> list[list[str]]:
    return [line.split("|") for line in (work / "data" / "metadata.csv").read_text().splitlines()]


def test_a_data_set_is_written_and_corrected(recordings: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    (recordings / "broken.m4a").write_bytes(b"no audio")
    made = prepare(recordings, work, RecordingsConfig(), "ann", jobs=1)
    assert (made.clips, made.recordings, made.sources, made.confidence) == (CLIPS, CLIPS, {"given": CLIPS}, None)
    assert len(made.problems) == 1
    assert "broken.m4a" in made.problems[0]
    assert made == Preparation.load(work)
    rows = metadata(work)
    assert [text for _, text in rows] == [texts()[clip.removesuffix("_0001")] for clip, _ in rows]
    assert all((work / "data" / "wavs" / f"{clip}.wav").is_file() for clip, _ in rows)
    assert (work / "review.html").is_file()
    assert read_times(work)["segments"] > 0

    with (work / "review.csv").open(newline="", encoding="utf-8-sig") as file:
        review = list(csv.DictReader(file))
    review[3]["text"] = "Something else."
    review[5]["use"] = "no"
    with (work / "review.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(review[0]))
        writer.writeheader()
        writer.writerows(review)
    again = prepare(recordings, work, RecordingsConfig(), "ann", jobs=1)
    assert (again.clips, again.skipped, again.sources) == (CLIPS - 1, 1, {"given": CLIPS - 2, "edited": 1})
    corrected = dict(metadata(work))
    assert corrected[review[3]["clip"]] == "Something else."
    assert review[5]["clip"] not in corrected


def test_folders_are_speakers(recordings: Path, tmp_path: Path) -> None:
    for i, path in enumerate(sorted(recordings.iterdir())):
        target = recordings / ("ann" if i < CLIPS else "bob")
        target.mkdir(exist_ok=True)
        path.rename(target / path.name)
    made = prepare(recordings, tmp_path / "work", RecordingsConfig(), "both", jobs=1)
    assert made.speakers == ("ann", "bob")
    header, *rows = metadata(tmp_path / "work")
    assert header == ["id", "text", "speaker"]
    assert all(clip.startswith(f"{speaker}/") for clip, _, speaker in rows)


def test_nothing_left_to_train_on(recordings: Path, tmp_path: Path) -> None:
    for path in sorted(recordings.glob("*.flac"))[2:]:
        path.unlink()
    with pytest.raises(InputError, match="60 seconds at the least"):
        prepare(recordings, tmp_path / "work", RecordingsConfig(), "ann", jobs=1)


def test_a_missing_file_of_corrections_is_named() -> None:
    parser = ArgumentParser("voice.training")
    add_flags(parser, RecordingsConfig, "recordings")
    with pytest.raises(FileNotFoundError, match=r"--review: nowhere\.csv: no such file"):
        from_flags(RecordingsConfig, vars(parser.parse_args(["--review", "nowhere.csv"])))


def test_only_english_is_trained() -> None:
    with pytest.raises(InputError, match="--language de: only English"):
        RecordingsConfig(language="de")
    assert RecordingsConfig(language="de", prepare_only=True).language == "de"
