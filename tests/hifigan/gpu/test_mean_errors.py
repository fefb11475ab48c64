"""Sums of mean errors in one launch equal PyTorch's losses, and so do their gradients."""

import pytest
import torch
from torch.nn import functional as F

pytest.importorskip("triton")
pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="interpreted only without a GPU")

from hifigan import losses  # noqa: E402
from hifigan.gpu import mean_errors  # noqa: E402
from hifigan.gpu.mean_errors import PROGRAM_ELEMENTS, check, mean_absolute_errors, mean_squared_errors  # noqa: E402
from tests.support.gpu.triton_compile import Kernel, compile_kernels  # noqa: E402

TOLERANCE = {torch.float32: 1e-6, torch.float16: 1e-3, torch.bfloat16: 8e-3}  # relative: half a unit of the last place
SHAPES = [(2, 3, 5), (1, 1, 1), (1, 2, PROGRAM_ELEMENTS // 2 + 9), (2, 32, 7, 3), (1, PROGRAM_ELEMENTS)]


def tensors(dtype, seed, shapes=SHAPES):
    numbers = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=numbers).to(dtype).requires_grad_() for shape in shapes]


def compare(actual, expected, xs, dtype):
    """Compare two losses and their gradients, scaled as in fp16 training."""
    assert actual.dtype == torch.float32
    assert actual.shape == ()
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=0)
    found, wanted = (torch.autograd.grad(1024 * loss, xs, retain_graph=True) for loss in (actual, expected))
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == dtype
        assert (one.float() - other.float()).norm() <= TOLERANCE[dtype] * other.float().norm()


@pytest.mark.medium
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_absolute_errors_equal_those_of_pytorch(dtype):
    xs, ys = tensors(dtype, 0), tensors(dtype, 1)
    with torch.no_grad():
        ys[0][0] = xs[0][0]  # where maps agree, the gradient is 0
    expected = sum(F.l1_loss(x.float(), y.detach().float()) for x, y in zip(xs, ys, strict=True))
    compare(mean_absolute_errors([*zip(xs, ys, strict=True)]), expected, xs, dtype)


@pytest.mark.medium
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_squared_errors_equal_those_of_pytorch(dtype):
    ones, zeros = tensors(dtype, 0)[:3], tensors(dtype, 1)[:2]
    expected = sum((1 - x.float()).square().mean() for x in ones) + sum(x.float().square().mean() for x in zeros)
    compare(mean_squared_errors(ones, zeros), expected, ones + zeros, dtype)


def test_any_memory_layout():
    x, y = (torch.randn(2, 32, 7, 3).to(memory_format=torch.channels_last) for _ in range(2))
    spread = torch.randn(2, 5, 8)[:, :, ::2]
    for one, other in ((x, y), (x, y.contiguous()), (spread, torch.randn(2, 5, 4)), (x[1:], y[1:]), (x.mT, y.mT)):
        leaf = one.detach().requires_grad_()
        compare(mean_absolute_errors([(leaf, other)]), F.l1_loss(leaf, other), [leaf], torch.float32)
    leaf = x.detach().requires_grad_()
    mean_absolute_errors([(leaf, y)]).backward()
    assert leaf.grad.stride() == x.stride(), "maps with channels last have such gradients"


def test_more_tensors_than_a_launch_takes_and_of_mixed_types(monkeypatch):
    monkeypatch.setattr(mean_errors, "MOST_TENSORS", 3)
    shapes = [(2, number) for number in range(1, 9)]
    xs, ys = tensors(torch.float32, 0, shapes), tensors(torch.float32, 1, shapes)
    for number in (3, 7):
        xs[number], ys[number] = xs[number].half(), ys[number].half()
    expected = sum(F.l1_loss(x.float(), y.float()) for x, y in zip(xs, ys, strict=True))
    torch.testing.assert_close(mean_absolute_errors([*zip(xs, ys, strict=True)]), expected, rtol=1e-5, atol=0)
    expected = sum((1 - x.float()).square().mean() for x in xs) + sum(y.float().square().mean() for y in ys)
    torch.testing.assert_close(mean_squared_errors(xs, ys), expected, rtol=1e-5, atol=0)


