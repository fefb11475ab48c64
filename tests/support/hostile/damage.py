"""Damaged files of every container, the same each time: a container and a number make a case.

Each case is a small file of another program (tests/formats) with changed bytes, members, settings or tensors.
"""

from __future__ import annotations

import copy
import functools
import io
import json
import math
import random
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml

from common.files.json_files import read_json
from common.files.yaml_files import read_yaml
from tests.support.paths import REPOSITORY

FORMATS = REPOSITORY / "tests" / "formats"
SETTINGS = (".json", ".yaml", ".yml")
# Container -> folder in tests/formats, and how its file of weights is written again, if not as it is.
CONTAINERS = {
    "zip": ("torchaudio-v3", ""),
    "old pickle": ("torchaudio-v3", "pickle"),
    "zip and JSON": ("jik876-odd-kernel", ""),
    "safetensors and JSON": ("transformers-speecht5", ""),
    "tar (NeMo)": ("nemo-v1", ""),
    "tar.gz (NeMo)": ("nemo-v1", "gz"),
    "Lightning": ("everyvoice-v1", ""),
    "pkl, YAML and HDF5": ("pwg-v1", ""),
    "pth and JSON with comments": ("coqui-v1-release", ""),
    "ckpt and YAML with tags": ("speechbrain-v1", ""),
    "joint pth and YAML": ("espnet2-joint-v1", ""),
    "nested ckpt and YAML": ("natspeech-v1", ""),
}
VALUES: tuple[Any, ...] = (
    *(None, "", "x", "8", True, False, -1, 0, 1, 2, 3, 7, 2**31, 2**63, 10**30, 1e300, -0.5, math.nan, math.inf),
    *([], {}, [[]], [1, "a"], [None], [0, 0, 0, 0], [-8, 8], [10**9] * 4, {"a": 1}, "1" * 5000, [[1, 3, 5]] * 50),
    *([8] * 200, [[10**12]] * 3, [2] * 60),
)
NUMBERS = (0, 1, 0x7F, 0xFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**62, 2**63 - 1, 2**64 - 1)


def tensors(random_: random.Random) -> Any:
    """Return something in place of a tensor."""
    makers: tuple[Callable[[], Any], ...] = (
        lambda: torch.zeros(()),
        lambda: torch.zeros(0),
        lambda: torch.ones(3),
        lambda: torch.ones(2, 2, 2, 2),
        lambda: torch.zeros(16, 80, 7, dtype=torch.int64),
        lambda: torch.zeros(16, 80, 7, dtype=torch.complex64),
        lambda: torch.zeros(16, 80, 7, dtype=torch.bool),
        lambda: torch.zeros(16, 80, 7, dtype=torch.float8_e4m3fn),
        lambda: torch.zeros(1).expand(2**20, 2**10, 7),
        lambda: torch.zeros(1, 1, 1).expand(2**16, 80, 7),
        lambda: torch.full((16, 80, 7), math.nan),
        lambda: torch.eye(3).to_sparse(),
        lambda: torch.empty(16, 80, 7, device="meta"),
        lambda: random_.choice(VALUES),
    )
    return random_.choice(makers)()


def damaged_bytes(content: bytes, random_: random.Random) -> bytes:
    """Change bytes, mostly near the ends, where headers and directories lie."""
    data = bytearray(content)

    def place() -> int:
        end = len(data)
        near = min(end, 4096)
        kind = random_.random()
        where = random_.randrange(near) if kind < 0.4 else end - 1 - random_.randrange(near)
        return where if kind < 0.8 else random_.randrange(end)

    for _ in range(random_.choice((1, 1, 1, 2, 4, 16))):
        if not data:
            break
        at, length = place(), random_.choice((1, 2, 8, 64, 1024))
        kind = random_.randrange(7)
        if kind == 0:
            data[at] ^= 1 << random_.randrange(8)
        elif kind == 1:
            data[at] = random_.randrange(256)
        elif kind == 2:
            del data[at:]
        elif kind == 3:
            data[at : at + length] = data[(start := place()) : start + length]
        elif kind == 4:
            data[at:at] = random_.randbytes(length)
        elif kind == 5:
            del data[at : at + length]
        else:
            size = random_.choice((2, 4, 8))
            number = random_.choice(NUMBERS) % 2 ** (8 * size)
            data[at : at + size] = number.to_bytes(size, random_.choice(("little", "big")))
    return bytes(data)


