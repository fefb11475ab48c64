"""Damaged audio files of every kind through preparation and inference: success or one line each, and nothing else."""

from __future__ import annotations

import functools
import io
import random
from pathlib import Path

import numpy as np
import pytest
import soundfile

import prepare_dataset
from common.audio import AudioConfig, MelSpectrogram
from common.audio_files import resample
from common.machine.processes import Report, _report
from common.synthesis.sources import _read_usable, utterance_from_audio
from tests.support.data_sets import swelling_noise
from tests.support.hostile.confined import MADE, REFUSED, all_plain, confined, linux_only
from tests.support.stress import cases

SAMPLES = 3000
FORMATS = {
    "wav": (("WAV", "PCM_16"), ("WAV", "PCM_24"), ("WAV", "FLOAT"), ("WAVEX", "PCM_32"), ("WAV", "PCM_U8")),
    "flac": (("FLAC", "PCM_16"), ("FLAC", "PCM_24")),
    "ogg": (("OGG", "VORBIS"), ("OGG", "OPUS")),
    "mp3": (("MP3", "MPEG_LAYER_III"),),
    "m4a": (("MP4", "AAC"),),
}
FIELDS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)


@functools.cache
def originals(suffix: str) -> list[bytes]:
    if suffix == "m4a":
        return [encode_m4a()]
    encoded = []
    for number, (container, subtype) in enumerate(FORMATS[suffix]):
        for channels in (1, 2):
            wav = np.stack([swelling_noise(SAMPLES, number + channel) for channel in range(channels)], 1)
            buffer = io.BytesIO()
            rate = 48000 if subtype == "OPUS" else 22050
            soundfile.write(buffer, wav, rate, format=container, subtype=subtype)
            encoded.append(buffer.getvalue())
    return encoded


def encode_m4a() -> bytes:
    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=22050)
        stream.layout = "mono"
        wav = swelling_noise(SAMPLES).astype(np.float32)[None]
        frame = av.AudioFrame.from_ndarray(wav, "fltp", "mono")
        frame.sample_rate = 22050
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return buffer.getvalue()


def mutate(suffix: str, seed: int) -> bytes:
    """Damage a file in one to three ways, one half of them in the header."""
    rng = random.Random(f"{suffix} {seed}")
    content = bytearray(rng.choice(originals(suffix)))
    for _ in range(rng.randint(1, 3)):
        where = rng.randrange(min(len(content), 64) if rng.random() < 0.5 else len(content)) if content else 0
        kind = rng.choice(("flip", "field", "cut", "splice", "remove", "repeat", "insert", "append"))
        if kind == "flip" and content:
            for _ in range(rng.choice((1, 1, 8, 64))):
                at = min(len(content) - 1, where + rng.randrange(64))
                content[at] ^= 1 << rng.randrange(8)
        elif kind == "field":
            size = rng.choice((1, 2, 4, 8))
            value = rng.choice(FIELDS) % (1 << 8 * size)
            content[where : where + size] = value.to_bytes(size, rng.choice(("little", "big")))
        elif kind == "cut":
            del content[where:]
        elif kind == "splice":
            other = rng.choice(originals(rng.choice(("wav", "flac", "ogg"))))
            content[where:] = other[rng.randrange(len(other)) :]
        elif kind == "remove":
            del content[where : where + rng.randint(1, 200)]
        elif kind == "repeat":
            content[where:where] = content[where : where + rng.randint(1, 2000)] * rng.randint(1, 4)
        elif kind == "insert":
            content[where:where] = rng.randbytes(rng.randint(1, 100))
        else:
            content += rng.randbytes(rng.randint(1, 1000))
    return bytes(content)


def process(folder: Path, name: str, audio: AudioConfig, mel: MelSpectrogram) -> list[str]:
    """Prepare and read one file as the programs do. Return the problem of each, or an empty text."""
    work = functools.partial(prepare_dataset.extract_mel, folder, audio)
    prepared: Report = _report(work, folder, (Path(name), Path("mels/a.pt")))
    problems: list[str] = []
    made = list(_read_usable({"a.wav": folder / name}, functools.partial(utterance_from_audio, mel=mel), problems))
    assert len(made) + len(problems) == 1
    for utterance in made:
        assert utterance.mel.isfinite().all()
    return [prepared.error, *(problems or [""])]


def check(suffix: str, folder: Path, audio: AudioConfig, mel: MelSpectrogram, seed: int) -> str:
    """Return `MADE`, `REFUSED` or what is wrong with a damaged file."""
    path = folder / f"a.{suffix}"
    path.write_bytes(mutate(suffix, seed))
    lines = [line for line in process(folder, path.name, audio, mel) if line]
    wrong = [line for line in lines if not _is_plain(line, folder)]
    return wrong[0] if wrong else REFUSED if lines else MADE


@pytest.mark.medium
@linux_only
@pytest.mark.parametrize("suffix", FORMATS)
def test_damaged_audio(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    for path in (folder, elsewhere):
        path.mkdir()
    monkeypatch.chdir(elsewhere)
    if suffix == "m4a":
        pytest.importorskip("av")
    originals(suffix)
    resample(np.zeros(1000), 16000, 22050)  # imports once what each process needs
    audio = AudioConfig()
    work = functools.partial(check, suffix, folder, audio, MelSpectrogram(audio))
    all_plain(f"damaged audio: {suffix}", confined(work, cases(20, 20_000 // len(FORMATS))), both=False)
    assert {path.name for path in folder.rglob("*")} <= {f"a.{suffix}", "mels", "a.pt"}
    assert not list(elsewhere.iterdir())
    assert {path.name for path in tmp_path.iterdir()} == {"data", "elsewhere"}


def _is_plain(line: str, folder: Path) -> bool:
    """Return whether a problem is one line that begins with the file's name, and no defect of ours."""
    return "\n" not in line and line.startswith(f"{folder}/a.") and "cannot be used (" not in line


@pytest.mark.parametrize("seed", [374, 430])
def test_m4a_without_a_decoder_or_without_channels(seed: int, tmp_path: Path) -> None:
    """These were reported as a defect of the program: "cannot be used (AttributeError: ...)"."""
    pytest.importorskip("av")
    audio = AudioConfig()
    assert check("m4a", tmp_path, audio, MelSpectrogram(audio), seed) == REFUSED
