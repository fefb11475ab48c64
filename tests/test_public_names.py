"""The public names of packages that import them late, and programs that answer without PyTorch."""

import importlib
import os
import sys

import pytest

from tests.support.paths import REPOSITORY
from tests.support.programs import SLOW, answer

# Program -> a command line without something required, and what the error names, or None if nothing is required.
PROGRAMS = {
    "inference.py": ("-o out", "-i"),
    "export.py": ("--format onnx -o x.onnx", "--hifigan"),
    "train.py": ("--validation-files v.txt", "--training-files"),
    "prepare_dataset.py": ("-d data", "--write-filelists"),
    "evaluate.py": ("--system griffin-lim", "-i"),
    "-m hifigan.vocode": ("in.wav", "OUT"),
    "-m hifigan.plan": ("--num-mels 80", "--sampling-rate"),
    "-m fastpitch.train": ("--validation-files v.txt", "--training-files"),
    "-m fastpitch.extract_mels": ("--filelists f.txt", "--fastpitch"),
    "-m voice.say": ("Hello.", "-o"),
    "-m voice.pack": ("--hifigan G.pt --fastpitch F.pt", "-o"),
    "-m voice.training": ("-o out", "RECORDINGS"),
    "-m common.plot_log": ("-o x.png", "logs"),
    "-m common.mel_contract": ("", "A"),
    "-m common.download.models": None,
    "-m common.download.datasets": None,
    "demo/app.py": None,
}
# Arguments that are not flags, and that a mistyped flag must not hide behind.
POSITIONAL = {"-m hifigan.vocode": "in.wav out.wav", "-m common.download.datasets": "ljspeech"} | dict.fromkeys(
    ("-m voice.say", "-m voice.training", "-m common.plot_log", "-m common.mel_contract"), "x"
)
MISSING = [(program, *case) for program, case in PROGRAMS.items() if case]


def start(words):
    return answer([sys.executable, *words.split()], REPOSITORY, dict(os.environ))


@pytest.mark.parametrize("package", ["fastpitch", "hifigan", "voice"])
def test_public_names(package):
    module = importlib.import_module(package)
    names = {}
    exec(f"from {package} import *", names)
    for name in module.__all__:
        found = getattr(module, name)
        assert names[name] is found
        assert name.startswith("__") or (getattr(found, "__name__", "")).rpartition(".")[2] == name
    with pytest.raises(AttributeError, match=rf"^module '{package}' has no attribute 'absent'$"):
        _ = module.absent


def test_packages_are_imported_without_slow_modules():
    status, lines, imported = answer(
        [sys.executable, "-c", "import fastpitch, hifigan, voice"], REPOSITORY, dict(os.environ)
    )
    assert (status, lines) == (0, [])
    assert {"fastpitch", "hifigan", "voice"} <= imported
    assert not imported & SLOW


@pytest.mark.parametrize(
    ("words", "expected", "named"),
    [
        *((f"{program} --help", 0, "usage: ") for program in PROGRAMS),
        *((f"{program} --version", 0, "version ") for program in PROGRAMS),
        *((f"{program} {POSITIONAL.get(program, '')} --verison", None, "--version") for program in PROGRAMS),
        *((f"{program} {words}", None, named) for program, words, named in MISSING),
    ],
)
def test_flags_are_answered_without_slow_modules(words, expected, named):
    status, lines, imported = start(words)
    assert not imported & SLOW
    if expected == 0:
        assert status == 0
        assert named in lines[0]
    else:
        assert status in (1, 2)
        (line,) = lines
        assert ": error: " in line
        assert named in line
