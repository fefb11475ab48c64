"""Contracts of exported files, and files that are refused."""

import dataclasses

import pytest

from common.errors import InputError
from common.files.exports import is_export
from hifigan.export.files import load_export, read_export_contract
from tests.support.exports import CONTRACT, archive
from tests.support.models import make_checkpoint


def test_files_that_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.ts: no such"):
        load_export(tmp_path / "absent.ts")
    checkpoint = make_checkpoint(tmp_path / "generator.pt")
    assert not is_export(checkpoint)
    with pytest.raises(InputError, match=r"generator.pt: not an exported model, or damaged; .*export.py"):
        load_export(checkpoint)
    exported = archive(tmp_path / "a.pt2", CONTRACT.to_json())
    assert is_export(exported)
    with pytest.raises(InputError, match=r"a\.pt2: an export of format aoti, not onnx"):
        load_export(exported, format="onnx")
    with pytest.raises(InputError, match="was made for cuda, and runs only there"):
        load_export(exported)
    empty = archive(tmp_path / "b.ts", dataclasses.replace(CONTRACT, format="torchscript").to_json())
    with pytest.raises(InputError, match=r"b.ts: does not load as torchscript \(made with PyTorch 2.0, here is"):
        load_export(empty)
    cut = tmp_path / "c.ts"
    cut.write_bytes(exported.read_bytes()[:-30])
    with pytest.raises(InputError, match=r"c\.ts: not an exported model, or damaged"):
        load_export(cut)


@pytest.mark.parametrize(
    "content",
    [b"no", b"\x3a\x85\x05graph", b"\x72\x80", b"\x72\x04\x0a\x02\xff\xff"],
    ids=["text", "cut", "cut length", "no text in metadata"],
)
def test_onnx_files_that_are_refused(content, tmp_path):
    (tmp_path / "a.onnx").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.onnx: not an ONNX file, or damaged"):
        load_export(tmp_path / "a.onnx")


def onnx_file(path, contract):
    """An ONNX file without a graph, by the rules of protobuf: numbers and lengths in groups of seven bits."""

    def field(number, content):
        size = len(content)
        return bytes([number << 3 | 2, size & 127 | 128, size >> 7]) + content

    told = field(14, field(1, b"hifigan") + field(2, contract.to_json().encode()))
    other = field(14, field(1, b"author"))
    path.write_bytes(b"\x08\x08" + field(7, b"graph") + b"\x29" + bytes(8) + other + told)
    return path


def test_metadata_of_an_onnx_file_are_read_without_onnxruntime(tmp_path):
    told = dataclasses.replace(CONTRACT, format="onnx")
    assert read_export_contract(onnx_file(tmp_path / "a.ONNX", told)) == told
    assert is_export(tmp_path / "a.ONNX")
    (tmp_path / "empty.onnx").touch()
    with pytest.raises(InputError, match=r"empty\.onnx: not an exported model"):
        load_export(tmp_path / "empty.onnx")


def test_a_package_that_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    told = dataclasses.replace(CONTRACT, format="onnx")
    with pytest.raises(InputError, match=r"^onnx: needs packages that are not installed: pip install onnxruntime$"):
        load_export(onnx_file(tmp_path / "a.onnx", told))
    told = dataclasses.replace(CONTRACT, format="tensorrt")
    with pytest.raises(
        InputError, match=r"^tensorrt: needs packages that are not installed: pip install torch-tensorrt$"
    ):
        load_export(archive(tmp_path / "a.pt2", told.to_json()))
