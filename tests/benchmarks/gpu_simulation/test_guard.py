"""The stand-in for PyTorch's CUDA library: compiled, loaded, and refused where it is too late."""

import subprocess
import sys

import pytest

from benchmarks.gpu_simulation.guard import load_guard
from common.errors import InputError
from tests.benchmarks.gpu_simulation.conftest import environment, require_compiler
from tests.support.paths import REPOSITORY

AS_ON_CUDA = """
from benchmarks.gpu_simulation.guard import load_guard
load_guard()
import torch
from benchmarks.gpu_simulation.device import DEVICE, simulated_gpu
with simulated_gpu() as counter:
    x = torch.ones(4, 4, device=DEVICE, requires_grad=True)
    with torch.autocast("cuda", torch.float16), counter.counting() as tally:
        y = x @ x
    assert y.dtype == torch.float16, y.dtype
    y.float().sum().backward()
    assert x.grad.device == DEVICE
    print(sorted(tally.kernels_by_operator))
    with counter.counting() as tally:
        x.detach().copy_(torch.ones(4, 4), non_blocking=True)
        x.detach().copy_(torch.ones(4, 4))
        x[torch.tensor([0, 1])]
    print(len(tally.crossings), len(tally.waits), *(error.partition(": ")[2] for error in tally.errors))
"""


def run_python(code, **variables):
    return subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, env={**environment(), **variables}, capture_output=True, text=True
    )


@pytest.mark.medium
@pytest.mark.gpu_simulated
def test_autograd_and_autocast_work_as_on_cuda():
    require_compiler()
    done = run_python(AS_ON_CUDA)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["['_to_copy', 'mm']", "2 1 index of tensors on cpu and cuda"]


def test_pytorch_must_not_be_imported_before():
    with pytest.raises(InputError, match="start a new process"):
        load_guard()


@pytest.mark.medium
def test_without_a_compiler_the_remedy_is_named(tmp_path):
    code = "from benchmarks.gpu_simulation.guard import load_guard; load_guard()"
    done = run_python(code, CC="no-such-compiler", XDG_CACHE_HOME=str(tmp_path))
    assert done.returncode == 1
    assert "install a C++ compiler such as g++" in done.stderr
