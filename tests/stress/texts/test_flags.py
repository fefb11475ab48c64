"""Command lines with wrong, empty, enormous, repeated and contradictory values, up to where a program's work begins."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib
import io
import json
import os
import random
import shutil
import string
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from common.cli import run
from tests.support.data_sets import write_speech_set
from tests.support.fuzzing.bounded import check_message, run_bounded
from tests.support.models import TINY, TINY_FASTPITCH, make_checkpoint, make_fastpitch, make_voice
from tests.support.stress import cases, record

TRAINING = (
    "-d data --training-files data/train.txt --validation-files data/val.txt -o out --batch-size 1 --num-workers 0"
)
SPEECH = TRAINING.replace("data/", "data/speech_")


class WorkBegins(BaseException):
    """Raised in place of a program's work."""


@dataclasses.dataclass(frozen=True)
class Program:
    """A program, and where its work begins.

    Attributes:
        module: it has `main`.
        words: a command line that reaches the work.
        work: what the work calls, as `module:name`. None for programs that are run to the end.
        positional: what is given besides flags.
    """

    module: str
    words: str
    work: tuple[str, ...] = ()
    positional: bool = False

    @property
    def name(self) -> str:
        return self.module.removesuffix(".__main__")


PROGRAMS = [
    Program("inference", "-i phrases.txt -o out --voice voice", ("inference:synthesise", "inference:show_texts")),
    Program("inference", "-i mels.tsv -d data -o out --hifigan g.pt", ("inference:synthesise",)),
    Program("inference", "-i data/wavs -o out --hifigan g.pt", ("inference:synthesise",)),
    Program("inference", "--text Hello. -o a.wav --hifigan g.pt --fastpitch f.pt", ("inference:synthesise",)),
    Program("train", f"{TRAINING} --hifigan-config g.json", ("train:build_state",)),
    Program("fastpitch.train", f"{SPEECH} --fastpitch-config f.json", ("fastpitch.train:build_state",)),
    Program(
        "fastpitch.extract_mels",
        "--fastpitch f.pt -d data --filelists data/speech_train.txt -o out",
        ("fastpitch.extract_mels:extract",),
    ),
    Program(
        "export",
        "--hifigan g.pt --format onnx -o out/a.onnx",
        ("export:export", "export:write_for_program", "export:write_fastpitch"),
    ),
    Program("prepare_dataset", "-d data --write-filelists out --split own", ("prepare_dataset:run_over_files",)),
    Program("prepare_dataset", "-d data --extract-mels --extract-pitch", ("prepare_dataset:run_over_files",)),
    Program(
        "evaluate",
        "-i data/wavs --system mine=g.pt -o out",
        ("evaluate:resynthesise", "evaluate:judge", "evaluate:find_model"),
    ),
    Program(
        "evaluate",
        "--texts phrases.txt --system mine=voice:voice -o out",
        ("evaluate:resynthesise", "evaluate:judge", "evaluate:find_model"),
    ),
    Program(
        "hifigan.vocode",
        "data/wavs/clip000.wav out.wav --hifigan g.pt",
        ("hifigan.vocode:Vocoder", "hifigan.vocode:fetch_models"),
        positional=True,
    ),
    Program("voice.pack", "--hifigan g.pt --fastpitch f.pt -o out", ("voice.pack:_written",)),
    Program("voice.say", "Hello. -o out.wav --voice voice", ("voice.speech:Voice",), positional=True),
    Program(
        "voice.training.__main__",
        "data -o out --base voice",
        ("voice.training.__main__:VoiceTraining",),
        positional=True,
    ),
    Program("hifigan.plan.__main__", "--sampling-rate 44100"),
    Program("common.text.__main__", "Hello.", positional=True),
    Program("common.mel_contract", "g.pt f.pt", positional=True),
    Program("common.plot_log", "log -o out.png", ("common.plot_log:draw",), positional=True),
    Program("common.download.models", "hifigan-lj-v1", ("common.download.models:fetch_models",), positional=True),
    Program("common.download.datasets", "ljspeech", ("common.download.datasets:fetch_dataset",), positional=True),
    Program(
        "common.download.http", "http://127.0.0.1:9/x out.bin", ("common.download.http:download",), positional=True
    ),
    Program("demo.app", "--voice voice", ("demo.app:_import_gradio",)),
    Program("benchmarks.inference.benchmark", "-o out --hifigan g.pt", ("common.machine.hardware:describe",)),
    Program("benchmarks.training.benchmark", "-o out", ("common.machine.hardware:describe",)),
    Program("benchmarks.training.seeds", "-o out", ("subprocess:run",)),
    Program("benchmarks.gpu_first", "-o out --dry", ("benchmarks.gpu_first:run_all", "benchmarks.gpu_first:run_stage")),
    Program(
        "benchmarks.export_matrix", "--hifigan g.pt --wavs data/wavs", ("benchmarks.export_matrix:load_generator",)
    ),
    Program(
        "benchmarks.fastpitch_mels",
        "--fastpitch f.pt --dataset-path data --filelist data/speech_train.txt -o out",
        ("benchmarks.fastpitch_mels:load_fastpitch",),
    ),
    Program("benchmarks.prepare_benchmark", "--dataset-path data", ("benchmarks.prepare_benchmark:whole_programs",)),
    Program(
        "benchmarks.streaming_quality",
        "g.pt data/wavs/clip000.wav",
        ("benchmarks.streaming_quality:load_generator",),
        positional=True,
    ),
    Program("benchmarks.voice.assemble", "--dataset-path data -o out", ("benchmarks.voice.assemble:choose_clips",)),
    Program(
        "benchmarks.voice.transcripts",
        "--dataset-path data -o out --transcriber tiny",
        ("benchmarks.voice.transcripts:take_clips", "benchmarks.voice.transcripts:cut_clips"),
    ),
    Program(
        "benchmarks.voice.segments",
        "--dataset-path data --assembled data --work out",
        ("benchmarks.voice.segments:find_recordings",),
    ),
    Program("scripts.check_formats", "python3 g.pt", ("scripts.check_formats:check",), positional=True),
]
MAIN_PROGRAMS = 16  # the first ones, which are tried more often
NUMBERS = (
    *("0", "1", "2", "3", "-1", "-0", "0.5", "1e-320", "1e308", "1e400", "nan", "-nan", "inf", "-inf", "1_000", "٣"),
    *(str(2**31), str(2**63), str(2**64), str(10**30), "9" * 400, "9" * 5000, "0x10", "", " ", "1,5", "1.0", "8192"),
)
WORDS = (
    *("", " ", "x", "-", "--", "---", "-x", "=", "a=b", "a=", "=b", "v1", "v3", "auto", "on", "0", "None", "true"),
    *(
        "x" * 300,
        "x" * 100_000,
        "\udcff\udcfe",
        "\x1b[2J\x07",
        "a\nb",
        "a\rb",
        "größe",
        "日本語",
        "%s%n%d",
        "${x}",
        "*",
    ),
    *("Traceback (most recent call last)", "{HH AH0 L OW1}", "id,text", "id,id", "mine=g.pt:ema:denoise=x", "x=voice"),
    *("mean", "pitch ** 9 ** 9 ** 9", "__import__('os')", "pitch + " * 3000 + "1", "(" * 500, "1/0", "10**400 * pitch"),
    *("english_cleaners", "basic_cleaners", "english_basic", "kathleen", "scratch", "small", "recipe", "base", "tiny"),
)
PATHS = (
    *("data", "data/wavs", "data/wavs/clip000.wav", "data/train.txt", "data/speech_train.txt", "data/metadata.csv"),
    *("g.pt", "f.pt", "voice", "voice/hifigan.safetensors", "g.json", "f.json", "phrases.txt", "mels.tsv", "empty"),
    *("junk", "pipe", "pipe.json", "pipe.wav", "link", "log", "out", "out.wav", "out/a/b.wav", "missing", "g.pt/x"),
    *("missing.json", "x" * 300 + ".wav", "a/" * 600, "../" * 3, "../up.wav", ".", "..", "data/..", "out\n.wav"),
    *("größe/ü.wav", "\udcff.wav", "a.onnx", "a.ts", "own.dict", "german.json", "org/name", "-.wav", "~", "data/mels"),
)
JUNK = (
    "--unknown",
    "--unknown=1",
    "--batch",
    "--no-cuda",
    "--help",
    "--version",
    "-h",
    "x",
    "--",
    "-zzz",
    "--=x",
    "@file",
)


