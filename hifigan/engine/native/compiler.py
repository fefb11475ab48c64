"""Compile C sources for this machine on first use, and load them."""

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

from common.project import user_cache

log = logging.getLogger(__name__)

COMPILE_TIMEOUT_SEC = 120
Signature = tuple[Any, list[Any]]  # ctypes of a function's result and arguments


def load_library(
    source: Path, flags: Sequence[str], fallback: str, signatures: Mapping[str, Signature]
) -> ctypes.CDLL | None:
    """Load a source as a library, from the user's cache if it is there. Return None if that fails.

    Args:
        source: one C file.
        flags: of the compiler, added to the usual ones for an optimised library.
        fallback: for the log, what happens without the library.
        signatures: by function name.
    """
    library = _load_or_compile(source, flags, fallback)
    if library is not None:
        for name, (result, arguments) in signatures.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    return library


def require(library: ctypes.CDLL | None) -> ctypes.CDLL:
    """Return a library that the caller has already checked for."""
    assert library is not None, "check library() first"
    return library


def _load_or_compile(source: Path, flags: Sequence[str], fallback: str) -> ctypes.CDLL | None:
    program, *arguments = os.environ.get("CC", "").split() or ["cc"]  # CC may be "ccache gcc"
    options = [*arguments, "-O3", "-shared", "-fPIC", *flags]
    # Machines of different kinds may share a home directory. The compiler goes by its name, because it may be missing
    # where the library is used, as in the container.
    digest = _digest(source, [platform.machine(), program, *options])
    try:
        cached = user_cache() / f"{source.stem}-{digest}.so"
        if library := _load(cached):
            return library
        compiler = shutil.which(program)
        if compiler is None:
            log.info("no C compiler (%s): %s", program, fallback)
            return None
        return _compile([compiler, *options, str(source)], cached)
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        output = (getattr(error, "stderr", None) or b"").decode(errors="replace").splitlines()
        output = [line for line in output if "error" in line] or output  # the first line may only name the place
        log.warning("%s cannot be compiled, %s: %s", source.name, fallback, output[0] if output else error)
        return None


def _digest(source: Path, words: Sequence[str]) -> str:
    """Return a key that changes with the source, any file beside it that it may include, and the words."""
    files = {source, *source.parent.glob("*.c"), *source.parent.glob("*.h")}
    parts = [" ".join(words).encode(), *(f"{path.name}\0".encode() + path.read_bytes() for path in sorted(files))]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _compile(command: list[str], path: Path) -> ctypes.CDLL:
    """Compile into `path`. If that is not writable, the library serves this process only."""
    with tempfile.TemporaryDirectory() as folder:
        compiled = Path(folder) / path.name
        subprocess.run([*command, "-o", str(compiled)], check=True, capture_output=True, timeout=COMPILE_TIMEOUT_SEC)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=path.parent) as scratch:  # other processes never see a partial file
                Path(shutil.copy(compiled, scratch)).replace(path)
            compiled = path
        except OSError as error:
            source = Path(command[-1]).name
            log.warning("each process compiles %s again, because the result cannot be cached: %s", source, error)
        return ctypes.CDLL(str(compiled))


def _load(path: Path) -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(str(path))
    except OSError:  # missing or damaged
        return None
