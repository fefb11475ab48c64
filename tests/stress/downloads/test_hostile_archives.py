"""Archives that reach outside, expand without end, or are damaged: one line, and nothing left or written elsewhere."""

from __future__ import annotations

import bz2
import gzip
import io
import os
import random
import resource
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from common.download.archives import extract_tar, extract_zip_member
from common.errors import InputError
from tests.support.paths import REPOSITORY
from tests.support.stress import cases, record

Entries = list[tarfile.TarInfo]


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    return info


def write_tar(path: Path, *entries: tarfile.TarInfo, pax: dict[str, str] | None = None) -> Path:
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT, pax_headers=pax or {}) as package:
        good = entry("Set/wavs/1.wav", size=4)
        package.addfile(good, io.BytesIO(b"RIFF"))
        for item in entries:
            package.addfile(item, io.BytesIO(bytes(item.size)))
    return path


def escape_by_long_path() -> Entries:
    """Links whose resolved path is too long to be checked (CVE-2025-4517): the last one leads to the top."""
    folder, steps = "d" * 247, "abcdefghijklmnop"
    found: Entries = []
    path = ""
    for step in steps:
        found += [
            entry(os.path.join("Set", path, folder), tarfile.DIRTYPE),  # noqa: PTH118
            entry(os.path.join("Set", path, step), tarfile.SYMTYPE, folder),  # noqa: PTH118
        ]
        path = os.path.join(path, step)  # noqa: PTH118
    found.append(entry(f"Set/{path}/{'l' * 254}", tarfile.SYMTYPE, "../" * len(steps)))
    found.append(entry("Set/escape", tarfile.SYMTYPE, f"{path}/{'l' * 254}/../../outside"))
    return [*found, entry("Set/escape/evil", size=4)]


UNSAFE: dict[str, Callable[[Path], Entries]] = {
    "a parent folder": lambda outside: [entry("Set/../../evil", size=4)],
    "an absolute name": lambda outside: [entry(f"{outside}/evil", size=4)],
    "an absolute name with many slashes": lambda outside: [entry(f"//{outside}/evil", size=4)],
    "a link to elsewhere": lambda outside: [entry("Set/link", tarfile.SYMTYPE, str(outside))],
    "a link within": lambda outside: [entry("Set/link", tarfile.SYMTYPE, "wavs")],
    "a file behind a link": lambda outside: [
        entry("Set/link", tarfile.SYMTYPE, str(outside)), entry("Set/link/evil", size=4)
    ],
    "a hard link to elsewhere": lambda outside: [entry("Set/link", tarfile.LNKTYPE, f"{outside}/precious")],
    "a hard link through a link": lambda outside: [
        entry("Set/a", tarfile.SYMTYPE, f"{outside}/precious"), entry("Set/b", tarfile.LNKTYPE, "Set/a")
    ],
    "a path too long to check": lambda outside: escape_by_long_path(),
    "a FIFO": lambda outside: [entry("Set/wavs/2.wav", tarfile.FIFOTYPE)],
    "a device": lambda outside: [entry("Set/wavs/2.wav", tarfile.CHRTYPE)],
    "a block device": lambda outside: [entry("Set/wavs/2.wav", tarfile.BLKTYPE)],
    "an unknown kind": lambda outside: [entry("Set/wavs/2.wav", b"Z")],
    "folders within folders": lambda outside: [entry("Set/" + "a/" * 1500 + "b", size=4)],
}  # fmt: skip


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "precious").write_bytes(b"precious")
    return folder


def refuse_tar(archive: Path, outside: Path, message: str = "damaged or unsafe tar archive") -> None:
    inside = archive.parent
    before = sorted(path.name for path in inside.iterdir())
    started = time.monotonic()
    with pytest.raises(InputError, match=message) as caught:
        extract_tar(archive, inside / "Set", root="Set", expect="wavs/*.wav", count=1)
    assert time.monotonic() - started < 10
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in inside.iterdir()) == before
    assert {path.name: path.read_bytes() for path in outside.iterdir()} == {"precious": b"precious"}


@pytest.mark.parametrize("name", UNSAFE)
def test_nothing_reaches_outside(name: str, tmp_path: Path, outside: Path) -> None:
    (tmp_path / "inside").mkdir()
    refuse_tar(write_tar(tmp_path / "inside" / "a.tar", *UNSAFE[name](outside)), outside)