def find_parser(program: Program) -> argparse.ArgumentParser:
    """Return the parser of a program."""
    found: list[argparse.ArgumentParser] = []

    def keep(parser: argparse.ArgumentParser, *_: Any, **__: Any) -> Any:
        found.append(parser)
        raise WorkBegins

    with mock.patch.object(argparse.ArgumentParser, "parse_known_args", keep), contextlib.suppress(WorkBegins):
        main_of(program)([])
    return found[0]


def main_of(program: Program) -> Callable[[list[str]], int | None]:
    main = importlib.import_module(program.module).main

    def call(words: list[str]) -> int | None:
        if main.__code__.co_argcount:
            return main(words)
        with mock.patch.object(sys, "argv", [sys.argv[0], *words]):
            return main()

    return call


def write_files(folder: Path) -> None:
    """Write what the command lines name."""
    write_speech_set(folder / "data", [0.5] * 4)
    (folder / "data" / "mels").mkdir()
    np.save(folder / "data" / "mels" / "a.npy", np.linspace(-11, 1, 2400, dtype=np.float32).reshape(80, 30))
    make_checkpoint(folder / "g.pt")
    make_fastpitch(folder / "f.pt")
    make_voice(folder / "voice")
    values = TINY_FASTPITCH.to_dict()
    for name in ("n_symbols", "padding_idx", "n_mel_channels", "n_speakers"):
        del values[name]
    files: dict[str, str | bytes] = {
        "g.json": json.dumps(TINY.to_dict()),
        "f.json": json.dumps(values),
        "german.json": json.dumps({"symbols": string.ascii_lowercase + "äöüß."}),
        "own.dict": "SQL  S IY1 K W AH0 L\n",
        "phrases.txt": "Hello world.\nGood bye.\n",
        "mels.tsv": "mel\nmels/a.npy\n",
        "empty": "",
        "junk": bytes(range(256)) * 8,
    }
    for name, content in files.items():
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    (folder / "log").mkdir()
    data = {"step": [1, 1, 2], "data": {"train_g_loss": 1.0}}
    (folder / "log" / "nvlog.json").write_text("".join(f"DLLL {json.dumps(data)}\n" for _ in range(3)))
    for name in ("pipe", "pipe.json", "pipe.wav"):
        os.mkfifo(folder / name)
    (folder / "link").symlink_to("missing")


