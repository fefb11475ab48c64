"""The commands of the quickstart, with a stub in place of Python."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.paths import DEMO_DATA, REPOSITORY

# Records each command line. Writes what the next steps need: file lists, and the page of the evaluation.
STUB = """#!/usr/bin/env bash
printf '%s\\n' "$*" >>"$CALLS"
get() { local want=$1; shift; while [[ $1 != "$want" ]]; do shift; done; printf %s "$2"; }
case $1 in
prepare_dataset.py)
    [[ $* != *--convert-to* ]] || { cp -R "$(get --dataset-path "$@")" "$(get --convert-to "$@")"; exit; }
    lists=$(get --write-filelists "$@") val=$(get --validation-clips "$@") rows=()
    mkdir -p "$lists"
    for file in "$(get --dataset-path "$@")"/wavs/*; do rows+=("wavs/${file##*/}"); done
    printf '%s\\n' "${rows[@]:0:val}" >"$lists/all_audio_val.txt"
    printf '%s\\n' "${rows[@]:val}" >"$lists/all_audio_train.txt" ;;
evaluate.py)
    mkdir -p "$(get --report "$@")"
    touch "$(get --report "$@")/index.html"
    exit 1 ;; # a clip could not be evaluated
esac
case "$*" in
*common.download.models*)
    [[ ${OFFLINE:-} != true ]] || { echo "download_models: no network" >&2; exit 1; }
    echo "hifigan-universal-v1: --hifigan models/with space/g.pt" ;;
