"""Rate of matrix products."""

import pytest
import torch

from benchmarks import peak
from common.machine.precision import tf32_allowed

CPU = torch.device("cpu")


def test_the_best_trial_of_any_size_counts_and_warm_up_does_not(monkeypatch):
    monkeypatch.setitem(peak.PRODUCT_SIZES, "cpu", (8, 16))
    monkeypatch.setattr(peak, "SECONDS", 0.0)
    # For each size: now, then begin and end of three products.
    times = iter([0.0, *(1.0, 2.0), *(2.0, 2.5), *(3.0, 4.0), 5.0, *(5.0, 9.0), *(9.0, 12.0), *(12.0, 14.0)])
    monkeypatch.setattr(peak, "now_sec", lambda device: next(times))
    assert peak.peak_flops(CPU, "fp32") == max(2 * 8**3 / 0.5, 2 * 16**3 / 2.0)
    assert next(times, None) is None


@pytest.mark.parametrize("name", ["fp32", "tf32", "fp16", "bf16"])
def test_products_are_of_the_asked_precision(name, monkeypatch):
    monkeypatch.setitem(peak.PRODUCT_SIZES, "cpu", (4,))
    monkeypatch.setattr(peak, "SECONDS", 0.0)
    seen = set()
    product = torch.mm

    def watched(a, b):
        seen.add((a.dtype, b.dtype, tf32_allowed().products))
        return product(a, b)

    monkeypatch.setattr(torch, "mm", watched)
    before = tf32_allowed()
    assert peak.peak_flops(CPU, name) > 0
    dtype = peak.DTYPES[name]
    assert seen == {(dtype, dtype, name == "tf32")}
    assert tf32_allowed() == before


def test_sizes_that_do_not_fit_are_skipped(monkeypatch):
    monkeypatch.setitem(peak.PRODUCT_SIZES, "cpu", (4, 8))
    monkeypatch.setattr(peak, "SECONDS", 0.0)
    product = torch.mm

    def small(a, b):
        if len(a) > limit[0]:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return product(a, b)

    monkeypatch.setattr(torch, "mm", small)
    limit = [4]
    assert peak.peak_flops(CPU, "fp32") > 0
    limit = [0]
    with pytest.raises(torch.OutOfMemoryError):
        peak.peak_flops(CPU, "fp32")
