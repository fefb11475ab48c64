"""Devices, pipes, folders, broken links, and files that shrink while they are read: one line each, and no hang."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from common.audio_files import load_wav, wav_info
from common.data.mel_files import read_features, read_mel
from common.files.bounded.regular_files import open_regular
from common.files.checkpoints import read_file
from common.files.json_files import read_json
from common.files.safetensors_files import read_safetensors
from common.files.yaml_files import read_yaml
from common.mel_contract import read_contract
from common.training.checkpoint_store import CheckpointStore
from fastpitch import load_fastpitch
from hifigan import load_generator
from hifigan.export.files import load_export
from tests.support.hostile.confined import MADE, REFUSED, confined, linux_only, outcome
from tests.support.models import make_checkpoint
from tests.support.stress import cases, record
from voice import load_voice

pytestmark = [linux_only, pytest.mark.medium]
READERS: dict[str, Callable[[Path], Any]] = {
    "generator": load_generator,
    "generator with a configuration": lambda path: load_generator(path.with_name("g.pt"), path),
    "FastPitch": load_fastpitch,
    "export": load_export,
    "contract": read_contract,
    "safetensors": read_safetensors,
    "checkpoint": read_file,
    "voice": load_voice,
    "mel": lambda path: read_mel(path, 80),
    "pitch": lambda path: read_features(path, 1),
    "JSON": read_json,
    "YAML": read_yaml,
    "audio": load_wav,
    "header of audio": wav_info,
}
NAMES = ("zero", "random", "tty", "pipe", "folder", "broken", "loop", "memory")


def make(folder: Path, name: str, suffix: str) -> Path:
    """Make something that is not a file, under a name with this suffix."""
    path = folder / f"{name}{suffix}"
    target = {"zero": "/dev/zero", "random": "/dev/urandom", "tty": "/dev/tty", "memory": "/proc/self/mem"}.get(name)
    if name == "pipe":
        os.mkfifo(path)
    elif name == "folder":
        path.mkdir()
    else:
        path.symlink_to(target or (path if name == "loop" else folder / "nothing"))
    return path


SUFFIXES = [".pt", ".safetensors", ".nemo", ".npy", ".onnx", ".json", ".yaml", ".wav", ".m4a"]


@pytest.mark.parametrize("suffix", SUFFIXES[: cases(2, len(SUFFIXES))])
def test_what_is_not_a_file_is_refused(suffix: str, tmp_path: Path) -> None:
    make_checkpoint(tmp_path / "g.pt")
    paths = [make(tmp_path, name, suffix) for name in NAMES]
    runs = [(name, path) for name in READERS for path in paths]

    def work(number: int) -> str:
        name, path = runs[number]
        return outcome(lambda: READERS[name](path))

    results = list(confined(work, len(runs)))
    wrong = [(runs[number], result) for number, result in results[:-1] if result != REFUSED]
    assert not wrong
    assert len(results) == len(runs) + 1
    peak = int(results[-1][1]) / 2**20
    record(f"devices, pipes and links as {suffix}", len(runs), f"each refused in one line, peak memory {peak:.0f} MB")


def test_a_pipe_beside_a_checkpoint_is_not_opened(tmp_path: Path) -> None:
    path = make_checkpoint(tmp_path / "g.pt")
    for name in ("config.json", "config.yml", "config.yaml", "stats.h5"):
        os.mkfifo(tmp_path / name)
    assert next(confined(lambda _: outcome(lambda: load_generator(path)), 1)) == (0, MADE)


def test_a_pipe_named_as_a_checkpoint_of_the_run(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a_1.pt")
    store = CheckpointStore(tmp_path, ("a_{}.pt",))
    assert next(confined(lambda _: outcome(store.newest), 1)) == (0, REFUSED)


def test_a_link_to_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "link.pt").symlink_to(make_checkpoint(tmp_path / "g.pt"))
    assert load_generator(tmp_path / "link.pt")[1].path.name == "link.pt"
    with open_regular(tmp_path / "link.pt") as file:
        assert file.read(2) == b"PK"


def test_files_that_shrink_while_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mapped file that shrinks ends the process with SIGBUS, so no reader may map one."""
    from common.files import safetensors_files

    path = tmp_path / "a.safetensors"
    content = make_checkpoint(tmp_path / "g.pt").read_bytes()
    safetensors_files.write_safetensors(path, "generator", {"a": torch.zeros(2**20), "b": torch.ones(2**20)}, {})
    read = safetensors_files._Place.read

    def read_and_shrink(place: Any, file: Any) -> Any:
        os.truncate(path, 2**20)
        return read(place, file)

    monkeypatch.setattr(safetensors_files._Place, "read", read_and_shrink)
    assert next(confined(lambda _: outcome(lambda: read_safetensors(path)), 1)) == (0, REFUSED)
    (tmp_path / "g.pt").write_bytes(content[: len(content) // 2])
    assert outcome(lambda: load_generator(tmp_path / "g.pt")) == REFUSED


def test_an_unclosed_recording_that_shrinks(tmp_path: Path) -> None:
    from common.audio_input.decoding import open_audio

    buffer = io.BytesIO()
    soundfile.write(buffer, np.full(10**6, 0.25), 22050, format="WAV")
    content = bytearray(buffer.getvalue())
    content[40:44] = bytes(4)  # the size of the data, which a killed program leaves at 0
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    assert len(load_wav(path)[0]) == 10**6
    assert np.allclose(load_wav(path)[0], 0.25, atol=1e-4)

    def shrink() -> None:
        with open_audio(path) as (_, blocks):
            next(blocks)
            os.truncate(path, 10_000)
            for _ in blocks:
                pass

    assert next(confined(lambda _: outcome(shrink), 1))[1] in (MADE, REFUSED)
