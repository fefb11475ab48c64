"""`prepare_dataset.py` on good and bad data sets, as a user would run it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import prepare_dataset
from common.audio import AudioConfig, MelSpectrogram
from common.audio_files import load_wav, resample
from common.cli import run
from common.data.filelists import read_filelist
from common.machine import processes
from common.machine.hardware import available_cores
from prepare_dataset import PrepareConfig
from tests.support.paths import REPOSITORY


def tone(samples: int, rate: int = 22050, peak: float = 0.3) -> np.ndarray:
    time = np.arange(samples) / rate
    return peak * np.sin(2 * np.pi * (300 + 100 * time) * time)


def add(root: Path, name: str, wav: np.ndarray, rate: int = 22050, subtype: str | None = None) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wav, rate, subtype, format=path.suffix[1:].upper())
    return path


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Two speakers with a clip of the same name each, in LJSpeech layout."""
    root = tmp_path / "data"
    add(root, "wavs/anna/001.wav", tone(9000))
    add(root, "wavs/ben/001.wav", tone(5000, peak=0.1))
    add(root, "wavs/c.flac", tone(22050))
    (root / "metadata.csv").write_text("anna/001|One.\nben/001|Dr. 2|Doctor two.\nc|Three.\n", encoding="utf-8")
    return root


def prepare(root: Path, *words: object) -> int:
    return prepare_dataset.main(["-d", str(root), "--n-workers", "2", *map(str, words)])