def make_words(program: Program, parser: argparse.ArgumentParser, rng: random.Random) -> list[str]:
    """Return a command line: one that works, with flags and words added, removed, repeated and exchanged."""
    words = program.words.split() if rng.random() < 0.9 else []
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3, 6))):
        kind = rng.randrange(10)
        at = rng.randrange(len(words) + 1)
        if kind < 7:
            words[at:at] = flag_words(rng.choice(parser._actions), rng)
        elif kind == 7 and words:
            del words[rng.randrange(len(words))]
        elif kind == 8 and words:
            words[rng.randrange(len(words))] = rng.choice((*NUMBERS, *WORDS, *PATHS))
        else:
            words.insert(at, rng.choice(JUNK))
    return words


def flag_words(action: argparse.Action, rng: random.Random) -> list[str]:
    """Return a flag, at any place of a command line, with a value that may not fit."""
    if not action.option_strings or isinstance(action, argparse._HelpAction | argparse._VersionAction):
        return [rng.choice((*WORDS, *PATHS))]
    spelling = rng.choice(action.option_strings)
    if rng.random() < 0.1 and spelling.startswith("--"):
        spelling = "--" + spelling[2:].replace("-", "_")
    if action.nargs == 0:
        return [spelling if rng.random() < 0.95 else f"{spelling}=1"]
    pool: list[str] = [*(PATHS if str(action.metavar).endswith("PATH") else WORDS)]
    if action.type in (int, float):
        pool = [*NUMBERS]
    if action.choices and rng.random() < 0.8:
        pool = [*map(str, action.choices)]
    if rng.random() < 0.15:
        pool = [*NUMBERS, *WORDS, *PATHS]
    values = [rng.choice(pool) for _ in range(rng.choice((1, 1, 1, 2, 0)) if action.nargs == "+" else 1)]
    return [f"{spelling}={values[0]}"] if values and rng.random() < 0.2 else [spelling, *values]


