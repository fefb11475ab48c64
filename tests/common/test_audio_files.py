"""Audio files of every kind: reading, writing, resampling, fades."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from common.audio_files import fade_out, join, load_wav, load_wav_at, normalise_peak, resample, save_wav, wav_info
from common.errors import InputError
from tests.support.data_sets import swelling_noise
from tests.support.paths import REPOSITORY


@pytest.mark.parametrize(
    ("suffix", "subtype", "tolerance"),
    [
        (".wav", "PCM_U8", 2**-7),
        (".wav", "PCM_16", 2**-15),
        (".wav", "PCM_24", 2**-23),
        (".wav", "PCM_32", 2**-30),
        (".wav", "FLOAT", 1e-7),
        (".wav", "DOUBLE", 0),
        (".flac", "PCM_16", 2**-15),
        (".flac", "PCM_24", 2**-23),
        (".ogg", "VORBIS", 0.1),
    ],
)
def test_every_sample_format(tmp_path: Path, suffix: str, subtype: str, tolerance: float) -> None:
    wav = swelling_noise(5000) * 0.9
    soundfile.write(tmp_path / f"a{suffix}", wav, 16000, subtype=subtype)
    loaded, rate = load_wav(tmp_path / f"a{suffix}")
    assert rate == 16000
    assert loaded.shape == wav.shape
    assert loaded.dtype == np.float64
    assert np.abs(loaded - wav).max() <= tolerance
    info = wav_info(tmp_path / f"a{suffix}")
    assert (info.sampling_rate, info.channels, info.frames) == (16000, 1, 5000)


def test_full_scale_is_one(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.array([-32768, 16384, 32767], np.int16), 22050)
    assert load_wav(tmp_path / "a.wav")[0].tolist() == [-1.0, 0.5, 32767 / 32768]


def test_channels_are_averaged(tmp_path: Path) -> None:
    left, right = swelling_noise(1000, 1), swelling_noise(1000, 2)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], 1), 22050, subtype="DOUBLE")
    np.testing.assert_allclose(load_wav(tmp_path / "a.wav")[0], (left + right) / 2, atol=1e-12)
    assert wav_info(tmp_path / "a.wav").channels == 2


def _truncated(suffix: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        whole = path.with_name(f"whole{suffix}")
        soundfile.write(whole, swelling_noise(22050), 22050)
        path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])

    return write


BAD_FILES: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "empty": ("a.wav", lambda path: soundfile.write(path, np.zeros(0), 22050), "has no samples"),
    "no bytes": ("a.wav", lambda path: path.write_bytes(b""), "not a readable audio file"),
    "text": ("a.wav", lambda path: path.write_text("hello " * 1000), "not a readable audio file"),
    "half FLAC": ("a.flac", _truncated(".flac"), "not a readable audio file"),
    "NaN": ("a.wav", lambda path: soundfile.write(path, np.array([0, np.nan]), 22050, "FLOAT"), "not finite"),
    "infinite": ("a.wav", lambda path: soundfile.write(path, np.array([0, np.inf]), 22050, "FLOAT"), "not finite"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_bad_files_are_named(tmp_path: Path, kind: str) -> None:
    name, write, message = BAD_FILES[kind]
    write(tmp_path / name)
    with pytest.raises(InputError, match=message) as caught:
        load_wav(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_wav_that_breaks_off(tmp_path: Path) -> None:
    _truncated(".wav")(tmp_path / "a.wav")
    with pytest.raises(InputError, match=r"a\.wav: the audio file is truncated: 22072 of 44144 bytes"):
        wav_info(tmp_path / "a.wav")


def test_wav_from_a_pipe_announces_no_length(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", swelling_noise(1000), 22050)
    data = bytearray((tmp_path / "a.wav").read_bytes())
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
    (tmp_path / "a.wav").write_bytes(data)
    assert wav_info(tmp_path / "a.wav").frames == 1000


def test_missing_files_and_other_rates(tmp_path: Path) -> None:
    for read in (load_wav, wav_info):
        with pytest.raises(FileNotFoundError, match=r"absent\.wav: no such file"):
            read(tmp_path / "absent.wav")
        with pytest.raises(FileNotFoundError, match="no such file"):
            read(tmp_path)
    soundfile.write(tmp_path / "a.wav", swelling_noise(100), 16000)
    assert len(load_wav_at(tmp_path / "a.wav", 16000)) == 100
    with pytest.raises(InputError, match=r"a\.wav: sampling rate is 16000 Hz, expected 22050 Hz.*--convert-to"):
        load_wav_at(tmp_path / "a.wav", 22050)


def test_int16_survives_a_round_trip(tmp_path: Path) -> None:
    values = np.arange(-32768, 32768, dtype=np.int16)
    save_wav(tmp_path / "sub" / "a.wav", values / 32768, 22050)
    stored, rate = soundfile.read(tmp_path / "sub" / "a.wav", dtype="int16")
    assert rate == 22050
    assert np.array_equal(stored, values)
    assert soundfile.info(tmp_path / "sub" / "a.wav").subtype == "PCM_16"


def test_loud_samples_are_clipped_and_nothing_is_rescaled(tmp_path: Path) -> None:
    save_wav(tmp_path / "a.wav", np.array([2.0, -2.0, 1.0, 0.25, 2.6 / 32768], np.float32), 22050)
    stored, _ = soundfile.read(tmp_path / "a.wav", dtype="int16")
    assert stored.tolist() == [32767, -32768, 32767, 8192, 3]


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_wav(tmp_path / "a.wav", np.zeros(10), 22050)
    before = (tmp_path / "a.wav").read_bytes()

    def full_disk(path: Path, data: bytes) -> int:
        with path.open("wb") as file:
            file.write(data[:10])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full_disk)
        with pytest.raises(OSError, match="No space"):
            save_wav(tmp_path / "a.wav", np.ones(10), 22050)
    with pytest.raises(InputError, match=r"a\.wav: not written, .* not finite"):
        save_wav(tmp_path / "a.wav", np.full(10, np.nan), 22050)
    with pytest.raises(OSError, match="too long"):
        save_wav(tmp_path / ("x" * 252 + ".wav"), np.zeros(10), 22050)
    assert (tmp_path / "a.wav").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


def test_fade_out() -> None:
    wav = np.ones(100, np.float32)
    faded = fade_out(wav, 40)
    assert faded[:60].tolist() == [1] * 60
    assert np.all(np.diff(faded[59:]) < 0)
    assert faded[-1] == 0
    assert faded.dtype == np.float32
    assert wav[-1] == 1, "the input was changed"
    np.testing.assert_allclose(np.diff(faded[59:]), -1 / 40, atol=1e-6)
    for samples in (0, -3):
        assert np.array_equal(fade_out(wav, samples), wav)
    assert fade_out(wav, 1000).shape == (100,)
    assert fade_out(wav, 1000)[-1] == 0
    assert fade_out(np.ones(1), 5).tolist() == [0]
    assert fade_out(np.ones(0), 5).shape == (0,)


def test_normalise_peak() -> None:
    assert np.abs(normalise_peak(np.array([0.1, -0.2]))).max() == pytest.approx(0.95)
    assert normalise_peak(np.zeros(5)).tolist() == [0] * 5
    assert normalise_peak(np.zeros(0)).shape == (0,)


@pytest.mark.parametrize(("source", "target"), [(16000, 22050), (48000, 22050), (22050, 22050)])
def test_resampled_sine(source: int, target: int) -> None:
    def sine(rate: int) -> np.ndarray:
        return 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)

    made = resample(sine(source), source, target)
    assert len(made) == target
    middle = slice(target // 10, -target // 10)
    assert np.abs(made - sine(target))[middle].max() < 1e-4


def test_resampling_removes_what_the_target_cannot_hold() -> None:
    high = 0.5 * np.sin(2 * np.pi * 15000 * np.arange(48000) / 48000)
    assert np.abs(resample(high, 48000, 22050)[2000:-2000]).max() < 1e-4


def test_join_does_not_click():
    # Pieces that begin and end at full level: side by side they would jump by 1.
    pieces = [np.full(1000, 0.5, np.float32), np.full(300, -0.5, np.float32), np.full(120, 0.5, np.float32)]
    joined = join(pieces, 200, 100)
    assert joined.dtype == np.float32
    assert len(joined) == 1420 + 2 * 200
    assert np.abs(np.diff(joined)).max() <= 0.5 / 100 + 1e-6
    assert not joined[1000:1200].any()
    assert not joined[1500:1700].any()
    assert joined[0] == joined[-1] == 0.5  # the beginning and the end are left as they are
    assert (joined[:900] == 0.5).all()
    assert (joined[1300:1400] == -0.5).all()
    # Pieces shorter than a fade are faded as a whole.
    assert np.abs(np.diff(join(3 * [np.ones(50, np.float32)], 10, 100))).max() <= 1 / 50 + 1e-6


def test_a_single_piece_stays_as_it_is():
    wav = swelling_noise(100).astype(np.float32)
    assert np.array_equal(join([wav], 50, 50), wav)


INTERRUPTED = """
import os, signal, soxr
from common import audio_files
from common.cli import run
import numpy as np
def resample(*values, **named):
    os.kill(os.getpid(), signal.SIGTERM)
    print("resampled", flush=True)
    return np.zeros(4)
soxr.resample = resample
run(lambda: print(audio_files.resample(np.zeros(4), 2, 1)), "program.py")
"""


def test_a_signal_waits_until_the_samples_are_converted() -> None:
    """The exception of its handler would end the process in the C++ code of soxr."""
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], cwd=REPOSITORY, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (143, "resampled\n", "program.py: terminated\n")
