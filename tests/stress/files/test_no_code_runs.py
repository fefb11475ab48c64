"""Files that would run code if they were unpickled carelessly: nothing runs, and the message names what they hold."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from common.data.mel_files import read_mel, read_symbol_pitch
from common.errors import InputError
from common.files.checkpoints import read_file
from common.mel_contract import read_contract
from common.pretrained import PretrainedModel
from common.training.checkpoint_store import CheckpointStore
from fastpitch import FastPitch, load_fastpitch
from hifigan import Generator, load_generator
from hifigan.training.discriminator_files import read_discriminators
from tests.support.stress import record

RAN = "RAN"  # file that the code in the files below would create, in the working directory


class Calls:
    """Pickles as a call of a function."""

    def __init__(self, function: Callable[..., Any], *values: Any) -> None:
        self.call = function, values

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


def hidden_in_state() -> Any:
    """Return an object whose state holds the call: BUILD, instead of REDUCE at the top."""
    hidden = torch.nn.Parameter(torch.ones(2))
    hidden.note = Calls(os.system, f"touch {RAN}")  # type: ignore[attr-defined]
    return hidden


PAYLOADS: dict[str, Callable[[], Any]] = {
    "os.system": lambda: Calls(os.system, f"touch {RAN}"),
    "eval": lambda: Calls(eval, f"open('{RAN}', 'w')"),
    "exec": lambda: Calls(exec, f"open('{RAN}', 'w')"),
    "getattr": lambda: Calls(getattr, Calls(__import__, "os"), "system"),
    "open": lambda: Calls(open, RAN, "w"),
    "numpy's reconstruct": lambda: np.array([Calls(os.system, f"touch {RAN}")], dtype=object),
    "numpy's fromfile": lambda: Calls(np.fromfile, "/etc/hostname", np.uint8),
    "torch.load": lambda: Calls(torch.load, "other.pt"),
    "in the state of a parameter": hidden_in_state,
}


def programs(folder: Path) -> dict[str, Path]:
    """Return archives with code, named as checkpoints."""
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(folder / "script.pt"))
    program = torch.export.export(torch.nn.Linear(2, 2), (torch.zeros(1, 2),))
    torch.export.save(program, str(folder / "program.pt2"))
    (folder / "program.pt2").rename(folder / "program.pt")
    return {"TorchScript": folder / "script.pt", "torch.export": folder / "program.pt"}


def write_pickles(folder: Path, payload: Callable[[], Any]) -> list[Path]:
    """Write the payload in every way that a checkpoint can be written, and return the files."""
    files = [folder / name for name in ("zip.pt", "old.pt", "bare.pt", "key.pt", "a.nemo.pt")]
    torch.save({"generator": payload()}, files[0])
    torch.save({"generator": payload()}, files[1], _use_new_zipfile_serialization=False)
    files[2].write_bytes(pickle.dumps(payload()))
    torch.save({"generator": {"conv_pre.weight": torch.ones(1)}, "config": [payload()]}, files[3])
    with zipfile.ZipFile(files[4], "w") as archive:  # hand-made, protocol 5
        archive.writestr("a/data.pkl", pickle.dumps({"generator": payload()}, protocol=5))
        archive.writestr("a/version", "3\n")
    return files


READERS: dict[str, Callable[[Path], Any]] = {
    "generator": load_generator,
    "FastPitch": load_fastpitch,
    "discriminators": read_discriminators,
    "contract": read_contract,
    "mel": lambda path: read_mel(path, 80),
    "pitch": read_symbol_pitch,
    "checkpoint": read_file,
}


@pytest.mark.medium
def test_no_pickle_runs_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    count = 0
    for name, payload in PAYLOADS.items():
        for file in write_pickles(tmp_path, payload):
            for reader, read in READERS.items():
                with pytest.raises(InputError) as caught:
                    read(file)
                assert "\n" not in str(caught.value), (name, file, reader)
                assert not (tmp_path / RAN).exists(), (name, file, reader)
                count += 1
    record("files that would run code, read by every reader", count, "no code ran, each refused in one line")


def test_the_message_names_the_object(tmp_path: Path) -> None:
    torch.save({"generator": Calls(os.system, "true")}, tmp_path / "a.pt")
    with pytest.raises(InputError, match=r"it holds a Python object, posix\.system; only tensors and plain values"):
        load_generator(tmp_path / "a.pt")


def test_the_files_would_run_code_if_they_were_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"generator": PAYLOADS["os.system"]()}, "a.pt")
    torch.load("a.pt", weights_only=False)
    assert (tmp_path / RAN).exists()


def test_arrays_of_objects_run_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", np.array([Calls(os.system, f"touch {RAN}")], dtype=object), allow_pickle=True)
    Path("b.npy").write_bytes(pickle.dumps(Calls(os.system, f"touch {RAN}")))
    for name in ("a.npy", "b.npy"):
        for read in (lambda path: read_mel(path, 80), read_symbol_pitch):
            with pytest.raises(InputError, match=rf"{name}: not a readable"):
                read(tmp_path / name)
    assert not (tmp_path / RAN).exists()


def test_programs_are_no_checkpoints(tmp_path: Path) -> None:
    for kind, file in programs(tmp_path).items():
        for read in (load_generator, load_fastpitch, read_discriminators, read_file):
            with pytest.raises(InputError, match=r"a program \(TorchScript.*only with the flag --backend"):
                read(file)
        assert kind


@pytest.mark.parametrize("network", [Generator, FastPitch])
def test_a_model_folder_runs_no_code(
    network: type[PretrainedModel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"generator": PAYLOADS["os.system"]()}, "model.safetensors")
    Path("config.json").write_text(f'{{"format": "hifigan-recipe", "state": "{network.STATE}"}}')
    with pytest.raises(InputError, match=r"model\.safetensors: not a safetensors file, or damaged"):
        network.from_pretrained(tmp_path)
    assert not (tmp_path / RAN).exists()


def test_training_does_not_run_a_checkpoint_in_its_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"train_state": PAYLOADS["os.system"]()}, "a_1.pt")
    with pytest.raises(InputError, match="none of its 1 checkpoints can be used"):
        CheckpointStore(tmp_path, ("a_{}.pt",)).newest()
    assert not (tmp_path / RAN).exists()
