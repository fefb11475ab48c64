"""`export.py`, and `inference.py` with what it wrote, as a user would run them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import export
import inference
from common.cli import run
from common.machine.precision import DTYPES
from common.mel_contract import read_contract
from hifigan.export.formats import FORMATS
from tests.support.models import SETUP, make_checkpoint
from tests.support.paths import REPOSITORY
from tests.support.programs import one_line_of_error, wavs

LENGTHS = {"a": 1, "b": 70, "c": 3, "d": 23, "e": 45, "f": 2}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("model") / "generator.pt")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    for seed, (name, frames) in enumerate(LENGTHS.items()):
        torch.save(torch.randn(80, frames, generator=torch.Generator().manual_seed(seed)) * 2 - 5, root / f"{name}.pt")
    (root / "phrases.tsv").write_text("mel\toutput\n" + "".join(f"{name}.pt\t{name}\n" for name in LENGTHS))
    return root


def words(checkpoint: Path, output: Path, format: str, *more: object) -> list[str]:
    return ["--hifigan", str(checkpoint), "--format", format, "-o", str(output), *map(str, more)]


def exported(checkpoint: Path, folder: Path, format: str, *more: object) -> Path:
    for package in (*FORMATS[format].reads_with, *FORMATS[format].writes_with):
        pytest.importorskip(package)
    output = folder / f"model{FORMATS[format].suffix}"
    assert export.main(words(checkpoint, output, format, *more)) == 0
    return output


def spoken(model: Path, dataset: Path, output: Path, *more: object) -> dict[str, np.ndarray]:
    argv = ["--hifigan", model, "-i", dataset / "phrases.tsv", "-d", dataset, "-o", output, *more]
    assert inference.main(list(map(str, argv))) == 0
    return wavs(output)


def refused(argv: list[str], capsys: pytest.CaptureFixture[str], status: int = 1) -> str:
    """The one line that export.py ends with."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        run(lambda: export.main(argv), "export.py")
    error = capsys.readouterr().err
    assert caught.value.code == status
    assert error.startswith("export.py: error: ")
    assert error.count("\n") == 1, error
    return error


