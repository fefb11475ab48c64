"""Checkpoints with a flipped bit: named with the remedy, and never loaded with other values than were saved."""

from __future__ import annotations

import itertools
import random
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from common.errors import InputError
from common.files.checkpoints import read_file
from common.files.safetensors_files import write_safetensors
from tests.stress.training.nursery import Nursery
from tests.stress.training.runs import Run, check_equal, same
from tests.support.stress import cases, record

GEN, DISCRIM = "hifigan_gen_checkpoint_3.pt", "hifigan_discrim_checkpoint_3.pt"
CLASSES = {
    "weights": (GEN, lambda content: next(iter(content["generator"].values()))),
    "moving average": (GEN, lambda content: next(iter(content["gen_ema"].values()))),
    "period discriminators": (DISCRIM, lambda content: next(iter(content["mpd"].values()))),
    "scale discriminators": (DISCRIM, lambda content: next(iter(content["msd"].values()))),
    "first moments": (DISCRIM, lambda content: content["optim_g"]["state"][0]["exp_avg"]),
    "second moments": (DISCRIM, lambda content: content["optim_d"]["state"][0]["exp_avg_sq"]),
    "counters": (DISCRIM, lambda content: content["optim_d"]["state"][0]["step"]),
    "random state": (DISCRIM, lambda content: content["rng"]),
    "settings": (DISCRIM, None),
    "settings of the generator": (GEN, None),
}
passed = itertools.count(1)  # cases, for the record


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize("name", list(CLASSES)[:: cases(10, 1)])
def test_resume_takes_the_older_checkpoint(
    nursery: Nursery, data_set: Path, tmp_path: Path, undisturbed: Callable[..., Path], name: str
) -> None:
    file, find = CLASSES[name]
    whole = undisturbed(ema=0.9)
    run = Run(nursery, data_set, tmp_path / "out", ema=0.9)
    shutil.copytree(whole, run.output)
    path = run.output / file
    content = bytearray(path.read_bytes())
    flip(content, place_of(path, find), bit=3)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"damaged, the checksum of .* is wrong; take an older checkpoint, or copy or"):
        read_file(path)  # as inference, export, evaluation and fine-tuning do
    run.start()
    assert run.wait() == 0, run.text()
    assert f"{file}: damaged, the checksum of " in run.text()
    assert "trying the checkpoint before it" in run.text()
    assert "resumed after epoch 2" in run.text()
    check_equal(whole, run.output)
    record(
        "a flipped bit in a class of tensors or settings", next(passed), "named; resumed before it, equal bit for bit"
    )


def place_of(path: Path, find: Callable[[dict[str, Any]], torch.Tensor] | None) -> int:
    """Return the position in a file of the middle of a tensor, or of the pickled settings."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        wanted = next(member for member in members if member.filename.endswith("data.pkl"))
        if find is not None:
            bytes_ = find(torch.load(path, weights_only=True)).untyped_storage()
            expected = bytes(bytes_.tolist())
            wanted = next(
                member
                for member in members
                if "/data/" in member.filename
                and member.file_size == len(expected)
                and archive.read(member) == expected
            )
        with archive.open(wanted):
            start = content_start(path, wanted)
    return start + wanted.file_size // 2


def content_start(path: Path, member: zipfile.ZipInfo) -> int:
    header = path.read_bytes()[member.header_offset : member.header_offset + 30]
    return member.header_offset + 30 + int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")


def flip(content: bytearray, place: int, bit: int) -> None:
    content[place] ^= 1 << bit


def small_checkpoint() -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    weights = {f"layer.{i}": torch.randn(3, 5, generator=generator) for i in range(4)}
    return {
        "generator": weights,
        "optim": {"state": {0: {"step": torch.tensor(7.0), "exp_avg": torch.ones(3)}}, "betas": (0.8, 0.99)},
        "config": {"upsample_rates": [8, 8, 2, 2], "name": "abc", "value": 3.5, "flag": True, "none": None},
        "train_state": {"epoch": 12, "epoch_clips": 0, "steps": 345},
        "rng": torch.arange(16, dtype=torch.uint8),
    }


def save(kind: str, path: Path) -> None:
    content = small_checkpoint()
    if kind == "pt":
        torch.save(content, path)
    else:
        values = {key: content[key] for key in ("config", "train_state")}
        write_safetensors(path, "generator", content["generator"], values)


@pytest.mark.medium
@pytest.mark.parametrize("kind", ["pt", "safetensors"])
def test_any_bit_of_a_file(tmp_path: Path, kind: str) -> None:
    """It is noticed, or it does not matter, such as in the padding before a tensor."""
    path = tmp_path / f"a.{kind}"
    save(kind, path)
    whole, content = read_file(path), path.read_bytes()
    rng = random.Random(0)
    count = cases(300, 20000)
    harmless = 0
    for _ in range(count):
        place, bit = rng.randrange(len(content)), rng.randrange(8)
        damaged = bytearray(content)
        flip(damaged, place, bit)
        path.write_bytes(damaged)
        try:
            found = read_file(path)
        except InputError:
            continue
        harmless += 1
        names = found.keys() - whole.keys()  # a flipped bit in the name of the checksum's entry is a further entry
        assert same({key: value for key, value in found.items() if key not in names}, whole), (place, bit)
    assert harmless < count * (0.7 if kind == "pt" else 0.05)
    record(
        f"one flipped bit anywhere in a .{kind} file", count, f"{count - harmless} named, {harmless} in unused bytes"
    )


def test_two_bits_or_a_missing_end(tmp_path: Path) -> None:
    for kind in ("pt", "safetensors"):
        path = tmp_path / f"a.{kind}"
        save(kind, path)
        content = path.read_bytes()
        for length in range(0, len(content), 97):
            path.write_bytes(content[:length])
            with pytest.raises(InputError, match=r"a\.(pt|safetensors): "):
                read_file(path)