def run_words(program: Program, words: list[str]) -> str:
    """Run a program on a command line. Return how it ended.

    Raises:
        AssertionError: an error that is not one line.
    """
    error, output = io.StringIO(), io.StringIO()
    with contextlib.ExitStack() as stack:
        for target in program.work:
            module, name = target.split(":")
            stack.enter_context(mock.patch.object(importlib.import_module(module), name, side_effect=WorkBegins))
        stack.enter_context(contextlib.redirect_stderr(error))
        stack.enter_context(contextlib.redirect_stdout(output))
        stack.enter_context(mock.patch("sys.stdin", io.StringIO("")))
        try:
            run(lambda: main_of(program)(words), program.name)
        except WorkBegins:
            return "reached"
        except SystemExit as ended:
            status = ended.code or 0
    if status == 0:
        return "done"
    assert status in (1, 2), f"status {status}"
    if program.module == "common.mel_contract" and status == 1:  # as diff(1) does, it found a difference
        return "done"
    message = error.getvalue()
    assert message.endswith("\n"), message
    check_message(message[:-1])
    assert ": error: " in message
    return "refused"


class Runner:
    """Runs command lines in a folder, whose files come back after each that changed them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pristine = folder / "pristine"
        self.pristine.mkdir(parents=True)
        write_files(self.pristine)
        for program in PROGRAMS:  # imports take seconds
            for target in (f"{program.module}:", *program.work):
                importlib.import_module(target.partition(":")[0])
        self.parsers = [find_parser(program) for program in PROGRAMS]
        self.state: set[tuple[Any, ...]] = set()

    def restore(self) -> None:
        place = self.folder / "place"
        if place.exists():
            shutil.rmtree(place)
        for name in ("up.wav", "out", "x"):
            (self.folder / name).unlink(missing_ok=True) if not (self.folder / name).is_dir() else None
        shutil.copytree(self.pristine, place, symlinks=True, ignore=lambda _, names: [n for n in names if "pipe" in n])
        for name in ("pipe", "pipe.json", "pipe.wav"):
            os.mkfifo(place / name)
        os.chdir(place)
        self.state = self.look()

    def look(self) -> set[tuple[Any, ...]]:
        found = set()
        for parent, folders, names in os.walk("."):
            for name in (*folders, *names):
                status = os.lstat(os.path.join(parent, name))  # noqa: PTH118 (quick)
                found.add((parent, name, status.st_size, status.st_mode))
        return found

    def run(self, number: int) -> str:
        rng = random.Random(number)
        index = rng.randrange(MAIN_PROGRAMS if rng.random() < 0.7 else len(PROGRAMS))
        program = PROGRAMS[index]
        if not self.state or self.look() != self.state:
            self.restore()
        words = make_words(program, self.parsers[index], rng)
        try:
            return f"{program.name} {run_words(program, words)}"
        except Exception as error:
            error.add_note(f"command line: {program.name} {words!r}"[:2000]) if hasattr(error, "add_note") else None
            raise


@pytest.mark.medium
@pytest.mark.timeout(14_400)
def test_command_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    logs = tmp_path / "logs"
    logs.mkdir()
    runner = Runner(tmp_path / "a" / "b" / "work")
    count = cases(120, 20_000)
    found = run_bounded(runner.run, count, logs)
    found.check()
    ends = {outcome.rpartition(" ")[2] for outcome in found.outcomes}
    assert ends >= {"reached", "done", "refused"}
    record("Command lines are taken or refused in one line", count, found.describe())


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: f"{program.name} {program.words}"[:40])
def test_the_command_line_that_is_changed_reaches_the_work(
    program: Program, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise changes of it would test nothing but the first check that it fails."""
    monkeypatch.chdir(files)
    assert run_words(program, program.words.split()) in ("reached", "done")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    write_files(folder)
    return folder
