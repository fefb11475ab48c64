"""The documents name what exists: links, anchors, commands, flags and modules. Their examples run."""

import os
import re
import shlex
import subprocess
import sys

import pytest
import soundfile
import torch

from common.errors import InputError
from hifigan import load_generator
from hifigan.export.write import export
from tests.support.data_sets import speechlike
from tests.support.documents import commands, markdown
from tests.support.documents.markdown import DOCUMENTS, GUIDES
from tests.support.models import make_checkpoint, make_voice
from tests.support.paths import REPOSITORY

# Headings of the document of 2022. Links to them must keep working.
ORIGINAL_HEADINGS = """
Table Of Contents
Model overview
Model architecture
Default configuration
Feature support matrix
Features
Mixed precision training
Enabling mixed precision
Enabling TF32
Glossary
Setup
Requirements
Quick Start Guide
Advanced
Scripts and sample code
Parameters
Command-line options
Getting the data
Dataset guidelines
Multi-dataset
Training process
Inference process
Performance
Benchmarking
Training performance benchmark
Inference performance benchmark
Results
Training accuracy results
Training accuracy: NVIDIA DGX A100 (8x A100 80GB)
Training accuracy: NVIDIA DGX-1 (8x V100 16GB)
Training stability test
Training performance results
Training performance: NVIDIA DGX A100 (8x A100 80GB)
Training performance: NVIDIA DGX-1 (8x V100 16GB)
Inference performance results
Inference performance: NVIDIA DGX A100 (1x A100 80GB)
Inference performance: NVIDIA DGX-1 (1x V100 16GB)
Inference performance: NVIDIA T4
Release notes
Changelog
Known issues
""".strip().splitlines()
UNTESTED = "Not run by the tests"
PYTHON_GUIDES = [
    path
    for path in GUIDES
    if markdown.code_blocks(path.read_text(encoding="utf-8"), "python")
    and path.name != "coming-from.md"  # needs files of other programs, which tests/test_coming_from.py writes
]


def by_name(path):
    return path.relative_to(REPOSITORY).as_posix()


def contents(path):
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", DOCUMENTS, ids=by_name)
def test_links_lead_somewhere(path):
    assert markdown.dead_links(path) == []


def test_a_dead_link_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# A (b): c\n[1](page.md#a-b-c) [2](#a) [3](none.md) [4](page.md#d)\n`[5](x.md)` <a href='x'>\n## D\n## D\n"
    )
    assert markdown.anchors(page) == {"a-b-c", "d", "d-1"}
    assert markdown.dead_links(page) == ["#a", "none.md"]


def test_headings_of_the_original_document_are_in_the_readme_in_order():
    ours = [markdown.slug(words) for _, words in markdown.headings(contents(REPOSITORY / "README.md"))]
    theirs = [markdown.slug(words) for words in ORIGINAL_HEADINGS]
    assert [anchor for anchor in ours if anchor in theirs] == theirs


def test_documents_that_the_code_names_exist():
    folders = ("common", "hifigan", "fastpitch", "voice", "evaluation", "benchmarks", "scripts", "platform")
    files = [
        path for folder in folders for path in (REPOSITORY / folder).rglob("*") if path.suffix in (".py", ".sh", ".c")
    ]
    named = {
        (path.relative_to(REPOSITORY), name)
        for path in [*REPOSITORY.glob("*.py"), *files]
        for name in re.findall(r"(?<![\w./}-])\w[\w./-]*\.md\b", path.read_text(encoding="utf-8"))
        if "/" in name
    }
    missing = [(path, name) for path, name in named if not (REPOSITORY / name).exists()]
    assert not missing


@pytest.mark.medium
@pytest.mark.parametrize("path", GUIDES, ids=by_name)
def test_commands_are_understood(path):
    """Parse each command with its own program, which stops before it does anything."""
    for command in commands.find_commands(path):
        commands.check(command)
    for command in commands.find_inline_commands(path):
        commands.check(command, whole=False)


@pytest.mark.parametrize(
    "line",
    [
        "python train.py --no-such-flag",
        "python -m common.plot_log --smooth few output",
        "python train.py --training-files a",  # the other list is required
        "hifigan-no-such-command",
        "python inference.py --precision fp17 -o x",
        "python -m fastpitch.no_such_module",
        "bash scripts/no_such_script.sh",
        "NO_SUCH_VARIABLE=1 bash scripts/train_lj22khz.sh",
        "bash scripts/train_lj22khz.sh --no-such-flag",
        "bash scripts/fine_tune.sh --no-such-flag",
        "no_such_program",
    ],
)
def test_a_wrong_command_is_found(line):
    (command,) = commands.split_commands(line)
    with pytest.raises((AssertionError, SystemExit, InputError)):
        commands.check(command)


