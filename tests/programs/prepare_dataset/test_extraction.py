"""`prepare_dataset.py` computes mels and pitch."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.context import BaseContext
from pathlib import Path

import numpy as np
import pytest
import torch

import prepare_dataset
from common.audio import AudioConfig, MelSpectrogram
from common.audio_files import load_wav
from common.machine import processes
from tests.support.paths import REPOSITORY
from tests.support.preparation import add, contents, prepare, refused, tone


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
    assert "silence.wav: no frame is voiced" in caplog.text
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
    add(dataset, "wavs/c.flac", tone(9000))  # audio that changed later
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
    assert "anna/001.pt: exists, but no audio_config.json records" in refused(capsys, dataset, "--extract-mels")
    del first["mels/audio_config.json"]
    assert contents(dataset) == first


def test_a_broken_run_does_not_mix_configurations(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = add(dataset, "wavs/d.flac", tone(22050))
    broken.write_bytes(broken.read_bytes()[: broken.stat().st_size // 2])  # its header is intact
    error = refused(capsys, dataset, "--extract-mels")
    assert "1 of 4 files could not be used; all others are done: " in error
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
    assert "wavs/stereo.wav: 2 channels, which are averaged" in caplog.text
    assert "wavs/silent.wav: silent" in caplog.text
    assert caplog.text.count("silent (") == 1
    mel = torch.load(dataset / "mels" / "stereo.pt", weights_only=True)
    expected = MelSpectrogram(AudioConfig())(torch.from_numpy(0.75 * tone(4000)).float()[None])[0]
    torch.testing.assert_close(mel, expected, atol=1e-3, rtol=0)
    silence = torch.load(dataset / "mels" / "silent.pt", weights_only=True)
    assert torch.isfinite(silence).all()


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


def test_no_more_processes_than_files(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    pool = processes.ProcessPoolExecutor

    def counted(workers: int, context: BaseContext | None, initializer: Callable[[], object]) -> object:
        asked.append(workers)
        return pool(1, context, initializer=initializer)

    monkeypatch.setattr(processes, "ProcessPoolExecutor", counted)
    assert prepare(dataset, "--extract-mels", "--n-workers", 1000) == 0
    assert asked == [3]


@pytest.mark.medium
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
