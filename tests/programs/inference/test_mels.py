"""Mels that `inference.py` converts, moves, skips, or refuses."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import inference
from common.audio import SILENCE, AudioConfig, MelSpectrogram
from tests.support.data_sets import speechlike
from tests.support.inference import LENGTHS, Code, command, from_mels, random_mel, refused, tone
from tests.support.models import SETUP, make_checkpoint
from tests.support.programs import wavs

MELS: dict[str, tuple[object, str]] = {
    "NaN": (torch.full((80, 5), math.nan), "values that are not finite"),
    "bands": (torch.zeros(64, 5), "expected a mel spectrogram of shape [80, frames], got [64, 5]"),
    "transposed": (torch.zeros(5, 80), "got [5, 80]"),
    "batch": (torch.zeros(1, 80, 5), "got [1, 80, 5]"),
    "no frames": (torch.zeros(80, 0), "got [80, 0]"),
    "float64": (
        torch.zeros(80, 5).double(),
        "the mel spectrogram is float64; if its values are right, save it as float32 (.float())",
    ),
    "float64 array": (
        np.zeros((80, 5)),
        "the mel spectrogram is float64; if its values are right, save it as float32 (.astype(np.float32))",
    ),
    "whole numbers": (np.zeros((80, 5), np.int16), "the mel spectrogram is int16; if"),
    "truth values": (torch.zeros(80, 5) > 1, "the mel spectrogram is bool; if"),
    "complex": (
        torch.zeros(80, 5, dtype=torch.complex64),
        "the mel spectrogram is complex, not an array of real numbers",
    ),
    "array of NaN": (np.full((80, 5), np.nan, np.float32), "values that are not finite"),
    "array of other bands": (np.zeros((64, 5), np.float32), "[80, frames], got [64, 5]"),
    "transposed array": (np.zeros((5, 80), np.float32), "got [5, 80]"),
    "empty array": (np.zeros((80, 0), np.float32), "got [80, 0]"),
    "dictionary": ({"mel": torch.zeros(80, 5)}, "got dict"),
    "text": (b"text", "not a readable mel spectrogram"),
    "none": (None, "no such mel (1 of 1 are missing); make them with"),
}


@pytest.mark.parametrize("kind", MELS)
def test_bad_mels(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    content, message = MELS[kind]
    path = tmp_path / ("mel.npy" if isinstance(content, np.ndarray) else "mel.pt")
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, np.ndarray):
        np.save(path, content)
    elif content is not None:
        torch.save(content, path)
    (tmp_path / "p.tsv").write_text(f"mel\toutput\n{path.name}\ta\n")
    error = refused(command(checkpoint, tmp_path / "p.tsv", tmp_path / "out", "-d", tmp_path), capsys)
    assert message in error
    assert str(path) in error
    assert not wavs(tmp_path / "out")


def test_pickled_numpy_arrays_are_refused(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "mel.npy", np.array([Code(tmp_path / "was_here")], dtype=object), allow_pickle=True)
    (tmp_path / "p.tsv").write_text("mel\nmel.npy\n")
    error = refused(command(checkpoint, tmp_path / "p.tsv", tmp_path / "out", "-d", tmp_path), capsys)
    assert "mel.npy: not a readable mel spectrogram" in error
    assert not (tmp_path / "was_here").exists()


@pytest.mark.parametrize("mel", ["mels/a.pt", "mels/speaker/deep/a.pt"])
def test_mels_of_another_configuration(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], mel: str
) -> None:
    (tmp_path / mel).parent.mkdir(parents=True)
    torch.save(random_mel(5), tmp_path / mel)
    (tmp_path / "p.tsv").write_text(f"mel\toutput\n{mel}\ta\n")
    argv = command(checkpoint, tmp_path / "p.tsv", tmp_path / "out", "--dataset_path", tmp_path)
    description = tmp_path / "mels" / "audio_config.json"
    for changes, message in (
        ({"mel_fmax": 7600.0}, "mel_fmax 7600.0 instead of 8000.0"),
        ({"sampling_rate": 16000}, "sampling_rate 16000 instead of 22050"),
        ({"mel_fmax": None, "win_length": 800}, "win_length 800 instead of 1024, mel_fmax 11025.0 instead of 8000.0"),
    ):
        description.write_text(json.dumps({**SETUP, "framing": "vocoder", **changes}))
        error = refused(argv, capsys)
        assert str(description) in error
        assert message in error
        assert "make them again (python prepare_dataset.py --extract-mels --" in error
    for content in ("{", "[]", "\xff", '{"sampling_rate": "x"}'):
        description.write_text(content, encoding="latin-1")
        assert f"{description}: does not describe mels" in refused(argv, capsys)
    assert not (tmp_path / "out").exists()
    # Only the framing may differ. It shifts the audio by half a hop.
    description.write_text(json.dumps({**SETUP, "framing": "tacotron", "peak_normalised": False}))
    assert inference.main(argv) == 0


def test_mels_in_log10_are_converted(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mel = MelSpectrogram(AudioConfig())(torch.from_numpy(speechlike(0.5)).float()[None])[0]
    mel[:, 5:9] = SILENCE
    log10 = mel / math.log(10)
    for name, values in (("ln", (log10.double() * math.log(10)).float().clamp_min(SILENCE)), ("log10", log10)):
        (tmp_path / name).mkdir()
        torch.save(values, tmp_path / name / "a.pt")
        (tmp_path / name / "phrases.tsv").write_text("mel\toutput\na.pt\ta\n")
    expected = from_mels(checkpoint, tmp_path / "ln", tmp_path / "expected")["a"]
    argv = command(checkpoint, tmp_path / "log10" / "phrases.tsv", tmp_path / "out", "-d", tmp_path / "log10")
    error = refused(argv, capsys)
    assert "a.pt: no audio_config.json describes this mel, and its values (-5.0 to " in error
    assert "look like log10, not natural logarithms (-11.5 to 2); give --mel-log log10, or give --mel-log ln" in error
    assert not (tmp_path / "out").exists()
    told = from_mels(checkpoint, tmp_path / "log10", tmp_path / "told", "--mel-log", "log10")["a"]
    as_it_is = from_mels(checkpoint, tmp_path / "log10", tmp_path / "as it is", "--mel-log", "ln")["a"]
    description = {**SETUP, "framing": "vocoder", "log_base": "log10"}
    (tmp_path / "log10" / "audio_config.json").write_text(json.dumps(description))
    described = from_mels(checkpoint, tmp_path / "log10", tmp_path / "described")["a"]
    assert np.array_equal(told, expected)
    assert np.array_equal(described, expected)
    assert not np.allclose(as_it_is, expected, atol=0.01)


def test_a_generator_that_learned_the_shift_moves_nothing(
    checkpoint: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fine-tuned with --input-mels-framing vocoder on tacotron-framed mels: its checkpoint records tacotron."""
    shifted = make_checkpoint(tmp_path / "shifted.pt", framing="tacotron", log_base="ln")
    plain = from_mels(checkpoint, dataset, tmp_path / "plain")
    described = tmp_path / "described"
    shutil.copytree(dataset, described)
    for flags in ([], ["--mel-framing", "tacotron"], ["--mel-framing", "vocoder"]):
        (described / "mels" / "audio_config.json").write_text(json.dumps({**SETUP, "framing": "tacotron"}))
        made = from_mels(shifted, described, tmp_path / "".join(["made", *flags]), *flags)
        assert all(np.array_equal(made[name], wav) for name, wav in plain.items())
    assert np.array_equal(from_mels(shifted, dataset, tmp_path / "undescribed")["d"], plain["d"])
    (described / "mels" / "audio_config.json").write_text(json.dumps({**SETUP, "framing": "vocoder"}))
    error = refused(command(shifted, described / "phrases.tsv", tmp_path / "refused", "-d", described), capsys)
    assert "6 of 6 mels cannot be used" in error
    assert "this generator was fine-tuned to take tacotron framing; make the mels again" in error
    assert len(from_mels(shifted, described, tmp_path / "early", "--mel-framing", "vocoder")) == len(plain)


