"""Convolutions that are finished by one kernel equal PyTorch's operators in fp64, up to one rounding of each result."""

import copy
import dataclasses

import pytest
import torch
from torch.nn import functional as F

pytest.importorskip("triton")

from hifigan import Generator
from hifigan.discriminators import build_discriminators, fuse_activations, judge_both
from hifigan.gpu import activation, activation_kernels, bias_sums
from hifigan.gpu.activation import bias_branches, bias_leaky_relu, bias_residual, mean_of_residuals
from tests.support.gpu.triton_compile import Kernel, compile_kernels
from tests.support.models import TINY

# In fp32, a few. The interpreter of Triton truncates to bf16, where a GPU rounds.
ROUNDING = {torch.float32: 4e-7, torch.float16: 5e-4, torch.bfloat16: 8e-3}
SHAPES = [(1, 1, 1), (4, 3, 1), (4, 1, 5), (2, 3, 2500), (6, 5, 3, 2), (2, 130, 9)]


@pytest.fixture(autouse=True)
def _setting(monkeypatch):
    torch.manual_seed(0)
    # Triton's interpreter runs one program after the other.
    monkeypatch.setattr(bias_sums, "LEAST_CHUNKS", 4)
    monkeypatch.setattr(bias_sums, "MOST_CHUNKS", 4)


def error(actual, expected):
    """Return the distance of two tensors, relative to the norm of the second."""
    return ((actual.double() - expected).norm() / expected.norm().clamp(min=1e-9)).item()


def draw(*shape, dtype=torch.float32, channels_last=False):
    x = torch.randn(*shape).to(dtype)
    return x.movedim(1, -1).contiguous().movedim(-1, 1) if channels_last else x


def compare(fused, plain, inputs, dtype, roundings=2):
    """Compare outputs and gradients of both functions, the second computed in fp64."""
    results = []
    for compute, precise in ((fused, False), (plain, True)):
        leaves = [(x.double() if precise else x.clone()).requires_grad_() for x in inputs]
        # Functions that change their inputs need tensors that are no leaves.
        outputs = compute(*(x * 1 for x in leaves))
        # All positive, so that sums over many items do not cancel.
        weights = [1.5 + torch.arange(y.numel()).view(y.shape).sin() for y in outputs]
        loss = sum((y * w.to(y.dtype)).sum() for y, w in zip(outputs, weights, strict=True))
        results.append([*outputs, *torch.autograd.grad(loss, leaves)])
    for number, (actual, expected) in enumerate(zip(*results, strict=True)):
        assert actual.isfinite().all()
        assert error(actual, expected) < roundings * ROUNDING[dtype], f"result {number}"


def per_channel(bias, y):
    return bias.view(-1, *[1] * (y.dim() - 2))


def per_item(divisors, y):
    return divisors.repeat_interleave(len(y) // len(divisors)).view(-1, *[1] * (y.dim() - 1))


@pytest.mark.medium
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_bias_and_activation(shape, channels_last):
    for dtype in ROUNDING:
        inputs = draw(*shape, dtype=dtype, channels_last=channels_last), torch.randn(shape[1])
        compare(
            lambda y, bias: bias_leaky_relu(y, bias, 0.2, uses=2),
            lambda y, bias: 2 * (F.leaky_relu(y + per_channel(bias, y), 0.2),),
            inputs,
            dtype,
        )


@pytest.mark.medium
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape[0] > 1])
def test_each_signal_has_its_divisor(shape, channels_last):
    for dtype in ROUNDING:
        y = draw(*shape, dtype=dtype, channels_last=channels_last) + 1
        inputs = y, torch.randn(shape[1]), torch.rand(2) + 0.5
        compare(
            lambda y, bias, divisors: bias_leaky_relu(y, bias, 0.1, divisors),
            lambda y, bias, divisors: (F.leaky_relu(y / per_item(divisors, y) + per_channel(bias, y), 0.1),),
            inputs,
            dtype,
            roundings=4,
        )


def residual_blocks(y, bias, *rest):
    """Two blocks of two sums each. Products with tensors stand for convolutions."""
    w, biases = rest[:4], rest[4:]
    inputs, streams = bias_branches(y, bias, 2)
    a, stream = bias_residual(inputs[0] * w[0], biases[0], streams[0])
    b, other = bias_residual(inputs[1] * w[1], biases[1], streams[1])
    return [mean_of_residuals([a * w[2], b * w[3]], biases[2:], [stream, other], 0.01, torch.float32)]


def plain_residual_blocks(y, bias, *rest):
    w, biases = rest[:4], [per_channel(bias, y) for bias in rest[4:]]
    x = y + per_channel(bias, y)
    a = F.leaky_relu(x, 0.1) * w[0] + biases[0] + x
    b = F.leaky_relu(x, 0.1) * w[1] + biases[1] + x
    a = F.leaky_relu(a, 0.1) * w[2] + biases[2] + a
    b = F.leaky_relu(b, 0.1) * w[3] + biases[3] + b
    return [F.leaky_relu((a + b) / 2, 0.01)]