def raw_header(name: bytes, size: int, kind: bytes = b"0") -> bytes:
    """Return a header that tarfile would not write."""
    content = bytearray(512)
    content[: len(name)] = name
    content[100:108], content[257:265] = b"0000644\0", b"ustar\x0000"
    content[124:136] = (b"\xff" * 4 + size.to_bytes(8, "big", signed=True)) if size < 0 else b"%011o\0" % size
    content[156:157] = kind
    content[148:156] = b" " * 8
    content[148:156] = b"%06o\0 " % sum(content)
    return bytes(content)


def pax_header(records: bytes) -> bytes:
    return raw_header(b"pax", len(records), b"x") + records + bytes(-len(records) % 512)


def pax_record(key: bytes, value: bytes) -> bytes:
    length = len(key) + len(value) + 3
    while len(b"%d" % length) + len(key) + len(value) + 3 != length:
        length += 1
    return b"%d %b=%b\n" % (length, key, value)


DAMAGED = {
    "a negative size": raw_header(b"Set/a", -512) + bytes(1024),
    "a negative size in an attribute": pax_header(pax_record(b"size", b"-9")) + raw_header(b"Set/a", 4) + bytes(1024),
    "a size that is not a number": pax_header(pax_record(b"size", b"many")) + raw_header(b"Set/a", 4) + bytes(1024),
    "a huge size": pax_header(pax_record(b"size", b"9" * 30)) + raw_header(b"Set/a", 4) + bytes(1024),
    "a size beyond the end": raw_header(b"Set/a", 1 << 20) + bytes(1024),
    "a sparse file of a terabyte": pax_header(
        pax_record(b"GNU.sparse.major", b"1") + pax_record(b"GNU.sparse.minor", b"0")
        + pax_record(b"GNU.sparse.name", b"Set/a") + pax_record(b"GNU.sparse.realsize", b"1099511627776")
    ) + raw_header(b"Set/a", 512) + b"1\n0\n1\n".ljust(512, b"\0") + bytes(1024),
    "a name that is not UTF-8": pax_header(pax_record(b"path", b"Set/\xff\xfe\0")) + raw_header(b"x", -1) + bytes(1024),
    "a name with a zero": pax_header(pax_record(b"path", b"Set/a\0b")) + raw_header(b"x", 4) + bytes(1024),
    "records without a length": pax_header(b"path=Set/a\n") + raw_header(b"x", 4) + bytes(1024),
    "headers of headers": (raw_header(b"a", 5, b"L") + b"Set/x".ljust(512, b"\0")) * 5000 + raw_header(b"a", 4),
    "no tar at all": b"<html>" * 1000,
    "nothing": b"",
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_headers(name: str, tmp_path: Path, outside: Path) -> None:
    (tmp_path / "inside").mkdir()
    archive = tmp_path / "inside" / "a.tar"
    archive.write_bytes(gzip.compress(DAMAGED[name]) if name != "nothing" else b"")
    refuse_tar(archive, outside, "a.tar: (damaged or unsafe tar archive|no folder Set in it|holds 0 files)")


BOMB = """
import bz2, sys, resource
from pathlib import Path
from common.download.archives import extract_tar, extract_zip_member
from common.errors import InputError
resource.setrlimit(resource.RLIMIT_AS, (3 << 29, 3 << 29))
try:
    if sys.argv[1].endswith(".zip"):
        extract_zip_member(sys.argv[1], "model.pt", sys.argv[2])
    else:
        extract_tar(sys.argv[1], sys.argv[2], root="Set")
except InputError as error:
    print(error)
status = Path("/proc/self/status")  # resource's figure includes the process that started this one
print(status.read_text().partition("VmHWM:")[2].split()[0] if status.exists() else 0)
"""


def write_bomb(path: Path, kind: str) -> Path:
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package, package.open("model.pt", "w") as member:
            for _ in range(15):
                member.write(bytes(10_000_000))
    elif kind == "many":
        with tarfile.open(path, "w:bz2") as archive:
            for number in range(cases(2_000, 20_000)):
                archive.addfile(entry(f"Set/{number}"))
            archive.addfile(entry("Set/../evil"))
    else:
        typeflag = {"file": b"0", "attributes": b"x", "name": b"L", "link name": b"K", "global": b"g"}[kind]
        zeros = bz2.compress(bytes(10_000_000))
        path.write_bytes(bz2.compress(raw_header(b"Set/a", 600_000_000, typeflag)) + 60 * zeros)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["file", "attributes", "name", "link name", "global", "zip", "many"])
