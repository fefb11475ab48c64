"""Programs in processes that tests kill: quick to start, since they are forked from a process that has PyTorch."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import multiprocessing
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path

from common.cli import run
from tests.stress.programs.inputs import Inputs

MODULES: tuple[str, ...] = (
    "inference",
    "prepare_dataset",
    "evaluate",
    "export",
    "fastpitch.train",
    "fastpitch.extract_mels",
)
MODULES += ("voice.pack", "voice.training.__main__")
_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload([*MODULES, "tests.stress.programs.victims"])
LIMIT_SEC = 240.0  # on a busy machine


@dataclasses.dataclass(frozen=True)
class Program:
    """A program, and the outputs that an undisturbed run makes.

    Attributes:
        module: with its `main`.
        arguments: a folder that belongs to the run, inputs -> command line.
        prepare: fills that folder before the first start.
        changing: names of files that differ between undisturbed runs, or while the program works.
    """

    module: str
    arguments: Callable[[Path, Inputs], list[str]]
    prepare: Callable[[Path, Inputs], None] = lambda folder, inputs: None
    changing: tuple[str, ...] = ()

    @property
    def prog(self) -> str:
        name = self.module.removesuffix(".__main__")
        return name if "." in name else f"{name}.py"


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a process ended: its status as shells report it, and its lines on stderr."""

    status: int
    lines: list[str]

    @property
    def killed(self) -> bool:
        return self.status == 128 + signal.SIGKILL


