"""C sources, compiled for this machine when they are first needed."""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

log = logging.getLogger(__name__)

LIMIT_SEC = 120


def compiled(source: Path, flags: Sequence[str], without: str) -> ctypes.CDLL | None:
    """A source as a library, from the user's cache if it is there; None where it cannot be had.

    Args:
        source: one file in C.
        flags: of the compiler, beside those of optimised libraries.
        without: what it means if there is none, for the log.
    """
    program, *arguments = os.environ.get("CC", "").split() or ["cc"]  # CC may be "ccache gcc"
    compiler = shutil.which(program)
    if compiler is None:
        log.info("no C compiler (%s): %s", program, without)
        return None
    command = [compiler, *arguments, "-O3", "-shared", "-fPIC", *flags, str(source)]
    key = " ".join([platform.machine(), *command[:-1]])  # homes are shared by machines of several kinds
    name = hashlib.sha256(key.encode() + source.read_bytes()).hexdigest()[:16]
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hifigan"
        kept = cache / f"{source.stem}-{name}.so"
        return _load(kept) or _compile(command, kept)
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", None) or b"").decode(errors="replace").splitlines()
        said = [line for line in said if "error" in line] or said  # what comes first may be where, not what
        log.warning("%s cannot be compiled, %s: %s", source.name, without, said[0] if said else error)
        return None


def _compile(command: list[str], path: Path) -> ctypes.CDLL:
    """Compiles into `path`; where that cannot be written, for this process alone."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / path.name
        subprocess.run([*command, "-o", str(made)], check=True, capture_output=True, timeout=LIMIT_SEC)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=path.parent) as beside:  # so that nobody finds half of it
                Path(shutil.copy(made, beside)).replace(path)
            made = path
        except OSError as error:
            source = Path(command[-1]).name
            log.warning("%s is compiled anew by each process, as the result cannot be kept: %s", source, error)
        return ctypes.CDLL(str(made))


def _load(path: Path) -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(str(path))
    except OSError:  # not there, or damaged
        return None
