"""Checkpoints that `inference.py` refuses."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.inference import Code, command, refused
from tests.support.models import make_checkpoint
from tests.support.programs import wavs


def _edit(key: str, value: object) -> Callable[[dict], None]:
    def change(content: dict) -> None:
        if value is None:
            del content["generator"][key]
        else:
            content["generator"][key] = value

    return change


CHECKPOINTS: dict[str, tuple[Callable[[dict], Any], str]] = {
    "missing tensor": (_edit("conv_pre.bias", None), "1 missing (conv_pre.bias)"),
    "extra tensor": (_edit("conv_mid.bias", torch.zeros(1)), "1 extra (conv_mid.bias)"),
    "misshapen tensor": (_edit("conv_pre.bias", torch.zeros(3)), "1 misshapen (conv_pre.bias [3] instead of [16])"),
    "another model": (lambda content: {"state_dict": {"x": torch.zeros(1)}}, "not a HiFi-GAN generator"),
    "a list": (lambda content: [1], "holds a list"),
    "NaN weights": (_edit("conv_post.bias", torch.tensor([math.nan])), "samples that are not finite"),
    "config of text": (lambda content: content.update(config="v1"), "its config is a str, not a dictionary"),
    "setup of a list": (lambda content: content.update(train_setup=[1]), "its train_setup is a list"),
    "state of text": (lambda content: content.update(train_state="x"), "its train_state is a str"),
    "part of a config": (lambda content: {**content, "config": {"resblock": "2"}}, "lacks upsample_rates"),
    "bands of text": (lambda content: content["train_setup"].update(num_mels="many"), "generator configuration"),
    "rate of text": (lambda content: content["train_setup"].update(sampling_rate="22050"), "sampling_rate: '22050'"),
    "other hop": (lambda content: content["train_setup"].update(hop_length=300), "multiply to 256, but hop_length"),
}


@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_checkpoints_that_do_not_fit(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    change, message = CHECKPOINTS[kind]
    broken = make_checkpoint(tmp_path / "broken.pt", change)
    argv = command(broken, dataset / "phrases.tsv", tmp_path / "out", "--dataset-path", dataset)
    error = refused(argv, capsys)
    assert message in error
    assert "NaN" in kind or str(broken) in error or "configuration" in error or "rate" in kind
    assert not wavs(tmp_path / "out")


def test_files_that_are_no_checkpoints(
    checkpoint: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "file.pt"
    whole = checkpoint.read_bytes()
    texts = (b"", b"hello, not a checkpoint", b"(hello", b"G", b"\x80\x05hello")
    for content in (*texts, whole[:100], whole[: len(whole) // 2], whole[:-30]):
        path.write_bytes(content)
        error = refused(command(path, dataset / "phrases.tsv", tmp_path / "out"), capsys)
        assert f"{path}: not a checkpoint of tensors, or damaged (" in error
    (tmp_path / "empty").mkdir()
    for path, message in (
        (tmp_path / "absent.pt", "no such checkpoint"),
        (tmp_path / "empty", "not the folder of a model: no weights are in it"),
    ):
        error = refused(command(path, dataset / "phrases.tsv", tmp_path / "out"), capsys)
        assert f"{path}: {message}" in error


def test_code_in_a_checkpoint_is_not_run(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = tmp_path / "was_here"
    evil = make_checkpoint(tmp_path / "evil.pt", lambda content: content.update(extra=Code(trace)))
    error = refused(command(evil, dataset / "phrases.tsv", tmp_path / "out"), capsys)
    assert "it holds a Python object" in error
    evil.write_bytes(pickle.dumps({"generator": Code(trace)}))
    assert "not a checkpoint of tensors" in refused(command(evil, dataset / "phrases.tsv", tmp_path / "out"), capsys)
    assert not trace.exists()
    pickle.loads(evil.read_bytes())
    assert trace.exists(), "the file was harmless: nothing was tested"
