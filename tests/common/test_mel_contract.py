"""Mel contracts: read from everything that carries one, as the loaders read it, and compared."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from common.audio import AudioConfig
from common.audio_config import MelConvention
from common.errors import InputError
from common.mel_contract import DIFFERENT, SAME, UNREADABLE, MelContract, compare, main, read_contract
from fastpitch import load_fastpitch
from hifigan import load_generator
from tests.support.models import SETUP, TINY, make_checkpoint, make_fastpitch
from tests.support.paths import REPOSITORY

OTHER: dict[str, Any] = {"sampling_rate": 16000, "mel_fmax": 7600.0, "win_length": 800}
# As the paper authors write it.
AUTHORS = {
    **TINY.to_dict(),
    "num_mels": 80,
    "n_fft": 1024,
    "hop_size": 256,
    "win_size": 800,
    "sampling_rate": 16000,
    "fmin": 50,
    "fmax": 7600,
    "fmax_for_loss": None,
    "dist_config": {},
}


def bare(content: dict) -> dict:
    return {"generator": content["generator"]}


def generators(folder: Path) -> dict[str, Path]:
    """Generator files of every kind."""
    folder.mkdir()
    for name in ("authors", "named", "both"):
        (folder / name).mkdir()
    (folder / "authors" / "config.json").write_text(json.dumps(AUTHORS))
    (folder / "named" / "g.pt.json").write_text(json.dumps(AUTHORS))
    (folder / "named" / "config.json").write_text("{")
    (folder / "both" / "config.json").write_text(json.dumps(AUTHORS))
    prefixed = lambda content: {  # noqa: E731
        **content,
        "generator": {f"module.{name}": tensor for name, tensor in content["generator"].items()},
    }
    return {
        "own": make_checkpoint(folder / "own.pt", **OTHER),
        "prefixes": make_checkpoint(folder / "prefixes.pt", prefixed, **OTHER),
        "no upper limit": make_checkpoint(folder / "nyquist.pt", mel_fmax=None),
        "without a setup": make_checkpoint(folder / "silent.pt", lambda content: content.pop("train_setup") and None),
        "authors": make_checkpoint(folder / "authors" / "g_00000010", bare),
        "named like the file": make_checkpoint(folder / "named" / "g.pt", bare),
        "its own before the JSON": make_checkpoint(folder / "both" / "g.pt", **OTHER),
        "with the newer keys": make_checkpoint(folder / "newer.pt", framing="vocoder", log_base="ln"),
        "fine-tuned, with a level": make_checkpoint(folder / "level.pt", peak_normalised=False),
    }


def test_generators_as_the_loader_reads_them(tmp_path: Path) -> None:
    files = generators(tmp_path / "g")
    for name, path in files.items():
        contract = read_contract(path)
        assert contract.audio == load_generator(path)[1].audio, name
        assert (contract.log_base, contract.audio.framing, contract.origin) == ("ln", "vocoder", str(path))
    shifted = make_checkpoint(tmp_path / "shifted.pt", framing="tacotron", log_base="ln")
    assert read_contract(shifted).audio == load_generator(shifted)[1].audio == AudioConfig(framing="tacotron")
    (difference,) = compare(read_contract(files["with the newer keys"]), read_contract(shifted))
    assert (difference.name, difference.first, difference.second) == ("framing", "vocoder", "tacotron")
    assert read_contract(files["own"]).audio == AudioConfig.from_dict({**SETUP, **OTHER})
    assert read_contract(files["own"]).assumed == ()
    assert read_contract(files["authors"]).audio == AudioConfig(16000, 1024, 256, 800, 80, 50, 7600)
    assert read_contract(files["authors"]).assumed == ()
    assert read_contract(files["fine-tuned, with a level"]).peak_normalised is False
    silent = read_contract(files["without a setup"])
    assert silent.audio == AudioConfig()
    assert silent.assumed == ("sampling_rate", "filter_length", "hop_length", "win_length", "mel_fmin", "mel_fmax")


def test_fastpitch_as_the_loader_reads_it(tmp_path: Path) -> None:
    def change(content: dict) -> None:
        content["train_setup"].update(OTHER)

    path = make_fastpitch(tmp_path / "f.pt", change, n_mel_channels=40)
    contract = read_contract(path)
    assert contract.audio == load_fastpitch(path)[1].audio
    assert (contract.audio.framing, contract.audio.num_mels, contract.audio.sampling_rate) == ("tacotron", 40, 16000)


def test_data_sets_and_configurations(tmp_path: Path) -> None:
    made = MelContract(AudioConfig(16000, mel_fmax=7600.0, framing="tacotron"), MelConvention("log10"), False)
    (tmp_path / "set" / "mels").mkdir(parents=True)
    description = tmp_path / "set" / "mels" / "audio_config.json"
    description.write_text(json.dumps(made.to_dict()))
    for place in (tmp_path / "set", tmp_path / "set" / "mels", description):
        assert dataclasses.replace(read_contract(place), origin="") == made
    # Of before the logarithm was named.
    description.write_text(json.dumps({**SETUP, "framing": "vocoder", "peak_normalised": False}))
    assert read_contract(tmp_path / "set") == MelContract(AudioConfig(), MelConvention(), False, str(description))
    (tmp_path / "c.json").write_text(json.dumps(AUTHORS))
    assert read_contract(tmp_path / "c.json").audio == AudioConfig(16000, 1024, 256, 800, 80, 50, 7600)
    (tmp_path / "c.json").write_text(json.dumps(TINY.to_dict()))  # an architecture, and nothing about the signal
    assert len(read_contract(tmp_path / "c.json").assumed) == 8


def test_exports(tmp_path: Path) -> None:
    contract = MelContract(AudioConfig(16000, mel_fmax=None))
    audio = {name: value for name, value in contract.to_dict().items() if name != "log_base"}
    metadata = json.dumps({"version": 1, "format": "torchscript", "log_base": "ln", "audio": audio})
    model = torch.jit.trace(torch.nn.Linear(1, 1), torch.zeros(1, 1))
    torch.jit.save(model, tmp_path / "g.ts", _extra_files={"hifigan.json": metadata})
    assert dataclasses.replace(read_contract(tmp_path / "g.ts"), origin="") == contract
    torch.jit.save(model, tmp_path / "other.ts")
    with pytest.raises(InputError, match=r"other\.ts: "):
        read_contract(tmp_path / "other.ts")
    onnx = pytest.importorskip("onnx")
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    out = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["y"])], "g", [value], [out])
    file = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(file, tmp_path / "other.onnx")
    with pytest.raises(InputError, match=r"other.onnx: this exported model does not describe its mels"):
        read_contract(tmp_path / "other.onnx")
    onnx.helper.set_model_props(file, {"hifigan": metadata})
    onnx.save(file, tmp_path / "g.onnx")
    assert dataclasses.replace(read_contract(tmp_path / "g.onnx"), origin="") == contract


def test_every_value_makes_a_difference() -> None:
    base = MelContract(AudioConfig(), peak_normalised=False)
    assert compare(base, base) == []
    assert compare(base, dataclasses.replace(base, origin="elsewhere", assumed=("mel_fmin",))) == []
    assert compare(base, MelContract(AudioConfig())) == []  # one says nothing about the level
    changes: dict[str, Any] = {
        "sampling_rate": 24000,
        "filter_length": 2048,
        "hop_length": 128,
        "win_length": 512,
        "num_mels": 100,
        "mel_fmin": 20.0,
        "mel_fmax": None,
        "framing": "tacotron",
    }
    assert changes.keys() == {field.name for field in dataclasses.fields(AudioConfig)}
    for name, value in changes.items():
        other = dataclasses.replace(base, audio=dataclasses.replace(base.audio, **{name: value}))
        (difference,) = compare(base, other)
        shown = 11025.0 if name == "mel_fmax" else value
        assert (difference.name, difference.first, difference.second) == (name, getattr(base.audio, name), shown)
        assert difference.remedy
    (difference,) = compare(base, dataclasses.replace(base, peak_normalised=True))
    assert (difference.name, difference.second) == ("peak_normalised", True)
    other_ways: dict[str, Any] = {"log_base": "log10", "log_floor": 1e-10, "gain": 20.0, "edges": "zeros"}
    for name, value in other_ways.items():
        (difference,) = compare(base, dataclasses.replace(base, convention=MelConvention(**{name: value})))
        assert (difference.name, difference.second) == (name, value)
    nyquist = MelContract(AudioConfig(mel_fmax=None))
    assert compare(nyquist, MelContract(AudioConfig(mel_fmax=11025.0))) == []


def test_to_dict_and_back() -> None:
    for contract in (
        MelContract(AudioConfig(mel_fmax=None)),
        MelContract(AudioConfig(16000), MelConvention("log10"), True, "here"),
    ):
        values = json.loads(json.dumps(contract.to_dict()))
        assert MelContract.from_dict(values, contract.origin) == contract
    for bad in ({"log_base": "log2"}, {"log_base": 10}, {"peak_normalised": "no"}, {"hop_length": 0}, [1]):
        with pytest.raises(InputError):
            MelContract.from_dict(bad)  # type: ignore[arg-type]


def test_the_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generator, fastpitch = make_checkpoint(tmp_path / "g.pt"), make_fastpitch(tmp_path / "f.pt")
    narrow = make_checkpoint(tmp_path / "n.pt", **OTHER)
    (tmp_path / "mels").mkdir()
    (tmp_path / "mels" / "audio_config.json").write_text(
        json.dumps(MelContract(AudioConfig(), MelConvention("log10")).to_dict())
    )
    for words in (["check"], ["CHECK"], []):
        assert main([*words, str(generator), str(generator)]) == SAME
        assert capsys.readouterr().out == "the same mel contract\n"
        assert main([*words, str(generator), str(narrow)]) == DIFFERENT
        lines = capsys.readouterr().out.splitlines()
        assert [line.partition(";")[0] for line in lines] == [
            "sampling_rate: 22050 / 16000",
            "win_length: 1024 / 800",
            "mel_fmax: 8000.0 / 7600.0",
        ]
        assert "resample the audio" in lines[0]
        assert "--win-length N" in lines[1]
    assert main([str(fastpitch), str(generator)]) == DIFFERENT
    assert capsys.readouterr().out.startswith("framing: tacotron / vocoder; shifted by half a hop: inference.py")
    assert main([str(tmp_path), str(generator)]) == DIFFERENT
    assert capsys.readouterr().out.startswith("log_base: log10 / ln; inference.py converts (--mel-log)")
    assert main([str(narrow)]) == SAME
    assert "mel_fmax: 7600.0\nframing: vocoder\nlog_base: ln\n" in capsys.readouterr().out
    silent = make_checkpoint(tmp_path / "s.pt", lambda content: content.pop("train_setup") and None)
    assert main(["check", str(silent), str(generator)]) == SAME
    assert f"{silent}: does not record sampling_rate, filter_length, " in capsys.readouterr().out


def test_what_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generator = make_checkpoint(tmp_path / "g.pt")
    torch.save({"mpd": {}, "train_setup": SETUP}, tmp_path / "d.pt")
    torch.save([1], tmp_path / "list.pt")
    make_checkpoint(tmp_path / "rate.pt", sampling_rate="22050")
    (tmp_path / "text.pt").write_text("text")
    (tmp_path / "none.json").write_text('{"a": 1}')
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "half.json").write_text("{")
    (tmp_path / "text.onnx").write_text("text")
    (tmp_path / "empty").mkdir()
    for name, message in {
        "absent.pt": "no such file or folder",
        "d.pt": "neither a HiFi-GAN generator nor a FastPitch checkpoint (its keys: mpd, train_setup)",
        "list.pt": "holds a list",
        "rate.pt": "sampling_rate: '22050'",
        "text.pt": "not a checkpoint of tensors",
        "text.onnx": "not an ONNX file, or damaged",
        "none.json": "does not describe mels",
        "list.json": "expected a JSON object, found list",
        "half.json": "not a JSON file",
        "empty": "neither audio_config.json nor mels/audio_config.json",
    }.items():
        assert main([str(generator), str(tmp_path / name)]) == UNREADABLE, name
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.startswith(f"mel_contract: error: {tmp_path / name}: ")
        assert message in printed.err
        assert printed.err.count("\n") == 1
    for words in ([], ["check"], [str(generator)] * 3):
        with pytest.raises(SystemExit) as caught:
            main(words)
        assert caught.value.code == UNREADABLE


@pytest.mark.medium
def test_as_a_module(tmp_path: Path) -> None:
    generator = make_checkpoint(tmp_path / "g.pt")
    command = [
        sys.executable,
        "-W",
        "error",
        "-m",
        "common.mel_contract",
        "CHECK",
        str(generator),
        str(tmp_path / "absent"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY)
    assert done.returncode == UNREADABLE
    done = subprocess.run([*command[:-1], str(generator)], capture_output=True, text=True, cwd=REPOSITORY)
    assert (done.returncode, done.stdout, done.stderr) == (SAME, "the same mel contract\n", "")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pwg-v1", ("tacotron", "log10", 1e-10)),
        ("coqui-v1-trainer", ("tacotron", "ln", 1e-8)),
        ("transformers-speecht5", ("tacotron", "log10", 1e-10)),
        ("nemo-v1", ("vocoder", "ln", 1e-5)),
    ],
)
def test_folders_of_other_programs(name: str, expected: tuple[str, str, float]) -> None:
    contract = read_contract(REPOSITORY / "tests" / "formats" / name)
    assert (contract.audio.framing, contract.log_base, contract.convention.log_floor) == expected


def test_configurations_of_other_programs_are_not_taken_for_ours() -> None:
    configs = ["coqui-v1-trainer/config.json", "transformers-speecht5/config.json", "pwg-v1/config.yml"]
    for config in configs:
        with pytest.raises(InputError, match="settings of another program; name its weights or its folder"):
            read_contract(REPOSITORY / "tests" / "formats" / config)
