"""Stages of a long job, each done once: a finished stage is skipped as long as nothing that it depends on changed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.files.atomic import write_whole
from common.files.json_files import read_json
from common.machine.hardware import commit
from common.project import PROJECT

log = logging.getLogger(__name__)
SOURCES_FILE = "made-from.json"


@dataclasses.dataclass(frozen=True)
class Stage:
    """A part of the job.

    Attributes:
        name: of its record.
        title: what it does, for the log.
        run: does it, or what is left of it after an interruption.
        depends_on: plain values that determine the result.
        after: stages whose results it uses.
    """

    name: str
    title: str
    run: Callable[[], None]
    depends_on: Any = None
    after: Sequence[str] = ()


class StageRecords:
    """Records of finished stages in a folder, `<name>.json` each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, name: str) -> dict[str, Any]:
        """Return the record of a finished stage: `key`, `seconds`, `commit`, or an empty one."""
        path = self.folder / f"{name}.json"
        try:
            found = read_json(path)
        except (FileNotFoundError, InputError):
            return {}
        return found if isinstance(found, dict) else {}

    def key(self, stage: Stage) -> str:
        """Return a digest of everything that determines a stage's result."""
        before = {name: self.read(name).get("key", "") for name in stage.after}
        text = json.dumps([stage.depends_on, before], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def keep_apart(self, folder: Path, *after: str) -> None:
        """Move a folder aside that was made from earlier results of other stages, and record what it is made from.

        Args:
            folder: for a result that grows over several starts, such as the checkpoints of a training.
            after: the stages that it is made from.
        """
        record = folder / SOURCES_FILE
        sources = {name: self.read(name).get("key", "") for name in after}
        if record.is_file() and read_json(record) != sources:
            earlier = folder.with_name(f"{folder.name}-before")
            shutil.rmtree(earlier, ignore_errors=True)
            folder.rename(earlier)
            log.info("what %s was made from has changed: it starts again, and the earlier one is %s", folder, earlier)
        write_whole(record, json.dumps(sources).encode())

    def is_finished(self, stage: Stage) -> bool:
        return self.read(stage.name).get("key") == self.key(stage)

    def run(self, *stages: Stage) -> None:
        """Run the stages that are not finished, one after the other, and record them."""
        for stage in stages:
            if self.is_finished(stage):
                log.info("%s: done already", stage.title)
                continue
            log.info("%s", stage.title)
            began = time.time()
            stage.run()
            self.record(stage, time.time() - began)

    def record(self, stage: Stage, seconds: float) -> None:
        """Record that a stage is finished."""
        record = {"key": self.key(stage), "seconds": round(seconds, 1), "commit": commit(PROJECT)}
        write_whole(self.folder / f"{stage.name}.json", (json.dumps(record, indent=1) + "\n").encode(), sync=True)