@pytest.mark.parametrize("path", GUIDES, ids=by_name)
def test_sections_that_cannot_be_run_say_why(path):
    silent = {
        command.section.splitlines()[0]: commands.reasons(command)
        for command in commands.find_commands(path)
        if commands.reasons(command) and UNTESTED.lower() not in command.section.lower()
    }
    assert silent == {}


def test_whole_scripts_in_the_guides_are_valid_shell():
    scripts = [
        block for path in GUIDES for block in markdown.code_blocks(contents(path), "bash") if block.startswith("#!")
    ]
    assert scripts
    for script in scripts:
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_kubernetes_manifests_are_complete():
    yaml = pytest.importorskip("yaml")
    blocks = [block for path in GUIDES for block in markdown.code_blocks(contents(path), "yaml")]
    jobs = [job for job in map(yaml.safe_load, blocks) if isinstance(job, dict) and "apiVersion" in job]
    assert jobs
    for job in jobs:
        assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
        assert re.fullmatch(r"[a-z0-9-]+", job["metadata"]["name"])
        pod = job["spec"]["template"]["spec"]
        assert pod["restartPolicy"] in ("OnFailure", "Never")
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in pod["containers"]:
            assert {"name", "image", "command"} <= container.keys()
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
            commands.check(commands.Command(container["command"]))


@pytest.mark.medium
def test_the_first_command_speaks(tmp_path):
    """The README's first synthesis, with the shipped voice, as a user runs it."""
    first = next(c for c in commands.find_commands(REPOSITORY / "README.md") if c.words[0] == "hifigan-say")
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", commands.console_module(first.words[0]), *first.words[1:]]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    assert soundfile.info(tmp_path / "hello.wav").duration > 0.5


@pytest.mark.medium
def test_the_plan_of_another_rate_is_made_as_documented(tmp_path):
    block = next(
        b for b in markdown.code_blocks(contents(REPOSITORY / "docs/training.md"), "bash") if "hifigan.plan" in b
    )
    line = shlex.split(block.splitlines()[0].replace("my_24k.json", str(tmp_path / "my_24k.json")))
    subprocess.run([sys.executable, *line[1:]], cwd=REPOSITORY, check=True, capture_output=True)
    assert '"sampling_rate": 24000' in (tmp_path / "my_24k.json").read_text()


@pytest.mark.medium
@pytest.mark.parametrize("path", PYTHON_GUIDES, ids=by_name)
def test_python_examples(path, tmp_path, monkeypatch):
    """Run a guide's examples one after the other, with small models in place of the downloads and of the voice."""
    names = run_python_examples(path, tmp_path, monkeypatch)
    if path.name == "python-api.md":
        waveforms = [*names["vocoded"], *names["resynthesised"], names["exported"], *names["played"]]
        assert all(wav.numpy() is not None for wav in waveforms)  # one that requires gradients would raise
        assert names["speech"].size > names["copy"].size == soundfile.info("hello.wav").frames > 1000
        samples = names["mel"].shape[2] * 256
        assert len(names["vocoded"][0]) == len(names["resynthesised"][0]) == samples
        assert sum(piece.shape[2] for piece in names["played"]) == names["exported"].shape[1] == samples


def run_python_examples(path, folder, monkeypatch):
    """Return the names that the examples of a guide define."""
    checkpoint, voice = make_checkpoint(folder / "g.pt"), make_voice(folder / "ann")
    monkeypatch.chdir(folder)
    export(*load_generator(checkpoint), folder / "hifigan.ts", "torchscript")
    names = {"wav": torch.from_numpy(speechlike(0.3)).float()[None], "played": []}
    names["play"] = names["played"].append
    for example in markdown.code_blocks(contents(path), "python"):
        for written, here in (
            ('"pretrained_models/hifigan-lj-v1/generator_LJSpeech.pth.tar"', repr(str(checkpoint))),
            ('"path/to/this/repository"', repr(str(REPOSITORY))),
            ('"hifigan", source', f'"hifigan", {str(checkpoint)!r}, source'),
            ("load_voice()", f"load_voice({str(voice)!r})"),
            ('"voice", source', f'"voice", {str(voice)!r}, source'),
            ('"hifigan.onnx"', repr(str(folder / "hifigan.ts"))),
        ):
            example = example.replace(written, here)
        exec(compile(example, path.name, "exec"), names)
    return names
