"""Files that stand for gigabytes or billions of values are refused within 10 s and 2 GB, in one line."""

from __future__ import annotations

import contextlib
import functools
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

with contextlib.suppress(ImportError):
    import h5py

from common.data.mel_files import read_mel, read_symbol_pitch
from common.files.checkpoints import read_file
from common.files.exports import is_export
from common.files.json_files import read_json
from common.files.yaml_files import read_yaml
from common.mel_contract import read_contract
from fastpitch import load_fastpitch
from hifigan import load_generator
from hifigan.export.files import load_export
from tests.support.generators import formats
from tests.support.hostile import bombs
from tests.support.hostile.confined import REFUSED, confined, linux_only, outcome
from tests.support.models import make_fastpitch
from tests.support.stress import record

pytestmark = [linux_only, pytest.mark.medium]


def refuse(work: Callable[[], Any]) -> int:
    """Assert that `work` is refused in one line by a process with 2 GB, and return its peak memory in bytes."""
    (_, result), (_, peak) = list(confined(lambda _: outcome(work), 1))
    assert result == REFUSED
    return int(peak)


@pytest.mark.parametrize("name", bombs.FILES)
def test_checkpoints(name: str, tmp_path: Path) -> None:
    file, make = bombs.FILES[name]
    path = tmp_path / file
    path.write_bytes(make())
    peak = refuse(lambda: load_generator(path))
    if file == "a.pt":
        peak = max(peak, refuse(lambda: load_fastpitch(path)))
    record(f"limits: {name}", 1, f"refused in one line, peak memory {peak / 2**20:.0f} MB")


def test_a_size_of_settings(tmp_path: Path) -> None:
    def write(key: str, value: int) -> Path:
        return make_fastpitch(tmp_path / "f.pt", lambda content: content["config"].update({key: value}))

    for key, value in (("in_fft_n_layers", 10**9), ("n_symbols", 2**60), ("in_fft_conv1d_filter_size", 2**62)):
        path = write(key, value)
        refuse(functools.partial(load_fastpitch, path))


@pytest.mark.parametrize("name", ["a.pt", "a.safetensors", "a.nemo", "a.npy", "a.json", "a.yaml", "a.onnx", "a.ts"])
@pytest.mark.parametrize("start", [b"", b"PK\x03\x04", b"\x80\x02]", b"\x93NUMPY\x01\x00", b"{"], ids=str)
def test_holes_of_a_hundred_gigabytes(name: str, start: bytes, tmp_path: Path) -> None:
    path = bombs.hole(tmp_path / name, start)
    readers: dict[str, Callable[[Path], Any]] = {
        ".pt": load_generator,
        ".npy": lambda path: read_mel(path, 80),
        ".json": read_json,
        ".yaml": read_yaml,
        ".onnx": load_export,
        ".ts": load_export,
    }
    refuse(lambda: readers.get(path.suffix, read_file)(path))
    if path.suffix == ".pt":
        refuse(lambda: read_symbol_pitch(path))


def test_a_tensor_that_is_a_hole_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    header = bombs.safetensors({"a": bombs.entry(0, bombs.HOLE_BYTES, bombs.HOLE_BYTES // 4)})
    path = bombs.hole(tmp_path / "a.safetensors", header)
    with path.open("r+b") as file:
        file.truncate(len(header) + bombs.HOLE_BYTES)
    refuse(lambda: read_file(path))


HDF5: dict[str, Callable[[Any, Path], Any]] = {
    "a terabyte of one value": lambda file, _: file.create_dataset("mean", (2**38,), "f4", chunks=(9,), fillvalue=1.0),
    "a chunk of two gigabytes": lambda file, _: file.create_dataset(
        "mean", (80,), "f4", maxshape=(None,), chunks=(2**29,), compression="gzip"
    ),
    "bytes of another file": lambda file, other: file.create_dataset("mean", (1,), "f4", external=[(other, 0, 4)]),
    "a link to another file": lambda file, other: file.__setitem__("mean", h5py.ExternalLink(str(other), "x")),
    "a group": lambda file, _: file.create_group("mean"),
    "texts": lambda file, _: file.__setitem__("mean", ["a", "b"]),
}  # fmt: skip


@pytest.mark.parametrize("name", HDF5)
def test_statistics_in_hdf5(name: str, tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    weights = formats.copy_of("pwg-v1", tmp_path)
    (tmp_path / "other").write_bytes(b"secret")
    with h5py.File(tmp_path / "stats.h5", "w") as file:
        HDF5[name](file, tmp_path / "other")
        file["scale"] = np.ones(80, np.float32)
    refuse(lambda: load_generator(weights))


def test_exports(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.ts", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/extra/hifigan.json", bytes(2**27))
    assert not is_export(tmp_path / "a.ts")
    refuse(lambda: load_export(tmp_path / "a.ts"))
    refuse(lambda: read_contract(tmp_path / "a.ts"))
    for content in (b"\x80" * 2**24, b"\x08\x00" * 2**24, b"\x72\xff\xff\xff\x7f" + bytes(2**24)):
        (tmp_path / "a.onnx").write_bytes(content)  # an endless number, millions of fields, a property of gigabytes
        refuse(lambda: load_export(tmp_path / "a.onnx"))
        refuse(lambda: read_contract(tmp_path / "a.onnx"))


def test_texts_of_other_programs(tmp_path: Path) -> None:
    laughs = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 30))
    (tmp_path / "a.yaml").write_text(laughs)
    refuse(lambda: read_yaml(tmp_path / "a.yaml"))
    (tmp_path / "a.yaml").write_text("- [" * 40_000)
    refuse(lambda: read_yaml(tmp_path / "a.yaml"))
    for text in ("/*" * 500_000, '"\\"' + '\\"' * 500_000, "[" * 10**6, "[" + "{}," * 20_000_000):
        (tmp_path / "a.json").write_text(text)
        refuse(lambda: read_json(tmp_path / "a.json"))


def test_limits_leave_room_for_large_real_files(tmp_path: Path) -> None:
    """A checkpoint of 60 million values and 3,000 tensors, in both formats, is read as before."""
    state = {f"layers.{number}.weight": torch.zeros(100, 200) for number in range(3000)}
    torch.save({"generator": state, "config": {"names": ["x" * 20] * 20_000}}, tmp_path / "a.pt")
    assert len(read_file(tmp_path / "a.pt")["generator"]) == 3000
