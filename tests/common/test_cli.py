"""Flags from dataclasses: spellings, defaults, errors of one line."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

import pytest

from common.cli import (
    ArgumentParser,
    add_flags,
    check_command_line,
    flag,
    from_flags,
    is_started,
    not_negative,
    positive,
    run,
    share,
)
from common.errors import InputError
from common.project import VERSION


@dataclasses.dataclass(frozen=True)
class Settings:
    batch_size: int = flag(16, "size", short=("-bs",))
    learning_rate: float = flag(3e-4, "rate of 100 %")
    training_files: tuple[str, ...] = flag((), "lists")
    mel_fmax: float | None = flag(None, "limit")
    resume: bool = flag(True, "go on")
    cuda: bool = flag(False, "use the GPU")
    mode: str = flag("a", "kind", choices=("a", "b"))
    hidden: int = 7


def parse(*words: str) -> Settings:
    parser = ArgumentParser(prog="prog")
    add_flags(parser, Settings, "settings")
    return from_flags(Settings, vars(parser.parse_args(words)))


def test_defaults_and_values() -> None:
    assert parse() == Settings()
    made = parse("-bs", "2", "--learning-rate=1e-2", "--training-files", "x", "y_z", "--mel-fmax", "8000", "--cuda")
    assert made == Settings(2, 0.01, ("x", "y_z"), 8000.0, True, True)
    assert parse("--no-resume").resume is False
    assert parse("--mode", "b").mode == "b"


@pytest.mark.parametrize("words", [("--batch_size", "3"), ("--batch-size", "3"), ("--batch_size=3",), ("-bs", "3")])
def test_spellings(words: tuple[str, ...]) -> None:
    assert parse(*words).batch_size == 3


def test_values_keep_their_underscores() -> None:
    assert parse("--training_files=a_b").training_files == ("a_b",)
    assert parse("--no_resume").resume is False


def test_the_command_line_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["prog", "--batch_size", "5"])
    parser = ArgumentParser(prog="prog")
    add_flags(parser, Settings, "settings")
    assert vars(parser.parse_args()) == {"batch_size": 5}, "only flags that were given"


@pytest.mark.parametrize(
    "words",
    [
        ("--unknown", "1"),
        ("--batch", "3"),
        ("--batch-size", "many"),
        ("--batch-size",),
        ("--batch-size", "1.5"),
        ("--mode", "c"),
        ("--no-cuda",),
        ("--hidden", "1"),
        ("stray",),
    ],
)
def test_errors_are_one_line(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(*words)
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("prog: error: ")
    assert error.count("\n") == 1
    assert words[0] in error


def test_help_names_every_flag_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse("--help")
    assert caught.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for words in (
        "size (default: 16)",
        "rate of 100 % (default: 0.0003)",
        "lists (default: none)",
        "limit (default: none)",
        "go on (default: on)",
        "use the GPU (default: off)",
        "--no-resume",
        "{a,b}",
    ):
        assert words in text
    assert "--hidden" not in text


@dataclasses.dataclass(frozen=True)
class Dependent:
    kind: str = flag("plain", "kind", choices=("plain", "fancy"))
    pattern: str = flag("dots", "pattern", only_with="kind=fancy")
    colour: str = flag("red", "colour", only_with=("cuda", "mel_fmax"))
    rate: int = flag(1, "rate", not_with="mode=b")


@dataclasses.dataclass(frozen=True)
class Extra:
    extra: bool = flag(False, "more")
    extra_size: int = flag(1, "size of it")
    extra_rate: int = flag(1, "rate of it", not_with="cuda", refuse_default=True)


IDLE = {
    "another value": (["--pattern", "x"], "--pattern: has no effect without --kind fancy"),
    "any of two": (["--colour", "blue"], "--colour: has no effect without --cuda or --mel-fmax"),
    "off": (["--mel-fmax", "0", "--colour", "blue"], "--colour: has no effect without --cuda or --mel-fmax"),
    "a value": (["--rate", "2", "--mode", "b"], "--rate: has no effect with --mode b"),
    "a group": (["--extra_size", "1"], "--extra-size: has no effect without --extra"),
    "both": (["--extra", "--cuda", "--extra-rate", "1"], "--extra-rate: has no effect with --cuda"),
}


def dependent_parser() -> ArgumentParser:
    parser = ArgumentParser(prog="prog")
    add_flags(parser, Settings, "settings")
    add_flags(parser, Dependent, "dependent")
    add_flags(parser, Extra, "extra", only_with="extra", or_with="luck")
    return parser


@pytest.mark.parametrize("kind", IDLE)
def test_flags_without_effect_are_refused(kind: str) -> None:
    words, message = IDLE[kind]
    with pytest.raises(InputError) as caught:
        dependent_parser().parse_args(words)
    assert str(caught.value) == message


def test_flags_with_their_conditions_are_taken(capsys: pytest.CaptureFixture[str]) -> None:
    words = "--kind fancy --pattern x --cuda --colour blue --rate 2 --extra --extra-size 3"
    assert vars(dependent_parser().parse_args(words.split()))["extra_size"] == 3
    assert vars(dependent_parser().parse_args(["--colour", "blue", "--mel-fmax", "1"]))["colour"] == "blue"
    assert vars(dependent_parser().parse_args(["--pattern", "dots"]))["pattern"] == "dots"  # its default
    with pytest.raises(SystemExit):
        dependent_parser().parse_args(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    for shown in (
        "pattern (with --kind fancy) (default: dots)",
        "colour (with --cuda or --mel-fmax)",
        "rate (not with",
    ):
        assert shown in text
    assert "extra (with --extra or luck):" in text


@dataclasses.dataclass(frozen=True)
class Needed:
    wanted: str = flag("", "file", short=("-w",), metavar="PATH", required=True)
    kind_of: str = flag("", "sort", choices=("x", "y"), required=True)
    optional: str = flag("", "another", metavar="NAME|PATH")


def needing_parser(prog: str = "prog.py") -> ArgumentParser:
    parser = ArgumentParser(prog, needs="(-a | -b)", epilog="A note, 100 %.", examples=("-w a  b", "--kind-of x"))
    parser.add_argument("source", metavar="IN")
    parser.add_argument("others", metavar="MORE", nargs="*")
    add_flags(parser, Needed, "needed")
    return parser


def shown_by(parser: ArgumentParser, word: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as caught:
        parser.parse_args([word])
    assert caught.value.code == 0
    return capsys.readouterr().out


def test_help_shows_what_is_needed_and_examples(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown_by(needing_parser(), "--help", capsys)
    assert text.startswith("usage: python prog.py (-a | -b) IN [MORE ...] -w PATH --kind-of {x,y} [flags]\n\n")
    for shown in ("-w PATH, --wanted PATH", "file (required)", "sort (required)", "--optional NAME|PATH"):
        assert shown in text
    assert text.endswith("A note, 100 %.\n\nexamples:\n\n  python prog.py -w a  b\n  python prog.py --kind-of x\n")
    assert "usage: python -m a.prog (" in shown_by(needing_parser("a.prog"), "--help", capsys)


@pytest.mark.parametrize("words", [[], ["-w", ""], ["--kind-of", "x"]])
def test_required_flags(words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        needing_parser().parse_args(["in", *words])
    assert str(caught.value) == "-w: is required (see python prog.py --help)"
    with pytest.raises(InputError, match=r"^--kind-of: is required"):
        needing_parser().parse_args(["in", "-w", "x"])
    assert vars(needing_parser().parse_args(["in", "-w", "x", "--kind_of", "y"]))["kind_of"] == "y"


@pytest.mark.parametrize(
    ("word", "suggestion"),
    [
        ("--batchsize=3", "; did you mean --batch-size?"),
        ("--learning_rat", "; did you mean --learning-rate?"),
        ("--no-resum", "; did you mean --no-resume?"),
        ("--zzz", ""),
        ("batch-size", ""),
    ],
)
def test_unknown_flags_get_a_suggestion(word: str, suggestion: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(word)
    dashed = word.replace("_", "-") if word.startswith("--") else word
    assert capsys.readouterr().err == f"prog: error: unknown arguments: {dashed}{suggestion} (see prog --help)\n"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown_by(needing_parser(), "--version", capsys) == f"prog.py, version {VERSION} of hifigan-recipe\n"


def test_a_console_command_uses_its_own_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/hifigan-train", "--batch_size", "x"])
    assert shown_by(needing_parser("train.py"), "--help", capsys).startswith("usage: hifigan-train (-a")

    def main() -> int:
        raise InputError("a.wav: bad")

    with pytest.raises(SystemExit):
        run(main, "train.py")
    assert capsys.readouterr().err == "hifigan-train: error: a.wav: bad\n"


@pytest.mark.parametrize(
    ("module", "started", "expected"),
    [
        ("__main__", "a/train.py", True),
        ("hifigan_recipe.train", "/bin/hifigan-train", True),
        ("train", "pytest", False),
        ("__mp_main__", "a/train.py", False),
    ],
)
def test_programs_know_whether_they_were_started(
    module: str, started: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [started])
    assert is_started(module) is expected


def test_an_early_check_ends_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def refuse() -> None:
        raise InputError("-i: is required")

    check_command_line(list, "prog")  # a command line without mistakes goes on
    with pytest.raises(SystemExit, match=r"^1$"):
        check_command_line(refuse, "prog")
    assert capsys.readouterr().err == "prog: error: -i: is required\n"


def test_base_values_yield_to_flags() -> None:
    assert from_flags(Settings, {"batch_size": 2, "foreign": 1}, batch_size=3, hidden=4) == Settings(2, hidden=4)


@pytest.mark.parametrize("value", [-0.01, 1.01, float("nan")])
def test_share(value: float) -> None:
    share(a=0, b_c=1)
    with pytest.raises(InputError, match=r"--b-c: .* is not between 0 and 1"):
        share(a=0.5, b_c=value)


def test_positive() -> None:
    positive(a=1, b=0.1)
    for value in (0, -1, float("nan")):
        with pytest.raises(InputError, match="--b: "):
            positive(a=1, b=value)


@pytest.mark.parametrize(
    ("error", "line", "status"),
    [
        (InputError("a.wav: bad"), "prog: error: a.wav: bad\n", 1),
        (FileNotFoundError("a.wav: no such file"), "prog: error: a.wav: no such file\n", 1),
        (OSError(28, "No space left on device", "x"), "prog: error: [Errno 28] No space left on device: 'x'\n", 1),
        (InputError("Traceback of a worker\n  line\ncommon.errors.InputError: b.wav: bad"), "b.wav: bad\n", 1),
        (InputError(""), "prog: error: InputError\n", 1),
        (
            ModuleNotFoundError("No module named 'tensorboard'", name="tensorboard"),
            "prog: error: the package tensorboard is missing: pip install tensorboard\n",
            1,
        ),
        (KeyboardInterrupt(), "prog: interrupted\n", 130),
    ],
)
def test_programs_end_with_one_line(
    error: BaseException, line: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def main() -> int:
        raise error

    with pytest.raises(SystemExit) as caught:
        run(main, "prog")
    assert caught.value.code == status
    output = capsys.readouterr().err
    assert output.endswith(line)
    assert output.count("\n") == 1
    assert "Traceback" not in output


def test_programs_end_with_their_status() -> None:
    for main, status in ((lambda: None, 0), (lambda: 0, 0), (lambda: 3, 3)):
        with pytest.raises(SystemExit) as caught:
            run(main, "prog")
        assert caught.value.code == status


def test_defects_are_not_hidden() -> None:
    for error in (ZeroDivisionError, ModuleNotFoundError("No module named 'ours'", name="ours")):

        def main(error: Any = error) -> int:
            raise error

        with pytest.raises((ZeroDivisionError, ModuleNotFoundError)):
            run(main, "prog")


def test_enormous_numbers_are_refused() -> None:
    """`math.isfinite` raised OverflowError for a number of 400 digits."""
    for check in (positive, not_negative):
        with pytest.raises(InputError, match=r"--clips: 1000.* is too large"):
            check(clips=10**400)


def test_messages_have_no_control_characters() -> None:
    """Names and texts of damaged files cannot move the cursor of a terminal, or fail to be printed."""
    assert str(InputError("a\x1b[2J\ud800é.wav: bad", 3)) == str(("a\\x1b[2J\\ud800é.wav: bad", 3))
    assert len(str(InputError("x" * 5000))) <= 1200
    assert str(InputError("start" + "x" * 5000 + "end")).endswith("end")
    assert str(InputError("a\nb.wav: bad")) == "a\\nb.wav: bad"
    of_a_worker = "Original Traceback (most recent call last):\n  File\ncommon.errors.InputError: last line"
    assert str(InputError(of_a_worker)) == of_a_worker
