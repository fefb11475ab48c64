"""A synthesis job that can be broken off and started again: which of its outputs are there already."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.files import is_newer, write_whole

JOB_FILE = "synthesis.json"  # in the output directory: what its files were made from, and how


def start_job(folder: Path, description: Mapping[str, Any], anew: bool) -> None:
    """Writes what the outputs are made from, unless the folder holds the same job already.

    Args:
        folder: the output directory; made if it is not there.
        description: plain values that decide what the outputs are like.
        anew: begin again, even where the job is the same.
    """
    content = (json.dumps(description, indent=1, sort_keys=True) + "\n").encode()
    path = folder / JOB_FILE
    if anew or not path.is_file() or path.read_bytes() != content:
        write_whole(path, content)


def is_finished(output: Path, source: Path | None = None) -> bool:
    """Whether an output of the job in its directory or one above is there: written since the job began.

    Args:
        output: the file.
        source: what it is made of, if that is a file of its own; outputs older than it are not finished.
    """
    job = next(folder / JOB_FILE for folder in output.parents if (folder / JOB_FILE).is_file())
    return is_newer(output, job, *([source] if source else []))
