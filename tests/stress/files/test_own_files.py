"""Damaged files of this project: generators, FastPitch models and voices, mels and pitch."""

from __future__ import annotations

import functools
import io
import json
import random
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from common.data.mel_files import read_features, read_mel, read_symbol_pitch
from common.files.checkpoints import read_file
from common.files.safetensors_files import write_safetensors
from fastpitch import load_fastpitch
from hifigan import load_generator
from hifigan.training.discriminator_files import read_discriminators
from tests.support.hostile.confined import all_plain, confined, linux_only, outcome
from tests.support.hostile.damage import VALUES, damaged_bytes, damaged_members, damaged_values, tensors
from tests.support.models import make_checkpoint, make_fastpitch
from tests.support.stress import cases

pytestmark = [linux_only, pytest.mark.medium]
SHM = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
STATES = {"generator": "generator", "fastpitch": "state_dict"}


@functools.cache
def originals() -> dict[str, tuple[bytes, Callable[[Path], Any]]]:
    """Return undamaged files by their names, each with the function that loads it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files: dict[str, Callable[[Path], Any]] = {"generator.pt": load_generator, "fastpitch.pt": load_fastpitch}
        make_checkpoint(folder / "generator.pt")
        make_fastpitch(folder / "fastpitch.pt")
        for kind, state in STATES.items():
            content = read_file(folder / f"{kind}.pt")
            write_safetensors(folder / f"{kind}.safetensors", state, content.pop(state), content)
            files[f"{kind}.safetensors"] = files[f"{kind}.pt"]
        networks = {
            name: {f"discriminators.{i}.convs.0.bias": torch.ones(2) for i in range(2)} for name in ("mpd", "msd")
        }
        torch.save({**networks, "discriminator_config": {"pool_padding": 2}}, folder / "discriminators.pt")
        files["discriminators.pt"] = read_discriminators
        return {name: ((folder / name).read_bytes(), load) for name, load in files.items()}


def damage_header(content: bytes, random_: random.Random) -> bytes:
    """Change values in the header of a safetensors file, or in the JSON texts of its metadata."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    if random_.random() < 0.5:
        key = random_.choice(["config", "train_setup"])
        values = json.loads(header["__metadata__"][key])
        header["__metadata__"][key] = json.dumps(damaged_values(values, random_, lambda: random_.choice(VALUES)))
    else:
        header = damaged_values(header, random_, lambda: random_.choice(VALUES))
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


def model_case(number: int) -> str:
    random_ = random.Random(number)
    name = random_.choice(list(originals()))
    content, load = originals()[name]
    with tempfile.TemporaryDirectory(dir=SHM) as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        kind = random_.random()
        if kind < 0.3:
            path.write_bytes(damaged_bytes(content, random_))
        elif name.endswith(".safetensors"):
            path.write_bytes(damage_header(content, random_))
        elif kind < 0.5:
            damaged_members(path, random_)
        else:
            values = torch.load(path, weights_only=True)
            torch.save(damaged_values(values, random_, lambda: tensors(random_)), path)
        return outcome(lambda: load(path))


def test_damaged_models() -> None:
    originals()
    all_plain(
        "damaged generators, FastPitch models, voices and discriminators", confined(model_case, cases(20, 20_000))
    )


def feature(random_: random.Random) -> tuple[str, bytes]:
    """Return the suffix and the content of a damaged mel or pitch file."""
    array = np.random.default_rng(random_.randrange(2**32)).random(random_.choice([(80, 9), (1, 9), (9,)]))
    kinds: tuple[Any, ...] = ("f4", "f2", "f8", "i2", "c8", "?", "O", "U3")
    array = array.astype(random_.choice(kinds))
    file = io.BytesIO()
    kind = random_.randrange(4)
    if kind == 0:
        np.save(file, array, allow_pickle=True)
    elif kind == 1:
        np.savez_compressed(file, mel=np.zeros((80, 10_000))) if array.dtype.kind in "OU" else np.save(file, array)
    elif kind == 2 or array.dtype.kind in "OU":
        torch.save(tensors(random_), file)
    else:
        torch.save(torch.from_numpy(array), file, _use_new_zipfile_serialization=random_.random() < 0.5)
    content = file.getvalue()
    return (".npy" if kind < 2 else ".pt"), damaged_bytes(content, random_) if random_.random() < 0.8 else content


def feature_case(number: int) -> str:
    random_ = random.Random(number)
    suffix, content = feature(random_)
    with tempfile.TemporaryDirectory(dir=SHM) as folder:
        path = Path(folder) / f"a{suffix}"
        path.write_bytes(content)
        read: Callable[[Path], torch.Tensor] = random_.choice(
            [lambda path: read_mel(path, 80), lambda path: read_features(path, 1), read_symbol_pitch]
        )

        def work() -> None:
            assert read(path).isfinite().all()

        return outcome(work)


def test_damaged_mels_and_pitch() -> None:
    all_plain("damaged mels and pitch (.npy, .pt)", confined(feature_case, cases(300, 20_000)))


@pytest.mark.parametrize(
    "tensor",
    [torch.ones(1, 9, dtype=torch.complex64), torch.ones(1, 9).to_sparse(), torch.ones(1, 9, device="meta")],
    ids=str,
)
def test_pitch_that_was_read_or_ended_in_a_traceback(tensor: torch.Tensor, tmp_path: Path) -> None:
    torch.save(tensor, tmp_path / "a.pt")
    for read in (lambda path: read_features(path, 1), read_symbol_pitch):
        assert outcome(lambda read=read: read(tmp_path / "a.pt")) == "refused in one line"  # type: ignore[misc]


def test_a_mel_whose_values_repeat_takes_no_memory_beyond_its_file(tmp_path: Path) -> None:
    torch.save(torch.zeros(1).expand(80, 2**30), tmp_path / "a.pt")
    results = list(confined(lambda _: outcome(lambda: read_mel(tmp_path / "a.pt", 80)), 1))
    assert results[0] == (0, "refused in one line")


def test_an_archive_of_arrays_is_no_mel(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npy", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mel.npy", bytes(2**26))
    assert outcome(lambda: read_mel(tmp_path / "a.npy", 80)) == "refused in one line"


def test_pitch_beyond_fp32_is_not_read_as_infinite(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.full((1, 3), 1e300))
    assert outcome(lambda: read_features(tmp_path / "a.npy", 1)) == "refused in one line"


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content["config"].update({"n_symbols": float("inf")}),
        lambda content: content["state_dict"].update({"encoder.layers.0.dec_attn.o_net.weight": torch.zeros(())}),
        lambda content: content["state_dict"].update({"speaker_emb.weight": torch.zeros(())}),
        lambda content: content["config"].update({"n_symbols": torch.zeros(3, 3)}),
    ],
)
def test_fastpitch_files_that_ended_in_a_traceback(change: Callable[[dict[str, Any]], Any], tmp_path: Path) -> None:
    path = make_fastpitch(tmp_path / "f.pt", change)
    assert outcome(lambda: load_fastpitch(path)) == "refused in one line"