def test_audio_of_tacotron_framing_is_moved(checkpoint: Path, dataset: Path, tmp_path: Path) -> None:
    plain = from_mels(checkpoint, dataset, tmp_path / "plain", "-bs", 4)
    moved = from_mels(checkpoint, dataset, tmp_path / "moved", "-bs", 4, "--mel-framing", "tacotron")
    assert {name: len(wav) for name, wav in plain.items()} == {name: 256 * n for name, n in LENGTHS.items()}
    for name, frames in LENGTHS.items():
        # A clip of T samples has T // 256 + 1 frames. One frame is less than the transform needs, but is accepted.
        assert len(moved[name]) == (256 * (frames - 1) if frames > 1 else 128)
        assert np.array_equal(moved[name], plain[name][128:][: len(moved[name])])
    (tmp_path / "set").mkdir()
    for name, framing in (("one", "tacotron"), ("two", "vocoder")):
        (tmp_path / "set" / name).mkdir()
        torch.save(random_mel(9), tmp_path / "set" / name / "a.pt")
        (tmp_path / "set" / name / "audio_config.json").write_text(json.dumps({**SETUP, "framing": framing}))
    (tmp_path / "set" / "phrases.tsv").write_text("mel\toutput\none/a.pt\tone\ntwo/a.pt\ttwo\n")
    described = from_mels(checkpoint, tmp_path / "set", tmp_path / "described")
    assert np.array_equal(described["one"], described["two"][128:-128])
    ignored = from_mels(checkpoint, tmp_path / "set", tmp_path / "ignored", "--mel-framing", "vocoder")
    assert np.array_equal(ignored["one"], described["two"])


