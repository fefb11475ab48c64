"""Imports that programs avoid at their start, since they take a second and are not needed."""

import subprocess
import sys

import pytest
import torch

from hifigan import Generator
from hifigan.config import PRESETS
from tests.support.models import make_checkpoint, make_fastpitch
from tests.support.paths import REPOSITORY

LOADING = """
import sys
from {package} import {function}
{function}(sys.argv[1])
print("torch._dynamo" in sys.modules)
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
    code = LOADING.format(package=package, function=function)
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "model.pt")], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.stdout == "False\n", done.stderr
