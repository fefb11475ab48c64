"""Headers that lie or have no length, and limits before anything is decoded."""

from __future__ import annotations

import importlib.util
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmarks.voice.assemble import write_recording
from common.audio_files import load_wav, wav_info
from common.audio_input import decoding
from common.errors import InputError
from tests.support.data_sets import swelling_noise

SAMPLES = np.round(swelling_noise(3001) * 32767).astype("<i2")  # an odd number of samples
WAV = SAMPLES / 32768


def chunk(name: bytes, content: bytes, size: int | None = None) -> bytes:
    return name + struct.pack("<I", len(content) if size is None else size) + content + b"\0" * (len(content) % 2)


def riff(
    data: bytes = SAMPLES.tobytes(),
    riff_size: int | None = None,
    data_size: int | None = None,
    before: bytes = b"",
    after: bytes = b"",
    rate: int = 22050,
    bits: int = 16,
) -> bytes:
    form = struct.pack("<HHIIHH", 1, 1, rate, rate * bits // 8 & 0xFFFFFFFF, bits // 8, bits)
    body = b"WAVE" + chunk(b"fmt ", form) + before + chunk(b"data", data, data_size) + after
    return b"RIFF" + struct.pack("<I", len(body) if riff_size is None else riff_size) + body


RIGHT_DATA = {
    "RIFF size 0": riff(riff_size=0),
    "RIFF size too large": riff(riff_size=1_000_000),
    "RIFF size too small": riff(riff_size=100),
    "all sizes of a pipe": riff(riff_size=0xFFFFFFFF, data_size=0xFFFFFFFF),
    "data size of a pipe (sox)": riff(riff_size=0x7FFFFFFF, data_size=0x7FFFF024),
    "data size 0, never closed": riff(riff_size=36, data_size=0),
    "odd chunk before": riff(before=chunk(b"LIST", b"abc")),
    "chunks after": riff(after=chunk(b"LIST", b"INFO" + b"x" * 101) + chunk(b"id3 ", b"abc")),
    "a few bytes short": riff(data_size=2 * len(SAMPLES) + 40),
}


@pytest.mark.parametrize("kind", RIGHT_DATA)
def test_the_data_chunk_counts(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a.wav").write_bytes(RIGHT_DATA[kind])
    wav, rate = load_wav(tmp_path / "a.wav")
    assert rate == 22050
    np.testing.assert_array_equal(wav[: len(WAV)], WAV)
    assert wav_info(tmp_path / "a.wav").frames == len(wav) == len(WAV)


def test_odd_number_of_bytes_and_padding(tmp_path: Path) -> None:
    eight_bits = (WAV * 127 + 128).round().astype(np.uint8)
    (tmp_path / "a.wav").write_bytes(riff(eight_bits.tobytes(), bits=8, after=chunk(b"LIST", b"abc")))
    np.testing.assert_allclose(load_wav(tmp_path / "a.wav")[0], (eight_bits - 128.0) / 128)


@pytest.mark.parametrize(
    ("container", "subtype"), [("WAVEX", "PCM_24"), ("WAVEX", "FLOAT"), ("RF64", "PCM_32"), ("WAV", "DOUBLE")]
)
def test_other_wav_headers(tmp_path: Path, container: str, subtype: str) -> None:
    soundfile.write(tmp_path / "a.wav", WAV, 22050, subtype=subtype, format=container)
    np.testing.assert_allclose(load_wav(tmp_path / "a.wav")[0], WAV, atol=1e-7)


WRONG_HEADERS = {
    "half the data": (riff(data_size=2 * 2 * len(SAMPLES)), r"truncated: 6046 of 12048 bytes"),
    "1 GB claimed": (riff(data_size=1 << 30), "truncated"),
    "rate 0": (riff(rate=0), "not a readable audio file|sampling rate of 0 Hz"),
    "rate 1": (riff(rate=1), "a sampling rate of 1 Hz according to its header"),
    "rate 4 GHz": (riff(rate=0xFFFFFFFF), "sampling rate of|not a readable audio file"),
    "no samples, other chunks": (riff(b"", after=chunk(b"LIST", b"INFOIARTabcdefgh")), "no samples"),
}


@pytest.mark.parametrize("kind", WRONG_HEADERS)
def test_wrong_headers_are_named(tmp_path: Path, kind: str) -> None:
    content, message = WRONG_HEADERS[kind]
    (tmp_path / "a.wav").write_bytes(content)
    for read in (load_wav, wav_info):
        with pytest.raises(InputError, match=rf"a\.wav: .*({message})") as caught:
            read(tmp_path / "a.wav")
        assert "\n" not in str(caught.value)


def write_flac(path: Path, total_samples: int) -> None:
    """Write `SAMPLES` with another number of samples in STREAMINFO (36 bits)."""
    soundfile.write(path, SAMPLES, 22050)
    content = bytearray(path.read_bytes())
    content[21] = (content[21] & 0xF0) | total_samples >> 32
    content[22:26] = (total_samples & 0xFFFFFFFF).to_bytes(4, "big")
    path.write_bytes(content)


def test_streamed_flac_is_read_to_its_end(tmp_path: Path) -> None:
    """Encoders that write to a pipe leave the length at 0, which means unknown."""
    write_flac(tmp_path / "a.flac", 0)
    np.testing.assert_array_equal(load_wav(tmp_path / "a.flac")[0], WAV)
    assert wav_info(tmp_path / "a.flac").frames == len(WAV)


def test_flac_with_a_wrong_length(tmp_path: Path) -> None:
    write_flac(tmp_path / "a.flac", 5000)
    with pytest.raises(InputError, match=r"a\.flac: the audio file is truncated: 3001 of 5000 samples"):
        load_wav(tmp_path / "a.flac")
    write_flac(tmp_path / "b.flac", (1 << 36) - 1)
    with pytest.raises(InputError, match=r"b\.flac: 866 hours of audio according to the file"):
        load_wav(tmp_path / "b.flac")


def test_more_than_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "available_memory", lambda: 1 << 30)
    write_flac(tmp_path / "a.flac", 1 << 27)
    with pytest.raises(InputError, match=r"1\.7 hours of audio need 2\.0 GB of memory, 1\.0 GB are free; cut it"):
        load_wav(tmp_path / "a.flac")
    decoding.check_length(tmp_path / "a.flac", 1 << 25, 22050)


def test_other_compressed_formats(tmp_path: Path) -> None:
    for name, kind, subtype, rate in (("a.mp3", "MP3", None, 22050), ("a.opus", "OGG", "OPUS", 48000)):
        soundfile.write(tmp_path / name, WAV, rate, format=kind, subtype=subtype)
        wav, found = load_wav(tmp_path / name)
        assert found == rate
        assert len(wav) == len(WAV)
        assert np.corrcoef(wav, WAV)[0, 1] > 0.9


def test_m4a_without_its_decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    (tmp_path / "a.m4a").write_bytes(b"x")
    with pytest.raises(
        InputError, match=r"a\.m4a: .*PyAV \(pip install av\); or convert them: ffmpeg -i a\.m4a a\.wav"
    ):
        load_wav(tmp_path / "a.m4a")


@pytest.mark.skipif(importlib.util.find_spec("av") is None, reason="PyAV is optional")
def test_m4a_with_its_decoder(tmp_path: Path) -> None:
    import av

    wav = 0.1 * np.random.default_rng(0).standard_normal(22050).astype(np.float32)
    with av.open(str(tmp_path / "a.m4a"), "w") as container:
        stream = container.add_stream("aac", rate=22050, layout="mono")
        for start in range(0, len(wav), 1024):
            frame = av.AudioFrame.from_ndarray(wav[None, start : start + 1024], format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 22050, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    loaded, rate = load_wav(tmp_path / "a.m4a")
    assert rate == 22050
    lag = int(np.argmax(np.correlate(loaded, wav[8000:12000]))) - 8000  # encoders add a delay
    assert 0 <= lag <= 2048
    assert np.corrcoef(loaded[8000 + lag : 12000 + lag], wav[8000:12000])[0, 1] > 0.8
    assert wav_info(tmp_path / "a.m4a").frames == len(loaded)
    (tmp_path / "b.m4a").write_bytes((tmp_path / "a.m4a").read_bytes()[:300])
    with pytest.raises(InputError, match=r"b\.m4a: not a readable audio file"):
        load_wav(tmp_path / "b.m4a")


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.wav")
    path.write_bytes(riff())
    np.testing.assert_array_equal(load_wav(path)[0], WAV)


def test_broken_link(tmp_path: Path) -> None:
    (tmp_path / "a.wav").symlink_to("absent.wav")
    with pytest.raises(FileNotFoundError, match=r"a\.wav: a link to a file that is not there"):
        load_wav(tmp_path / "a.wav")


@pytest.mark.parametrize("suffix", [".m4a", ".mp4"])
def test_files_of_pyav(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames of 1024 samples arrive as few blocks, without a loss. Damage and a lack of sound are named."""
    av = pytest.importorskip("av")
    path = tmp_path / f"a{suffix}"
    write_recording(tmp_path / "a.m4a", np.stack([WAV[:40000], 0 * WAV[:40000]], axis=1))
    (tmp_path / "a.m4a").rename(path)
    with decoding.open_audio(path) as (header, blocks):
        whole = np.concatenate(list(blocks))
    assert (header.sampling_rate, header.channels) == (48000, 2)
    monkeypatch.setattr(decoding, "BLOCK_SAMPLES", 2000)
    with decoding.open_audio(path) as (_, blocks):
        parts = list(blocks)
    assert {len(part) for part in parts[:-1]} == {2048}
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    message = rf"a\{suffix}: not a readable audio file \(Invalid data found when processing input\)$"
    with pytest.raises(InputError, match=message):
        load_wav(path)
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=10, width=16, height=16, pix_fmt="yuv420p")
        container.mux(stream.encode(av.VideoFrame(16, 16, "yuv420p")))
        container.mux(stream.encode(None))
    with pytest.raises(InputError, match=rf"a\{suffix}: the file has no audio"):
        load_wav(path)
