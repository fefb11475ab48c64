"""Load PyTorch's files (`torch.save`), without running code and within limits.

`torch.load(weights_only=True)` runs nothing, but a file of a few bytes can make it hang or fill the memory. So the
pickle is first read with inert objects in place of everything that it names, which costs a millisecond for a mel, and
half a second for 6,000 tensors.
"""

from __future__ import annotations

import io
import pickle
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import torch
from torch import Tensor

from common.errors import InputError, first_line
from common.files.bounded.plain_values import check_values
from common.files.bounded.regular_files import REPLACE_DAMAGED, check_memory, in_megabytes, open_regular
from common.files.bounded.zip_archives import UnsafeArchiveError, open_stored, read_member
from common.project import command

LARGEST_PICKLE_BYTES = 2**20  # names and shapes, without the tensors' values: about 10,000 tensors
LARGEST_TENSOR_BEYOND_FILE = 2**24  # bytes of a tensor whose values repeat (a step of 0), more than the file holds
_PICKLES_OF_OLD_FILES = 5  # magic number, version, system, content, names of the storages
_FOLDER = 0x10  # attribute of an archive's member
_ITEM_BYTES = {"Double": 8, "Float": 4, "Half": 2, "BFloat16": 2, "Long": 8, "Int": 4, "Short": 2, "ComplexFloat": 8}


def load_tensors(
    path: Path,
    source: Path | BinaryIO,
    map_location: str | torch.device = "cpu",
    problem: str = "not a checkpoint of tensors, or damaged (%s)",
) -> Any:
    """Load a file of tensors and plain values.

    Args:
        path: its name in messages.
        source: the file, or its content.
        map_location: device of the tensors.
        problem: the message about any other file, with %s for the reason.

    Raises:
        FileNotFoundError: no such file.
        InputError: damaged, with Python objects, a program (TorchScript, `torch.export`), or beyond the limits.
    """
    try:
        _check(path, source)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols, when a text file looks like a pickle
            content = torch.load(source, map_location=map_location, weights_only=True)
    except (InputError, FileNotFoundError):
        raise
    except Exception as error:  # damaged bytes can raise almost any exception
        raise InputError(f"{path}: {problem % _describe(error)}") from error
    check_values(content, path)
    for tensor in _tensors(content):
        _check_extent(path, tensor)
    return content


def _describe(error: Exception) -> str:
    """Return PyTorch's reason in a few words. Its own message advises loading the file unsafely."""
    if refused := re.search(r"GLOBAL (\S+)", str(error)):
        return f"it holds a Python object, {refused[1]}; only tensors and plain values are loaded"
    if isinstance(error, UnsafeArchiveError):
        return str(error)
    if not isinstance(error, RuntimeError | OSError):
        return "not a PyTorch file"
    return first_line(error)


def _check(path: Path, source: Path | BinaryIO) -> None:
    """Raise an exception for a file beyond the limits, or one whose tensors have more values than it holds."""
    if isinstance(source, Path):
        with open_regular(source) as file:
            _check_open(path, file)
    else:
        _check_open(path, source)
        source.seek(0)


def _check_open(path: Path, file: BinaryIO) -> None:
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    if file.read(4) != b"PK\x03\x04":  # PyTorch too looks at nothing else
        file.seek(0)
        _check_old(path, io.BytesIO(file.read(LARGEST_PICKLE_BYTES)), size)
        return
    with open_stored(file) as archive:
        _compare_checksums(path, archive)
        members = {name.partition("/")[2]: member for name, member in archive.NameToInfo.items()}
        if "data.pkl" not in members or "constants.pkl" in members:
            refuse_program(path)
        check_memory(path, sum(member.file_size for member in members.values()))
        pickled = read_member(archive, members["data.pkl"].filename, LARGEST_PICKLE_BYTES)
        scan = _Scan(io.BytesIO(pickled))
        check_values(scan.load(), path)
        for key, needed in scan.storages.items():
            member = members.get(f"data/{key}")
            if member is not None and needed > member.file_size:
                raise InputError(f"{path}: damaged: a tensor of {needed} bytes, of which it holds {member.file_size}")


def _compare_checksums(path: Path, archive: zipfile.ZipFile) -> None:
    """Raise `InputError` if a checksum differs. PyTorch writes them, but does not compare them. 1 GB takes a second."""
    if any(member.external_attr & _FOLDER for member in archive.infolist()):
        # PyTorch reads nothing then, and returns whatever was in memory.
        raise InputError(f"{path}: damaged, it has folders in place of tensors; {REPLACE_DAMAGED}")
    if not any(member.CRC for member in archive.infolist()):  # writers can turn them off
        return
    try:
        damaged = archive.testzip()
    except (zipfile.BadZipFile, EOFError) as error:
        raise InputError(f"{path}: damaged ({first_line(error)}); {REPLACE_DAMAGED}") from error
    if damaged:
        name = damaged.encode("unicode_escape").decode()
        raise InputError(f"{path}: damaged, the checksum of {name} is wrong; {REPLACE_DAMAGED}")


