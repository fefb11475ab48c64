"""FastPitch as TorchScript and ONNX: equal to the eager model, at any length, with the meaning of its symbols."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import export as program
from common.errors import InputError
from common.files.exports import onnx_metadata
from fastpitch import load_fastpitch
from fastpitch.synthesis.export import CONTRACT, Run, compare, load
from tests.support.models import make_checkpoint, make_fastpitch

TEXTS = torch.tensor([[40, 41, 42, 7, 50, 51], [44, 45, 0, 0, 0, 0]])  # the second one is padded


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_fastpitch(tmp_path_factory.mktemp("model") / "f.pt")


@pytest.mark.medium
@pytest.mark.parametrize(("format", "suffix"), [("torchscript", ".ts"), ("onnx", ".onnx")])
def test_export(checkpoint: Path, tmp_path: Path, format: str, suffix: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxscript")
    output = tmp_path / f"f{suffix}"
    assert program.main(["--fastpitch", str(checkpoint), "--format", format, "-o", str(output)]) == 0
    assert "largest difference of a mel value from eager on random texts: " in capsys.readouterr().out
    model, info = load_fastpitch(checkpoint)
    for pace in (1.0, 1.5):
        for speaker in ([0, 1], [2, 2]):
            expected = model(TEXTS, pace, torch.tensor(speaker))
            mel, lens = load(output, format)(TEXTS, pace, torch.tensor(speaker))
            assert torch.equal(lens, expected.mel_lens)
            torch.testing.assert_close(mel, expected.mel, rtol=1e-4, atol=1e-4)
    if format == "onnx":
        contract = json.loads(onnx_metadata(output)[CONTRACT])
    else:
        extra = {f"{CONTRACT}.json": ""}
        torch.jit.load(output, _extra_files=extra)
        contract = json.loads(extra[f"{CONTRACT}.json"])
    assert contract["symbols"][40] == "c"
    assert contract["audio"]["sampling_rate"] == info.audio.sampling_rate


def test_differences_are_refused(checkpoint: Path) -> None:
    model, _ = load_fastpitch(checkpoint)

    def changed(by: float, frames: int) -> Run:
        def run(ids: torch.Tensor, pace: float, speaker: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            output = model(ids, pace, speaker)
            return output.mel + by, output.mel_lens + frames

        return run

    with torch.no_grad():
        assert compare(model, changed(5e-4, 0)) == pytest.approx(5e-4, rel=0.01)
        with pytest.raises(InputError, match=r"differs from the eager one by 0\.002"):
            compare(model, changed(2e-3, 0))
        with pytest.raises(InputError, match="differs from the eager one by inf"):
            compare(model, changed(np.nan, 0))
        with pytest.raises(InputError, match=r"frames where the eager one gives"):
            compare(model, changed(0, 1))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--hifigan: is required, or --fastpitch"),
        (["--hifigan", "GENERATOR", "--fastpitch", "MODEL"], "--hifigan: give it, or --fastpitch, and not both"),
        (["--fastpitch", "MODEL", "--format", "aoti", "-o", "x.pt2"], "FastPitch is exported as torchscript or onnx"),
        (["--fastpitch", "MODEL", "--precision", "fp16"], "--precision: has no effect with --fastpitch"),
        (["--fastpitch", "GENERATOR"], "it is a HiFi-GAN generator, which belongs to --hifigan"),
        (["--hifigan", "MODEL"], "it is a FastPitch model, which belongs to --fastpitch"),
    ],
)
def test_refused(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    paths = {"MODEL": str(checkpoint), "GENERATOR": str(make_checkpoint(tmp_path / "g.pt"))}
    argv = ["--format", "onnx", "-o", "x.onnx", *(paths.get(word, word) for word in words)]
    with pytest.raises(InputError, match=message):
        program.main(argv)
    assert not list(tmp_path.glob("*.onnx"))
