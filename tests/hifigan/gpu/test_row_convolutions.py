"""Convolutions of rows equal PyTorch's, for each utterance of a batch as if it were alone."""

import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional as F

pytest.importorskip("triton")

from hifigan.engine.cuda_rows import Convolution
from hifigan.gpu import row_convolutions
from hifigan.gpu.row_convolutions import CHANNEL_STEP, choose_tile
from tests.support.gpu.interpret import widen_bf16
from tests.support.gpu.triton_compile import Kernel, compile_kernels

DTYPES = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16"}
TOLERANCE = {torch.float32: 2e-6, torch.float16: 2e-3, torch.bfloat16: 2e-2}  # of values of about 1
MOST_SHARED_BYTES = 99 * 1024  # of a block on sm_86 and sm_89, which run what is compiled for sm_80

LAYERS = {
    "plain": nn.Conv1d(16, 16, 3, padding=1),
    "dilated, other numbers of channels": nn.Conv1d(24, 40, 5, padding=6, dilation=3),
    "one tap": nn.Conv1d(16, 32, 1),
    "without a bias": nn.Conv1d(16, 1, 7, padding=3, bias=False),
    "mirrored": nn.Conv1d(16, 16, 5, padding=6, dilation=3, padding_mode="reflect"),
    "twice the rate": nn.ConvTranspose1d(32, 16, 4, 2, padding=1),
    "not a multiple of the rate": nn.ConvTranspose1d(20, 10, 11, 3, padding=4),
    "one more row": nn.ConvTranspose1d(16, 16, 5, 2, padding=1),
    "one row given back": nn.ConvTranspose1d(16, 16, 5, 2, padding=2, output_padding=1),
    "as long as the rate": nn.ConvTranspose1d(16, 16, 3, 3),
}


@pytest.fixture(autouse=True)
def _bf16(monkeypatch):
    widen_bf16(monkeypatch)


def as_rows(x):
    """[B, C, T] -> rows with channels padded to a multiple of the kernels' step."""
    return F.pad(x, (0, 0, 0, -x.size(1) % CHANNEL_STEP)).transpose(1, 2).contiguous()


def run(layer, x, lengths, residual=None, total=None, factor=1.0, slope=1.0, activate=False):
    """Run a layer on rows, whose values behind the lengths are made NaN."""
    conv = Convolution(layer, x.dtype)
    rows = as_rows(x)
    for item, length in enumerate(lengths):
        rows[item, length:] = torch.nan
    scales = [1, 0, conv.rate, conv.surplus]
    shape = [conv.taps, conv.dilation, conv.padding, conv.rate, conv.cut]
    return torch.ops.hifigan.convolve_rows(
        rows,
        conv.weight,
        conv.bias,
        residual,
        total,
        torch.tensor(lengths, dtype=torch.int32),
        x.size(2) * conv.rate + conv.surplus,
        scales,
        shape,
        factor,
        slope,
        activate,
        getattr(layer, "padding_mode", "zeros") == "reflect",
        "ieee",
    )


@torch.no_grad()
def expected(layer, x, dtype, activate=False):
    """Compute in fp32 on inputs and weights in `dtype`: [C, T] -> [O, T']."""
    rounded = x[None].to(dtype).float()
    weight = layer.weight.to(dtype).float()
    given = F.leaky_relu(rounded, 0.1) if activate else rounded
    return torch.func.functional_call(layer, {"weight": weight}, (given,))[0]


@pytest.mark.parametrize("name", LAYERS)
def test_layers_of_every_shape(name):
    layer, lengths = LAYERS[name], (21, 9, 0)
    x = torch.randn(3, layer.in_channels, 21, generator=torch.Generator().manual_seed(0))
    y = run(layer, x, lengths)
    for item, length in enumerate(lengths[:2]):
        whole = expected(layer, x[item, :, :length], torch.float32).t()
        torch.testing.assert_close(y[item, : len(whole), : whole.size(1)], whole, rtol=0, atol=2e-6)
        assert not y[item, : len(whole), whole.size(1) :].any(), "channels that exist only for the kernel"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activate", [False, True])
def test_sums_and_activations(dtype, activate):
    layer, lengths = nn.Conv1d(32, 32, 3, padding=2, dilation=2), (13, 4)
    x, residual, total = torch.randn(3, 2, 32, 13, generator=torch.Generator().manual_seed(1)).to(dtype)
    y = run(layer, x, lengths, as_rows(residual), as_rows(total), 0.25, 0.1, activate)
    for item, length in enumerate(lengths):
        alone = slice(None), slice(length)
        made = expected(layer, x[item][alone], dtype, activate)
        summed = F.leaky_relu((made + residual[item][alone].float() + total[item][alone].float()) / 4, 0.1)
        torch.testing.assert_close(y[item, :length].float(), summed.t(), rtol=0, atol=TOLERANCE[dtype])