@pytest.mark.medium
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_residual_blocks(shape, channels_last):
    for dtype in ROUNDING:
        y, *w = (draw(*shape, dtype=dtype, channels_last=channels_last) for _ in range(5))
        biases = [torch.randn(shape[1]) for _ in range(5)]
        inputs = y, biases[0], *(factor.abs() for factor in w), *biases[1:]
        compare(residual_blocks, plain_residual_blocks, inputs, dtype, roundings=6)


@pytest.mark.medium
@pytest.mark.parametrize("chunks", [2, 16])
def test_sums_do_not_depend_on_the_number_of_chunks(chunks, monkeypatch):
    monkeypatch.setattr(bias_sums, "LEAST_CHUNKS", chunks)
    monkeypatch.setattr(bias_sums, "MOST_CHUNKS", chunks)
    test_each_signal_has_its_divisor((6, 5, 3, 2), False)
    test_each_signal_has_its_divisor((2, 3, 2500), False)
    test_residual_blocks((6, 5, 3, 2), True)


@pytest.mark.medium
def test_offsets_of_large_tensors(monkeypatch):
    monkeypatch.setattr(activation_kernels, "INT32_ELEMENTS", 0)
    test_each_signal_has_its_divisor((2, 3, 2500), False)
    test_residual_blocks((2, 3, 2500), False)
    test_residual_blocks((6, 5, 3, 2), True)


def test_the_convolutions_output_is_overwritten_and_shared():
    y = torch.randn(2, 3, 4, requires_grad=True) * 1
    inputs, streams = bias_branches(y, torch.randn(3), 3)
    assert {part.data_ptr() for part in (*inputs, *streams)} == {y.data_ptr()}
    assert inputs[0].equal(y)


def test_uses_without_gradient_and_gradients_in_other_layouts():
    y, bias = torch.randn(2, 6, 5, 3, requires_grad=True), torch.randn(6, requires_grad=True)
    expected = torch.autograd.grad(F.leaky_relu(y + bias.view(-1, 1, 1), 0.1).sum(), (y, bias))
    _, used, _ = bias_leaky_relu(y * 1, bias, uses=3)
    for actual, truth in zip(torch.autograd.grad(used.sum(), (y, bias)), expected, strict=True):
        torch.testing.assert_close(actual, truth)
    _, used, _ = bias_leaky_relu(y * 1, bias, uses=3)
    gradient = torch.ones(2, 5, 3, 6).movedim(-1, 1)
    for actual, truth in zip(torch.autograd.grad(used, (y, bias), gradient), expected, strict=True):
        torch.testing.assert_close(actual, truth)


def test_frozen_biases_cost_no_sums(monkeypatch):
    asked = []
    plain = activation.OPERATORS.finish_convolution_backward
    monkeypatch.setattr(
        activation,
        "OPERATORS",
        type("Recorded", (), {"finish_convolution_backward": lambda *args: (asked.append(args[7]), plain(*args))[1],
                              "finish_convolution": activation.OPERATORS.finish_convolution}),
    )  # fmt: skip
    for requires_grad in (True, False):
        y = torch.randn(2, 3, 4, requires_grad=True)
        (a,) = bias_leaky_relu(y * 1, torch.randn(3, requires_grad=requires_grad))
        a.sum().backward()
    assert asked == [True, False]


def test_other_memory_layouts_are_refused():
    with pytest.raises(ValueError, match="channels last"):
        activation_kernels.inner_size(torch.zeros(4, 3, 2).transpose(0, 2))


def test_the_check_passes_and_finds_faults(monkeypatch):
    device = torch.device("cpu")
    activation.check(device)
    monkeypatch.setattr(activation, "mean_of_residuals", lambda *args: 1.01 * mean_of_residuals(*args))
    with pytest.raises(AssertionError):
        activation.check(device)


def generators():
    sizes = {"resblock_kernel_sizes": (3, 5, 7), "resblock_dilation_sizes": ((1, 2), (2, 6), (1, 3))}
    changes = ({}, {"resblock": "1", **sizes}, {"padding": "reflect", "output_bias": False})
    return [dataclasses.replace(TINY, **change) for change in changes]


@pytest.mark.medium
@pytest.mark.parametrize("config", generators())
def test_generators(config):
    plain = Generator(config)
    randomise_biases(plain)
    fused = copy.deepcopy(plain)
    fused.fused = True
    mel, weight = torch.randn(2, 80, 4), torch.randn(2, 1, 1024)

    def results(model):
        model.zero_grad()
        with bias_sums.added_at_once([model]):
            wav = model(mel)
        (wav * weight).sum().backward()
        return wav, gradients(model)

    check_errors(results, fused, plain)


