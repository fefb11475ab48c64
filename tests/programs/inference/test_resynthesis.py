"""`inference.py` on audio: copy synthesis."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import inference
from common.audio import AudioConfig, MelSpectrogram
from hifigan import load_generator
from tests.support.inference import command, refused, tone
from tests.support.models import make_checkpoint
from tests.support.programs import wavs


@pytest.fixture
def originals(tmp_path: Path) -> Path:
    """Clips of odd lengths, rates and formats in subfolders."""
    root = tmp_path / "in"
    for name, wav, rate in (
        ("a.wav", tone(10001), 22050),
        ("one/x.wav", tone(300), 22050),
        ("two/x.flac", tone(4096), 22050),
        ("two/deep/y.OGG", tone(16000, 16000), 16000),
        ("tiny.wav", tone(1), 22050),
        ("stereo.wav", np.stack([tone(5000), -tone(5000)], 1), 22050),
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(root / name, wav, rate, format=Path(name).suffix[1:].upper())
    (root / "notes.txt").write_text("no audio")
    (root / "folder.wav").mkdir()
    return root


def test_copies_are_as_long_as_the_originals(checkpoint: Path, originals: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in originals.rglob("*") if path.is_file()}
    assert inference.main(command(checkpoint, originals, tmp_path / "out")) == 0
    made = wavs(tmp_path / "out")
    assert {name: len(wav) for name, wav in made.items()} == {
        "a": 10001,
        "one/x": 300,
        "two/x": 4096,
        "two/deep/y": 22050,
        "tiny": 1,
        "stereo": 5000,
    }
    assert {path: path.read_bytes() for path in originals.rglob("*") if path.is_file()} == before
    assert {soundfile.info(path).samplerate for path in (tmp_path / "out").rglob("*.wav")} == {22050}


def test_a_copy_is_the_generator_on_the_mel_at_the_level_of_training(
    checkpoint: Path, originals: Path, tmp_path: Path
) -> None:
    assert inference.main(command(checkpoint, originals / "a.wav", tmp_path / "out")) == 0
    wav, _ = soundfile.read(originals / "a.wav")
    gain = 0.95 / np.abs(wav).max()
    padded = torch.from_numpy(np.pad(wav * gain, (0, 40 * 256 - len(wav)))).float()
    generator, _ = load_generator(checkpoint)
    with torch.no_grad():
        expected = generator(MelSpectrogram(AudioConfig())(padded[None])).squeeze().numpy()[:10001]
    made = wavs(tmp_path / "out")
    assert list(made) == ["a"]
    assert np.abs(made["a"] - expected / gain).max() <= 1 / 32768


@pytest.mark.parametrize("streams", [(), ("--stream",)])
def test_copies_of_a_quiet_and_a_loud_recording_differ_in_level_only(
    checkpoint: Path, tmp_path: Path, streams: tuple[str, ...]
) -> None:
    """Even at a peak of 0.001, where half of the mel would be below the floor of the logarithm."""
    (tmp_path / "in").mkdir()
    for name, gain in (("loud", 1.0), ("quiet", 0.001)):
        soundfile.write(tmp_path / "in" / f"{name}.wav", tone(10000) * gain, 22050, subtype="FLOAT")
    assert inference.main(command(checkpoint, tmp_path / "in", tmp_path / "out", *streams)) == 0
    made = wavs(tmp_path / "out")
    assert np.abs(made["quiet"] - made["loud"] * 0.001).max() <= 1.1 / 32768


def test_other_rates_are_resampled(tmp_path: Path) -> None:
    checkpoint = make_checkpoint(tmp_path / "g.pt", sampling_rate=16000)
    soundfile.write(tmp_path / "a.wav", tone(44100, 44100), 44100)
    assert inference.main(command(checkpoint, tmp_path / "a.wav", tmp_path / "out")) == 0
    info = soundfile.info(tmp_path / "out" / "a.wav")
    assert (info.samplerate, info.frames) == (16000, 16000)


def test_outputs_never_touch_the_originals(
    checkpoint: Path, originals: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in originals.rglob("*") if path.is_file()}
    link = tmp_path / "link"
    link.symlink_to(originals)
    # `one` would overwrite one/x.wav with output for x.wav. A second run would also resynthesise the output.
    for output in (originals, originals / "one", originals / "new", link, tmp_path / "x" / ".." / "in"):
        assert "lies in the folder of the originals (-i)" in refused(command(checkpoint, originals, output), capsys)
    error = refused(command(checkpoint, originals / "a.wav", link), capsys)
    assert "-o:" in error
    assert "overwritten" in error
    assert {path: path.read_bytes() for path in originals.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: (root / "bad.wav").write_text("text"), "bad.wav: not a readable audio file"),
        (lambda root: (root / "bad.wav").write_bytes(b""), "bad.wav: not a readable audio file"),
        (lambda root: soundfile.write(root / "bad.wav", np.zeros(0), 22050), "bad.wav: the audio file has no samples"),
        (
            lambda root: soundfile.write(root / "0.wav", np.full(999, np.nan), 22050, "FLOAT"),
            "0.wav: the audio has samples that are not finite",
        ),
    ],
)
def test_bad_audio(
    checkpoint: Path,
    originals: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[Path], object],
    message: str,
) -> None:
    spoil(originals)
    error = refused(command(checkpoint, originals, tmp_path / "out", "-bs", 1), capsys)
    assert f"1 of 7 input files cannot be used; all others are made: {originals}" in error
    assert message in error
    assert set(wavs(tmp_path / "out")) == {"a", "one/x", "two/x", "two/deep/y", "tiny", "stereo"}
    # Only this file remains. It is tried again, since it may be intact now.
    error = refused(command(checkpoint, originals, tmp_path / "out"), capsys)
    assert message in error


def test_two_originals_of_one_name(
    checkpoint: Path, originals: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (originals / "a.flac").write_bytes((originals / "two/x.flac").read_bytes())
    error = refused(command(checkpoint, originals, tmp_path / "out"), capsys)
    assert "both would be written to a.wav" in error
    assert not (tmp_path / "out").exists()
