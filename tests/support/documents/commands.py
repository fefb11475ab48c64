"""Commands in documents, and whether our programs and scripts understand them."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from unittest import mock

from common.cli import ArgumentParser
from tests.support.documents.markdown import code_blocks
from tests.support.paths import REPOSITORY

# Programs that are not ours, and words of the shell.
FOREIGN = {"aplay", "cd", "cp", "curl", "docker", "git", "kubectl", "mkdir", "pip", "sbatch", "sed", "source"}
ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")


@dataclass
class Command:
    """A command of a document: `variables` before it, then `words`. `section` is the text under its level-2 heading."""

    words: list[str]
    variables: dict[str, str] = field(default_factory=dict)
    section: str = ""

    def __str__(self) -> str:
        return shlex.join([*(f"{name}={value}" for name, value in self.variables.items()), *self.words])


def split_commands(block: str) -> Iterator[Command]:
    """Yield the commands of a shell block. Whole scripts, which start with #!, have none."""
    if block.startswith("#!"):
        return
    for line in block.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if set(word) <= set("|&;"):
                if words:
                    yield as_command(words)
                words = []
            else:
                words.append(word)


def as_command(words: list[str]) -> Command:
    words = words[1:] if words[0] == "export" else words
    number = next((i for i, word in enumerate(words) if not ASSIGNMENT.match(word)), len(words))
    return Command(words[number:], dict(word.split("=", 1) for word in words[:number]))


def find_commands(path: Path) -> list[Command]:
    """Return the commands in the shell blocks of a document."""
    found = []
    for section in re.split(r"^(?=## )", path.read_text(encoding="utf-8"), flags=re.MULTILINE):
        for block in code_blocks(section, "bash"):
            for command in split_commands(block):
                command.section = section
                found.append(command)
    return found


def find_inline_commands(path: Path) -> list[Command]:
    """Return the commands in code spans, such as `python train.py --help`. They may be incomplete."""
    text = re.sub(r"^ *```.*?^ *```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", text)]
    return [
        command
        for span in spans
        if re.match(r"(\w+=\S+ )*(bash|python|hifigan-[\w-]+) ", span)
        for command in split_commands(span)
    ]


# Our programs.