def test_utterances_of_several_tiles(monkeypatch):
    plain = row_convolutions.choose_tile
    monkeypatch.setattr(row_convolutions, "choose_tile", lambda *args: plain(*args)._replace(rows=16, columns=16))
    for layer in (LAYERS["plain"], LAYERS["twice the rate"], LAYERS["one row given back"]):
        x = torch.randn(2, layer.in_channels, 40, generator=torch.Generator().manual_seed(2))
        y = run(layer, x, (40, 17))
        for item, length in enumerate((40, 17)):
            whole = expected(layer, x[item, :, :length], torch.float32).t()
            torch.testing.assert_close(y[item, : len(whole)], whole, rtol=0, atol=2e-6)


@pytest.mark.parametrize(("channels", "mode"), [(16, "zeros"), (24, "zeros"), (32, "reflect")])
def test_the_last_layer(channels, mode):
    layer, lengths = nn.Conv1d(channels, 1, 7, padding=3, padding_mode=mode), (150, 20)
    x = 3 * torch.randn(2, channels, 150, generator=torch.Generator().manual_seed(3))
    rows = as_rows(x)
    rows[1, 20:] = torch.nan
    weight = as_rows(layer.weight.detach())[0]
    wav = torch.ops.hifigan.last_layer(
        rows, weight, layer.bias.detach(), torch.tensor(lengths, dtype=torch.int32), [1, 0], mode == "reflect"
    )
    for item, length in enumerate(lengths):
        alone = torch.tanh(layer(F.leaky_relu(x[item : item + 1, :, :length]))).detach()[0, 0]
        torch.testing.assert_close(wav[item, :length], alone, rtol=0, atol=2e-6)
        assert not wav[item, length:].any()


def kernel(channels, outputs, dtype, products, activate=False):
    """Return the kernel of a convolution as it is launched."""
    tile = choose_tile(channels, outputs, dtype, products == "ieee")
    signal = f"*{DTYPES[dtype]}"
    whole_numbers = (
        *("rows_in", "rows_out", "scale_in", "shift_in", "scale_out", "shift_out", "taps", "dilation", "padding"),
        *("rate", "cut", "residual_given", "total_given"),
    )
    arguments = {
        **dict.fromkeys(("x", "weight", "residual", "total", "y"), signal),
        **{"bias": "*fp32", "lengths": "*i32", "factor": "fp32", "slope": "fp32"},
        **dict.fromkeys(whole_numbers, "i32"),
        **{"CHANNELS": channels, "OUTPUTS": outputs, "ROWS": tile.rows, "COLUMNS": tile.columns, "STEP": tile.channels},
        **{"ACTIVATE": activate, "REFLECT": False, "PRECISION": products},
    }
    return Kernel("hifigan.gpu.row_convolutions", "convolve_kernel", arguments, tile.warps, tile.stages)


@pytest.mark.slow
def test_kernels_of_all_presets_fit_the_registers():
    """All tiles of the table. No spills, and the tensor cores' instructions except for exact fp32."""
    widths = (16, 32, 64, 128, 256)
    kernels = [
        *(kernel(c, c, torch.float16, "tf32", activate) for c, activate in itertools.product(widths, (False, True))),
        *(kernel(2 * c, c, torch.float16, "tf32") for c in widths[:-1]),
        *(kernel(c, c, torch.bfloat16, "tf32", activate=True) for c in (32, 128)),
        *(kernel(c, c, torch.float32, "tf32", activate=True) for c in (32, 64)),
        *(kernel(c, c, torch.float32, "ieee", activate=True) for c in (16, 64)),
        *(kernel(c, o, torch.float32, products) for c, o in ((80, 512), (512, 256)) for products in ("ieee", "tf32x3")),
    ]
    costs = compile_kernels(kernels)
    assert len(costs) == 2 * len(kernels)
    for cost, compiled in zip(costs, [k for k in kernels for _ in range(2)], strict=True):
        assert cost.spilled_bytes == 0, compiled
        assert cost.shared_bytes <= MOST_SHARED_BYTES, compiled
        if compiled.arguments["PRECISION"] != "ieee":
            assert ("wgmma.mma_async" if cost.capability == 90 else "mma.sync") in cost.ptx, compiled


@pytest.mark.medium
def test_kernels_fit_the_registers():
    """The widest layer of V1, and the last one."""
    signal = {"x": "*fp16", "weight": "*fp32", "bias": "*fp32", "lengths": "*i32", "wav": "*fp32"}
    numbers = dict.fromkeys(("rows", "scale", "shift", "taps", "padding"), "i32")
    shape = {"CHANNELS": 32, "ROWS": 128, "BLOCK": 32, "REFLECT": False}
    last = Kernel("hifigan.gpu.row_convolutions", "last_layer_kernel", {**signal, **numbers, **shape})
    for cost in compile_kernels([kernel(128, 128, torch.float16, "tf32", activate=True), last]):
        assert cost.spilled_bytes == 0
        assert cost.shared_bytes <= MOST_SHARED_BYTES


@pytest.mark.parametrize("dtype", DTYPES)
def test_tiles_divide_all_widths(dtype):
    for channels, outputs in itertools.product((16, 48, 80, 128, 400, 512), (16, 32, 96, 256, 1024)):
        tile = choose_tile(channels, outputs, dtype, exact=True)
        assert channels % tile.channels == outputs % tile.columns == 0
        assert min(tile[:3]) >= 16
