"""Extract tar and zip archives: what appears under the final name is always complete."""

from __future__ import annotations

import os
import shutil
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from common.download.http import compute_sha256, is_present
from common.errors import InputError
from common.files.atomic import remove_leftovers, replacing


def extract_zip_member(archive: str | Path, member: str, dest: str | Path, *, sha256: str = "") -> str:
    """Extract one member of a zip archive or wheel, unless `dest` already matches. Returns the SHA-256 of `dest`.

    Args:
        archive: the zip archive.
        member: path in the archive, or a file name that occurs once in any of its folders.
        dest: the file to write.
        sha256: expected checksum. "" accepts any bytes.

    Raises:
        InputError: the archive is damaged or lacks the member, or a checksum does not match.
    """
    dest = Path(dest)
    if not is_present(dest, sha256=sha256):
        remove_leftovers([dest])
        try:
            with zipfile.ZipFile(archive) as package, replacing(dest, sync=True) as part, part.open("w+b") as file:
                with package.open(_find_member(package, member, archive)) as source:
                    shutil.copyfileobj(source, file)  # at the end raises BadZipFile if the CRC is wrong
                if sha256 and (found := compute_sha256(file)) != sha256.lower():
                    raise InputError(f"{archive}: SHA-256 of {member} is {found}, not {sha256}; delete the archive")
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise InputError(f"{archive}: damaged zip archive ({error}); delete it and run again") from error
    with dest.open("rb") as file:
        return compute_sha256(file)


def _find_member(package: zipfile.ZipFile, member: str, archive: str | Path) -> str:
    names = package.namelist()
    if member in names:
        return member
    found = [name for name in names if PurePosixPath(name).name == member]
    if len(found) != 1:
        raise InputError(f"{archive}: no {member} in it, only: {', '.join(names[:10]) or 'nothing'}")
    return found[0]


def extract_tar(archive: str | Path, folder: str | Path, *, root: str, expect: str = "", count: int = 0) -> None:
    """Extract the folder `root` of a tar archive, of any compression, as `folder`.

    Everything first goes to a hidden folder beside `folder`, which is renamed when complete.

    Args:
        archive: the tar archive.
        folder: the folder to create.
        root: name of the top folder in the archive.
        expect: glob pattern, relative to `root`, that must match `count` non-empty files.
        count: number of these files.

    Raises:
        InputError: `folder` exists, or the archive is damaged, unsafe, or not the expected one.
    """
    folder = Path(folder)
    if folder.exists():
        raise InputError(f"{folder}: exists already; move it away and run again")
    if not hasattr(tarfile, "data_filter"):
        raise InputError("this Python cannot extract archives safely; use 3.10.12, 3.11.4, 3.12 or newer")
    temporary = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        # Read as a stream ("r|*"), because seeking in a bz2 archive decompresses it again from the start.
        with tarfile.open(archive, "r|*") as package:
            package.extractall(temporary, filter="data")
        extracted = temporary / root
        if not extracted.is_dir():
            raise InputError(f"{archive}: no folder {root} in it")
        if expect and (found := count_files(extracted, expect)) != count:
            raise InputError(f"{archive}: holds {found} files {expect}, not {count}; delete it and run again")
        os.sync()  # writes the data of thousands of files to disk before the final name appears
        extracted.rename(folder)
    except (tarfile.TarError, zlib.error, EOFError) as error:
        raise InputError(f"{archive}: damaged or unsafe tar archive ({error}); delete it and run again") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def count_files(folder: Path, pattern: str) -> int:
    """Count the files that match a glob pattern and are not empty."""
    return sum(path.stat().st_size > 0 for path in folder.glob(pattern))