def test_half_precision_is_summed_in_fp32():
    wide = torch.full((4, PROGRAM_ELEMENTS), 300.0, dtype=torch.float16)  # 300 squared is beyond fp16
    assert mean_squared_errors([wide], []).item() == pytest.approx(299.0**2)
    assert mean_absolute_errors([(wide, -wide)]).item() == pytest.approx(600.0)


def test_values_that_are_not_finite_are_seen():
    for value in (float("inf"), float("nan")):
        x, y = torch.tensor([[value, 1.0]]), torch.zeros(1, 2)
        assert not mean_absolute_errors([(x, y)]).isfinite()
        assert not mean_squared_errors([x], []).isfinite()


@pytest.mark.medium
def test_the_result_does_not_vary():
    xs, ys = tensors(torch.float16, 0), tensors(torch.float16, 1)
    runs = []
    for _ in range(2):
        loss = mean_absolute_errors([*zip(xs, ys, strict=True)])
        runs.append((loss, *torch.autograd.grad(loss, xs)))
    assert all(torch.equal(one, other) for one, other in zip(*runs, strict=True))


def test_losses_at_once_equal_those_of_pytorch():
    real, fake = (tensors(torch.float32, seed, [(2, 9), (2, 5)]) for seed in (0, 1))
    maps = [tensors(torch.float32, seed, [(2, 4, 9), (2, 4, 5)]) for seed in (2, 3)]
    for function, given in (
        (losses.discriminator_loss, (real, fake)),
        (losses.generator_loss, (fake,)),
        (losses.feature_matching_loss, ([maps[0]], [maps[1]])),
        (losses.mel_loss, (maps[0][0], maps[1][0])),
    ):
        torch.testing.assert_close(function(*given, at_once=True), function(*given), rtol=1e-5, atol=0)


def test_the_generators_losses_are_computed_at_once(monkeypatch):
    from common.audio import AudioConfig

    calls = []
    for name in ("mean_absolute_errors", "mean_squared_errors"):
        function = getattr(mean_errors, name)
        monkeypatch.setattr(mean_errors, name, lambda *given, f=function, n=name: calls.append(n) or f(*given))
    real, fake = torch.rand(2, 1, 1, 2048) - 0.5
    maps = [torch.randn(2, 1, 4, 9).unbind() for _ in range(2)]
    judgements = [(([torch.ones(1, 1)], [maps[0]]), ([torch.tensor([[3.0]])], [maps[1]]))]
    plain, at_once = (losses.GeneratorLosses(AudioConfig(), value)(real, fake, judgements) for value in (False, True))
    torch.testing.assert_close(at_once, plain, rtol=1e-5, atol=0)
    assert calls == ["mean_absolute_errors", "mean_squared_errors", "mean_absolute_errors"]
    losses.discriminator_losses(judgements, at_once=True)
    assert calls[-1] == "mean_squared_errors"


@pytest.mark.medium
def test_the_check_before_use_passes_and_fails(monkeypatch):
    check(torch.device("cpu"))
    l1_loss = F.l1_loss
    monkeypatch.setattr(F, "l1_loss", lambda *given: 1.02 * l1_loss(*given))
    with pytest.raises(AssertionError):
        check(torch.device("cpu"))


@pytest.mark.slow
def test_kernels_fit_into_registers_of_gpus_and_read_vectors():
    kernels = []
    for dtype, count in (("fp16", 30), ("bf16", 30), ("fp32", 2)):
        maps = [f"*{dtype}"] * count
        given = {"xs": maps, "ys": maps, "sizes": ["i32:16"] * count, "ones": "i32", "COUNT": count}
        given |= {"PAIRS": dtype != "fp32", "ALIGNED": True, "BLOCK": mean_errors.BLOCK}
        kernels.append(Kernel("hifigan.gpu.mean_errors", "add_errors", given | {"sums": "*fp32"}))
        gradients = {"gradients": maps, "gradient": "*fp32"}
        kernels.append(Kernel("hifigan.gpu.mean_errors", "write_error_gradients", given | gradients))
    costs = compile_kernels(kernels)
    assert len(costs) == 12
    for cost in costs:
        assert cost.spilled_bytes == 0, cost.name
        assert cost.registers <= 64, cost.name
        assert "ld.global.v4.b32" in cost.ptx, cost.name
