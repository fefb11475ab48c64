"""The rule that gives each device its 16-bit format, settings of TF32, and exact products whatever is set."""

import contextlib
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from common.errors import InputError
from common.machine import precision
from common.machine.hardware import half_precision
from common.machine.precision import (
    DTYPES,
    Tf32,
    amp_format,
    exact_format,
    full_precision,
    make_gradient_scaler,
    mixed_precision,
    set_tf32,
    tf32_allowed,
    use_tf32,
)
from hifigan.engine.select import choose_precision, list_precisions
from tests.support.paths import REPOSITORY

CPU, GPU = torch.device("cpu"), torch.device("cuda")
AMPERE, TURING = (8, 0), (7, 5)


@pytest.fixture
def capability(monkeypatch):
    """Return a function that pretends that the GPU has a compute capability."""
    return lambda value: monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: value)


@pytest.fixture
def old_settings(monkeypatch):
    """Return PyTorch's settings as before version 2.9."""
    settings = SimpleNamespace(
        cudnn=SimpleNamespace(allow_tf32=True), cuda=SimpleNamespace(matmul=SimpleNamespace(allow_tf32=False))
    )
    monkeypatch.setattr(precision, "PER_OPERATOR", False)
    monkeypatch.setattr(torch, "backends", settings)
    return settings


@pytest.mark.parametrize(("device", "expected"), [("cpu", "bf16"), ("cuda", "fp16"), (torch.device("cuda:1"), "fp16")])
def test_half_precision_of_a_device(device, expected):
    assert half_precision(device) == expected


@pytest.mark.parametrize(("enabled", "expected"), [(True, DTYPES["bf16"]), (False, torch.float32)])
def test_mixed_precision_computes_in_half_precision_only_when_enabled(enabled, expected):
    with mixed_precision(torch.device("cpu"), enabled):
        assert torch.nn.functional.linear(torch.ones(1, 1), torch.ones(1, 1)).dtype is expected


def test_a_chosen_format_replaces_the_rule():
    assert [amp_format(choice, "cpu") for choice in ("auto", "fp16", "bf16")] == ["bf16", "fp16", "bf16"]
    with mixed_precision(torch.device("cpu"), dtype=torch.float16):
        assert torch.get_autocast_dtype("cpu") is torch.float16