@pytest.mark.slow
def test_discriminators():
    plain = build_discriminators(width=1 / 8)
    randomise_biases(plain)
    fused = copy.deepcopy(plain)
    fuse_activations(fused)
    vectors = {name: value.clone() for name, value in plain.named_buffers()}
    real, fake = torch.randn(2, 2, 1, 500)

    def results(models):
        models.zero_grad()
        models.load_state_dict(vectors, strict=False)  # of spectral norm, which each call advances
        leaf = fake.clone().requires_grad_()
        judged = [judge_both(model, real, leaf, in_one_call=True) for model in models.values()]
        scores = join(score for pair in judged for scores, _ in pair for score in scores)
        fmaps = join(fmap for pair in judged for _, fmaps in pair for maps in fmaps for fmap in maps)
        loss = scores.float().square().mean() + 2 * fmaps.float().square().mean()
        (1024 * loss).backward()  # fp16 has no smaller gradients
        return scores, fmaps, gradients(models), leaf.grad

    check_errors(results, fused, plain)


def randomise_biases(model):
    """They start near zero, where a fault in them would hide."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(std=0.2)


def gradients(model):
    return join(parameter.grad for parameter in model.parameters())


def join(tensors):
    return torch.cat([tensor.flatten() for tensor in tensors])


def check_errors(results, fused, plain):
    truth = results(plain)
    for one, expected in zip(results(fused), truth, strict=True):
        assert error(one, expected) < 3e-6
    with torch.autocast("cpu", torch.float16):
        pairs = list(zip(results(fused), results(plain), truth, strict=True))
    for one, other, expected in pairs:
        if one is pairs[0][0]:
            # On a CPU, convolutions add the bias before they round.
            assert error(one, expected) < 1.6 * error(other, expected)
        # A value near zero whose sign rounding changes has another slope, which shows in a gradient.
        assert error(one, expected) < 0.03


@pytest.mark.slow
def test_kernels_compile_without_spills():
    kernels = [forward(*case) for case in ((1, "fp16", "fp16"), (1, "bf16", "bf16"), (3, "fp16", "fp32"))]
    kernels += [forward(1, "fp16", "fp16", residual=False, divided=True, long=long) for long in (False, True)]
    kernels += [backward(uses, streams, "fp16") for uses, streams in ((1, 0), (2, 0), (1, 1), (3, 3))]
    kernels += [backward(3, 3, "fp32"), backward(2, 0, "fp16", divided=True), backward(2, 0, "bf16", last=True)]
    for cost in compile_kernels(kernels):
        assert cost.spilled_bytes == 0, cost.name
        assert cost.registers <= 128, cost.name
        assert "ld.global.v4" in cost.ptx  # 16 bytes at a time
        assert "st.global.v4" in cost.ptx


def forward(count, dtype, result, residual=True, divided=False, long=True):
    counts = dict.fromkeys(("elements", "inner", "channels", "per_signal"), "i32:16")
    constants = {"COUNT": count, "RESIDUAL": residual, "DIVIDED": divided, "WIDE": False, "BLOCK": 2048}
    return Kernel(
        activation_kernels.__name__,
        "forward_kernel",
        {
            "ys": (f"*{dtype}",) * count,
            "biases": ("*fp32",) * count,
            "streams": (f"*{dtype}",) * (count if residual else 0),
            "divisors": "*fp32",
            "out": f"*{result}",
            **counts,
            **dict.fromkeys(("slope", "stream_slope", "factor"), "fp32"),
            **constants,
            "LONG_ROWS": long,
            "LONG_SIGNALS": long,
        },
    )


def backward(activations, streams, dtype, divided=False, last=False):
    counts = ("items", "channels", "positions", "item_stride", "chunks", "tiles_per_chunk")
    strides = (
        {"channel_stride": 1, "position_stride": "i32:16"}
        if last
        else {"channel_stride": "i32:16", "position_stride": 1}
    )
    constants = {"ACTIVATIONS": activations, "STREAMS": streams, "DIVIDED": divided, "SUMS": True, "WIDE": False}
    tile = {"CHANNELS": 128, "POSITIONS": 16} if last else {"CHANNELS": 2, "POSITIONS": 1024}
    return Kernel(
        activation_kernels.__name__,
        "backward_kernel",
        {
            "activation_grads": (f"*{dtype}",) * activations,
            "stream_grads": (f"*{dtype}",) * streams,
            **dict.fromkeys(("out", "grad"), f"*{dtype}"),
            **dict.fromkeys(("bias", "divisors", "sums"), "*fp32"),
            **dict.fromkeys(counts, "i32:16"),
            **strides,
            **dict.fromkeys(("slope", "factor"), "fp32"),
            **constants,
            **tile,
        },
    )  # fmt: skip