def refused(capsys: pytest.CaptureFixture[str], root: Path, *words: object, status: int = 1) -> str:
    """Runs the program as from the command line; returns its one line of error."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        run(lambda: prepare(root, *words), "prepare_dataset.py")
    error = capsys.readouterr().err
    assert caught.value.code == status
    assert error.count("\n") == 1, error
    assert error.startswith("prepare_dataset.py: error: ")
    return error


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("framing", ["vocoder", "tacotron"])
def test_mels(dataset: Path, framing: str) -> None:
    assert prepare(dataset, "--extract-mels", "--framing", framing) == 0
    audio = AudioConfig(framing=framing)
    for clip in ("anna/001.wav", "ben/001.wav", "c.flac"):
        wav, _ = load_wav(dataset / "wavs" / clip)
        expected = MelSpectrogram(audio)(torch.from_numpy(wav).float()[None])[0]
        path = (dataset / "mels" / clip).with_suffix(".pt")
        mel = torch.load(path, weights_only=True)
        assert mel.dtype == torch.float32
        assert mel.shape == (80, len(wav) // 256 + (framing == "tacotron"))
        torch.testing.assert_close(mel, expected, atol=1e-4, rtol=0)
        assert path.stat().st_size < mel.numel() * 4 + 3000, "more than the mel itself was stored"
    stored = json.loads((dataset / "mels" / "audio_config.json").read_text())
    assert AudioConfig.from_dict(stored) == audio
    assert stored["peak_normalised"] is False
    assert len(contents(dataset / "mels")) == 4


def test_pitch(dataset: Path, caplog: pytest.LogCaptureFixture) -> None:
    add(dataset, "wavs/silence.wav", np.zeros(4000))
    assert prepare(dataset, "--extract-pitch", "--extract-mels", "--framing", "tacotron") == 0
    clips = ("anna/001", "ben/001", "c", "silence")
    found = {clip: torch.load(dataset / "pitch" / f"{clip}.pt", weights_only=True) for clip in clips}
    for clip, pitch in found.items():
        mel = torch.load(dataset / "mels" / f"{clip}.pt", weights_only=True)
        assert (pitch.dtype, pitch.shape) == (torch.float32, (1, mel.size(1)))
    assert not found["silence"].any()
    assert "silence.wav: not one frame is voiced" in caplog.text
    # The tone glides: 300 + 200 t Hz.
    frames = np.arange(found["c"].size(1))[5:-5]
    np.testing.assert_allclose(found["c"][0, 5:-5], 300 + 200 * frames * 256 / 22050, rtol=0.01)
    voiced = torch.cat([pitch[pitch > 0] for pitch in found.values()]).double()
    stored = json.loads((dataset / "pitch" / "pitch_statistics.json").read_text())
    assert stored["mean_hz"] == pytest.approx(voiced.mean().item())
    assert stored["std_hz"] == pytest.approx(voiced.std(correction=0).item())
    assert (stored["voiced_frames"], stored["frames"]) == (len(voiced), sum(p.numel() for p in found.values()))
    described = json.loads((dataset / "pitch" / "pitch_config.json").read_text())
    assert (described["sampling_rate"], described["hop_length"], described["frame_length"]) == (22050, 256, 1024)


def test_pitch_goes_on_where_it_was_broken_off(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert prepare(dataset, "--extract-pitch") == 0
    first = contents(dataset / "pitch")
    done = dataset / "pitch" / "c.pt"
    (dataset / "pitch" / "ben" / "001.pt").unlink()
    (dataset / "pitch" / "pitch_statistics.json").unlink()
    before = done.stat().st_mtime_ns
    assert prepare(dataset, "--extract-pitch") == 0
    assert done.stat().st_mtime_ns == before
    assert contents(dataset / "pitch") == first
    add(dataset, "wavs/c.flac", tone(9000))  # audio that was changed afterwards
    assert prepare(dataset, "--extract-pitch") == 0
    assert done.stat().st_mtime_ns > before
    error = refused(capsys, dataset, "--extract-pitch", "--hop-length", "200")
    assert "pitch_config.json: this folder holds pitch of another configuration" in error


def test_pitch_of_some_clips_keeps_the_statistics_of_the_voice(dataset: Path, tmp_path: Path) -> None:
    assert prepare(dataset, "--extract-pitch") == 0
    first = contents(dataset / "pitch")
    (tmp_path / "one.txt").write_text("wavs/c.flac\n")
    assert prepare(dataset, "--extract-pitch", "--wav-text-filelists", tmp_path / "one.txt") == 0
    assert contents(dataset / "pitch") == first


@pytest.mark.parametrize("rate", [16000, 44100])
def test_pitch_at_other_rates(rate: int, tmp_path: Path) -> None:
    add(tmp_path, "wavs/a.wav", tone(rate, rate), rate)
    assert prepare(tmp_path, "--extract-pitch", "--sampling-rate", rate) == 0
    pitch = torch.load(tmp_path / "pitch" / "a.pt", weights_only=True)[0]
    frames = np.arange(len(pitch))[8:-8]
    np.testing.assert_allclose(pitch[8:-8], 300 + 200 * frames * 256 / rate, rtol=0.01)


def test_signal_flags(tmp_path: Path) -> None:
    add(tmp_path, "wavs/a.wav", tone(16000, 16000), 16000)
    flags = "--sampling_rate 16000 --num-mels 40 --hop_length=200 --win-length 800 --mel-fmin 50 --mel_fmax 7600"
    assert prepare(tmp_path, "--extract_mels", *flags.split()) == 0
    audio = AudioConfig(16000, 1024, 200, 800, 40, 50.0, 7600.0)
    mel = torch.load(tmp_path / "mels" / "a.pt", weights_only=True)
    wav, _ = load_wav(tmp_path / "wavs" / "a.wav")
    torch.testing.assert_close(mel, MelSpectrogram(audio)(torch.from_numpy(wav).float()[None])[0], atol=1e-4, rtol=0)
    assert AudioConfig.from_dict(json.loads((tmp_path / "mels" / "audio_config.json").read_text())) == audio


def test_again(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert prepare(dataset, "--extract-mels") == 0
    first = contents(dataset)
    assert prepare(dataset, "--extract-mels") == 0
    assert contents(dataset) == first
    error = refused(capsys, dataset, "--extract-mels", "--framing", "tacotron")
    assert "audio_config.json: this folder holds mels of another configuration" in error
    (dataset / "mels" / "audio_config.json").write_text("{")
    assert "does not describe mels; remove this folder" in refused(capsys, dataset, "--extract-mels")
    (dataset / "mels" / "audio_config.json").unlink()
    assert "anna/001.pt: exists, and no audio_config.json says" in refused(capsys, dataset, "--extract-mels")
    del first["mels/audio_config.json"]
    assert contents(dataset) == first


def test_a_broken_run_does_not_mix_configurations(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = add(dataset, "wavs/d.flac", tone(22050))
    broken.write_bytes(broken.read_bytes()[: broken.stat().st_size // 2])  # its header is in order
    error = refused(capsys, dataset, "--extract-mels")
    assert "1 of 4 files could not be used: " in error
    assert f"{broken}: not a readable audio file" in error
    assert (dataset / "mels" / "c.pt").is_file(), "the other files are done"
    assert "another configuration" in refused(capsys, dataset, "--extract-mels", "--framing", "tacotron")
    broken.unlink()
    assert prepare(dataset, "--extract-mels") == 0


def test_chosen_files(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "l.txt").write_text("wavs/c.flac|Three.\n\nwavs/c.flac\n")
    (tmp_path / "m.txt").write_text("wavs/ben/001.wav\n")
    assert prepare(dataset, "--extract-mels", "--wav-text-filelists", tmp_path / "l.txt", tmp_path / "m.txt") == 0
    assert contents(dataset / "mels").keys() == {"audio_config.json", "c.pt", "ben/001.pt"}


def test_stereo_and_silence(dataset: Path, caplog: pytest.LogCaptureFixture) -> None:
    add(dataset, "wavs/stereo.wav", np.stack([tone(4000), 0.5 * tone(4000)], 1), subtype="DOUBLE")
    add(dataset, "wavs/silent.wav", np.zeros(4000))
    assert prepare(dataset, "--extract-mels") == 0
    assert "1 files have several channels, which are averaged" in caplog.text
    assert "wavs/silent.wav: silent" in caplog.text
    assert caplog.text.count("silent (") == 1
    mel = torch.load(dataset / "mels" / "stereo.pt", weights_only=True)
    expected = MelSpectrogram(AudioConfig())(torch.from_numpy(0.75 * tone(4000)).float()[None])[0]
    torch.testing.assert_close(mel, expected, atol=1e-3, rtol=0)
    silence = torch.load(dataset / "mels" / "silent.pt", weights_only=True)
    assert torch.isfinite(silence).all()


def _break_off(root: Path) -> None:
    path = add(root, "wavs/bad.wav", tone(22050))
    path.write_bytes(path.read_bytes()[:20000])


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "rate": (lambda root: add(root, "wavs/bad.wav", tone(9000), 16000), "sampling rate is 16000 Hz, expected 22050"),
    "text": (lambda root: (root / "wavs/bad.wav").write_text("text"), "not a readable audio file"),
    "no bytes": (lambda root: (root / "wavs/bad.wav").write_bytes(b""), "not a readable audio file"),
    "empty": (lambda root: add(root, "wavs/bad.wav", np.zeros(0)), "has no samples"),
    "broken off": (_break_off, "the audio file breaks off"),
    "short": (lambda root: add(root, "wavs/bad.wav", tone(384)), "384 samples are too few, need more than 384"),
    "NaN": (lambda root: add(root, "wavs/bad.wav", np.full(9000, np.nan), subtype="FLOAT"), "not finite"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_audio(dataset: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    spoil, message = BAD[kind]
    spoil(dataset)
    error = refused(capsys, dataset, "--extract-mels")
    assert message in error
    assert str(dataset / "wavs" / "bad.wav") in error
    mels = contents(dataset / "mels") if (dataset / "mels").exists() else {}
    assert "bad.pt" not in mels
    assert not [name for name in mels if name.endswith("tmp")]


def test_equal_targets(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add(dataset, "wavs/c.wav", tone(9000))
    before = contents(dataset)
    error = refused(capsys, dataset, "--extract-mels")
    assert "wavs/c.wav and wavs/c.flac: both would be written to mels/c.pt" in error
    error = refused(capsys, dataset, "--convert-to", dataset.parent / "copy")
    assert "both would be written to wavs/c.wav" in error
    assert contents(dataset) == before
    assert not (dataset.parent / "copy").exists()


@pytest.mark.parametrize("task", ["--extract-mels", "--convert-to"])
@pytest.mark.parametrize("kind", ["absolute", "above"])
def test_lists_that_leave_the_data_set(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, task: str
) -> None:
    outside = add(tmp_path, "outside/a.wav", tone(9000), 22050, "PCM_24")
    row = str(outside) if kind == "absolute" else "../outside/a.wav"
    (tmp_path / "l.txt").write_text(row + "\n")
    before = contents(tmp_path)
    words = [task, *([tmp_path / "copy" / "deep"] if task == "--convert-to" else [])]
    error = refused(capsys, dataset, *words, "--wav-text-filelists", tmp_path / "l.txt")
    assert f"{row}: file lists name paths inside the data set" in error
    assert contents(tmp_path) == before, "a file was written or overwritten"


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
    assert prepare(dataset, "--convert-to", copy) == 0, "again"
    assert contents(copy) == made
    assert contents(dataset) == before
    assert prepare(copy, "--extract-mels") == 0


def test_conversion_to_another_rate(dataset: Path, tmp_path: Path) -> None:
    assert prepare(dataset, "--convert-to", tmp_path / "copy", "--sampling-rate", 16000) == 0
    info = soundfile.info(tmp_path / "copy" / "wavs" / "c.wav")
    assert (info.samplerate, info.frames) == (16000, 16000)


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
    assert "metadata.csv is that of another data set" in refused(capsys, dataset, "--convert-to", other)
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


def test_file_lists(dataset: Path, tmp_path: Path) -> None:
    assert prepare(dataset, "--write-filelists", tmp_path / "lists", "--validation-clips", 1) == 0
    lists = {path.name: read_filelist(path) for path in (tmp_path / "lists").iterdir()}
    parts = ("train", "val", "text", "pitch_text", "pitch_text_train", "pitch_text_val")
    assert lists.keys() == {f"data_audio_{part}.txt" for part in parts}
    wavs = ["wavs/anna/001.wav", "wavs/ben/001.wav", "wavs/c.flac"]
    held_out, rest = lists["data_audio_val.txt"], lists["data_audio_train.txt"]
    assert len(held_out) == 1
    assert sorted(held_out + rest) == [[wav] for wav in wavs]
    texts = ["One.", "Doctor two.", "Three."]
    assert lists["data_audio_text.txt"] == [[wav, text] for wav, text in zip(wavs, texts, strict=True)]
    pitch = ["pitch/anna/001.pt", "pitch/ben/001.pt", "pitch/c.pt"]
    rows = [list(row) for row in zip(wavs, pitch, texts, strict=True)]
    assert lists["data_audio_pitch_text.txt"] == rows
    assert lists["data_audio_pitch_text_train.txt"] == [row for row in rows if row[:1] in rest]
    assert lists["data_audio_pitch_text_val.txt"] == [row for row in rows if row[:1] in held_out]
    first = contents(tmp_path / "lists")
    assert prepare(dataset, "--write_filelists", tmp_path / "lists") == 0, "a tenth, at least one"
    assert contents(tmp_path / "lists") == first
    assert prepare(dataset, "--write-filelists", tmp_path / "lists", "--name", "own") == 0
    assert (tmp_path / "lists" / "own_audio_val.txt").is_file()


def test_file_lists_of_ljspeech(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    split = json.loads((REPOSITORY / "common" / "data" / "ljspeech_split.json").read_text())
    named = [*split["val"], *split["test"], *split["discard"], *split["corrected_transcripts"], "LJ001-0001"]
    (tmp_path / "wavs").mkdir()
    for clip in named:
        (tmp_path / "wavs" / f"{clip}.wav").touch()
    (tmp_path / "metadata.csv").write_text("".join(f"{clip}|Raw|Text of {clip}\n" for clip in sorted(set(named))))
    assert prepare(tmp_path, "--write-filelists", tmp_path / "lists", "--split", "ljspeech") == 0
    lists = {path.name: read_filelist(path) for path in (tmp_path / "lists").iterdir()}
    parts = [f"{kind}{part}" for kind in ("", "pitch_text_") for part in ("train_v3", "val", "test")]
    assert lists.keys() == {f"ljs_audio_{part}.txt" for part in (*parts, "text", "pitch_text")}
    assert lists["ljs_audio_val.txt"] == [[f"wavs/{clip}.wav"] for clip in split["val"]]
    assert lists["ljs_audio_test.txt"] == [[f"wavs/{clip}.wav"] for clip in split["test"]]
    assert ["wavs/LJ001-0001.wav"] in lists["ljs_audio_train_v3.txt"]
    texts = dict(lists["ljs_audio_text.txt"])
    assert not [clip for clip in split["discard"] if f"wavs/{clip}.wav" in texts]
    for clip, text in split["corrected_transcripts"].items():
        assert texts[f"wavs/{clip}.wav"] == text


def test_metadata_without_audio(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (dataset / "wavs" / "c.flac").unlink()
    error = refused(capsys, dataset, "--write-filelists", tmp_path / "lists")
    assert f"{dataset / 'wavs' / 'c.wav'}: no such file, though metadata.csv names it" in error
    (dataset / "metadata.csv").write_bytes(b"c|caf\xe9\n")
    assert "metadata.csv: not a UTF-8" in refused(capsys, dataset, "--write-filelists", tmp_path / "lists")
    (dataset / "metadata.csv").unlink()
    assert "metadata.csv: no such file" in refused(capsys, dataset, "--write-filelists", tmp_path / "lists")
    assert not (tmp_path / "lists").exists()


FLAGS: dict[str, tuple[list[str], str, int]] = {
    "nothing": ([], "nothing to do", 1),
    "copy and mels": (["--convert-to", "copy", "--extract-mels"], "--convert-to: makes the copy only", 1),
    "copy and lists": (["--convert-to", "copy", "--write-filelists", "l"], "--convert-to: makes the copy only", 1),
    "split without lists": (
        ["--extract-mels", "--split", "ljspeech"],
        "--split: has no effect without --write-filelists",
        1,
    ),
    "framing without mels": (["--write-filelists", "l", "--framing", "tacotron"], "--framing: has no effect", 1),
    "lists without work": (["--write-filelists", "l", "--wav-text-filelists", "m"], "--wav-text-filelists: has no", 1),
    "clips of a fixed split": (
        ["--write-filelists", "l", "--split", "ljspeech", "--validation-clips", "3"],
        "--validation-clips: a positive number, for --split own only",
        1,
    ),
    "negative clips": (["--write-filelists", "l", "--validation-clips", "-1"], "--validation-clips", 1),
    "too many clips": (["--write-filelists", "l", "--validation-clips", "3"], "--validation-clips: 3 of 3 clips", 1),
    "workers": (["--extract-mels", "--n-workers", "0"], "--n-workers: 0", 1),
    "rate": (["--extract-mels", "--sampling-rate", "0"], "sampling_rate: 0", 1),
    "band edge": (["--extract-mels", "--mel-fmax", "20000"], "mel_fmax 20000", 1),
    "missing list": (["--extract-mels", "--wav-text-filelists", "absent.txt"], "absent.txt: no such file list", 1),
    "unknown": (["--extract-mels", "--pitch"], "--pitch", 2),
    "without effect": (["--extract-mels", "--mel-fmax-loss", "8000"], "--mel-fmax-loss", 2),
    "choice": (["--extract-mels", "--framing", "centred"], "--framing", 2),
    "number": (["--extract-mels", "--num-mels", "x"], "--num-mels", 2),
}


@pytest.mark.parametrize("kind", FLAGS)
def test_bad_flags(
    dataset: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.chdir(dataset.parent)
    before = contents(dataset.parent)
    words, message, status = FLAGS[kind]
    assert message in refused(capsys, dataset, *words, status=status)
    assert contents(dataset.parent) == before


def test_missing_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    error = refused(capsys, tmp_path / "absent", "--extract-mels")
    assert f"{tmp_path / 'absent'}: no such data set (--dataset-path)" in error
    (tmp_path / "wavs" / "folder.wav").mkdir(parents=True)
    assert f"{tmp_path / 'wavs'}: no audio files" in refused(capsys, tmp_path, "--extract-mels")
    (tmp_path / "l.txt").write_text(".\nwavs/absent.wav\n")
    error = refused(capsys, tmp_path, "--extract-mels", "--wav-text-filelists", tmp_path / "l.txt")
    assert "2 of 2 audio files cannot be used" in error


def test_a_failed_write_leaves_nothing(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(path: Path, data: bytes) -> int:
        with path.open("wb") as file:
            file.write(data[:10])
        raise OSError(28, "No space left on device")

    (dataset / "mels").mkdir()
    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="No space left"):
        prepare_dataset.extract_mel(dataset, AudioConfig(), (Path("wavs/c.flac"), Path("mels/c.pt")))
    assert not list((dataset / "mels").iterdir())


def _die(_: Path) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_worker_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run(lambda: prepare_dataset.run_over_files(_die, [Path("a")], 1, "mels"), "prepare_dataset.py")
    assert caught.value.code == 1
    assert capsys.readouterr().err == (
        "prepare_dataset.py: error: --n-workers: a process was killed, probably for lack of memory; give fewer\n"
    )


def test_no_more_processes_than_files(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    pool = processes.ProcessPoolExecutor

    def counted(workers: int, initializer: Callable[[], object]) -> object:
        asked.append(workers)
        return pool(1, initializer=initializer)

    monkeypatch.setattr(processes, "ProcessPoolExecutor", counted)
    assert prepare(dataset, "--extract-mels", "--n-workers", 1000) == 0
    assert asked == [3]


def test_defaults_work_on_all_cores() -> None:
    assert PrepareConfig(extract_mels=True).n_workers == available_cores()


def test_the_program(dataset: Path) -> None:
    def program(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(REPOSITORY / "prepare_dataset.py"), "--dataset_path", str(dataset), *words]
        return subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY)

    done = program("--extract_mels")
    assert done.returncode == 0, done.stderr
    assert done.stderr == "prepare_dataset.py: INFO: mels: 3 of 3 files done\n"
    assert len(contents(dataset / "mels")) == 4
    done = program("--extract-mels", "--framing", "tacotron")
    assert done.returncode == 1
    assert done.stderr.startswith(f"prepare_dataset.py: error: {dataset}")
    assert done.stderr.count("\n") == 1
