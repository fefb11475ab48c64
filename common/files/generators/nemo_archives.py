"""NVIDIA NeMo's archives: a tar file, compressed or not, with a YAML configuration and a PyTorch file of tensors."""

from __future__ import annotations

import tarfile
from pathlib import Path, PurePosixPath
from typing import Any

from common.errors import InputError
from common.files.yaml_files import parse_yaml

CONFIG_MEMBER, WEIGHTS_MEMBER = "model_config.yaml", "model_weights.ckpt"
NEMO_CONFIG = "nemo_config"  # key of the configuration in the content of the archive
LARGEST_BYTES = 4 * 2**30  # of the weights, unpacked


def is_nemo(path: Path) -> bool:
    return path.suffix.lower() == ".nemo"


def read_nemo(path: Path) -> tuple[dict[str, Any], bytes]:
    """Return the configuration and the bytes of the weights, without unpacking anything to disk.

    Raises:
        InputError: damaged, or without one of the two.
    """
    members: dict[str, bytes] = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name = PurePosixPath(member.name).name
                if member.isfile() and name in (CONFIG_MEMBER, WEIGHTS_MEMBER):
                    if member.size > LARGEST_BYTES:
                        raise InputError(f"{path}: {name} is too large")
                    content = archive.extractfile(member)
                    members[name] = content.read() if content else b""
                if len(members) == 2:
                    break
    except InputError:
        raise
    except Exception as error:  # tarfile, zlib and lzma have exceptions of their own
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(":")
        raise InputError(f"{path}: not an archive of NeMo, or damaged ({reason})") from error
    for name in (CONFIG_MEMBER, WEIGHTS_MEMBER):
        if name not in members:
            raise InputError(f"{path}: not a model of NeMo: {name} is missing in it")
    config = parse_yaml(members[CONFIG_MEMBER], f"{path}: {CONFIG_MEMBER}")
    if not isinstance(config, dict):
        raise InputError(f"{path}: {CONFIG_MEMBER}: expected settings by their names")
    return config, members[WEIGHTS_MEMBER]
