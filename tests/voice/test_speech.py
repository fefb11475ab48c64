"""The class `Voice`: the same samples as inference.py."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

import inference
from common.audio_files import to_int16
from common.errors import InputError
from hifigan import load_generator
from hifigan.engine.cpu import CpuEngine
from tests.support.data_sets import speechlike
from tests.support.models import make_voice
from tests.support.web.hub_server import Hub
from voice import Voice, load_voice

CACHE_VARIABLE = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"

LONG = "A first sentence. " * 20 + "Is this another one? No."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_voice(tmp_path_factory.mktemp("voice") / "ann")


@pytest.fixture(scope="module")
def voice(folder: Path) -> Voice:
    return load_voice(folder)


@pytest.mark.parametrize(
    ("text", "words", "manner"),
    [
        ("Hello world.", [], {}),
        ("Dr. Fox\npaid $5.", ["--pace", "1.3", "--speaker", "1"], {"pace": 1.3, "speaker": 1}),
        (LONG, ["--pitch-transform-shift", "30"], {"pitch_transform_shift": 30.0}),
    ],
    ids=["short", "another speaker", "in pieces"],
)
def test_speech_is_the_same_to_the_bit(
    text: str, words: list[str], manner: dict[str, Any], voice: Voice, folder: Path, tmp_path: Path
) -> None:
    inference.main(["--voice", str(folder), "--text", text, "-o", str(tmp_path / "program.wav"), *words])
    voice.save(text, tmp_path / "python.wav", **manner)
    assert (tmp_path / "python.wav").read_bytes() == (tmp_path / "program.wav").read_bytes()
    speech = voice.speak(text, **manner)
    assert (speech.dtype, speech.ndim) == (np.float32, 1)
    samples, rate = soundfile.read(tmp_path / "python.wav", dtype="int16")
    assert rate == voice.sampling_rate
    assert np.array_equal(to_int16(speech, "speech"), samples)
    assert np.abs(samples).max() > 100


def test_resynthesis_is_the_same_to_the_bit(voice: Voice, folder: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.stack([speechlike(0.3, 16000), speechlike(0.3, 16000)], 1), 16000)
    inference.main(["--voice", str(folder), "-i", str(tmp_path / "a.wav"), "-o", str(tmp_path / "b.wav")])
    expected, _ = soundfile.read(tmp_path / "b.wav", dtype="int16")
    copy = voice.resynthesise(tmp_path / "a.wav")
    assert np.array_equal(to_int16(copy, "copy"), expected)
    wav, rate = soundfile.read(tmp_path / "a.wav")
    assert np.array_equal(voice.resynthesise(wav[:, 0], rate), copy)
    own = speechlike(0.3)[:5000]
    assert voice.resynthesise(torch.from_numpy(own)).shape == own.shape


def test_mels_are_vocoded_in_the_engine(voice: Voice, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[torch.Size] = []
    run = CpuEngine.__call__

    def counted(engine: CpuEngine, mel: torch.Tensor) -> torch.Tensor:
        calls.append(mel.shape)
        return run(engine, mel)

    monkeypatch.setattr(CpuEngine, "__call__", counted)
    mel = np.random.default_rng(0).normal(-5, 2, (80, 23)).astype(np.float32)
    wav = voice.vocode(mel)
    generator, _ = load_generator(folder / "hifigan.safetensors")
    with torch.no_grad():
        expected = generator(torch.from_numpy(mel)[None])[0, 0].numpy()
    assert calls
    assert wav.shape == expected.shape == (23 * 256,)
    assert np.abs(wav - expected).max() < 1e-4 < np.abs(expected).max()


def test_denoising_and_name(voice: Voice, folder: Path) -> None:
    denoised = load_voice(folder, denoising_strength=0.1)
    assert (voice.name, denoised.name, voice.audio.num_mels) == ("ann", "ann", 80)
    assert not np.array_equal(denoised.speak("Hello."), voice.speak("Hello."))


@pytest.mark.parametrize("given", [None, "7"])
def test_the_cache_of_kernels_is_bounded(given: str | None, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """oneDNN keeps kernels of each length that a server has spoken: 112 MB after 300 texts."""
    monkeypatch.setenv(CACHE_VARIABLE, given or "")
    if given is None:
        monkeypatch.delenv(CACHE_VARIABLE)
    load_voice(folder)
    assert os.environ[CACHE_VARIABLE] == (given or "128")


def test_errors(voice: Voice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for call, message in (
        (lambda: voice.speak("~"), "text: nothing can be spoken of the text '~'"),
        (lambda: voice.speak("Hello.", pace=0), "--pace: 0 does not lie between"),
        (lambda: voice.speak("Hello.", speaker=7), "speaker '7' is unknown"),
        (lambda: voice.save("Hello.", tmp_path / "a.mp3"), r"a\.mp3: only wav files are written"),
        (
            lambda: voice.resynthesise(np.zeros((2, 99))),
            r"expected finite samples of shape \[T\], T > 0; got shape \[2",
        ),
        (lambda: voice.resynthesise(np.zeros(0)), "got shape"),
        (lambda: voice.resynthesise(np.full(99, np.nan)), "expected finite samples"),
        (lambda: voice.vocode(np.zeros((7, 9))), "80"),
        (lambda: load_voice(tmp_path, "cpu"), "not a voice: hifigan.safetensors and"),
    ):
        with pytest.raises(InputError, match=message):
            call()
    assert list(tmp_path.iterdir()) == []


def test_a_gpu_that_is_missing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="device cuda: PyTorch finds no GPU"):
        load_voice(folder, "cuda")


def test_sharing(hub: Hub, voice: Voice, folder: Path, tmp_path: Path) -> None:
    """A voice goes to the hub and into another folder, and speaks from there as before."""
    assert voice.push_to_hub("org/ann", private=True) == f"{hub.url}/org/ann"
    assert hub.private == {"org/ann"}
    copy = Voice.from_pretrained("org/ann", cache_dir=tmp_path / "cache")
    assert copy.name == "org/ann"
    assert copy.files.folder.is_relative_to(tmp_path / "cache")
    assert np.array_equal(copy.speak("Hello."), voice.speak("Hello."))
    asked = len(hub.requests)
    assert load_voice(copy.save_pretrained(tmp_path / "bob")).name == "bob"
    Voice.from_pretrained("org/ann", cache_dir=tmp_path / "cache", local_files_only=True)
    assert len(hub.requests) == asked
    names = ("README.md", "fastpitch.safetensors", "hifigan.safetensors")
    assert sorted(path.name for path in (tmp_path / "bob").iterdir()) == list(names)
    for name in names:
        assert (tmp_path / "bob" / name).read_bytes() == (folder / name).read_bytes()
    assert voice.save_pretrained(folder) == folder  # onto itself: nothing is lost
    assert (folder / names[1]).read_bytes() == (tmp_path / "bob" / names[1]).read_bytes()
    with pytest.raises(OSError, match="org/absent: neither a local file or folder, nor a public model at"):
        load_voice("org/absent")


def test_an_error_while_saving_replaces_no_file(
    voice: Voice, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hifigan.safetensors").write_bytes(b"old")
    copied = []

    def copy(source: Path, target: Path) -> None:
        copied.append(source)
        if len(copied) == 2:
            raise OSError(28, "No space left on device")
        target.write_bytes(source.read_bytes())

    monkeypatch.setattr("voice.speech.shutil.copyfile", copy)
    with pytest.raises(OSError, match="No space left"):
        voice.save_pretrained(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"hifigan.safetensors": b"old"}
