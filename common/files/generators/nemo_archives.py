"""NVIDIA NeMo's archives: a tar file, plain or gzip, with a YAML configuration and a PyTorch file of tensors."""

from __future__ import annotations

import gzip
import tarfile
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from common.errors import InputError, first_line
from common.files.bounded.regular_files import check_memory, in_megabytes, open_regular
from common.files.yaml_files import LARGEST_BYTES as LARGEST_CONFIG_BYTES
from common.files.yaml_files import parse_yaml

CONFIG_MEMBER, WEIGHTS_MEMBER = "model_config.yaml", "model_weights.ckpt"
NEMO_CONFIG = "nemo_config"  # key of the configuration in the content of the archive
LARGEST_BYTES = 640 * 2**20  # of all members, unpacked. NVIDIA's generators with discriminators have 330 MB
MOST_MEMBERS = 1000
_BLOCK = tarfile.BLOCKSIZE


def is_nemo(path: Path) -> bool:
    return path.suffix.lower() == ".nemo"


def read_nemo(path: Path) -> tuple[dict[str, Any], bytes]:
    """Return the configuration and the bytes of the weights, without unpacking anything to disk.

    Raises:
        InputError: damaged, without one of the two, or beyond the limits.
    """
    try:
        with open_regular(path) as file:
            is_gzip = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            members = _read_members(path, gzip.GzipFile(fileobj=file) if is_gzip else file)  # type: ignore[arg-type]
    except InputError:
        raise
    except Exception as error:  # tarfile and zlib have exceptions of their own
        reason = first_line(error).rstrip(":")
        raise InputError(f"{path}: not an archive of NeMo, or damaged ({reason})") from error
    for name in (CONFIG_MEMBER, WEIGHTS_MEMBER):
        if name not in members:
            raise InputError(f"{path}: not a model of NeMo: {name} is missing in it")
    config = parse_yaml(members[CONFIG_MEMBER], f"{path}: {CONFIG_MEMBER}")
    if not isinstance(config, dict):
        raise InputError(f"{path}: {CONFIG_MEMBER}: expected settings by their names")
    return config, members[WEIGHTS_MEMBER]


def _read_members(path: Path, file: BinaryIO) -> dict[str, bytes]:
    """Return the two members by their names.

    Headers are read one by one, not by `tarfile.open`, which keeps them all and unpacks whatever lies between.
    """
    members: dict[str, bytes] = {}
    position = 0
    for _ in range(MOST_MEMBERS):
        if len(members) == 2:
            return members
        block = file.read(_BLOCK)
        if len(block) < _BLOCK:
            raise tarfile.ReadError("it ends too early")
        if not block.strip(b"\0"):
            return members
        member = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        position += _BLOCK + member.size
        if member.size < 0:
            raise tarfile.ReadError("a negative size")
        if position > LARGEST_BYTES:
            raise InputError(f"{path}: it unpacks to more than {in_megabytes(LARGEST_BYTES)}, the limit")
        name = PurePosixPath(member.name).name
        padding = -member.size % _BLOCK
        if member.isreg() and name in (CONFIG_MEMBER, WEIGHTS_MEMBER):
            largest = LARGEST_CONFIG_BYTES if name == CONFIG_MEMBER else LARGEST_BYTES
            if member.size > largest:
                raise InputError(f"{path}: {name} is too large; the limit is {in_megabytes(largest)}")
            check_memory(path, 3 * member.size)
            members[name] = file.read(member.size)
            if len(members[name]) < member.size:
                raise InputError(f"{path}: damaged: it ends within {name}")
            file.seek(padding, 1)
        else:
            file.seek(member.size + padding, 1)
    raise InputError(f"{path}: more than {MOST_MEMBERS} members")
