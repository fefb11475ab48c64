"""Every shell script: shellcheck, rules of bash 3.2 (macOS), any folder and working directory, and empty variables."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import REPOSITORY
from tests.support.stress import FULL, cases, record

SCRIPTS = sorted(
    [*(REPOSITORY / "scripts").rglob("*.sh"), *(REPOSITORY / "platform").glob("*.sh"), REPOSITORY / ".ci" / "run"]
)
PROGRAMS = [path for path in SCRIPTS if path.parent.name != "lib"]
ODD_NAMES = ["with spaces", 'it\'s "quoted"', "*", "$HOME `id` $(id)", "Grüße-日本", "a;b&c|d", "-begins", "[x]{y}"]

# An interpreter that records its arguments, each ended by a zero.
RECORDER = """#!/usr/bin/env bash
if [[ $1 == -c ]]; then [[ $2 != *device_count* ]] || echo "$FAKE_GPUS"; exit 0; fi
pwd >"$RECORD.folder"
printf '%s\\0' "$@" >>"$RECORD"
[[ $* != *common.download.models* ]] || echo "hifigan-universal-v1: --hifigan models/g.pt"
"""


def name_of(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def code_lines(path: Path) -> list[str]:
    return [line for line in path.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#")]


def test_shellcheck_finds_nothing() -> None:
    program = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if program is None:
        pytest.skip("shellcheck is not installed (requirements-dev.txt)")
    command = [program, "--external-sources", "--shell=bash", *(name_of(path) for path in SCRIPTS)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    record("shellcheck finds nothing", len(SCRIPTS), "0 remarks")


# What bash 3.2 does not know, with an example that the rule has to find.
NEWER = {
    r"\b(mapfile|readarray|coproc)\b": "mapfile -t lines <file",
    r"\b(declare|local|typeset)\s+-[a-zA-Z]*[AnglL]": "declare -A table",
    r"\$\{[^}]*(\^\^?|,,?)\}": 'echo "${name^^}"',
    r"\$\{[^}]*@[A-Za-z]\}": 'echo "${name@Q}"',
    r"&>>|\|&": "make &>>log",
    r"\bwait\s+-n\b": "wait -n",
    r"\$\{[a-z_]+\[-\d+\]\}": 'echo "${list[-1]}"',
    r"\[\[\s+-v\b": "[[ -v name ]]",
    r"\bprintf\s+'?\"?%\(": "printf '%(%F)T'",
    r"\$EPOCHSECONDS|\$EPOCHREALTIME|\$BASHPID": "echo $EPOCHSECONDS",
    r"\bshopt\s+-s\s+(globstar|lastpipe|inherit_errexit)": "shopt -s globstar",
    r"\{\d+\.\.\d+\.\.\d+\}": "echo {1..9..2}",
    r"\bread\s[^|;]*-[a-zA-Z]*[Ni]\s": "read -N 1 key",
}


@pytest.mark.parametrize("pattern", NEWER)
def test_nothing_is_newer_than_bash_3(pattern: str) -> None:
    assert re.search(pattern, NEWER[pattern])
    found = [f"{name_of(path)}: {line}" for path in SCRIPTS for line in code_lines(path) if re.search(pattern, line)]
    assert found == []


def test_arrays_that_may_be_empty_are_expanded_with_care() -> None:
    """In bash before 4.4, "${list[@]}" of an empty array ends a script that has `set -u`."""
    problems = []
    # Some word is always added to these.
    filled = {
        ("scripts/lib/env.sh", "options"),
        ("scripts/lib/train.sh", "torchrun"),
        ("scripts/inference_benchmark.sh", "args"),
    }
    for path in SCRIPTS:
        text = "\n".join(code_lines(path))
        for name in set(re.findall(r"\b([a-z_]+)=\(\)", text)):
            careful = rf'\$\{{{name}\[@\]\+"\$\{{{name}\[@\]\}}"\}}'
            if f"${{{name}[@]}}" in re.sub(careful, "", text) and (name_of(path), name) not in filled:
                problems.append(f"{name_of(path)}: {name}")
    assert problems == []


def test_each_script_finds_its_folder_whatever_cdpath_is() -> None:
    """`cd scripts/..` looks in the folders of an exported CDPATH first."""
    for path in SCRIPTS:
        for line in code_lines(path):
            if re.search(r"(^|[(;&|]\s*|\s)cd\s+\"?\$", line) and "started_in" not in line:
                assert "CDPATH='' cd" in line, f"{name_of(path)}: {line}"
    assert all("set -euo pipefail" in path.read_text() for path in PROGRAMS if path.name != "train.sh")


def make_clone(folder: Path) -> Path:
    """Return a copy of the scripts with what they look for, in a folder of any name."""
    folder.mkdir(parents=True)
    for name in ("scripts", "platform", "phrases", ".ci"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    for path in REPOSITORY.glob("requirements*.txt"):
        shutil.copy(path, folder)
    for name in ("data/demo", "hashes"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).symlink_to(REPOSITORY / name)
    models = folder / "pretrained_models"
    for name in ("fastpitch/nvidia_fastpitch_210824+cfg.pt", "hifigan-lj-v1/generator_LJSpeech.pth.tar"):
        (models / name).parent.mkdir(parents=True, exist_ok=True)
        (models / name).touch()
    (folder / "data" / "mels-fastpitch-ljs22khz").mkdir()
    return folder


def run(
    clone: Path, script: str, start: Path, tools: Path, *arguments: str, **variables: str
) -> tuple[int, list[str], str]:
    """Run a script with a recording interpreter. Return its status, the arguments of its programs, and stderr."""
    tools.mkdir(exist_ok=True)
    for name in ("python", "docker", "pip-audit"):
        (tools / name).write_text(RECORDER)
        (tools / name).chmod(0o755)
    found = tools / "record"
    found.unlink(missing_ok=True)
    environment = {
        **{"PATH": f"{tools}:{os.environ['PATH']}", "HOME": str(tools), "LC_ALL": "C.UTF-8"},
        **{"RECORD": str(found), "PYTHON": str(tools / "python")},
        **{"FAKE_GPUS": "8" if script.startswith("platform/") else "0", **variables},
    }
    # As documented: `bash scripts/NAME`, from a relative path where the folder allows it.
    command = [
        "bash",
        os.path.relpath(clone / script, start) if start != Path("/") else str(clone / script),
        *arguments,
    ]
    done = subprocess.run(
        command, cwd=start, env=environment, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
    )
    words = found.read_text(encoding="utf-8").split("\0")[:-1] if found.exists() else []
    return done.returncode, words, done.stderr


# They create an environment or audio with real programs: tests/scripts runs them as a whole.
WITH_ENVIRONMENT = {
    "scripts/quickstart.sh",
    "scripts/test.sh",
    "scripts/stress.sh",
    ".ci/run",
    "scripts/make_samples.sh",
}
RECORDED = [name_of(path) for path in PROGRAMS if name_of(path) not in WITH_ENVIRONMENT]
ARGUMENTS = {"scripts/train_voice.sh": ("re cordings", "-o", "voices/My 'voice' *")}


@pytest.mark.medium
@pytest.mark.parametrize("odd", ODD_NAMES[: cases(2, len(ODD_NAMES))])
def test_any_folder_and_any_working_directory(odd: str, tmp_path: Path) -> None:
    """The programs get the same arguments as in a plain folder, word by word."""
    plain, clone = make_clone(tmp_path / "plain"), make_clone(tmp_path / odd)
    elsewhere = tmp_path / f"elsewhere {odd}"
    elsewhere.mkdir()
    trap = tmp_path / "trap"
    (trap / "scripts").mkdir(parents=True)
    scripts = [name for name in RECORDED if not name.startswith("platform/") or (FULL and name.endswith("1GPU.sh"))]
    for script in scripts:
        more = (*ARGUMENTS.get(script, ()), "--extra", f"a {odd} b", "")
        expected = run(plain, script, plain, tmp_path / "tools", *more)
        assert expected[0] == 0, (script, expected[2])
        assert expected[1][-3:] == ["--extra", f"a {odd} b", ""] or "docker" in script or "cmudict" in script
        wanted = [word.replace(str(plain), str(clone)) for word in expected[1]]
        for start in (clone, elsewhere, Path("/")):
            status, words, said = run(clone, script, start, tmp_path / "tools", *more, CDPATH=str(trap))
            assert (status, words) == (0, wanted), (script, start, said)
    record(
        "Scripts in folders of any name, from any working directory", len(scripts) * 3, f"equal arguments in {odd!r}"
    )


@pytest.mark.medium
@pytest.mark.parametrize("odd", ODD_NAMES[: cases(2, len(ODD_NAMES))])
def test_values_reach_the_programs_as_one_word(odd: str, tmp_path: Path) -> None:
    clone = make_clone(tmp_path / "clone")
    folder = tmp_path / odd
    (folder / "models" / "fastpitch").mkdir(parents=True)
    (folder / "models" / "hifigan-lj-v1").mkdir()
    for name in ("fastpitch/nvidia_fastpitch_210824+cfg.pt", "hifigan-lj-v1/generator_LJSpeech.pth.tar"):
        (folder / "models" / name).touch()
    paths = {
        **{name: str(folder / name.lower()) for name in ("DATASET_DIR", "DATASET_PATH", "DATA_DIR", "OUTPUT_DIR")},
        **{"MODELS_DIR": str(folder / "models"), "FINE_TUNE_DIR": str(folder), "WORK_DIR": str(folder / "work")},
        **{"TRAIN_FILELIST": str(folder / "train.txt"), "PHRASES": str(folder / "phrases.tsv")},
    }
    seen: set[str] = set()
    for script in [name for name in RECORDED if not name.startswith("platform/")]:
        described = (clone / script).read_text(encoding="utf-8")
        given = {name: value for name, value in paths.items() if re.search(rf"^#.*\b{name}\b", described, re.MULTILINE)}
        status, words, said = run(clone, script, tmp_path, tmp_path / "tools", *ARGUMENTS.get(script, ()), **given)
        assert status == 0, (script, said)
        for name, value in given.items():
            if any(word == value or f"{value}/" in word or f"{value}:" in word for word in words):
                seen.add(name)
    assert seen >= {"DATASET_DIR", "DATASET_PATH", "OUTPUT_DIR", "MODELS_DIR", "TRAIN_FILELIST", "PHRASES", "WORK_DIR"}


# For these an empty value means something, as their description says.
EMPTY_COUNTS = re.compile(r".*_SHA256|GPUS")


@pytest.mark.medium
def test_an_empty_variable_counts_as_none(tmp_path: Path) -> None:
    """Each documented variable is set to the empty string: in turn in full, in the short form all at once."""
    clone = make_clone(tmp_path / "clone")
    count = 0
    for script in RECORDED:
        text = (clone / script).read_text(encoding="utf-8")
        code = " ".join(line for line in text.splitlines() if not line.startswith("#"))
        called = re.findall(r"scripts/[a-z0-9_]+\.sh", code)
        described = "\n".join(
            line for name in {script, *called} for line in (clone / name).read_text().splitlines() if line[:1] == "#"
        )
        names = sorted(set(re.findall(r"\b[A-Z][A-Z_]{2,}\b", described)) - {"PYTHON", "PATH", "HOME", "CPU", "NAME"})
        names = [name for name in names if not EMPTY_COUNTS.fullmatch(name)]
        more = ARGUMENTS.get(script, ())
        expected = run(clone, script, clone, tmp_path / "tools", *more)
        for group in [[name] for name in names] if FULL else [names]:
            count += 1
            found = run(clone, script, clone, tmp_path / "tools", *more, **dict.fromkeys(group, ""))
            assert found == expected, (script, group)
    record("A variable of a script that is empty counts as not set", count, "equal arguments, status and messages")