@pytest.mark.parametrize(("is_supported", "formats"), [(True, ["fp16", "fp16", "bf16"]), (False, ["fp16", "fp16", ""])])
def test_gpus_without_bf16(is_supported, formats, monkeypatch):
    """PyTorch emulates it there, slowly."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla T4")
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or is_supported
    )
    assert [amp_format(choice, GPU) for choice in ("auto", "fp16", "bf16") if choice != "bf16" or is_supported] == [
        name for name in formats if name
    ]
    assert list_precisions(GPU) == ("fp32", "tf32", "fp16", *(["bf16"] if is_supported else []))
    if not is_supported:
        with pytest.raises(InputError, match=r"^--amp-dtype: bf16 is not for this GPU \(Tesla T4\); give fp16$"):
            amp_format("bf16", GPU)
        with pytest.raises(InputError, match="--precision: bf16 is not for this GPU, which takes fp32, tf32, fp16 or"):
            choose_precision("bf16", GPU)


@pytest.mark.parametrize(("dtype", "scale"), [(torch.float16, 2.0**16), (torch.bfloat16, 1.0), (None, 1.0)])
def test_only_fp16_scales_the_loss(dtype, scale):
    assert make_gradient_scaler(torch.device("cpu"), dtype).scale(torch.ones(())) == scale


def test_defaults_of_tf32():
    code = "from common.machine.precision import *; print(tf32_allowed(), exact_format(torch.device('cpu')))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert ran.stdout == "Tf32(convolutions=True, products=False) torch.float32\n"


def test_tf32_of_pytorch_is_set_for_a_while():
    assert (tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 9)) == precision.PER_OPERATOR
    before = tf32_allowed()
    with contextlib.suppress(ZeroDivisionError), use_tf32(convolutions=False, products=True):
        assert tf32_allowed() == (False, True)
        with use_tf32(convolutions=True):
            assert tf32_allowed() == (True, True)
        assert tf32_allowed() == (False, True)
        set_tf32(products=False)
        assert tf32_allowed() == (False, False)
        raise ZeroDivisionError
    assert tf32_allowed() == before
    with torch.backends.cudnn.flags(enabled=True):  # reads the old settings, which are consistent again
        assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.skipif(not precision.PER_OPERATOR, reason="needs PyTorch 2.9")
def test_convolutions_and_recurrent_layers_agree():
    with use_tf32(convolutions=False):
        assert torch.backends.cudnn.conv.fp32_precision == torch.backends.cudnn.rnn.fp32_precision == "ieee"


def test_tf32_of_older_pytorch(old_settings):
    assert tf32_allowed() == Tf32(convolutions=True, products=False)
    with use_tf32(convolutions=False, products=True):
        assert tf32_allowed() == (False, True)
        assert (old_settings.cudnn.allow_tf32, old_settings.cuda.matmul.allow_tf32) == (False, True)
    assert (old_settings.cudnn.allow_tf32, old_settings.cuda.matmul.allow_tf32) == (True, False)


@pytest.mark.parametrize(
    ("gpu", "allowed", "override", "expected"),
    [
        (AMPERE, True, "", "TF32"),
        (AMPERE, False, "", "fp32"),
        (AMPERE, True, "0", "fp32"),
        (TURING, True, "", "fp32"),
    ],
)
def test_the_actual_precision_of_convolutions(gpu, allowed, override, expected, capability, monkeypatch):
    capability(gpu)
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", override)
    with use_tf32(convolutions=allowed, products=not allowed):
        assert full_precision(GPU) == expected
    assert full_precision(CPU) == "fp32"


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize(
    ("gpu", "allowed", "override", "expected"),
    [
        (AMPERE, False, "", torch.float32),
        (AMPERE, True, "", torch.float64),
        (AMPERE, False, "1", torch.float64),
        (AMPERE, True, "0", torch.float32),
        (TURING, True, "1", torch.float32),
    ],
)
def test_the_format_of_exact_products_on_gpus(old, gpu, allowed, override, expected, capability, monkeypatch, request):
    if old:
        request.getfixturevalue("old_settings")
    capability(gpu)
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", override)
    with use_tf32(products=allowed):
        assert exact_format(GPU) == expected


def test_nvidias_containers_shorten_products():
    code = "from common.machine.precision import *; torch.cuda.get_device_capability = lambda device: (8, 0)\n"
    code += "print(tf32_allowed().products, exact_format(torch.device('cuda')), exact_format(torch.device('cpu')))"
    env = {**os.environ, "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": "1"}
    ran = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, env=env, capture_output=True, text=True)
    assert ran.stdout == "True torch.float64 torch.float32\n"


def test_products_in_the_exact_format_are_exact(matmul_precision):
    a, b = torch.randn(2, 64, 512, generator=torch.Generator().manual_seed(0))
    dtype = exact_format(CPU)
    truth = a.double() @ b.double().T
    error = ((a.to(dtype) @ b.to(dtype).T).float() - truth).abs().max() / truth.abs().max()
    assert error < 1e-6
    if (a @ b.T - truth).abs().max() / truth.abs().max() > 1e-4:  # this CPU shortens factors
        assert matmul_precision == "medium"
        assert dtype is torch.float64
    assert (dtype is torch.float32) == (
        matmul_precision == "highest" or (matmul_precision == "high" and not precision.PER_OPERATOR)
    )


def test_older_pytorch_shortens_products_on_cpus(monkeypatch, matmul_precision):
    monkeypatch.setattr(precision, "PER_OPERATOR", False)
    assert exact_format(CPU) is (torch.float64 if matmul_precision == "medium" else torch.float32)


def test_compiled_code_multiplies_in_fp64_but_exported_code_does_not():
    class Product(torch.nn.Module):
        def forward(self, x):
            return (x.to(exact_format(x.device)) @ x.T.to(exact_format(x.device))).float()

    graphs = []
    x = torch.ones(2, 2)
    torch.compile(Product(), backend=lambda graph, inputs: graphs.append(graph) or graph, fullgraph=True)(x)
    assert "float64" in str(graphs[0].graph)
    assert "float64" not in str(torch.export.export(Product(), (x,)).graph)


def test_only_this_module_knows_the_settings():
    found = []
    for path in REPOSITORY.rglob("*.py"):
        inside = path.relative_to(REPOSITORY)
        if not inside.parts[0].startswith(".") and inside.parts[0] not in ("build", "output", "data"):
            text = path.read_text(encoding="utf-8")
            if any(f".{name}" in text or f'"{name}"' in text for name in ("allow_tf32", "fp32_precision")):
                found.append(str(inside))
    simulated = "benchmarks/gpu_simulation/cost.py"  # also measures older commits
    assert sorted(found) == [simulated, "common/machine/precision.py", "tests/common/machine/test_precision.py"]


@pytest.mark.gpu
@pytest.mark.tf32
@pytest.mark.skipif(torch.cuda.is_available() and torch.cuda.get_device_capability() < AMPERE, reason="has no TF32")
def test_tf32_has_the_effect_that_is_said_on_a_gpu():
    x, weight = torch.randn(4, 256, 512, device=GPU), torch.randn(256, 256, 3, device=GPU)
    truth = torch.nn.functional.conv1d(x.double(), weight.double())
    errors = {}
    for convolutions in (True, False):
        with use_tf32(convolutions=convolutions, products=not convolutions):
            exact = exact_format(GPU)
            convolved = torch.nn.functional.conv1d(x, weight)
            product, exact_product = weight[:, :, 0] @ x, weight[:, :, 0].to(exact) @ x.to(exact)
        true_product = weight[:, :, 0].double() @ x.double()
        errors[convolutions] = [
            ((made - true).norm() / true.norm()).item()
            for made, true in ((convolved, truth), (product, true_product), (exact_product, true_product))
        ]
    assert errors[True][0] > 1e-4 > 1e-5 > errors[True][1]
    assert errors[False][1] > 1e-4 > 1e-5 > errors[False][0]
    assert max(errors[True][2], errors[False][2]) < 1e-6
