"""Costs of operators by hand."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.gpu_simulation import cost

ATEN = torch.ops.aten


def empty(*shape, dtype=torch.float32, device=None):
    return torch.empty(shape, dtype=dtype, device=device)


class Calls(TorchDispatchMode):
    """Return the results of a function for each operator, its arguments and results."""

    def __init__(self, describe):
        super().__init__()
        self.describe = describe
        self.made = []

    @classmethod
    def _should_skip_dynamo(cls):
        return False  # PyTorch would import its compiler, which takes seconds

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        results = func(*args, **(kwargs or {}))
        self.made.append(self.describe(func, args, kwargs or {}, results))
        return results


def costs(work):
    """Return name and cost of each operator that costs anything."""
    with Calls(lambda func, *call: (cost.name(func), cost.estimate(func, *call))) as calls:
        work()
    return [(name, estimate) for name, estimate in calls.made if estimate.kernels]


def test_an_operator_reads_its_inputs_and_writes_its_results():
    x, y = empty(100), empty(100)
    assert costs(lambda: x + y) == [("add", cost.Cost(1, 1200, 0, cost.KERNEL_SEC))]
    assert costs(lambda: x.add_(y)) == [("add_", cost.Cost(1, 1200, 0, cost.KERNEL_SEC))]
    assert costs(lambda: x.half()) == [("_to_copy", cost.Cost(1, 600, 0, cost.KERNEL_SEC))]


def test_views_and_allocations_cost_nothing():
    x = empty(10, 20)
    assert costs(lambda: [x.t(), x.view(200), x[3:], x.detach(), x.expand(4, 10, 20), torch.empty_like(x)]) == []


def test_large_kernels_take_the_time_of_their_bytes():
    x = empty(2**28, device="meta")
    estimate = cost.estimate(ATEN.neg.default, (x,), {}, torch.empty_like(x))
    assert estimate.moved_bytes == 2 * 2**30
    assert estimate.sec == pytest.approx(2 * 2**30 / 3.6e12)


@pytest.mark.parametrize("bias", [False, True])
def test_convolutions(bias):
    """Two in groups, [3, 8, 50] -> [3, 6, 48]. The bias is read and written with the results by a kernel of its own."""
    x, weight, added = empty(3, 8, 50), empty(6, 4, 3), empty(6) if bias else None
    ((_, estimate),) = costs(lambda: ATEN.convolution(x, weight, added, [1], [0], [1], False, [0], 2))
    results = 3 * 6 * 48
    assert estimate.flop == 2 * results * 4 * 3
    assert estimate.kernels == 1 + bias
    assert estimate.moved_bytes == 4 * (3 * 8 * 50 + 6 * 4 * 3 + results + bias * (6 + 2 * results))


def test_transposed_convolutions_and_backward_passes():
    x, weight, gradient = empty(3, 8, 50), empty(8, 6, 4), empty(3, 6, 102)
    shape = [2], [0], [1], True, [0], 1
    ((_, forward),) = costs(lambda: ATEN.convolution(x, weight, None, *shape))
    assert forward.flop == 2 * x.numel() * 6 * 4
    for wanted in ([True, True, False], [False, True, True]):
        ((_, backward),) = costs(lambda w=wanted: ATEN.convolution_backward(gradient, x, weight, [6], *shape, w))
        assert backward.flop == sum(wanted[:2]) * forward.flop
        assert backward.kernels == 2


def test_products_of_matrices():
    a, b, both = empty(7, 20), empty(20, 5), 2 * 7 * 20 * 5
    assert [estimate.flop for _, estimate in costs(lambda: a @ b)] == [both]
    assert [estimate.flop for _, estimate in costs(lambda: torch.addmm(empty(5), a, b))] == [both]
    assert [estimate.flop for _, estimate in costs(lambda: torch.bmm(empty(3, 7, 20), empty(3, 20, 5)))] == [3 * both]
    assert [estimate.flop for _, estimate in costs(lambda: torch.mv(a, empty(20)))] == [2 * 7 * 20]


def test_peak_rates_depend_on_the_format():
    half, full = (
        cost.estimate(ATEN.mm.default, (a, a), {}, a)
        for a in (empty(2048, 2048, dtype=dtype, device="meta") for dtype in (torch.float16, torch.float32))
    )
    assert half.sec == pytest.approx(2 * 2048**3 / cost.TENSOR_CORES_16_BITS)
    assert full.sec == pytest.approx(2 * 2048**3 / cost.CUDA_CORES_FP32)


def test_operators_on_lists_are_launched_in_groups():
    many = [empty(10) for _ in range(300)]
    ((_, estimate),) = costs(lambda: torch._foreach_mul_(many, 2.0))
    assert estimate.kernels == 3  # of at most 110 tensors
    assert estimate.moved_bytes == 2 * 300 * 40
    large = [empty(65536 * 320 * 2, device="meta")]
    assert cost.estimate(ATEN._foreach_mul_.Scalar, (large, 2.0), {}, None).kernels == 2


def test_the_fused_optimiser_reads_four_tensors_and_writes_three():
    weights, grads, means, squares = ([empty(1000)] for _ in range(4))
    steps = [torch.zeros(())]
    ((_, estimate),) = costs(
        lambda: ATEN._fused_adamw_(
            weights, grads, means, squares, [], steps, lr=1.0, beta1=0.9, beta2=0.9, weight_decay=0.0, eps=1.0,
            amsgrad=False, maximize=False,
        )
    )  # fmt: skip
    assert estimate.kernels == 1
    assert estimate.moved_bytes == 4 * (7 * 1000 + 1)  # and the count of steps


def test_operators_of_this_project_are_one_kernel():
    library = torch.library.Library("simulated_test", "DEF")
    library.define("double(Tensor(a!) x, Tensor[] ys) -> Tensor")
    library.impl("double", lambda x, ys: torch.empty_like(x), "CPU")
    x = empty(100)
    ((name, estimate),) = costs(lambda: torch.ops.simulated_test.double(x, [empty(10), empty(20)]))
    assert name == "simulated_test.double"
    assert (estimate.kernels, estimate.moved_bytes) == (1, 4 * (3 * 100 + 30))


@pytest.mark.parametrize(
    ("work", "expected"),
    [
        (lambda x: x.sum().item(), True),
        (lambda x: x.nonzero(), True),
        (lambda x: x[x > 0], True),
        (lambda x: x[torch.tensor([1, 0])], False),
        (lambda x: x.masked_select(x > 0), True),
        (lambda x: x.masked_fill(x > 0, 1.0), False),
        (lambda x: x.repeat_interleave(torch.tensor([1, 2, 3])), True),
        (lambda x: x.repeat_interleave(torch.tensor([1, 2, 3]), output_size=6), False),
        (lambda x: x.sum() + 1, False),
    ],
)
def test_what_waits_for_values(work, expected):
    x = torch.ones(3)
    with Calls(lambda func, args, kwargs, results: cost.waits(func, args, kwargs)) as calls:
        work(x)
    assert any(calls.made) is expected
