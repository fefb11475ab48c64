"""Load C sources as libraries: compiled when the package was built, or for this machine on first use."""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.project import user_cache

log = logging.getLogger(__name__)

COMPILE_TIMEOUT_SEC = 120
OPTIONS = ("-O3", "-shared", "-fPIC")
# Of an installed package: the build of the package compiles for all processors of the machine's architecture.
PACKAGED = Path(__file__).with_name("libraries")
Signature = tuple[Any, list[Any]]  # ctypes of a function's result and arguments


def load_library(
    source: Path, flags: Sequence[str], fallback: str, signatures: Mapping[str, Signature]
) -> ctypes.CDLL | None:
    """Load a source as a library, from the package or the user's cache if it is there. Return None if that fails.

    Args:
        source: one C file.
        flags: of the compiler, added to the usual ones for an optimised library.
        fallback: for the log, what happens without the library.
        signatures: by function name.
    """
    library = _load(PACKAGED / _name_library(source, flags)) or _load_or_compile(source, flags, fallback)
    if library is not None:
        for name, (result, arguments) in signatures.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    return library


def require(library: ctypes.CDLL | None) -> ctypes.CDLL:
    """Return a library that the caller has already checked for."""
    assert library is not None, "check library() first"
    return library


def compile_for_package(source: Path, flags: Sequence[str], folder: Path) -> None:
    """Compile a source into a folder, where `load_library` finds it once the folder is installed as PACKAGED.

    Raises:
        InputError: there is no compiler, or it failed.
    """
    program, *arguments = _read_compiler()
    compiler = shutil.which(program)
    if compiler is None:
        raise InputError(f"no C compiler ({program})")
    try:
        _compile([compiler, *arguments], source, flags, folder / _name_library(source, flags))
    except (OSError, subprocess.SubprocessError) as error:
        raise InputError(f"{source.name} cannot be compiled: {_describe(error)}") from error


def _read_compiler() -> list[str]:
    return os.environ.get("CC", "").split() or ["cc"]  # CC may be "ccache gcc"


def _name_library(source: Path, words: Sequence[str]) -> str:
    """Return a file name that changes with the source, any file beside it that it may include, and the words.

    It also changes with the kind of machine, because several may share a home directory.
    """
    files = {source, *source.parent.glob("*.c"), *source.parent.glob("*.h")}
    options = " ".join([platform.machine(), *OPTIONS, *words]).encode()
    parts = [options, *(f"{path.name}\0".encode() + path.read_bytes() for path in sorted(files))]
    digest = hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
    return f"{source.stem}-{digest}.so"


def _load_or_compile(source: Path, flags: Sequence[str], fallback: str) -> ctypes.CDLL | None:
    command = program, *arguments = _read_compiler()
    # The compiler goes by its name, because it may be missing where the library is used, as in the container.
    try:
        cached = user_cache() / _name_library(source, [*command, *flags])
        if library := _load(cached):
            return library
        compiler = shutil.which(program)
        if compiler is None:
            log.warning("no C compiler (%s): %s", program, fallback)
            return None
        return _compile_into_cache([compiler, *arguments], source, flags, cached)
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        log.warning("%s cannot be compiled, %s: %s", source.name, fallback, _describe(error))
        return None


def _compile_into_cache(compiler: Sequence[str], source: Path, flags: Sequence[str], path: Path) -> ctypes.CDLL:
    """Compile into `path`. If that is not writable, the library serves this process only."""
    with tempfile.TemporaryDirectory() as folder:
        compiled = Path(folder) / path.name
        _compile(compiler, source, flags, compiled)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=path.parent) as scratch:  # other processes never see a partial file
                Path(shutil.copy(compiled, scratch)).replace(path)
            compiled = path
        except OSError as error:
            log.warning("each process compiles %s again, because the result cannot be cached: %s", source.name, error)
        return ctypes.CDLL(str(compiled))


def _compile(compiler: Sequence[str], source: Path, flags: Sequence[str], path: Path) -> None:
    command = [*compiler, *OPTIONS, *flags, str(source), "-o", str(path)]
    subprocess.run(command, check=True, capture_output=True, timeout=COMPILE_TIMEOUT_SEC)


def _describe(error: Exception) -> str:
    """Return the compiler's first line about an error, or else the error itself."""
    output = (getattr(error, "stderr", None) or b"").decode(errors="replace").splitlines()
    output = [line for line in output if "error" in line] or output  # the first line may only name the place
    return output[0] if output else str(error)


def _load(path: Path) -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(str(path))
    except OSError:  # missing or damaged
        return None