@pytest.mark.parametrize("format", ["torchscript", "onnx", "torch-export"])
def test_inference_runs_exports(
    format: str, checkpoint: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = exported(checkpoint, tmp_path, format)
    assert f"model{FORMATS[format].suffix}: {format}, fp32, " in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == [model.name]
    eager = spoken(checkpoint, dataset, tmp_path / "eager")
    # Clips of very different lengths in one batch: padding must not be heard.
    made = spoken(model, dataset, tmp_path / "made", "--backend", format, "--batch-size", 4)
    assert made.keys() == LENGTHS.keys()
    for name, wav in made.items():
        assert wav.shape == eager[name].shape
        assert np.abs(wav - eager[name]).max() <= 2 / 32768


def test_denoiser_inside_and_outside(checkpoint: Path, dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    plain = exported(checkpoint, tmp_path / "plain", "torchscript")
    denoising = exported(checkpoint, tmp_path, "torchscript", "--denoising-strength", 0.05)
    expected = spoken(checkpoint, dataset, tmp_path / "eager", "--denoising-strength", 0.05)
    outside = spoken(plain, dataset, tmp_path / "outside", "--backend", "auto", "--denoising-strength", 0.05)
    inside = spoken(denoising, dataset, tmp_path / "inside", "--backend", "auto")
    for name, frames in LENGTHS.items():
        assert np.abs(outside[name] - expected[name]).max() <= 2 / 32768
        assert inside[name].shape == expected[name].shape
        if frames >= 3:
            assert np.abs(inside[name] - expected[name]).max() <= 2 / 32768


def test_exports_carry_the_framing_that_the_generator_learned(checkpoint: Path, dataset: Path, tmp_path: Path) -> None:
    """With a generator fine-tuned half a hop apart, nothing is shifted, as with its checkpoint."""
    shifted = make_checkpoint(tmp_path / "shifted.pt", framing="tacotron", log_base="ln")
    model = exported(shifted, tmp_path, "torchscript")
    assert read_contract(model).audio.framing == read_contract(shifted).audio.framing == "tacotron"
    flags = ["--backend", "auto", "--mel-framing", "tacotron"]
    plain = spoken(checkpoint, dataset, tmp_path / "plain")
    made = spoken(model, dataset, tmp_path / "made", *flags)
    moved = spoken(exported(checkpoint, tmp_path / "other", "torchscript"), dataset, tmp_path / "moved", *flags)
    for name, wav in plain.items():
        assert wav.shape == made[name].shape
        assert np.abs(made[name] - wav).max() <= 2 / 32768
        if LENGTHS[name] > 1:
            assert len(moved[name]) == len(wav) - 256


def test_what_inference_refuses(
    checkpoint: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = exported(checkpoint, tmp_path, "torchscript", "--denoising-strength", 0.05)

    def error(path: Path, *more: object) -> str:
        argv = ["--hifigan", path, "-i", dataset / "phrases.tsv", "-d", dataset, "-o", tmp_path / "out", *more]
        return one_line_of_error(inference.main, list(map(str, argv)), capsys)

    assert "is an exported model, not a checkpoint; add --backend auto" in error(model)
    assert "an export of format torchscript, not onnx (--backend)" in error(model, "--backend", "onnx")
    assert "not an exported model, or damaged" in error(checkpoint, "--backend", "torchscript")
    assert "absent.ts: no such checkpoint" in error(tmp_path / "absent.ts", "--backend", "torchscript")
    for flag in (["--amp"], ["--torchscript"], ["--ema"], ["--hifigan-config", "v1"]):
        assert f"{flag[0]}: has no effect on {model}" in error(model, "--backend", "auto", *flag)
    assert "has a denoiser inside" in error(model, "--backend", "auto", "--denoising-strength", 0.1)
    cut = tmp_path / "cut.ts"
    cut.write_bytes(model.read_bytes()[:-200])
    assert "cut.ts: not an exported model, or damaged" in error(cut, "--backend", "torchscript")
    assert not (tmp_path / "out").exists()


def test_mels_of_another_contract(
    checkpoint: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = exported(checkpoint, tmp_path, "torchscript")
    for name in ("a.pt", "phrases.tsv"):
        (tmp_path / name).write_bytes((dataset / name).read_bytes())
    (tmp_path / "phrases.tsv").write_text("mel\toutput\na.pt\ta\n")
    (tmp_path / "audio_config.json").write_text(json.dumps({**SETUP, "mel_fmax": 11025.0}))
    argv = ["--hifigan", model, "--backend", "auto", "-i", tmp_path / "phrases.tsv", "-d", tmp_path, "-o", "x"]
    error = one_line_of_error(inference.main, list(map(str, argv)), capsys)
    assert "do not fit the generator: mel_fmax 11025.0 instead of 8000.0" in error


def test_auto_takes_checkpoints_as_well(checkpoint: Path, dataset: Path, tmp_path: Path) -> None:
    eager = spoken(checkpoint, dataset, tmp_path / "eager")
    auto = spoken(checkpoint, dataset, tmp_path / "auto", "--backend", "auto")
    assert all(np.array_equal(auto[name], eager[name]) for name in LENGTHS)


FLAGS = {
    "hifigan": (["--hifigan", ""], "--hifigan: is required", 1),
    "output": (["-o", ""], "-o: is required", 1),
    "suffix": (["-o", "model.pt"], "-o: model.pt does not end in .ts, the suffix of torchscript files", 1),
    "strength": (["--denoising-strength", "-1"], "--denoising-strength: -1.0", 1),
    "no number": (["--denoising-strength", "nan"], "--denoising-strength: nan", 1),
    "opset": (["--opset", "20"], "--opset: has no effect without --format onnx", 1),
    "low opset": (["--opset", "9", "--format", "onnx"], "--opset: 9 is below 18", 1),
    "format": (["--format", "pickle"], "--format", 2),
    "no format": (["--format", ""], "--format", 2),
    "precision": (["--precision", "int8"], "--precision", 2),
    "onnx": (["--format", "onnx", "-o", "x.onnx", "--precision", "bf16"], "onnx takes fp32, fp16, not bf16", 1),
    "bf16": (["--format", "tensorrt", "-o", "x.pt2", "--precision", "bf16"], "tensorrt takes fp32, fp16, not bf16", 1),
    "absent": (["--hifigan", "absent.pt"], "absent.pt: no such checkpoint", 1),
    "unknown": (["--backend", "onnx"], "--backend", 2),
}


@pytest.mark.parametrize("kind", FLAGS)
def test_bad_flags(kind: str, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more, message, status = FLAGS[kind]
    assert message in refused(words(checkpoint, tmp_path / "model.ts", "torchscript", *more), capsys, status)
    assert not list(tmp_path.iterdir())


def test_outputs_that_cannot_be_written(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "mine.ts"
    mine.write_text("mine")
    assert f"-o: {mine} exists already" in refused(words(checkpoint, mine, "torchscript"), capsys)
    assert str(mine) in refused(words(checkpoint, mine / "model.ts", "torchscript"), capsys)
    assert "/proc" in refused(words(checkpoint, Path("/proc/model.ts"), "torchscript"), capsys)
    assert mine.read_text() == "mine"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    argv = words(checkpoint, tmp_path / "model.ts", "torchscript", "--cuda")
    assert "--cuda: PyTorch finds no GPU" in refused(argv, capsys)


def test_an_export_that_differs_is_removed(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DTYPES, "fp32", torch.bfloat16)
    error = refused(words(checkpoint, tmp_path / "new" / "model.ts", "torchscript"), capsys)
    assert "the exported model differs from the eager one: SNR" in error
    assert "80 are required" in error
    assert not list((tmp_path / "new").iterdir())


def test_tensorrt_without_its_package(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    error = refused(words(checkpoint, tmp_path / "model.pt2", "tensorrt"), capsys)
    assert error.endswith("--format tensorrt: needs packages that are not installed: pip install torch-tensorrt\n")
    assert not list(tmp_path.iterdir())


def test_operator_sets_of_onnx(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnx = pytest.importorskip("onnx")
    model = exported(checkpoint, tmp_path, "onnx", "--opset", 20)
    assert {entry.domain: entry.version for entry in onnx.load(model).opset_import} == {"": 20}
    argv = words(checkpoint, tmp_path / "other.onnx", "onnx", "--opset", 999)
    assert "--opset: this exporter does not know 999" in refused(argv, capsys)
    assert [path.name for path in tmp_path.iterdir()] == [model.name]


@pytest.mark.medium
def test_the_program(checkpoint: Path, tmp_path: Path) -> None:
    argv = words(checkpoint, tmp_path / "model.TS", "torchscript", "--precision", "bf16")
    done = subprocess.run(
        [sys.executable, REPOSITORY / "export.py", *argv], capture_output=True, text=True, cwd=REPOSITORY
    )
    assert done.returncode == 0, done.stderr
    assert "torchscript, bf16" in done.stdout
    assert done.stderr == ""
