"""Convolutions in C compared with PyTorch's, for each instruction set of this machine."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from hifigan.engine.native import instruction_sets, vector
from hifigan.engine.native.transforms import Method, Transform
from tests.support.native.c_tables import harness_flags
from tests.support.programs import snr_db

NAMES = [each.name for each in instruction_sets.available()]
BF16_NAMES = [each.name for each in instruction_sets.available() if each.has_bf16]
# Outputs, inputs, taps, dilation, samples: several parts, parts of a group, dilations that share registers and do not.
SHAPES = [
    (8, 8, 3, 1, 100),
    (9, 6, 7, 3, 1000),
    (24, 34, 11, 5, 777),
    (16, 12, 7, 12, 900),
    (8, 2, 3, 17, 70),
    (8, 8, 4, 1, 1),
]


def convolve(shape, method, seed=0):
    """Return a convolution of noise by PyTorch in fp64, and in C."""
    outputs, inputs, taps, dilation, samples = shape
    random = torch.Generator().manual_seed(seed)
    weight, bias = torch.randn(outputs, inputs, taps, generator=random), torch.randn(outputs, generator=random)
    needed = samples + (taps - 1) * dilation
    x = torch.full((inputs, needed + 64), torch.nan)  # what lies behind must not be used
    x[:, :needed] = torch.randn(inputs, needed, generator=random)
    y = torch.full((outputs, samples + 8), 9.0)
    vector.VectorConvolution(weight, bias, dilation, method=method)(x, 0, samples, y, 5, None)
    assert (y[:, :5] == 9).all()
    assert (y[:, 5 + samples :] == 9).all()
    return F.conv1d(x[None, :, :needed].double(), weight.double(), bias.double(), dilation=dilation)[0], y[
        :, 5 : 5 + samples
    ]


def can_compute(method, shape):
    return method.transform.taps >= shape[2] or method.transform.taps == method.transform.tile


@pytest.mark.medium
@pytest.mark.parametrize("taps", [3, 4, 5])
@pytest.mark.parametrize("name", NAMES)
def test_fewer_products_in_fp32(compiler, name, taps, monkeypatch):
    monkeypatch.setenv(instruction_sets.VARIABLE, name)
    method = Method(Transform(4, taps))
    for shape in filter(lambda shape: can_compute(method, shape), SHAPES):
        assert snr_db(*convolve(shape, method)) > 115


@pytest.mark.medium
@pytest.mark.skipif(not BF16_NAMES, reason="this processor lacks bf16")
@pytest.mark.parametrize(
    ("sizes", "least_snr_db"),
    [((1, 1), 46), ((2, 2), 45), ((2, 3), 45), ((3, 3), 43), ((4, 3), 42), ((4, 4), 37), ((4, 5), 36)],
)
def test_bf16_products(compiler, sizes, least_snr_db):
    method = Method(Transform(*sizes), halves=True)
    for shape in filter(lambda shape: can_compute(method, shape), SHAPES):
        assert snr_db(*convolve(shape, method)) > least_snr_db


@pytest.mark.skipif(not BF16_NAMES, reason="this processor lacks bf16")
def test_bf16_products_round_once(compiler):
    """Numbers of 8 bits whose sums have 24 bits are exact."""
    random = torch.Generator().manual_seed(0)
    weight, x = (torch.randint(-128, 128, shape, generator=random).float() for shape in ((8, 6, 5), (6, 400)))
    y = torch.empty(8, 300)
    vector.VectorConvolution(weight, torch.zeros(8), method=Method(Transform(1, 1), True))(x, 0, 300, y, 0, None)
    assert torch.equal(y, F.conv1d(x[None, :, :304], weight)[0])


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
    subprocess.run([*command, *harness_flags(tmp_path), str(source)], check=True)
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
    ended = subprocess.run([program], capture_output=True, text=True, check=False, env=environment)
    assert (ended.returncode, ended.stdout) == (0, "all memory is its own\n"), ended.stderr
