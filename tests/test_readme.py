"""The documents name files and modules that exist, and the examples of the README run."""

import re

import pytest
import soundfile
import torch

from hifigan import load_generator
from hifigan.export.write import export
from tests.support.data_sets import speechlike
from tests.support.models import make_checkpoint, make_voice
from tests.support.paths import REPOSITORY

DOCUMENTS = [
    *(REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
    *sorted(REPOSITORY.glob("docs/*.md")),
    *sorted(REPOSITORY.glob("benchmarks/**/*.md")),
]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (path.parent / link).exists()]
    assert not missing


def test_documents_that_the_code_names_exist():
    folders = ("common", "hifigan", "fastpitch", "voice", "evaluation", "benchmarks", "scripts", "platform")
    files = [
        path for folder in folders for path in (REPOSITORY / folder).rglob("*") if path.suffix in (".py", ".sh", ".c")
    ]
    named = {
        (path.relative_to(REPOSITORY), name)
        for path in [*REPOSITORY.glob("*.py"), *files]
        for name in re.findall(r"[\w./-]+\.md\b", path.read_text(encoding="utf-8"))
        if "/" in name
    }
    missing = [(path, name) for path, name in named if not (REPOSITORY / name).exists()]
    assert not missing


def test_scripts_and_modules_that_the_readme_runs_exist():
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    scripts = set(re.findall(r"(?:bash |python )((?:scripts/)?\w+\.(?:sh|py))", text))
    modules = {name.replace(".", "/") for name in re.findall(r"python -m ([\w.]+)", text)}
    ours = {
        name
        for name in modules
        if name.split("/")[0] in ("common", "hifigan", "fastpitch", "voice", "benchmarks", "scripts")
    }
    assert scripts
    assert ours
    assert [name for name in scripts if not (REPOSITORY / name).is_file()] == []
    runnable = [f"{name}.py" for name in ours] + [f"{name}/__main__.py" for name in ours]
    assert sum((REPOSITORY / name).is_file() for name in runnable) == len(ours)


@pytest.mark.medium
def test_python_examples(tmp_path, monkeypatch):
    """Run the examples one after the other, with small models in place of the downloads and of the voice."""
    checkpoint, voice = make_checkpoint(tmp_path / "g.pt"), make_voice(tmp_path / "ann")
    monkeypatch.chdir(tmp_path)
    export(*load_generator(checkpoint), tmp_path / "hifigan.ts", "torchscript")
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(examples) == 6
    names = {"wav": torch.from_numpy(speechlike(0.3)).float()[None], "played": []}
    names["play"] = names["played"].append
    for example in examples:
        for written, here in (
            ('"pretrained_models/hifigan-lj-v1/generator_LJSpeech.pth.tar"', repr(str(checkpoint))),
            ('"path/to/this/repository"', repr(str(REPOSITORY))),
            ('"hifigan", source', f'"hifigan", {str(checkpoint)!r}, source'),
            ("load_voice()", f"load_voice({str(voice)!r})"),
            ('"voice", source', f'"voice", {str(voice)!r}, source'),
            ('"hifigan.onnx"', repr(str(tmp_path / "hifigan.ts"))),
        ):
            example = example.replace(written, here)
        exec(compile(example, "README.md", "exec"), names)
    waveforms = [*names["vocoded"], *names["resynthesised"], names["exported"], *names["played"]]
    assert all(wav.numpy() is not None for wav in waveforms)  # one that requires gradients would raise
    assert names["speech"].size > names["copy"].size == soundfile.info("hello.wav").frames > 1000
    assert len(names["vocoded"][0]) == len(names["resynthesised"][0]) == names["mel"].shape[2] * 256
    assert sum(piece.shape[2] for piece in names["played"]) == names["exported"].shape[1] == names["mel"].shape[2] * 256
