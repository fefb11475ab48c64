"""The rule that gives each device its 16-bit format."""

import pytest
import torch

from common.machine.hardware import half_precision
from common.machine.precision import DTYPES, amp_format, make_gradient_scaler, mixed_precision


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


@pytest.mark.parametrize(("dtype", "scale"), [(torch.float16, 2.0**16), (torch.bfloat16, 1.0), (None, 1.0)])
def test_only_fp16_scales_the_loss(dtype, scale):
    assert make_gradient_scaler(torch.device("cpu"), dtype).scale(torch.ones(())) == scale
