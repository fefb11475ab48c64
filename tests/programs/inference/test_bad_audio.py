"""Folders of recordings as they are: links, names, damaged files, floats of another scale."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import inference
from common.audio import AudioConfig, MelSpectrogram
from common.audio_files import describe_clipping, save_wav, to_int16
from common.errors import InputError
from common.synthesis.outputs import SpeechWriter
from common.synthesis.sources import Utterance, utterance_from_wav
from tests.support.inference import command, refused, tone


def test_all_usable_files_are_made(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "in"
    (folder / "deep").mkdir(parents=True)
    soundfile.write(folder / "deep" / "A.WAV", tone(3000), 22050)
    soundfile.write(folder / "loud.wav", 5 * tone(3000), 22050, "FLOAT")
    soundfile.write(folder / "scaled.wav", 32767 * tone(3000), 22050, "FLOAT")
    save_wav(folder / os.fsdecode(b"caf\xe9.wav"), tone(3000), 22050)
    soundfile.write(folder / "half.flac", tone(30000), 22050)
    (folder / "half.flac").write_bytes((folder / "half.flac").read_bytes()[:2000])
    (folder / "absent.ogg").symlink_to("nowhere")
    (folder / "deep" / "loop").symlink_to(folder)
    (folder / "n.m4a").write_bytes(b"not audio")
    error = refused(command(checkpoint, folder, tmp_path / "out"), capsys)
    assert "4 of 7 input files cannot be used; all others are made: " in error
    assert "absent.ogg: a link to a file that is not there; " in error
    made = {os.fsencode(path.relative_to(tmp_path / "out")).lower() for path in (tmp_path / "out").rglob("*.[wW]*")}
    assert made == {b"deep/a.wav", b"loud.wav", b"caf\xe9.wav"}
    assert inference.main(command(checkpoint, folder / "deep" / "A.WAV", tmp_path / "out" / "one")) == 0


def test_output_that_is_a_file(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write(tmp_path / "a.wav", tone(3000), 22050)
    (tmp_path / "file").write_text("")
    error = refused(command(checkpoint, tmp_path / "a.wav", tmp_path / "file"), capsys)
    assert error == f"inference.py: error: --output: {tmp_path / 'file'} is a file; give the name of a folder\n"
    error = refused(command(checkpoint, tmp_path / "a.wav", tmp_path / "file" / "x.wav"), capsys)
    assert f"--output: {tmp_path / 'file'} is a file; give the name of a folder" in error


def test_types_of_samples() -> None:
    mel = MelSpectrogram(AudioConfig())
    integers = to_int16(tone(5000), "a")
    from_floats, from_integers = (utterance_from_wav("a", wav, 22050, mel) for wav in (integers / 32768, integers))
    assert torch.equal(from_floats.mel, from_integers.mel)
    assert from_floats.gain == from_integers.gain
    assert to_int16(integers, "a") is integers
    with pytest.raises(InputError, match=r"expected floats in \[-1, 1\], got torch.int16; divide int16 by 32768"):
        mel(torch.from_numpy(integers)[None])
    with pytest.raises(InputError, match="audio of type uint8: give floats"):
        utterance_from_wav("a", integers.astype(np.uint8), 22050, mel)
    with pytest.raises(InputError, match=r"its samples reach 9829\.5"):
        utterance_from_wav("a", tone(5000) * 32767, 22050, mel)


def test_clipped_samples_are_counted(tmp_path: Path) -> None:
    wav = np.array([1.0, -1.0, 1.001, -1.5, 0.3], np.float32)
    assert save_wav(tmp_path / "a.wav", wav, 22050) == 2
    writer = SpeechWriter(tmp_path / "out", AudioConfig())
    for name, gain in (("b.wav", 1.0), ("c.wav", 0.5)):
        part = Utterance(name=name, mel=torch.zeros(80, 1), gain=gain)
        assert writer.add(part, torch.from_numpy(wav), part.mel)
    assert writer.clipped == {"b.wav": 2}
    assert describe_clipping({"b.wav": 2}) == (
        "1 file exceeds full scale, and the loudest samples are clipped (2 samples of b.wav)"
    )
    assert describe_clipping({"b.wav": 2, "c.wav": 3}).endswith("(3 samples of c.wav)")
