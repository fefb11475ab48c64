"""Toom and Cook's transforms against the definition of a convolution."""

import pytest
import torch

from hifigan.engine.native.transforms import WIDEST, Transform, order_lanes

SIZES = [(1, 1), (2, 2), (2, 3), (3, 3), (4, 3), (4, 4), (4, 5)]


@pytest.mark.parametrize("sizes", SIZES)
def test_they_compute_a_convolution(sizes):
    transform = Transform(*sizes)
    random = torch.Generator().manual_seed(0)
    x, weight = (
        torch.randn(size, dtype=torch.float64, generator=random) for size in (transform.points, transform.taps)
    )
    expected = [(x[start : start + transform.taps] * weight).sum() for start in range(transform.tile)]
    products = (transform.of_inputs() @ x) * (transform.of_taps() @ weight)
    torch.testing.assert_close(transform.of_outputs() @ products, torch.stack(expected))


@pytest.mark.parametrize("sizes", SIZES)
def test_packed_sums_equal_the_matrix(sizes):
    """Points that differ in sign share the sums over even and over odd inputs."""
    transform = Transform(*sizes)
    _, (even, odd, powers) = transform.pack()
    x = torch.randn(transform.points, generator=torch.Generator().manual_seed(0))
    evens = even[:, : len(x[::2])] @ x[::2]
    odds = odd[:, : len(x[1::2])] @ x[1::2]
    values = [evens[0], *(value for a, b in zip(evens[1:], odds[1:], strict=True) for value in (a + b, a - b))]
    if transform.points % 2 == 0:
        values.append(odds[0])
    torch.testing.assert_close(torch.stack(values), transform.of_inputs().float() @ x)
    assert powers.shape == ((transform.points - 1) // 2, transform.tile)


@pytest.mark.parametrize("tile", [2, 3, 4])
@pytest.mark.parametrize("dilation", [1, 2, 3, 5, 6, 12, 16])
def test_lanes_are_rearranged_and_back(tile, dilation):
    to_phases, to_samples = order_lanes(dilation, tile)
    columns = WIDEST // dilation * dilation
    samples = torch.arange(4 * WIDEST)
    phases = samples[to_phases]
    for column in range(columns):
        first = column // dilation * dilation * tile + column % dilation
        assert phases[:, column].tolist() == [first + j * dilation for j in range(tile)]
    assert phases.flatten()[to_samples.flatten()[: columns * tile]].tolist() == samples[: columns * tile].tolist()