class ParsedError(Exception):
    """The command line was understood. Raised in place of running the program."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.parser = parser


def parse(module: str, words: list[str] | None) -> argparse.ArgumentParser:
    """Let a program parse its arguments, and stop it then. With None, only return its parser.

    Raises:
        SystemExit, InputError: the program refuses the arguments.
    """

    parse_args = ArgumentParser.parse_args

    def stop(self: ArgumentParser, args: list[str] | None = None, namespace: argparse.Namespace | None = None) -> None:
        if words is not None:
            self.complete = None  # it would look at the files that the command names
            parse_args(self, args, namespace)
        raise ParsedError(self)

    main = importlib.import_module(module).main
    with (
        mock.patch.object(ArgumentParser, "parse_args", stop),
        mock.patch.object(sys, "argv", [module, *(words or [])]),
    ):
        try:
            main()
        except ParsedError as parsed:
            return parsed.parser
    raise AssertionError(f"{module} did not parse its command line")


@cache
def options(module: str) -> frozenset[str]:
    """Return the flags of a program."""
    return frozenset(parse(module, None)._option_string_actions)


def python_module(name: str) -> str:
    """Return the module of a file such as train.py, or of the argument of `python -m`."""
    path = name.removesuffix(".py").replace(".", "/")
    assert any((REPOSITORY / file).is_file() for file in (f"{path}.py", f"{path}/__main__.py")), (
        f"{name}: no such program"
    )
    return (f"{path}.__main__" if (REPOSITORY / path / "__main__.py").is_file() else path).replace("/", ".")


def console_module(name: str) -> str:
    """Return the module of a console command, such as train for hifigan-train."""
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    target = re.search(rf'^{name} = "(?:hifigan_recipe\.)?([\w.]+):', text, re.MULTILINE)
    assert target, f"{name}: pyproject.toml has no such command"
    return target[1]


# The program that gets a script's further arguments.
SCRIPT_PROGRAMS = {
    "scripts/download_dataset.sh": "common.download.datasets",
    "scripts/download_model.sh": "common.download.models",
    "scripts/download_models.sh": "common.download.models",
    "scripts/extract_fine_tune_mels.sh": "fastpitch.extract_mels",
    "scripts/fine_tune.sh": "train",
    "scripts/inference_benchmark.sh": "benchmarks.inference.benchmark",
    "scripts/inference_example.sh": "inference",
    "scripts/prepare_dataset.sh": "prepare_dataset",
    "scripts/train.sh": "train",
    "scripts/train_benchmark.sh": "benchmarks.training.benchmark",
    "scripts/train_fastpitch.sh": "fastpitch.train",
    "scripts/train_lj22khz.sh": "train",
    "scripts/train_voice.sh": "voice.training.__main__",
}


@cache
def script_text(script: str) -> str:
    """Return the text of a shell script of ours, with the scripts that it runs and sources."""
    path = REPOSITORY / script
    assert path.is_file(), f"{script}: no such script"
    text = path.read_text(encoding="utf-8")
    code = re.sub(r"^#.*", "", text, flags=re.MULTILINE)
    others = set(re.findall(r"(?:bash|source) (scripts/\S+\.sh)", code))
    others |= {f"scripts/{name}" for name in re.findall(r'exec bash "\$\(dirname.*\)/(\w+\.sh)"', code)}
    return text + "".join(script_text(other) for other in sorted(others - {script}))


def check(command: Command, whole: bool = True) -> None:
    """Fail unless the program of a command exists and understands its variables and arguments.

    Args:
        command: the command.
        whole: False accepts that required arguments are missing, and checks flags alone.
    """
    words = list(command.words)
    if not words or words[0] in FOREIGN:
        return
    if words[0].startswith("hifigan-"):
        words = ["python", "-m", console_module(words[0]), *words[1:]]
    if words[0] == "torchrun":
        words = ["python", *words[next(i for i, word in enumerate(words) if word.endswith(".py")) :]]
    if words[:2] == ["python", "-c"] or words[:3] in (["python3", "-m", "venv"], ["python", "-m", "pytest"]):
        return
    if words[0] == "bash":
        script, arguments = words[1], words[2:]
        text = script_text(script)
        unknown = [name for name in command.variables if not re.search(rf"\b{name}\b", text)]
        assert not unknown, f"{command}: {script} does not know {unknown}"
        if script.startswith(("scripts/docker/", "platform/")) or script in ("scripts/test.sh", ".ci/run"):
            return  # they pass their arguments to docker, pytest, or another script
        flags = [word.split("=")[0] for word in arguments if word.startswith("-")]
        known = options(SCRIPT_PROGRAMS[script]) if script in SCRIPT_PROGRAMS else set()
        assert {dashed(flag) for flag in flags} <= known, f"{command}: unknown flag of {script}"
        return
    assert words[0] == "python", f"{command}: not a program of this repository"
    module, arguments = (words[2], words[3:]) if words[1] == "-m" else (words[1], words[2:])
    folder = re.match(r"(\w+)(?:/|\.(?!py$))", module)
    if not whole and folder and not (REPOSITORY / folder[1]).is_dir():
        return  # a program of another project, in prose
    module = python_module(module)
    if "--help" in arguments or not arguments:
        return
    if not whole:
        flags = [word.split("=")[0] for word in arguments if word.startswith("--")]
        assert {dashed(flag) for flag in flags} <= options(module), f"{command}: unknown flag"
        return
    parse(module, arguments)


def dashed(flag: str) -> str:
    """Spell a flag with dashes, as the parsers know it."""
    return flag.replace("_", "-")


# Why the tests only parse a command.
REASONS = {
    "network": re.compile(r"\bdownload_\w+\.sh|^pip |\bhifigan\.vocode\b|--texts"),
    "docker": re.compile(r"scripts/docker/|^kubectl|^docker"),
    "GPU": re.compile(r"--cuda|NUM_GPUS=[1-9]|platform/DGX|^torchrun"),
    "time": re.compile(r"scripts/(train|fine_tune|extract_fine_tune_mels|\w+_benchmark|quickstart)\w*\.sh"),
    "other programs": re.compile(r"^aplay|^sbatch"),
}


def reasons(command: Command) -> list[str]:
    """Return why the tests do not run a command as it is written."""
    return [reason for reason, pattern in REASONS.items() if pattern.search(str(command))]
