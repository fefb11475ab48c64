"""scripts/test.sh: the commands that it runs, with a stub in place of Python, ruff and mypy."""

import os
import shutil
import subprocess

import pytest

from tests.support.paths import REPOSITORY

STUB = """#!/usr/bin/env bash
echo "$(basename "$0") $* [OMP_NUM_THREADS=${OMP_NUM_THREADS:-}]" >>"$RECORD"
case "$(basename "$0") $*" in $FAILS) exit "$STATUS" ;; esac
"""
SHARED = "python -m pytest -m (not alone){} --numprocesses 2 --dist worksteal{} [OMP_NUM_THREADS=1]"
ALONE = "python -m pytest -m (alone){}{} --numprocesses 0 [OMP_NUM_THREADS=]"


@pytest.fixture
def run(tmp_path):
    """Call scripts/test.sh in an environment that is set up already. Return its result and the recorded commands."""
    bin = tmp_path / "venv" / "bin"
    bin.mkdir(parents=True)
    for name in ("python", "ruff", "mypy"):
        (bin / name).write_text(STUB)
        (bin / name).chmod(0o755)
    for path in REPOSITORY.glob("requirements*.txt"):
        shutil.copy(path, tmp_path / "venv" / f"installed-{path.name}")

    def call(*arguments, fails="nothing", status=1, **variables):
        record = tmp_path / "record"
        record.write_text("")
        inherited = {name: value for name, value in os.environ.items() if name not in ("FAST", "OMP_NUM_THREADS")}
        done = subprocess.run(
            ["bash", "scripts/test.sh", *arguments],
            cwd=REPOSITORY,
            env={**inherited, "VENV": str(bin.parent), "RECORD": str(record), "FAILS": fails, "STATUS": str(status)}
            | variables,
            capture_output=True,
            text=True,
        )
        return done, [line for line in record.read_text().splitlines() if " -m pip " not in line]

    return call


def pytest_runs(commands):
    return [command for command in commands if " -m pytest " in command]


def test_everything(run):
    done, commands = run()
    assert (done.returncode, done.stderr) == (0, "")
    assert [command.partition(" [")[0] for command in commands[:3]] == [
        "ruff format --check .",
        "ruff check .",
        "mypy ",
    ]
    assert commands[3:] == [SHARED.format("", ""), ALONE.format("", "")]


@pytest.mark.parametrize("flag", [["-m", "not slow or gpu"], ["-mnot slow or gpu"], ["-m", "x", "-m=not slow or gpu"]])
def test_a_marker_expression_is_joined_with_our_own(flag, run):
    _, commands = run(*flag)
    both = " and (not slow or gpu)"
    assert pytest_runs(commands) == [SHARED.format(both, ""), ALONE.format(both, "")]


def test_other_arguments_pass_through(run):
    _, commands = run("tests/hifigan", "-m", "slow", "-k", "mel and not stft", "-x", "--durations=5")
    rest = " tests/hifigan -k mel and not stft -x --durations=5"
    assert pytest_runs(commands) == [SHARED.format(" and (slow)", rest), ALONE.format(" and (slow)", rest)]


def test_the_fast_tier(run):
    _, commands = run("-m", "not gpu", FAST="true", TEST_PROCESSES="3")
    assert pytest_runs(commands) == [
        "python -m pytest -m (not medium and not slow and not alone) and (not gpu) --numprocesses 3 --dist worksteal "
        "[OMP_NUM_THREADS=1]"
    ]
    assert commands[2].startswith("mypy"), "no lint or types"


@pytest.mark.parametrize(
    ("fails", "step", "number"),
    [
        ("ruff*format*", "lint (ruff format)", 1),
        ("ruff check*", "lint (ruff check)", 2),
        ("mypy*", "type check (mypy)", 3),
        ("*(not alone)*", "tests that share the machine", 4),
        ("*(alone)*", "tests that run alone", 5),
    ],
)
def test_a_step_that_fails_is_named_and_stops_the_script(fails, step, number, run):
    done, commands = run(fails=fails, status=3)
    assert (done.returncode, done.stderr) == (3, f"scripts/test.sh: {step} failed (exit status 3)\n")
    assert len(commands) == number


def test_one_kind_of_test_may_be_missing_but_not_both(run):
    done, commands = run(fails="*(alone)*", status=5)
    assert (done.returncode, len(pytest_runs(commands))) == (0, 2)
    done, commands = run(fails="*pytest*", status=5)
    assert (done.returncode, len(pytest_runs(commands))) == (5, 2)
    assert done.stderr == "scripts/test.sh: these arguments select no test\n"


@pytest.mark.parametrize(
    ("arguments", "variables", "message"),
    [
        (["-m"], {}, "-m needs a marker expression"),
        ([], {"FAST": "yes"}, "FAST: 'yes' is not true or false"),
        ([], {"TEST_PROCESSES": "two"}, "TEST_PROCESSES: 'two' is not a whole number above 0"),
    ],
)
def test_bad_arguments_are_named_before_any_work(arguments, variables, message, run):
    done, commands = run(*arguments, **variables)
    assert done.returncode != 0
    assert message in done.stderr
    assert not commands
