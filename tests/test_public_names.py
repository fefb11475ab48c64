"""The public names of packages that import them late, and programs that answer --help without PyTorch."""

import importlib
import subprocess
import sys

import pytest

from tests.support.paths import REPOSITORY

WITHOUT_PYTORCH = [
    "train.py --help",
    "evaluate.py --help",
    "prepare_dataset.py --help",
    "-m voice.say --help",
    "train.py --version",
]


@pytest.mark.parametrize("package", ["hifigan", "voice"])
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


@pytest.mark.parametrize("words", ["-c 'import hifigan, voice'", *WITHOUT_PYTORCH])
def test_starts_without_pytorch(words):
    script = f"{sys.executable} -X importtime {words}"
    done = subprocess.run(script, shell=True, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not imported & {"torch", "librosa", "scipy"}
    assert imported & {"hifigan", "voice", "evaluation", "common"}
