"""Checkpoints as safetensors files: the same dictionary as before, and one clear line for damaged ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from common.errors import InputError
from common.files.checkpoints import read_file
from common.files.safetensors_files import in_half_precision, is_safetensors, write_safetensors

TENSORS = {"a.weight": torch.tensor([[0.1, -3.0]]), "a.bias": torch.tensor([162.129]), "count": torch.tensor(7)}
VALUES = {"config": {"rates": [8, 8]}, "train_setup": {"mel_fmax": None, "symbol_set": "a"}, "epoch": 3}


def write(path: Path) -> Path:
    write_safetensors(path, "state_dict", TENSORS, VALUES)
    return path


@pytest.mark.parametrize("name", ["a.safetensors", "a.pt"])
def test_a_checkpoint_is_read_as_it_was_written(name: str, tmp_path: Path) -> None:
    content = read_file(write(tmp_path / name))
    tensors = content.pop("state_dict")
    assert content == VALUES
    assert set(tensors) == set(TENSORS)
    assert all(torch.equal(tensors[key], value) and tensors[key].dtype == value.dtype for key, value in TENSORS.items())


def test_the_same_checkpoint_gives_the_same_bytes(tmp_path: Path) -> None:
    assert len({write(tmp_path / "a").read_bytes() for _ in range(5)}) == 1


def test_half_precision_is_for_matrices_and_is_read_as_fp32(tmp_path: Path) -> None:
    halves = in_half_precision(TENSORS)
    assert {key: value.dtype for key, value in halves.items()} == {
        "a.weight": torch.float16,
        "a.bias": torch.float32,
        "count": torch.int64,
    }
    write_safetensors(tmp_path / "a", "x", halves, {})
    assert torch.equal(read_file(tmp_path / "a")["x"]["a.weight"], TENSORS["a.weight"].half().float())
    for value in (70000.0, float("nan"), -float("inf")):
        with pytest.raises(InputError, match="w: has a value that fp16 cannot hold"):
            in_half_precision({"w": torch.tensor([[value]])})


def test_a_file_without_our_metadata_holds_its_tensors(tmp_path: Path) -> None:
    content = write(tmp_path / "a").read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header["__metadata__"] = {"format": "pt", "author": "somebody"}
    text = json.dumps(header).encode()
    (tmp_path / "a").write_bytes(len(text).to_bytes(8, "little") + text + content[8 + size :])
    assert set(read_file(tmp_path / "a")) == set(TENSORS)


def test_other_files_are_not_taken_for_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    torch.save({"x": torch.ones(2)}, path)
    assert not is_safetensors(path)
    for content in (b"", b"{}", b'{"a": 1}{"b": 2}', b"\xff" * 7 + b"\x00{"):
        path.write_bytes(content)
        assert not is_safetensors(path)


def damaged(content: bytes) -> dict[str, bytes]:
    size = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + size]

    def with_header(text: bytes) -> bytes:
        return len(text).to_bytes(8, "little") + text + content[8 + size :]

    return {
        "empty": b"",
        "half of it": content[: len(content) // 2],
        "without its last byte": content[:-1],
        "endless header": (2**62).to_bytes(8, "little") + content[8:],
        "text": b"this is no model",
        "offsets outside": with_header(header.replace(b'"data_offsets":[12,20]', b'"data_offsets":[12,99]')),
        "another shape": with_header(header.replace(b'"shape":[1,2]', b'"shape":[9,2]')),
        "config that is not JSON": with_header(header.replace(b'{\\"rates\\"', b"{rates")),
        "config nested too deeply": with_header(header.replace(b'{\\"rates\\"', b"[" * 99999)),
        "config instead of tensors": with_header(header.replace(b'"state_dict"', b'"config"')),
    }


CASES = list(damaged(bytes(16)))


@pytest.mark.parametrize("case", CASES)
def test_damaged_files_are_one_clear_line(case: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.safetensors")
    before = path.read_bytes()
    path.write_bytes(damaged(before)[case])
    assert path.read_bytes() != before
    with pytest.raises(InputError, match=r"a\.safetensors: (not a safetensors file, or )?damaged") as caught:
        read_file(path)
    assert "\n" not in str(caught.value)


def test_the_checksum_covers_settings_and_tensors(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_safetensors(path, "generator", {"w": torch.arange(8.0)}, {"config": {"rate": 22050}})
    content = path.read_bytes()
    assert read_file(path).keys() == {"generator", "config"}
    for old, new in ((b"22050", b"22058"), (content[-4:], b"\0\0\0\0")):
        path.write_bytes(content.replace(old, new))
        with pytest.raises(InputError, match="its checksum is wrong; take an older checkpoint"):
            read_file(path)
    path.write_bytes(content.replace(b'"crc32"', b'"other"'))  # as files of other programs have none
    assert torch.equal(read_file(path)["generator"]["w"], torch.arange(8.0))