def refuse_program(path: Path) -> None:
    """Raise the `InputError` of an archive with code."""
    raise InputError(
        f"{path}: a program (TorchScript, torch.export), not a checkpoint of tensors; a program can do anything, so "
        f"only exports of {command('python export.py')} are run, and only with the flag --backend"
    )


def _check_old(path: Path, start: io.BytesIO, size: int) -> None:
    """Check a file as PyTorch wrote them before version 1.6: pickles, and behind them the values."""
    scan = _Scan(start)
    for number in range(_PICKLES_OF_OLD_FILES):
        try:
            content = _Scan(start, scan.storages).load()
        except Exception as error:
            if start.tell() >= LARGEST_PICKLE_BYTES:
                limit = in_megabytes(LARGEST_PICKLE_BYTES)
                raise InputError(f"{path}: names and shapes of its tensors take more than {limit}") from error
            raise
        if number == 0 and content != torch.serialization.MAGIC_NUMBER:
            raise pickle.UnpicklingError("no magic number")
        check_values(content, path)
    if (needed := sum(scan.storages.values())) > size:
        raise InputError(f"{path}: damaged: tensors of {needed} bytes, of which it holds {size}")


class _Scan(pickle._Unpickler):
    """Reads a pickle with inert objects, and collects the bytes of each storage (`storages`) by its key.

    This is the unpickler in Python, since the one in C reserves 16 GB for a memo with a large number.
    """

    # Opcodes that look up classes elsewhere, or reserve as much memory as the file names.
    dispatch: ClassVar[dict[int, Any]] = {
        code: read
        for code, read in pickle._Unpickler.dispatch.items()
        if code not in b"".join((pickle.BYTEARRAY8, pickle.EXT1, pickle.EXT2, pickle.EXT4))
    }

    def __init__(self, file: BinaryIO, storages: dict[str, int] | None = None) -> None:
        super().__init__(file, encoding="latin1")
        self.storages: dict[str, int] = {} if storages is None else storages

    def load(self) -> Any:
        content = super().load()
        if self.stack:  # type: ignore[attr-defined]
            raise pickle.UnpicklingError("it makes values that it does not use")
        return content

    def find_class(self, module: str, name: str) -> Any:
        return type(name, (_Inert,), {"__module__": module})

    def persistent_load(self, identity: Any) -> Any:
        if isinstance(identity, tuple) and len(identity) >= 5 and isinstance(identity[4], int):
            kind = getattr(identity[1], "__name__", "").removesuffix("Storage")
            needed = identity[4] * _ITEM_BYTES.get(kind, 1)
            key = str(identity[2])
            self.storages[key] = max(self.storages.get(key, 0), needed)
        return _Inert()


class _Inert:
    """Stands for any object that a pickle names or makes, and does nothing."""

    def __new__(cls, *values: Any, **_named: Any) -> _Inert:
        allocates = cls.__name__ == "bytearray" or cls.__name__.endswith(("Storage", "Tensor"))
        if allocates and any(isinstance(value, int) for value in values):
            raise pickle.UnpicklingError(f"it allocates a {cls.__name__}")
        return object.__new__(cls)

    def __init__(self, *_values: Any, **_named: Any) -> None: ...

    def __setstate__(self, _state: Any) -> None: ...

    def __call__(self, *_values: Any, **_named: Any) -> _Inert:
        return _Inert()

    def __setitem__(self, _key: Any, _value: Any) -> None: ...

    def append(self, _value: Any) -> None: ...

    def extend(self, _values: Any) -> None: ...

    def add(self, _value: Any) -> None: ...


def _tensors(content: Any) -> list[Tensor]:
    """Return the tensors in nested dictionaries and lists, which have passed `check_values`."""
    if isinstance(content, Tensor):
        return [content]
    values = content.values() if isinstance(content, dict) else content
    inside = values if isinstance(content, dict | list | tuple) else ()
    return [tensor for value in inside for tensor in _tensors(value)]


def _check_extent(path: Path, tensor: Tensor) -> None:
    """Raise `InputError` for a tensor that would take much more memory than the file once it is computed with."""
    extent = tensor.numel() * tensor.element_size()
    held = tensor.untyped_storage().nbytes() if tensor.layout == torch.strided and tensor.device.type != "meta" else 0
    if extent > max(held, LARGEST_TENSOR_BEYOND_FILE):
        raise InputError(f"{path}: a tensor of {in_megabytes(extent)}, of which the file holds {in_megabytes(held)}")
