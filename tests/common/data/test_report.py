"""The report on a data set, with faults that the test put there."""

from pathlib import Path

import numpy as np
import soundfile

from common.data.metadata import Metadata
from common.data.report import DataReport, find_misfits, find_unknown_words

TEXT = "The birch canoe slid on the smooth planks."  # 42 characters


def test_report(tmp_path: Path) -> None:
    texts = {f"c{i}": f"{TEXT} {'!' * i}" for i in range(8)}
    seconds = dict.fromkeys(texts, 3.0) | {"c1": 30.0, "c2": 450 / 22050}
    texts["c3"] = texts["c4"]
    (tmp_path / "wavs").mkdir()
    for clip, length in seconds.items():
        soundfile.write(tmp_path / "wavs" / f"{clip}.wav", np.zeros(round(length * 22050)), 22050)
    (tmp_path / "wavs" / "c5.wav").write_text("no audio")
    metadata = Metadata(("id", "text"), texts, {})
    report = DataReport(tmp_path, metadata, {clip: f"wavs/{clip}.wav" for clip in texts}, 513)
    found = {kind: len(entries) for kind, entries in report.kinds.items()}
    assert list(found.values()) == [1, 1, 2, 1, 0]
    assert report.summary() == (
        "8 clips, 0.01 hours; 1 audio files that cannot be read, 1 clips shorter than a frame, 2 texts that hardly fit "
        "their audio, 1 repeated texts"
    )
    text = "\n".join(report.lines())
    assert "wavs/c2.wav: 450 samples, 513 are needed" in text
    assert "c1: 44 characters in 30.00 s, 1.5 a second instead of about 15." in text
    assert f"{texts['c4']} (2 times)" in text


def test_ordinary_rates_are_no_misfits() -> None:
    rng = np.random.default_rng(0)
    texts = {f"c{i}": "x" * 60 for i in range(300)}
    seconds = {clip: 4 * float(np.exp(0.15 * rng.standard_normal())) for clip in texts}
    assert find_misfits(texts, seconds) == []
    seconds["c7"] = 9.5
    assert [line.split(":")[0] for line in find_misfits(texts, seconds)] == ["c7"]
    assert find_misfits({"a": "x"}, {"a": 9.0}) == [], "too few to compare"


def test_unknown_words() -> None:
    texts = {"a": "Kubernetes runs on 12 {K AE1 T}s, and Kubernetes reads.", "b": "Zqxj's cats read."}
    assert find_unknown_words(texts) == ["kubernetes (2)", "zqxj's (1)"]