def damaged_members(path: Path, random_: random.Random) -> None:
    """Change the bytes of a member of an archive, with correct checksums. Change other files as bytes."""
    content = path.read_bytes()
    made = io.BytesIO()
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive, zipfile.ZipFile(made, "w") as out:
            names = archive.namelist()
            pickles = [name for name in names if name.endswith(".pkl")]
            chosen = random_.choice(pickles if random_.random() < 0.8 and pickles else names)
            for name in names:
                data = archive.read(name)
                out.writestr(name, damaged_bytes(data, random_) if name == chosen else data)
    elif path.suffix == ".nemo":
        with tarfile.open(path) as archive, tarfile.open(fileobj=made, mode="w") as tar:
            members = [(member, archive.extractfile(member)) for member in archive]
            contents = [(member, opened.read()) for member, opened in members if opened]
            chosen_number = random_.randrange(len(contents))
            for number, (member, data) in enumerate(contents):
                data = damaged_bytes(data, random_) if number == chosen_number else data
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    else:
        made.write(damaged_bytes(content, random_))
    path.write_bytes(made.getvalue())


def damaged_values(values: Any, random_: random.Random, replacement: Callable[[], Any]) -> Any:
    """Replace, remove or rename a value somewhere inside nested dictionaries and lists."""
    values = copy.copy(values)
    keys = list(values) if isinstance(values, dict) else list(range(len(values)))
    if not keys:
        return replacement()
    key = random_.choice(keys)
    inside = isinstance(values[key], dict | list) and len(values[key]) > 0
    if inside and random_.random() < 0.8:
        values[key] = damaged_values(values[key], random_, replacement)
    elif random_.random() < 0.7 or isinstance(values, list):
        values[key] = replacement()
    else:
        moved = values.pop(key)
        if random_.random() < 0.3:
            values[f"{key}x"] = moved
    return values


def damage(weights: Path, random_: random.Random) -> None:
    """Damage one of the files in the folder of `weights`."""
    beside = [path for path in sorted(weights.parent.iterdir()) if path != weights]
    settings = [path for path in beside if path.suffix in SETTINGS]
    kind = random_.random()
    if kind < 0.3:
        path = random_.choice([weights, weights, *beside])
        path.write_bytes(damaged_bytes(path.read_bytes(), random_))
    elif kind < 0.55:
        damaged_members(weights, random_)
    elif kind < 0.8 and settings:
        path = settings[0]
        values = read_json(path) if path.suffix == ".json" else read_yaml(path)
        for _ in range(random_.choice((1, 1, 2, 3))):
            values = damaged_values(values, random_, lambda: random_.choice(VALUES))
            if not isinstance(values, dict | list) or not values:
                break
        text = json.dumps(values) if path.suffix == ".json" else yaml.safe_dump(values)
        path.write_text(text)
    elif weights.suffix not in (".safetensors", ".nemo"):
        content = torch.load(weights, weights_only=True)
        torch.save(damaged_values(content, random_, lambda: tensors(random_)), weights)
    else:
        damaged_members(weights, random_)


@functools.cache
def contents(container: str) -> dict[str, bytes]:
    """Return the undamaged files of a container by their names, the file of weights first."""
    with tempfile.TemporaryDirectory() as folder:
        weights = prepare(container, Path(folder))
        files = [weights, *(path for path in sorted(weights.parent.iterdir()) if path != weights)]
        return {path.name: path.read_bytes() for path in files}


def prepare(container: str, folder: Path) -> Path:
    """Put the undamaged files of a container into a folder, and return the file of weights."""
    name, kind = CONTAINERS[container]
    for path in (FORMATS / name).iterdir():
        if path.suffix != ".npy":
            shutil.copy(path, folder)
    (weights,) = (path for path in folder.iterdir() if path.suffix not in (*SETTINGS, ".h5"))
    if kind == "pickle":
        torch.save(torch.load(weights, weights_only=True), weights, _use_new_zipfile_serialization=False)
    elif kind == "gz":
        with tarfile.open(weights) as archive, tarfile.open(folder / "gz", "w:gz", compresslevel=1) as out:
            for member in archive:
                out.addfile(member, archive.extractfile(member))
        (folder / "gz").replace(weights)
    return weights


def damaged_copy(container: str, number: int, folder: Path) -> Path:
    """Write a damaged copy, and return its file of weights.

    Args:
        container: a key of `CONTAINERS`.
        number: of the case.
        folder: empty folder.
    """
    files = contents(container)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    weights = folder / next(iter(files))
    damage(weights, random.Random(f"{container} {number}"))
    return weights
