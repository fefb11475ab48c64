"""Convolutions in C compared with PyTorch's, for each instruction set of this machine."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from hifigan.engine.native import instruction_sets, vector

NAMES = [each.name for each in instruction_sets.available()]


@pytest.mark.medium
@pytest.mark.parametrize("name", NAMES)
def test_equals_pytorch(compiler, name, monkeypatch):
    monkeypatch.setenv(instruction_sets.VARIABLE, name)
    random = torch.Generator().manual_seed(0)
    for outputs, inputs, taps, dilation, samples in [
        (8, 8, 3, 1, 100),
        (8, 8, 11, 5, 48),
        (1, 8, 7, 1, 777),
        (12, 7, 5, 3, 131),
        (64, 3, 1, 1, 1),
    ]:
        weight = torch.randn(outputs, inputs, taps, generator=random)
        bias = torch.randn(outputs, generator=random)
        conv = vector.VectorConvolution(weight, bias, dilation)
        needed = samples + (taps - 1) * dilation
        x = torch.randn(inputs, 2 + needed + vector.count_lanes(), generator=random)
        expected = F.conv1d(x[None, :, 2 : 2 + needed], weight, bias, dilation=dilation)[0]
        for slope in (None, 0.1):
            y = torch.full((outputs, samples + 8), 9.0)
            conv(x, 2, samples, y, 5, slope)
            activated = expected if slope is None else F.leaky_relu(expected, slope)
            torch.testing.assert_close(y[:, 5 : 5 + samples], activated, rtol=1e-5, atol=2e-5)
            assert (y[:, :5] == 9).all()
            assert (y[:, 5 + samples :] == 9).all()


@pytest.mark.medium
@pytest.mark.parametrize("name", NAMES)
def test_no_memory_but_its_own(name, monkeypatch, tmp_path):
    monkeypatch.setenv(instruction_sets.VARIABLE, name)
    program, empty = tmp_path / "vector_memory", tmp_path / "empty.c"
    empty.write_text("int main(void) { return 0; }")
    flags = instruction_sets.chosen().flags
    command = ["cc", "-O1", "-fsanitize=address,undefined", *flags, "-o", str(program)]
    if shutil.which("cc") is None or subprocess.run([*command, empty], capture_output=True, check=False).returncode:
        pytest.skip("no C compiler with sanitizers")
    source = Path(__file__).with_name("vector_memory.c")
    subprocess.run([*command, f'-DSTAGE="{vector.SOURCE}"', str(source)], check=True)
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
    ended = subprocess.run([program], capture_output=True, text=True, check=False, env=environment)
    assert (ended.returncode, ended.stdout) == (0, "all memory is its own\n"), ended.stderr
