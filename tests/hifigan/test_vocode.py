"""`python -m hifigan.vocode in.wav out.wav`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import inference
from common.cli import run
from common.download.models import MODELS
from hifigan import load_generator, vocode
from hifigan.export.write import export
from tests.support.data_sets import speechlike
from tests.support.models import make_checkpoint
from tests.support.paths import REPOSITORY


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return make_checkpoint(tmp_path / "generator.pt")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "in.flac", speechlike(0.7, 44100)[:-3], 44100)
    return tmp_path / "in.flac"


def refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as caught:
        run(lambda: vocode.main(argv), "hifigan.vocode")
    error = capsys.readouterr().err
    assert caught.value.code == 1
    assert error.count("\n") == 1
    return error


@pytest.mark.parametrize("flags", [[], ["--denoising-strength", "0.05"], ["--precision", "bf16"]])
def test_as_inference_does(checkpoint: Path, source: Path, tmp_path: Path, flags: list[str]) -> None:
    flags = ["--hifigan", str(checkpoint), *flags]
    assert vocode.main([str(source), str(tmp_path / "new" / "copy.wav"), *flags]) == 0
    assert inference.main(["-i", str(source), "-o", str(tmp_path / "many"), *flags]) == 0
    assert (tmp_path / "new" / "copy.wav").read_bytes() == (tmp_path / "many" / "in.wav").read_bytes()
    info = soundfile.info(tmp_path / "new" / "copy.wav")
    assert (info.samplerate, info.frames) == (22050, -(-(int(0.7 * 44100) - 3) // 2))
    assert np.abs(soundfile.read(tmp_path / "new" / "copy.wav")[0]).max() > 0.01


def test_published_weights_without_a_checkpoint(
    checkpoint: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = MODELS[vocode.DEFAULT_MODEL]
    folder = tmp_path / "models" / model.folder
    folder.mkdir(parents=True)
    shutil.copy(checkpoint, folder / model.file)
    (folder / "config.json").write_text("{}")
    monkeypatch.setenv("MODELS_DIR", str(tmp_path / "models"))
    prefix = vocode.DEFAULT_MODEL.upper().replace("-", "_")
    for kind in ("SHA256", "CONFIG_SHA256"):  # these weights stand for those that would be downloaded
        monkeypatch.setenv(f"{prefix}_{kind}", "")
    assert vocode.main([str(source), str(tmp_path / "default.wav")]) == 0
    assert vocode.main([str(source), str(tmp_path / "given.wav"), "--hifigan", str(checkpoint)]) == 0
    assert (tmp_path / "default.wav").read_bytes() == (tmp_path / "given.wav").read_bytes()


def test_refusals(checkpoint: Path, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wav, hard, soft = (tmp_path / name for name in ("a.wav", "hard.wav", "soft.wav"))
    soundfile.write(wav, speechlike(0.2), 22050)
    os.link(wav, hard)
    soft.symlink_to(wav)
    (tmp_path / "text.wav").write_text("text")
    (tmp_path / "folder.wav").mkdir()
    export(*load_generator(checkpoint), tmp_path / "export.ts", "torchscript")
    before = wav.read_bytes()
    for first, second, more, message in (
        (wav, wav, [], "is the original, which would be overwritten"),
        (wav, hard, [], "is the original"),
        (soft, wav, [], "is the original"),
        (wav, tmp_path / "x" / ".." / "a.flac", [], "end its name in .wav"),
        (wav, tmp_path / "folder.wav", [], "folder.wav: is a folder; give the name"),
        (tmp_path, tmp_path / "b.wav", [], "is a folder; python inference.py -i takes folders"),
        (tmp_path / "absent.wav", tmp_path / "b.wav", [], "absent.wav: no such file"),
        (tmp_path / "text.wav", tmp_path / "b.wav", [], "text.wav: not a readable audio file"),
        (wav, tmp_path / "b.wav", ["--hifigan", str(tmp_path / "absent.pt")], "absent.pt: no such checkpoint"),
        (wav, tmp_path / "b.wav", ["--hifigan", str(tmp_path / "export.ts")], "inference.py --backend auto runs it"),
        (wav, tmp_path / "b.wav", ["--denoising-strength", "-1"], "--denoising-strength: -1.0 is below 0"),
        (wav, wav / "b.wav", [], "a.wav"),
    ):
        error = refused(["--hifigan", str(checkpoint), *more, str(first), str(second)], capsys)
        assert error.startswith("hifigan.vocode: error: ")
        assert message in error
    assert wav.read_bytes() == before
    assert not (tmp_path / "b.wav").exists()


@pytest.mark.medium
def test_as_a_module(checkpoint: Path, source: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hifigan.vocode", str(source), str(tmp_path / "o.wav"), "--hifigan"]
    done = subprocess.run([*command, str(checkpoint)], capture_output=True, text=True, cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    assert (tmp_path / "o.wav").is_file()
