"""Archives of NeMo are read in memory, compressed or not, whatever their members are called."""

import io
import tarfile

import pytest

from common.errors import InputError
from common.files.generators.nemo_archives import CONFIG_MEMBER, WEIGHTS_MEMBER, is_nemo, read_nemo

MEMBERS = {CONFIG_MEMBER: b"target: a.HifiGanModel\n", WEIGHTS_MEMBER: b"weights"}


def make(path, members, mode="w", prefix=""):
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(prefix + name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("prefix", ["", "./", "model/"])
def test_each_kind(mode, prefix, tmp_path):
    path = make(tmp_path / "a.nemo", {"README": b"", **MEMBERS}, mode, prefix)
    assert is_nemo(path)
    assert read_nemo(path) == ({"target": "a.HifiGanModel"}, b"weights")
    assert [file.name for file in tmp_path.iterdir()] == ["a.nemo"]  # nothing is unpacked


@pytest.mark.parametrize("missing", list(MEMBERS))
def test_missing_members(missing, tmp_path):
    members = {name: content for name, content in MEMBERS.items() if name != missing}
    with pytest.raises(InputError, match=f"a\\.nemo: not a model of NeMo: {missing} is missing in it"):
        read_nemo(make(tmp_path / "a.nemo", members))


def test_damaged_archives(tmp_path):
    path = make(tmp_path / "a.nemo", MEMBERS, "w:gz")
    content = path.read_bytes()
    for damaged in (b"", b"text", content[: len(content) // 2], content[:40]):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"a\.nemo: not an archive of NeMo, or damaged"):
            read_nemo(path)


def test_a_configuration_that_is_none(tmp_path):
    for text, words in ((b"[1, 2]", "expected settings by their names"), (b"a: [", "not a YAML file")):
        with pytest.raises(InputError, match=words):
            read_nemo(make(tmp_path / "a.nemo", {**MEMBERS, CONFIG_MEMBER: text}))


def test_links_are_not_followed(tmp_path):
    (tmp_path / "secret").write_text("secret: 1")
    with tarfile.open(tmp_path / "a.nemo", "w") as archive:
        for name in MEMBERS:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, str(tmp_path / "secret")
            archive.addfile(member)
    with pytest.raises(InputError, match="is missing in it"):
        read_nemo(tmp_path / "a.nemo")