def test_bad_mels_among_good_ones_are_left_out(
    checkpoint: Path,
    dataset: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    torch.save(torch.zeros(64, 5), tmp_path / "bands.pt")
    torch.save(torch.full((80, 5), math.nan), tmp_path / "nan.pt")
    np.save(tmp_path / "log10.npy", np.linspace(-5, 0.5, 80 * 30, dtype=np.float32).reshape(80, 30))
    shutil.copy(dataset / "mels" / "a.pt", tmp_path)
    rows = [tmp_path / "bands.pt", tmp_path / "nan.pt", tmp_path / "a.pt", tmp_path / "log10.npy"]
    for order in (rows[:3], rows[2:], rows):
        (tmp_path / "p.tsv").write_text("mel\toutput\n" + "".join(f"{row}\t{row.stem}\n" for row in order))
        caplog.clear()
        for more in ([], ["--stream"]):
            error = refused(
                command(checkpoint, tmp_path / "p.tsv", tmp_path / "out", "-d", tmp_path, "--overwrite", *more), capsys
            )
            assert f"{len(order) - 1} of {len(order)} input files cannot be used; all others are made: " in error
            assert set(wavs(tmp_path / "out")) == {"a"}
            (tmp_path / "out" / "a.wav").unlink()
        lines = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        assert len(lines) == 2 * (len(order) - 1)
        for path in order:
            assert any(str(path) in line for line in lines) == (path.stem != "a")
    assert "bands.pt: expected a mel spectrogram of shape [80, frames], got [64, 5]; " in error
    assert "nan.pt: the mel spectrogram has values that are not finite" in error
    assert "log10.npy: no audio_config.json describes this mel" in error


def test_a_mel_outside_the_data_set_among_good_ones_is_skipped(
    checkpoint: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "outside.npy", np.zeros((80, 5), np.float32))
    rows = ["mels/a.pt", str(tmp_path / "outside.npy"), "../outside.npy", "mels/c.npy"]
    (tmp_path / "p.tsv").write_text("mel\toutput\n" + "".join(f"{row}\t{i}\n" for i, row in enumerate(rows)))
    error = refused(command(checkpoint, tmp_path / "p.tsv", tmp_path / "out", "-d", dataset), capsys)
    assert "2 of 4 input files cannot be used; all others are made: " in error
    assert "p.tsv: line 3: " in error
    assert "name paths inside the data set" in error
    assert set(wavs(tmp_path / "out")) == {"0", "3"}


def test_flags_of_mels_need_mels(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write(tmp_path / "a.wav", tone(5000), 22050)
    for flag in (["--mel-log", "ln"], ["--mel-framing", "tacotron"]):
        error = refused(command(checkpoint, tmp_path / "a.wav", tmp_path / "out", *flag), capsys)
        assert "have no effect on audio files" in error
    assert "--mel-log" in refused(command(checkpoint, tmp_path, tmp_path, "--mel-log", "log2"), capsys, 2)


def test_no_upper_limit_is_the_nyquist_frequency(tmp_path: Path) -> None:
    checkpoint = make_checkpoint(tmp_path / "g.pt", mel_fmax=None)
    torch.save(random_mel(5), tmp_path / "a.pt")
    (tmp_path / "audio_config.json").write_text(json.dumps({**SETUP, "mel_fmax": 11025.0}))
    (tmp_path / "p.tsv").write_text("mel\na.pt\n")
    assert inference.main(command(checkpoint, tmp_path / "p.tsv", tmp_path / "out", "-d", tmp_path)) == 0
