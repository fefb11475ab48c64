"""A synthesis job that can be broken off and started again: what it makes, and what of it is there already.

One file in the output directory says what each output is made of. It is written before the work begins, by one process
and in one move, so nothing needs to be written while the work goes on, and a kill at any moment does no harm. Files are
known by size and time of change, and only compared for equality: no clock has to be right.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from common import distributed
from common.audio import MEL_CONFIG_FILE
from common.distributed import Distributed
from common.errors import InputError, first_three
from common.files.atomic import remove_leftovers, write_whole
from common.synthesis.outputs import Part

JOB_FILE = "synthesis.json"  # in the output directory
_KIND = "speech synthesis of inference.py"


@dataclasses.dataclass(frozen=True)
class Job:
    """What is to be synthesised.

    Attributes:
        made_of: output name -> what tells whether it would be made of the same again; in order.
        parts: the parts of these outputs, made as they are needed.
        mels: a batch of parts -> their mels [M, L].
        speaks: whether `mels` is FastPitch at work, and measured.
        problems: what was wrong with the files that `parts` has left out so far.
    """

    made_of: Mapping[str, str]
    parts: Callable[[Collection[str]], Iterable[Part]]
    mels: Callable[[Sequence[Any]], list[Tensor]]
    speaks: bool
    problems: list[str] = dataclasses.field(default_factory=list)


def left_out(problems: Sequence[str], total: int) -> str:
    """The message at the end of a job of `total` outputs, when some input files could not be used."""
    rest = "" if len(problems) == total else "; all others are made"
    return f"{len(problems)} of {total} input files cannot be used{rest}: {first_three(problems)}"


@dataclasses.dataclass(frozen=True)
class _Record:
    """The content of a job file.

    Attributes:
        settings: plain values that decide what all outputs are like.
        made_of: output name -> what it is made of.
        outdated: output name -> size and time of a file there that was made otherwise. It stays until it is replaced.
    """

    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    made_of: Mapping[str, str] = dataclasses.field(default_factory=dict)
    outdated: Mapping[str, list[int]] = dataclasses.field(default_factory=dict)


def stamp(path: Path) -> str:
    """What tells a file from others and from what was there before: its place, size in bytes and time of change."""
    status = path.stat()
    return f"{path.resolve()} {status.st_size} {status.st_mtime_ns}"


def share(
    folder: Path, settings: Mapping[str, Any], job: Job, anew: bool, beside: Sequence[str], place: Distributed
) -> list[str]:
    """This process's share of the outputs that are still to be made; `start_job` on the main process, for all."""
    names: list[str] = []
    distributed.first_on_main(lambda: names.extend(start_job(folder, settings, job.made_of, anew, beside)), place)
    return distributed.gather(names)[0][place.rank :: place.world_size]


def start_job(
    folder: Path, settings: Mapping[str, Any], made_of: Mapping[str, str], anew: bool, beside: Sequence[str] = ()
) -> list[str]:
    """Records what the outputs are made of, and clears away what a killed run of the job left half written.

    Must be called before any process writes. Outputs that the folder has from the same settings stay in its record,
    though this job has no part in them.

    Args:
        folder: the output directory; made if it is not there.
        settings: plain values that decide what all outputs are like.
        made_of: output name, relative to the folder -> what it is made of.
        anew: make all of them, even where they are finished.
        beside: suffixes of further files that belong to each output.

    Returns:
        the names of the outputs that are still to be made, in order.

    Raises:
        InputError: the job file is not one of ours, and is not overwritten.
    """
    settings = json.loads(json.dumps(settings))
    before = _read(folder / JOB_FILE)
    if before.settings != settings:
        before = _Record(settings)
    outdated = {name: found for name, found in before.outdated.items() if name not in made_of}
    to_make = []
    for name, source in made_of.items():
        path = folder / name
        found = _size_and_time(path)
        is_finished = (
            found is not None
            and found[0] > 0  # after a power cut, a file may be there without its content
            and before.made_of.get(name) == source
            and before.outdated.get(name) != found
            and all(path.with_suffix(suffix).is_file() for suffix in beside)
        )
        if anew or not is_finished:
            to_make.append(name)
            if found:
                outdated[name] = found
    record = _Record(settings, {**before.made_of, **made_of}, outdated)
    outputs = [folder / name for name in record.made_of]
    companions = [path.with_suffix(suffix) for path in outputs for suffix in beside]
    remove_leftovers([*outputs, *companions, folder / JOB_FILE, folder / MEL_CONFIG_FILE])
    content = {"kind": _KIND, **dataclasses.asdict(record)}
    write_whole(folder / JOB_FILE, (json.dumps(content, indent=0) + "\n").encode())
    return to_make


def _read(path: Path) -> _Record:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return _Record()
    except ValueError:
        content = None
    names = [field.name for field in dataclasses.fields(_Record)]
    if isinstance(content, dict) and content.get("kind") == _KIND:
        values = {name: content[name] for name in names if isinstance(content.get(name), dict)}
        if len(values) == len(names):
            return _Record(**values)
    raise InputError(
        f"{path}: is not the record of a synthesis, or damaged, and would be overwritten; "
        "move it away, or give another output directory"
    )


def _size_and_time(path: Path) -> list[int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return [status.st_size, status.st_mtime_ns]