def test_bombs(kind: str, tmp_path: Path) -> None:
    """600 MB of zeros in less than a megabyte. Neither memory nor disk follow, and the rest of the folder stays."""
    archive = write_bomb(tmp_path / ("a.zip" if kind == "zip" else "a.tar.bz2"), kind)
    assert archive.stat().st_size < 2_000_000
    command = [sys.executable, "-c", BOMB, str(archive), str(tmp_path / "out")]
    started = time.monotonic()
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    line, peak = done.stdout.splitlines()
    assert "delete" in line
    assert time.monotonic() - started < (10 if kind != "many" else 300)
    assert int(peak) < 150_000  # kB
    assert [path.name for path in tmp_path.iterdir()] == [archive.name]


ZIPS = {
    "an unknown compression": (10, 77, "compression"),
    "an encrypted member": (8, 1, "encrypted"),
}


@pytest.mark.parametrize("name", ZIPS)
def test_zip_members_that_cannot_be_read(name: str, tmp_path: Path) -> None:
    offset, value, message = ZIPS[name]
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as package:
        package.writestr("model.pt", b"weights")
    content = bytearray((tmp_path / "a.zip").read_bytes())
    at = content.index(b"PK\x01\x02")
    content[at + offset] = content[offset - 2] = value
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(InputError, match=f"damaged zip archive .*{message}"):
        extract_zip_member(tmp_path / "a.zip", "model.pt", tmp_path / "model.pt")
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def sample(path: Path, kind: str) -> bytes:
    wavs = {f"Set/wavs/{number}.wav": random.Random(number).randbytes(300) for number in range(3)}
    if kind.startswith("zip"):
        method = {"zip": zipfile.ZIP_DEFLATED, "zip bz2": zipfile.ZIP_BZIP2, "zip xz": zipfile.ZIP_LZMA}[kind]
        with zipfile.ZipFile(path, "w", method) as package:
            for name, content in wavs.items():
                package.writestr(name, content)
    else:
        mode: Any = f"w:{kind}"
        with tarfile.open(path, mode, format=tarfile.PAX_FORMAT) as archive:
            for name, content in wavs.items():
                item = entry(name, size=len(content))
                item.pax_headers = {"comment": "x" * 30}
                archive.addfile(item, io.BytesIO(content))
    return path.read_bytes()


def mutate(draw: random.Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(draw.choice([1, 1, 2, 5, 30])):
        at = draw.randrange(len(changed)) if changed else 0
        action = draw.randrange(5)
        if action == 0:
            changed[at : at + 1] = bytes([draw.randrange(256)])
        elif action == 1:
            del changed[at : at + draw.choice([1, 2, 8, 100])]
        elif action == 2:
            changed[at:at] = draw.choice([b"\0", b"\xff" * 4, b"../", b"/", draw.randbytes(8), b"9" * 12])
        elif action == 3:
            changed[at : at + 8] = draw.choice([bytes(8), b"\xff" * 8, (1 << 62).to_bytes(8, "little")])
        else:
            del changed[at:]
    return bytes(changed)


def test_mutated_archives(tmp_path: Path, outside: Path) -> None:
    """Uncompressed tars are mutated within their headers, compressed ones and zips everywhere."""
    count = cases(150, 20_000)
    inside = tmp_path / "inside"
    inside.mkdir()
    archive = inside / "a"
    sources = {kind: sample(archive, kind) for kind in ("", "gz", "bz2", "xz", "zip", "zip bz2", "zip xz")}
    refused, slowest = 0, 0.0
    for seed in range(count):
        draw = random.Random(seed)
        kind = draw.choice(list(sources))
        archive.write_bytes(mutate(draw, sources[kind]))
        started = time.monotonic()
        try:
            if kind.startswith("zip"):
                extract_zip_member(archive, "1.wav", inside / "1.wav")
                (inside / "1.wav").unlink()
            else:
                extract_tar(archive, inside / "Set", root="Set", expect="wavs/*.wav", count=3)
                subprocess.run(["rm", "-r", str(inside / "Set")], check=True)
        except InputError as error:
            refused += 1
            if "\n" in str(error):
                pytest.fail(f"{seed}: {error!r}")
        slowest = max(slowest, time.monotonic() - started)
        assert [path.name for path in inside.iterdir()] == ["a"], seed
        assert [path.name for path in outside.iterdir()] == ["precious"], seed
    assert slowest < 10
    assert 0 < refused < count
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    record(
        "Mutated tar and zip archives: whole, or one line and nothing left",
        count,
        f"{refused} refused, 0 tracebacks, slowest {slowest:.2f} s, peak {peak:.0f} MB",
    )
