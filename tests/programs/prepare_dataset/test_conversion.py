"""`prepare_dataset.py --convert-to` writes a data set of 16-bit mono wav files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from common.audio_files import load_wav, resample
from tests.support.preparation import add, contents, prepare, refused, tone


def test_conversion(dataset: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    add(dataset, "wavs/stereo.wav", np.stack([tone(48000, 48000), 0.5 * tone(48000, 48000)], 1), 48000, "PCM_24")
    add(dataset, "wavs/float.wav", tone(9000), subtype="FLOAT")
    before = contents(dataset)
    copy = tmp_path / "copy"
    assert prepare(dataset, "--convert-to", copy) == 0
    made = contents(copy)
    assert made.keys() == {
        "metadata.csv",
        *(f"wavs/{name}.wav" for name in ("anna/001", "ben/001", "c", "stereo", "float")),
    }
    for name in made:
        if name.endswith(".wav"):
            info = soundfile.info(copy / name)
            assert (info.samplerate, info.channels, info.subtype) == (22050, 1, "PCM_16")
    assert made["metadata.csv"] == before["metadata.csv"]
    assert np.array_equal(load_wav(copy / "wavs/c.wav")[0], load_wav(dataset / "wavs/c.flac")[0])
    assert np.abs(load_wav(copy / "wavs/float.wav")[0] - tone(9000)).max() <= 0.51 / 32768
    expected = resample(0.75 * tone(48000, 48000), 48000, 22050)
    assert np.abs(load_wav(copy / "wavs/stereo.wav")[0] - expected).max() <= 0.51 / 32768
    written = {name: (copy / name).stat().st_mtime_ns for name in made if name.endswith(".wav")}
    assert prepare(dataset, "--convert-to", copy) == 0, "again"
    assert contents(copy) == made
    assert {name: (copy / name).stat().st_mtime_ns for name in written} == written  # finished copies are skipped
    assert contents(dataset) == before
    assert prepare(copy, "--extract-mels") == 0


def test_conversion_to_another_rate(dataset: Path, tmp_path: Path) -> None:
    assert prepare(dataset, "--convert-to", tmp_path / "copy", "--sampling-rate", 16000) == 0
    info = soundfile.info(tmp_path / "copy" / "wavs" / "c.wav")
    assert (info.samplerate, info.frames) == (16000, 16000)
    assert prepare(dataset, "--convert-to", tmp_path / "copy") == 0
    assert soundfile.info(tmp_path / "copy" / "wavs" / "c.wav").samplerate == 22050


def test_conversion_overwrites_nothing_of_others(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    add(other, "wavs/c.wav", tone(3000))
    (other / "metadata.csv").write_text("c|Precious.\n")
    link = tmp_path / "link"
    link.symlink_to(dataset)
    halfway = tmp_path / "halfway"
    halfway.mkdir()
    (halfway / "wavs").symlink_to(dataset / "wavs")
    before = contents(tmp_path)
    assert "metadata.csv belongs to another data set" in refused(capsys, dataset, "--convert-to", other)
    for target in (dataset, link, dataset / "wavs", dataset / "wavs" / "new", tmp_path / "x" / ".." / "data"):
        assert "is the data set itself" in refused(capsys, dataset, "--convert-to", target)
    assert "001.wav is a file of the data set" in refused(capsys, dataset, "--convert-to", halfway)
    assert contents(tmp_path) == before


def test_conversion_names_what_it_cannot_read(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = add(dataset, "wavs/d.flac", tone(22050))
    broken.write_bytes(broken.read_bytes()[: broken.stat().st_size // 2])
    assert f"{broken}: not a readable audio file" in refused(capsys, dataset, "--convert-to", tmp_path / "copy")
    assert contents(tmp_path / "copy").keys() == {"metadata.csv", "wavs/anna/001.wav", "wavs/ben/001.wav", "wavs/c.wav"}
