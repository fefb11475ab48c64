"""A synthesis job that can be interrupted and resumed: its outputs, and which of them are finished.

One file in the output directory records how each output is made. One process writes it, in one move, before the work
begins. Nothing is written to it during the work, so a kill at any moment does no harm. Files are recognised by size and
modification time, which are only compared for equality: no clock has to be right.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from common import distributed
from common.audio_config import MEL_CONFIG_FILE
from common.distributed import Distributed
from common.errors import InputError, first_three
from common.files.atomic import remove_leftovers, write_whole
from common.files.json_files import read_json
from common.synthesis.outputs import Part
from common.synthesis.phrases import safe_name

JOB_FILE = "synthesis.json"  # in the output directory
LARGEST_JOB_BYTES = 256 * 2**20  # a million outputs
_KIND = "speech synthesis of inference.py"


@dataclasses.dataclass(frozen=True)
class SynthesisJob:
    """Outputs to synthesise, and how to get their mels.

    Attributes:
        sources: output name -> short text that changes whenever the output's inputs change. Ordered.
        parts: output names -> their parts, read one at a time while they are consumed.
        mels: a batch of parts -> their mels [M, L].
        speaks: `mels` runs FastPitch, and is measured.
        problems: messages about the inputs that were skipped, so far. If the job speaks, they are not among `sources`.
        refused: number of inputs that are not among `sources`, if the job does not speak.
    """

    sources: Mapping[str, str]
    parts: Callable[[Collection[str]], Iterable[Part]]
    mels: Callable[[Sequence[Any]], list[Tensor]]
    speaks: bool
    problems: list[str] = dataclasses.field(default_factory=list)
    refused: int = 0


def unusable_inputs(problems: Sequence[str], total: int, what: str = "input files") -> str:
    """Return the message at the end of a job of `total` outputs some of whose inputs cannot be used."""
    rest = "" if len(problems) == total else "; all others are made"
    return f"{len(problems)} of {total} {what} cannot be used{rest}: {first_three(problems)}"


@dataclasses.dataclass(frozen=True)
class _Record:
    """Content of a job file. The field names are its keys.

    Attributes:
        settings: plain values that affect the sound of all outputs.
        made_of: output name -> its source, as in `SynthesisJob.sources`.
        outdated: output name -> size and modification time of a file made from another source. The file stays until it
            is replaced.
    """

    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    made_of: Mapping[str, str] = dataclasses.field(default_factory=dict)
    outdated: Mapping[str, list[int]] = dataclasses.field(default_factory=dict)


def file_version(path: Path) -> str:
    """Return a file's path, size in bytes and modification time: a text that changes when the file is replaced."""
    status = path.stat()
    return f"{path.resolve()} {status.st_size} {status.st_mtime_ns}"


def share_outputs(
    folder: Path,
    settings: Mapping[str, Any],
    job: SynthesisJob,
    redo: bool,
    companions: Sequence[str],
    place: Distributed,
) -> list[str]:
    """Return this process's share of the outputs still to make. Runs `start_job` on the main process."""
    names: list[str] = []
    distributed.first_on_main(lambda: names.extend(start_job(folder, settings, job.sources, redo, companions)), place)
    return distributed.gather(names)[0][place.rank :: place.world_size]


def start_job(
    folder: Path, settings: Mapping[str, Any], sources: Mapping[str, str], redo: bool, companions: Sequence[str] = ()
) -> list[str]:
    """Record how the outputs are made, and remove half-written files of a killed run.

    Must be called before any process writes. Outputs of earlier jobs with the same settings stay in the record.

    Args:
        folder: the output directory, created if missing.
        settings: plain values that affect the sound of all outputs.
        sources: output name, relative to the folder -> its source, as in `SynthesisJob`.
        redo: make all of them, even finished ones.
        companions: suffixes of further files that belong to each output.

    Returns:
        the names of the outputs still to make, in order.

    Raises:
        InputError: the job file is not one of ours. It is not overwritten.
    """
    settings = json.loads(json.dumps(settings))
    before = _read(folder / JOB_FILE)
    if before.settings != settings:
        before = _Record(settings)
    outdated = {name: found for name, found in before.outdated.items() if name not in sources}
    to_make = []
    for name, source in sources.items():
        path = folder / name
        found = _size_and_time(path)
        is_finished = (
            found is not None
            and found[0] > 0  # after a power cut, a file may exist without its content
            and before.made_of.get(name) == source
            and before.outdated.get(name) != found
            and all(path.with_suffix(suffix).is_file() for suffix in companions)
        )
        if redo or not is_finished:
            to_make.append(name)
            if found:
                outdated[name] = found
    record = _Record(settings, {**before.made_of, **sources}, outdated)
    outputs = [folder / name for name in record.made_of]
    beside = [path.with_suffix(suffix) for path in outputs for suffix in companions]
    remove_leftovers([*outputs, *beside, folder / JOB_FILE, folder / MEL_CONFIG_FILE])
    content = {"kind": _KIND, **dataclasses.asdict(record)}
    write_whole(folder / JOB_FILE, (json.dumps(content, indent=0) + "\n").encode())
    return to_make


def _read(path: Path) -> _Record:
    try:
        content = read_json(path, LARGEST_JOB_BYTES)
    except FileNotFoundError:
        return _Record()
    except InputError:
        content = None
    names = [field.name for field in dataclasses.fields(_Record)]
    if isinstance(content, dict) and content.get("kind") == _KIND:
        values = {name: content[name] for name in names if isinstance(content.get(name), dict)}
        if len(values) == len(names) and all(map(_is_output, [*values["made_of"], *values["outdated"]])):
            return _Record(**values)
    raise InputError(
        f"{path}: not the record of a synthesis, or damaged, and would be overwritten; "
        "move it away, or give another output directory"
    )


def _is_output(name: str) -> bool:
    """Return whether this can be an output's name. Leftovers beside outputs are removed, so it must not lead away."""
    try:
        return safe_name(name) == name
    except InputError:
        return False


def _size_and_time(path: Path) -> list[int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return [status.st_size, status.st_mtime_ns]
