"""Damaged files of other programs load or are refused in one line, within 10 s and 2 GB."""

import random
import tempfile
from pathlib import Path

import pytest
import torch

from common.errors import InputError
from hifigan import load_generator
from tests.support.generators import formats
from tests.support.hostile.confined import all_plain, confined, linux_only, outcome
from tests.support.hostile.damage import CONTAINERS, contents, damaged_bytes, damaged_copy, damaged_members, prepare
from tests.support.stress import cases

CASES = cases(len(CONTAINERS), 20_000)
SHM = Path("/dev/shm") if Path("/dev/shm").is_dir() else None


def load_case(number: int) -> str:
    container = list(CONTAINERS)[number % len(CONTAINERS)]
    with tempfile.TemporaryDirectory(dir=SHM) as folder:
        weights = damaged_copy(container, number // len(CONTAINERS), Path(folder))
        return outcome(lambda: load_generator(weights))


@pytest.mark.medium
@linux_only
def test_damaged_files_load_or_are_refused_in_one_line() -> None:
    pytest.importorskip("h5py")
    for container in CONTAINERS:
        contents(container)
    all_plain("damaged checkpoints of other programs, in five containers", confined(load_case, CASES))


@pytest.mark.parametrize("container", CONTAINERS)
def test_undamaged_files_load(container, tmp_path):
    if container == "pkl, YAML and HDF5":
        pytest.importorskip("h5py")
    load_generator(prepare(container, tmp_path))


def test_cases_are_the_same_each_time(tmp_path):
    contents = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        damaged_copy("tar (NeMo)", 7, tmp_path / name)
        contents.append([path.read_bytes() for path in sorted((tmp_path / name).iterdir())])
    assert contents[0] == contents[1]
    assert damaged_bytes(b"a" * 100, random.Random(0)) != b"a" * 100


def test_members_are_damaged_with_correct_checksums(tmp_path):
    weights = prepare("zip", tmp_path)
    before = weights.read_bytes()
    damaged_members(weights, random.Random(3))
    assert weights.read_bytes() != before


def in_settings(name, file, old, new):
    def change(folder):
        text = (folder / file).read_text()
        assert old in text
        (folder / file).write_text(text.replace(old, new, 1))

    return name, change


def in_tensors(change):
    def apply(folder):
        weights = formats.weights(folder)
        content = torch.load(weights, weights_only=True)
        change(content)
        torch.save(content, weights)

    return "torchaudio-v3", apply


def of_other_kinds(value):
    return in_tensors(lambda content: content.update({"conv_pre.weight": value}))


def archive_of_an_unknown_version(folder):
    weights = formats.weights(folder)
    content = bytearray(weights.read_bytes())
    at = content.index(b"PK\x01\x02") + 6  # in the directory: the version that is needed to extract a member
    content[at : at + 2] = (75).to_bytes(2, "little")
    weights.write_bytes(content)


def test_an_archive_that_pytorch_reads_but_not_zipfile_is_refused(tmp_path):
    """The limits hold only if both see the same members."""
    file = formats.copy_of("everyvoice-v1", tmp_path)
    archive_of_an_unknown_version(tmp_path)
    with pytest.raises(InputError, match=r"generator\.ckpt: not a checkpoint of tensors, or damaged"):
        load_generator(file)


def name_that_is_not_unicode(folder):
    weights = formats.weights(folder)
    content = bytearray(weights.read_bytes())
    at = content.index(b"PK\x01\x02")
    content[at + 9] |= 8  # names are in UTF-8
    content[at + 46] = 0xFF
    weights.write_bytes(content)


# What broke a reader once: a traceback, several lines, or gigabytes of memory.
BROKE = {
    "name in the archive": ("coqui-v1-release", name_that_is_not_unicode),
    "not an archive": ("nemo-v1", lambda folder: formats.weights(folder).write_bytes(b"x" * 2000)),
    "row of dilations is a number": in_settings("pwg-v1", "config.yml", "- - 1\n    - 3\n    - 5\n", "- 5\n"),
    "rate is infinite": in_settings("natspeech-v1", "config.yaml", "[8, 8, 2, 2]", "[.inf, 8, 2, 2]"),
    "rate is a word": in_settings("speechbrain-v1", "hyperparams.yaml", "[8, 8, 2, 2]", "[x, 8, 2, 2]"),
    "bands are a list": in_settings("speechbrain-v1", "hyperparams.yaml", "in_channels: 80", "in_channels: [80]"),
    "billions of channels": in_settings(
        "transformers-speecht5", "config.json", 'channel": 16', 'channel": 17179869184'
    ),
    "integers": of_other_kinds(torch.zeros(16, 80, 7, dtype=torch.int64)),
    "complex numbers": of_other_kinds(torch.zeros(16, 80, 7, dtype=torch.complex64)),
    "first layer without dimensions": of_other_kinds(torch.zeros(())),
    "last layer without dimensions": in_tensors(lambda content: content.update({"conv_post.weight": torch.zeros(())})),
    "name of several lines": in_tensors(lambda content: content.update({"conv_pre.\n.bias": torch.zeros(16)})),
    "sparse": of_other_kinds(torch.zeros(16, 80, 7).to_sparse()),
    "norms of values that are not in the file": in_tensors(
        lambda content: content.update({"resblocks.0.convs.0.weight": torch.zeros(1).expand(2**20, 2**10, 7)})
    ),
    "gigabytes that are not in the file": of_other_kinds(torch.zeros(1).expand(2**16, 2**10, 70)),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKE)
def test_what_broke_a_reader_once(case, tmp_path):
    name, change = BROKE[case]
    if name in formats.NEED_H5PY:
        pytest.importorskip("h5py")
    file = formats.copy_of(name, tmp_path)
    change(tmp_path)
    with pytest.raises(InputError) as caught:
        load_generator(file)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)
