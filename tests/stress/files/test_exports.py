"""Exports are programs: no program loads one unless a flag asks for it, and the message names the flag."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

import evaluate
import export
import hubconf
import inference
from benchmarks.inference import models as benchmark_models
from benchmarks.inference.config import VocoderBenchmarkConfig
from common.cli import run
from common.errors import InputError
from fastpitch import load_fastpitch
from hifigan import Generator, load_generator, vocode
from hifigan.export import formats
from tests.support.models import make_checkpoint, make_voice
from tests.support.stress import record
from voice import load_voice, pack

pytestmark = pytest.mark.medium


@pytest.fixture(autouse=True)
def _loads_no_export(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail if any program loads an export."""

    def load(*_args: object) -> None:
        raise AssertionError("an export was loaded")

    for kind in formats.FORMATS.values():
        monkeypatch.setattr(type(kind), "load", load)
    monkeypatch.setattr(torch.jit, "load", load)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a TorchScript export, also under the names of checkpoints, of models in folders and of voices."""
    folder = tmp_path_factory.mktemp("exported")
    checkpoint = make_checkpoint(folder / "checkpoint.pt")
    with pytest.raises(SystemExit):
        run(
            lambda: export.main(
                ["--hifigan", str(checkpoint), "--output", str(folder / "g.ts"), "--format", "torchscript"]
            ),
            "export.py",
        )
    content = (folder / "g.ts").read_bytes()
    (folder / "g.pt").write_bytes(content)
    make_voice(folder / "voice")
    (folder / "voice" / "hifigan.safetensors").write_bytes(content)
    (folder / "folder").mkdir()
    (folder / "folder" / "model.safetensors").write_bytes(content)
    (folder / "folder" / "config.json").write_text('{"format": "hifigan-recipe", "state": "generator"}')
    return folder


def error_of(main: Callable[[Sequence[str]], object], argv: Sequence[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stopped:
        run(lambda: main(argv), "program")  # type: ignore[arg-type, return-value]
    assert stopped.value.code not in (0, None)
    lines = capsys.readouterr().err.strip().splitlines()
    assert "Traceback" not in "".join(lines)
    return lines[-1]


@pytest.mark.parametrize("name", ["g.ts", "g.pt"])
def test_programs_refuse_an_export(
    name: str, exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(exported / name)
    audio = "data/demo/wavs"
    clip = str(min(Path(audio).iterdir()))
    programs: dict[str, tuple[Callable[[Sequence[str]], object], list[str]]] = {
        "inference.py": (inference.main, ["--hifigan", path, "-i", audio, "-o", str(tmp_path / "a")]),
        "hifigan.vocode": (vocode.main, [clip, str(tmp_path / "b.wav"), "--hifigan", path]),
        "evaluate.py": (
            evaluate.main,
            ["--reference", audio, "--system", f"a={path}", "--clips", "1", "-o", str(tmp_path / "c")],
        ),
        "export.py": (export.main, ["--hifigan", path, "-o", str(tmp_path / "d.ts"), "--format", "torchscript"]),
        "voice.pack": (pack.main, ["--hifigan", path, "--fastpitch", path, "-o", str(tmp_path / "e")]),
    }
    for program, (main, argv) in programs.items():
        message = error_of(main, argv, capsys)
        assert "an exported model" in message, (program, message)
        assert "--backend" in message or f"{path}:export" in message, (program, message)
    record(f"programs given an export named {name}", len(programs), "each refuses it and names the flag")


@pytest.mark.parametrize("name", ["g.ts", "g.pt"])
def test_functions_refuse_an_export(name: str, exported: Path) -> None:
    path = exported / name
    for load_vocoder in (load_generator, hubconf.hifigan):
        with pytest.raises(InputError, match=r"an exported model, not a checkpoint; .*--backend auto runs it"):
            load_vocoder(path)
    for load_acoustic_model in (load_fastpitch, hubconf.fastpitch):
        with pytest.raises(InputError, match=r"a program .*not a checkpoint of tensors; .*--backend"):
            load_acoustic_model(path)
    with pytest.raises(InputError, match="is an exported model; give its checkpoint, and it as --backends"):
        benchmark_models.load_models(VocoderBenchmarkConfig(hifigan=(str(path),)), torch.device("cpu"), exported, None)


def test_voices_and_folders_with_an_export_inside_are_refused(exported: Path) -> None:
    for load in (load_voice, hubconf.voice):
        with pytest.raises(InputError, match=r"hifigan\.safetensors: an exported model, not a checkpoint"):
            load(exported / "voice")
    with pytest.raises(InputError, match=r"model\.safetensors: not a safetensors file"):
        Generator.from_pretrained(exported / "folder")
    with pytest.raises(InputError):
        load_generator(exported / "folder")