class Victim:
    """A program in its own session.

    Args:
        program: what runs.
        folder: the run's folder.
        inputs: its input.
        before: called in the process before the program. It can be pickled.
        log: name of the file beside the folder that gets stderr, for several victims in one folder.
    """

    def __init__(
        self, program: Program, folder: Path, inputs: Inputs, before: Callable[[], None] | None = None, log: str = ""
    ) -> None:
        self._log = folder.with_name(f"{log or folder.name}.log")
        argv = program.arguments(folder, inputs)
        self.process: BaseProcess = _server.Process(
            target=_main, args=(program.module, program.prog, argv, str(self._log), before)
        )
        self.process.start()
        assert self.process.pid is not None
        self.pid: int = self.process.pid

    def send(self, number: int, *, group: bool = True) -> None:
        with contextlib.suppress(ProcessLookupError):
            if group and os.getpgid(self.pid) == self.pid:
                os.killpg(self.pid, number)
            else:
                os.kill(self.pid, number)

    def workers(self) -> list[int]:
        """Return the processes that the program has started."""
        found = []
        for path in Path(f"/proc/{self.pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += [int(word) for word in path.read_text().split()]
        return found

    def wait(self) -> Ended:
        self.process.join(LIMIT_SEC)
        hung = self.process.exitcode is None
        if hung:
            self.send(signal.SIGKILL)
            self.process.join()
        text = self._log.read_text() if self._log.exists() else ""
        assert not hung, f"hung for {LIMIT_SEC} s: {text}"
        code = self.process.exitcode
        assert code is not None
        return Ended(code if code >= 0 else 128 - code, text.splitlines())


def _main(module: str, prog: str, argv: list[str], log: str, before: Callable[[], None] | None) -> None:
    os.setsid()
    multiprocessing.set_start_method("fork", force=True)  # as in programs that users start
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(descriptor, 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if before:
        before()
    main = importlib.import_module(module).main
    run(lambda: main(argv), prog)


def finish(program: Program, folder: Path, inputs: Inputs) -> Ended:
    """Run a program undisturbed. An output that is refused because it is there already counts as success."""
    ended = Victim(program, folder, inputs).wait()
    is_there = len(ended.lines) == 1 and ended.lines[0].endswith("exists already; remove it or name another place")
    return Ended(0, []) if is_there else ended


def contents(folder: Path, changing: tuple[str, ...] = ()) -> dict[str, bytes]:
    """Return the content of all files below a folder, hidden ones included."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in changing
    }


def differences(found: Mapping[str, bytes], expected: Mapping[str, bytes]) -> list[str]:
    """Return the names of files that are missing, additional or different."""
    names = found.keys() | expected.keys()
    return sorted(name for name in names if found.get(name) != expected.get(name))


@dataclasses.dataclass
class Disturbances:
    """Runs a program again and again, disturbs it at random moments, and compares its outputs.

    Attributes:
        kills: processes or sessions that were killed.
        stops: programs that ended by Ctrl-C or SIGTERM.
        finished: undisturbed runs after these, each with the same outputs as a run that nothing disturbed.
    """

    program: Program
    inputs: Inputs
    root: Path
    seed: int = 0
    kills: int = 0
    stops: int = 0
    finished: int = 0
    expected: dict[str, bytes] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0

    def begin(self) -> None:
        """Run the program undisturbed, twice: the first process waits for the imports of the server."""
        for _ in range(2):
            whole = self.fresh("whole")
            began = time.monotonic()
            ended = finish(self.program, whole, self.inputs)
            assert ended.status == 0, ended.lines
            self.seconds = time.monotonic() - began
        self.expected = contents(whole, self.program.changing)
        assert self.expected

    def fresh(self, name: str) -> Path:
        folder = self.root / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.program.prepare(folder, self.inputs)
        return folder

    def run(self, count: int) -> None:
        """Disturb runs `count` times. After one to three disturbances, a run has to finish the work."""
        self.begin()
        random_numbers = random.Random(self.seed)
        folder, left = self.fresh("disturbed"), random_numbers.randint(1, 3)
        while self.kills + self.stops < count:
            if self._disturb(folder, random_numbers):
                left -= 1
            else:
                left = 0  # it was too quick
                self.seconds = max(0.2, 0.9 * self.seconds)
            if left <= 0:
                self._complete(folder)
                folder, left = self.fresh("disturbed"), random_numbers.randint(1, 3)
        self._complete(folder)

    def _disturb(self, folder: Path, random_numbers: random.Random) -> bool:
        """Disturb one run at a random moment. Return whether that ended it or one of its processes."""
        how = random_numbers.choice(["session", "session", "main", "worker", "SIGINT", "SIGTERM", "SIGTERM to main"])
        victim = Victim(self.program, folder, self.inputs)
        time.sleep(random_numbers.uniform(0.05, max(0.1, self.seconds)))
        killed_worker = False
        if how == "worker":
            if workers := victim.workers():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(random_numbers.choice(workers), signal.SIGKILL)
                    killed_worker = True
        elif how in ("session", "main"):
            victim.send(signal.SIGKILL, group=how == "session")
        else:
            victim.send(signal.Signals[how.split()[0]], group=how in ("SIGINT", "SIGTERM"))
        ended = victim.wait()
        self._check_end(ended, how)
        self.check_whole(folder)
        self.kills += ended.killed or killed_worker
        self.stops += ended.status in (130, 143)
        return ended.status != 0 or killed_worker

    def _check_end(self, ended: Ended, how: str) -> None:
        assert not any("Traceback" in line for line in ended.lines), (how, ended)
        errors = [line for line in ended.lines if f"{self.program.prog}: " in line and ": INFO: " not in line]
        errors = [line for line in errors if ": WARNING: " not in line]
        if ended.status in (130, 143):
            # A process that is signalled before its handlers are there has no line.
            word = "interrupted" if ended.status == 130 else "terminated"
            assert errors in ([f"{self.program.prog}: {word}"], []), (how, ended)
        elif not ended.killed:
            assert ended.status == (1 if errors else 0), (how, ended)
            assert len(errors) <= 1, (how, ended)
            assert how == "worker" or not errors, (how, ended)

    def check_whole(self, folder: Path) -> None:
        """Raise AssertionError if a file has its name but not all of its content."""
        found = contents(folder, self.program.changing)
        named = {
            name: content
            for name, content in found.items()
            if not any(part.startswith(".") for part in Path(name).parts)
        }
        wrong = [name for name, content in named.items() if self.expected.get(name) != content]
        assert not wrong, wrong

    def _complete(self, folder: Path) -> None:
        ended = finish(self.program, folder, self.inputs)
        assert ended.status == 0, ended.lines
        assert not (wrong := differences(contents(folder, self.program.changing), self.expected)), wrong
        self.finished += 1
