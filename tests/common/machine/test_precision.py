"""The rule that gives each device its 16-bit format."""

import pytest
import torch

from common.machine.precision import DTYPES, half_precision, mixed_precision


@pytest.mark.parametrize(("device", "expected"), [("cpu", "bf16"), ("cuda", "fp16"), (torch.device("cuda:1"), "fp16")])
def test_half_precision_of_a_device(device, expected):
    assert half_precision(device) == expected


@pytest.mark.parametrize(("enabled", "expected"), [(True, DTYPES["bf16"]), (False, torch.float32)])
def test_mixed_precision_computes_in_half_precision_only_when_enabled(enabled, expected):
    with mixed_precision(torch.device("cpu"), enabled):
        assert torch.nn.functional.linear(torch.ones(1, 1), torch.ones(1, 1)).dtype is expected
