"""Load damaged files of every container: `python -m scripts.fuzz_formats --count 20000`.

Each case is a small file of another program (tests/formats) with changed bytes, members, settings or tensors. It must
load, or be refused with one line, within `LONGEST_SEC` and `LARGEST_BYTES` of memory. A case depends on its container
and number alone: `--container NAME --first N --count 1` repeats it.
"""

from __future__ import annotations

import argparse
import copy
import functools
import io
import json
import math
import random
import resource
import shutil
import signal
import sys
import tarfile
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml

from common.errors import InputError
from common.files.json_files import read_json
from common.files.yaml_files import read_yaml
from common.markdown import table
from hifigan.checkpoint import load_generator

FORMATS = Path(__file__).parents[1] / "tests" / "formats"
LONGEST_SEC = 3  # of CPU time
HUNG_SEC = 300
LARGEST_BYTES = 2**30  # beyond the largest memory of the process before
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


def run_case(container: str, number: int, folder: Path) -> str:
    """Load a damaged copy. Return "loaded", "refused", or what is wrong.

    Args:
        container: a key of `CONTAINERS`.
        number: of the case.
        folder: empty folder. The damaged files stay in it.
    """
    random_ = random.Random(f"{container} {number}")
    files = contents(container)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    weights = folder / next(iter(files))
    damage(weights, random_)
    before, peak = time.process_time(), peak_memory()
    try:
        load_generator(weights)
        result = "loaded"
    except (InputError, OSError) as error:
        result = "refused" if "\n" not in str(error) else f"a message of several lines: {error}"
    except Exception as error:  # a case that must not be
        result = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:150]}"
    took, grown = time.process_time() - before, peak_memory() - peak
    if took > LONGEST_SEC:
        result = f"took {took:.0f} s"
    if grown > LARGEST_BYTES:
        result = f"took {grown / 2**30:.1f} GB of memory"
    return result


def peak_memory() -> int:
    """Return the largest memory of this process so far, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def hung(_signal: int, _frame: object) -> None:
    raise TimeoutError(f"hung for {HUNG_SEC} s")


def main() -> int:
    """Print a table of results, and return 1 if a case is neither loaded nor refused."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20000, help="cases in all (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="number of the first case of each container")
    parser.add_argument("--container", choices=CONTAINERS, help="only this one")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    signal.signal(signal.SIGALRM, hung)
    names = [arguments.container] if arguments.container else list(CONTAINERS)
    each = math.ceil(arguments.count / len(names))
    results = {container: Counter[str]() for container in names}
    for number in range(arguments.first, arguments.first + each):
        for container in names:
            with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
                signal.alarm(HUNG_SEC)
                result = run_case(container, number, Path(folder))
                signal.alarm(0)
            results[container][result if result in ("loaded", "refused") else "wrong"] += 1
            if result not in ("loaded", "refused"):
                print(f"{container} {number}: {result}", flush=True)
        if number % 100 == 99:
            print(f"{number + 1 - arguments.first} of {each} cases of each container", file=sys.stderr, flush=True)
    rows = [(name, found["loaded"], found["refused"], found["wrong"]) for name, found in results.items()]
    print("\n".join(table(("container", "loaded", "refused in one line", "wrong"), rows)))
    wrong = sum(row[-1] for row in rows)
    print(f"{each * len(names)} cases, {wrong} wrong, peak memory {peak_memory() / 2**20:.0f} MB")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
