"""One bad file never ends preparation, and nothing is clipped without a word."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import soundfile

import prepare_dataset
from common.audio_files import load_wav
from common.machine import processes
from common.machine.processes import Report
from tests.support.preparation import add, prepare, refused, tone


@pytest.mark.parametrize("what", ["--extract-mels", "--extract-pitch", "--convert-to"])
def test_all_other_files_are_made(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str, caplog: pytest.LogCaptureFixture
) -> None:
    (dataset / "wavs" / "absent.wav").symlink_to("nowhere.wav")
    (dataset / "wavs" / "half.flac").write_bytes((dataset / "wavs" / "c.flac").read_bytes()[:3000])
    (dataset / "wavs" / "._c.flac").write_text("left by macOS")
    store = tmp_path / "store"
    add(store, "e.wav", tone(9000))
    (dataset / "wavs" / "linked").symlink_to(store)
    long_name = "n" * 251 + ".wav"  # its temporary name would be too long for the file system
    add(dataset, f"wavs/{long_name}", tone(9000))
    latin = os.fsdecode(b"caf\xe9.wav")
    (dataset / "wavs" / latin).write_bytes((dataset / "wavs" / "anna" / "001.wav").read_bytes())
    target = tmp_path / "out"
    error = refused(capsys, dataset, *([what, target] if what == "--convert-to" else [what]))
    assert error.startswith("prepare_dataset.py: error: 2 of 8 files could not be used; all others are done: ")
    assert "absent.wav: a link to a file that is not there; " in error
    assert "half.flac: not a readable audio file" in error
    made = {path.stem for path in (target if what == "--convert-to" else dataset / what[10:]).rglob("*.*")}
    assert {"001", "c", "e", "n" * 251, Path(latin).stem} <= made
    assert not made & {"absent", "half", "._c"}


def die(_: tuple[Path, Path]) -> Report:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("was not killed")


def die_of_second(item: tuple[Path, Path]) -> Report:
    return die(item) if item[0].name == "1" else Report(item[0])


def test_a_file_that_ends_its_process(tmp_path: Path) -> None:
    items = [(Path(str(number)), Path("x")) for number in range(6)]
    problems = processes.run_over_files(die_of_second, tmp_path, items, 2, "mels")
    assert problems == [
        f"{tmp_path / '1'}: ended the process that read it, perhaps for lack of memory; replace or cut it, or give "
        "fewer workers"
    ]
    assert len(processes.run_over_files(die, tmp_path, items[:3], 1, "mels")) == 3


def test_loud_files_are_scaled_or_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, copy = tmp_path / "data", tmp_path / "copy"
    add(data, "wavs/loud.wav", 10 * tone(9000), subtype="FLOAT")
    add(data, "wavs/scaled.wav", 32767 * tone(9000), subtype="FLOAT")
    steep = np.tanh(40 * tone(20000, 44100))
    add(data, "wavs/overshoots.wav", 0.999 * steep / abs(steep).max(), 44100)
    error = refused(capsys, data, "--convert-to", copy)
    assert "1 of 3 files could not be used; all others are done: " in error
    assert "scaled.wav: its samples reach 98" in error
    assert ", but full scale is 1; divide 16-bit values by 32768 before saving them" in error
    for name in ("loud", "overshoots"):
        assert np.abs(load_wav(copy / "wavs" / f"{name}.wav")[0]).max() == pytest.approx(0.95, abs=1e-3)
    expected = tone(9000) / 0.3 * 0.95
    np.testing.assert_allclose(soundfile.read(copy / "wavs" / "loud.wav")[0], expected, atol=1e-4)


def test_the_remark_names_file_and_gain(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = add(tmp_path, "wavs/loud.wav", 10 * tone(9000), subtype="FLOAT")
    for _ in range(2):  # once, although training reads it again and again
        load_wav(path)
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: peak 3.000 is above full scale (1): scaled by 0.317"
    ]


def test_a_wrong_rate_is_found_before_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = add(tmp_path, "wavs/a.wav", tone(8000, 8000), 8000)
    monkeypatch.setattr(prepare_dataset, "load_wav_at", None)
    with pytest.raises(ValueError, match="--sampling-rate 22050") as caught:
        prepare_dataset._check_header(path, 22050)
    assert "or keep 8000 Hz and plan a generator for it: python -m hifigan.plan --sampling-rate 8000" in str(
        caught.value
    )
    with pytest.raises(ValueError, match=r"DST --sampling-rate 4000$"):
        prepare_dataset._check_header(path, 4000)


def test_a_folder_that_is_a_file(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    for name in ("file", "file/below"):
        error = refused(capsys, dataset, "--convert-to", tmp_path / name)
        assert f"--convert-to: {tmp_path / name} " in error
        assert "give the name of a folder" in error
    assert prepare(dataset, "--write-filelists", tmp_path / "lists") == 0