esac
"""


@pytest.fixture
def quickstart(tmp_path):
    """Return a function that runs the quickstart, and returns its commands and what it printed."""
    environment = tmp_path / "venv"
    (environment / "bin").mkdir(parents=True)
    stub = environment / "bin" / "python"
    stub.write_text(STUB)
    stub.chmod(0o755)
    shutil.copy(REPOSITORY / "requirements.txt", environment / "installed-requirements.txt")

    def run(**variables):
        calls = tmp_path / "calls"
        calls.unlink(missing_ok=True)
        done = subprocess.run(
            ["bash", REPOSITORY / "scripts" / "quickstart.sh"],
            env={
                "PATH": os.environ["PATH"],
                "VENV": str(environment),
                "CALLS": str(calls),
                "QUICKSTART_OUTPUT": str(tmp_path / "out"),
                **variables,
            },
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return calls.read_text().splitlines(), done.stdout

    return run


def one(commands, start):
    """Return the only command that starts like this, as its words."""
    (found,) = (command for command in commands if command.startswith(start))
    return found.split()


def value(words, flag):
    return words[words.index(flag) + 1]


def test_speaks_first(quickstart, tmp_path):
    commands, printed = quickstart()
    out = tmp_path / "out"
    assert commands[0].startswith("inference.py --text Hello!")
    assert not any("--convert-to" in command for command in commands)
    assert commands[0].endswith(f"--output {out}/hello.wav")
    assert "s after the installation: " + str(out / "hello.wav") in printed
    assert commands[-1].startswith(f"-m scripts.quickstart_report {out} --first-sound ")


def test_fine_tunes_the_voice_and_compares_it_with_the_universal_generator(quickstart, tmp_path):
    commands, _ = quickstart()
    out = tmp_path / "out"
    training = one(commands, "train.py")
    assert value(training, "--checkpoint-path-gen") == "pretrained/kathleen/hifigan.safetensors"
    assert value(training, "--discriminator-width") == "0.125"
    assert value(training, "--output") == str(out / "fine-tuning")
    train, val = ({path.name for path in (out / "recordings" / part).iterdir()} for part in ("train", "val"))
    assert (len(train), len(val)) == (32, 8)
    assert train | val == {path.name for path in (DEMO_DATA / "wavs").iterdir()}
    epochs = value(training, "--epochs")
    assert f"--hifigan {out}/fine-tuning/hifigan_gen_checkpoint_{epochs}.pt" in "\n".join(commands)
    assert any("--hifigan models/with space/g.pt --input" in command for command in commands)
    evaluation = " ".join(one(commands, "evaluate.py"))
    assert f"--reference {out}/recordings/val " in evaluation
    names = ("kathleen", "universal", "fine-tuned")
    assert "--system " + " ".join(f"{name}={out}/copies/{name}" for name in names) in evaluation
    assert "--baseline universal" in evaluation


def test_goes_on_without_the_universal_generator(quickstart, tmp_path):
    commands, printed = quickstart(OFFLINE="true")
    evaluation = " ".join(one(commands, "evaluate.py"))
    assert "universal=" not in evaluation
    assert "--baseline kathleen" in evaluation
    assert "note: the published universal generator could not be downloaded" in printed


def test_own_data_in_the_short_form(quickstart, tmp_path):
    data = tmp_path / "my voice"
    (data / "wavs").mkdir(parents=True)
    names = [f"{number:02d}.wav" for number in range(15)]
    for name in names:
        (data / "wavs" / name).touch()
    (data / "metadata.csv").write_text("".join(f"{name[:2]}|Text.|Text.\n" for name in names))
    commands, _ = quickstart(QUICKSTART_DATA="my voice", QUICKSTART_SHORT="true", QUICKSTART_TEXT="My own words.")
    assert commands[0].startswith("inference.py --text My own words. --output")
    training = " ".join(one(commands, "train.py"))
    converted = tmp_path / "out" / "converted"
    lists = tmp_path / "out" / "filelists"
    conversion = next(command for command in commands if "--convert-to" in command)
    assert conversion == (
        f"prepare_dataset.py --dataset-path {data} --wav-text-filelists {lists}/train.txt {lists}/val.txt "
        f"--convert-to {converted}"
    )
    assert f"--dataset-path {converted} " in training
    assert "--epochs 1 " in training
    recordings = tmp_path / "out" / "recordings"
    assert [len(list((recordings / part).iterdir())) for part in ("train", "val")] == [8, 2]
    assert (recordings / "metadata.csv").is_file()


def test_demo_data_stays_as_it_is(quickstart):
    before = {path: path.stat().st_mtime_ns for path in DEMO_DATA.rglob("*")}
    commands, _ = quickstart()
    assert {path: path.stat().st_mtime_ns for path in DEMO_DATA.rglob("*")} == before
    written = [Path(words[i + 1]) for words in map(str.split, commands) for i, w in enumerate(words) if w == "--output"]
    assert written
    assert not any(path.resolve().is_relative_to(DEMO_DATA) for path in written)


@pytest.mark.parametrize(
    ("present", "variables", "message"),
    [
        ([], {"QUICKSTART_DATA": "set"}, "QUICKSTART_DATA: {}/set/wavs: no such folder"),
        (["wavs/a.wav"], {"QUICKSTART_DATA": "set"}, "QUICKSTART_DATA: {}/set/metadata.csv: no such file"),
        (
            ["wavs/a.wav", "metadata.csv"],
            {"QUICKSTART_DATA": "set"},
            "QUICKSTART_DATA: {}/set/metadata.csv: 1 clips, but at least 9 are needed",
        ),
        (["file"], {"QUICKSTART_OUTPUT": "set/file"}, "QUICKSTART_OUTPUT: {}/set/file is not a folder"),
        ([], {"QUICKSTART_TEXT": " "}, "QUICKSTART_TEXT: there is nothing to say"),
        ([], {"QUICKSTART_SHORT": "1"}, "QUICKSTART_SHORT: '1' is not true or false"),
    ],
)
def test_refuses_before_the_installation(present, variables, message, quickstart, tmp_path):
    for name in present:
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_text("a|Text.\n")
    with pytest.raises(AssertionError) as error:
        quickstart(VENV=str(tmp_path / "new"), **variables)
    assert f"error: {message.format(tmp_path)}" in str(error.value)
    assert not (tmp_path / "new").exists()
