"""Convolutions with weight norm or spectral norm under the public checkpoint names.

The parameters are named `weight_g`/`weight_v` (weight norm) and `weight_orig`/`weight_u`/`weight_v` (spectral norm), so
that a state_dict needs no conversion. All layers start from PyTorch's default initialisation. The N(0, 0.01) of the
published code never took effect: it was written to a tensor that weight norm overwrote.

Each layer returns the memory layout of its input: "rows" (see `convolutions.rows`) stay rows through a whole network.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hifigan.convolutions.passes import ChosenWeight, Geometry, Ways
from hifigan.convolutions.rows import are_rows, convolve_rows, convolve_transposed_rows, prepared_weight

LARGE_WEIGHT_ELEMENTS = 2**20  # a weight of this size is larger than its output for a training batch on a CPU
INITIAL_POWER_ITERATIONS = 15  # as in torch.nn.utils.parametrizations.spectral_norm

# From `unfinished` of each layer, for `hifigan.gpu.activation`: the output of the convolution, the bias to add, and the
# number by which the output of each signal is to be divided before, or None.
Unfinished = tuple[Tensor, Tensor, Tensor | None]


def weight_norms(weight: Tensor) -> Tensor:
    """Return ||weight|| over all dimensions but the first, which become 1."""
    if weight.is_meta:  # PyTorch would import its compiler to infer the shape, which takes a second
        return weight.new_empty(len(weight), *[1] * (weight.dim() - 1))
    return torch.linalg.vector_norm(weight, dim=tuple(range(1, weight.dim())), keepdim=True)


class _WeightNorm(nn.Module):
    """Mixin for convolution classes: splits `weight` into its norm `weight_g` and its direction `weight_v`."""

    weight: Any
    bias: Any
    weight_g: nn.Parameter
    weight_v: nn.Parameter
    cached: Tensor | None = None  # the weight, within `cache_weights`
    cached_prepared: Tensor | ChosenWeight | None = None  # the weight prepared for rows, within `cache_weights`
    ways: Ways | None = None  # how to compute under autocast on a CPU, see `convolutions.choices`
    ready: Tensor | None = None  # the weight, computed together with other layers by `hifigan.gpu.weight_norm`
    expanded_bias: Tensor | None = None  # see `hifigan.gpu.bias_sums`

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        weight = self.weight.detach()
        del self.weight
        self.weight_g = nn.Parameter(weight_norms(weight))
        self.weight_v = nn.Parameter(weight)

    def normed_weight(self) -> Tensor:
        """Return g * v / ||v||, with the norm over all dimensions but the first."""
        return torch._weight_norm(self.weight_v, self.weight_g, 0) if self.cached is None else self.cached

    def weight_of_call(self) -> Tensor:
        """Return the weight with which a call computes."""
        ready = _usable(self.ready)
        return self.normed_weight() if ready is None else ready


def _usable(ready: Tensor | None) -> Tensor | None:
    """Return a weight in the precision of autocast, unless a layer computes in fp32 outside of it."""
    if ready is None or ready.dtype == torch.float32 or torch.is_autocast_enabled(ready.device.type):
        return ready
    return None


@contextlib.contextmanager
def cache_weights(*modules: nn.Module, when: bool = True) -> Iterator[None]:
    """Within this context, compute each weight norm of `modules`, and its gradient, only once for all calls.

    On a CPU, large weights with spectral norm are also prepared for their convolution only once.

    The weights and the precision must not change within the context. Unless the weights are frozen, only one backward
    pass is allowed.
    """
    inside = [layer for module in modules if when for layer in module.modules()]
    normed = [layer for layer in inside if isinstance(layer, _WeightNorm)]
    spectral = [layer for layer in inside if isinstance(layer, SpectralNormConv1d)]
    for layer in normed:
        layer.cached = layer.normed_weight()
    for conv in spectral:
        conv.shared = conv.weight_orig.numel() >= LARGE_WEIGHT_ELEMENTS
    try:
        yield
    finally:
        for layer in normed:
            layer.cached = layer.cached_prepared = None
        for conv in spectral:
            conv.shared, conv.cached_prepared = False, None


def _convolve(
    conv: WeightNormConv1d | WeightNormConv2d | SpectralNormConv1d, x: Tensor, weight: Tensor, bias: Tensor | None
) -> Tensor:
    if not are_rows(x) or conv.padding_mode != "zeros":
        return conv._conv_forward(x, weight, bias)
    geometry = Geometry.of(conv)
    use_cache = (conv.cached is weight) if isinstance(conv, _WeightNorm) else conv.shared
    prepared = conv.cached_prepared if use_cache else None
    if prepared is None:
        prepared = prepared_weight(weight, geometry, conv.ways)
        if use_cache:
            conv.cached_prepared = prepared
    return convolve_rows(x, prepared, bias, geometry)


def _bias_to_add(layer: Any) -> Tensor:
    return layer.bias if layer.expanded_bias is None else layer.expanded_bias


class WeightNormConv1d(_WeightNorm, nn.Conv1d):
    """`nn.Conv1d` with weight norm over the output channels."""

    def forward(self, x: Tensor) -> Tensor:
        return _convolve(self, x, self.weight_of_call(), self.bias)

    def unfinished(self, x: Tensor, signals: int = 1) -> Unfinished:
        return _convolve(self, x, self.weight_of_call(), None), _bias_to_add(self), None


class WeightNormConvTranspose1d(_WeightNorm, nn.ConvTranspose1d):
    """`nn.ConvTranspose1d` with weight norm over the input channels (dimension 0, as published)."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        weight = self.weight_of_call()
        if are_rows(x) and self.output_padding[0] == 0:
            return convolve_transposed_rows(x, weight, self.bias, self.stride[0], self.padding[0])  # type: ignore[arg-type]
        return F.conv_transpose1d(x, weight, self.bias, self.stride, self.padding, self.output_padding)  # type: ignore[arg-type]

    def unfinished(self, x: Tensor) -> Unfinished:
        weight = self.weight_of_call()
        y = F.conv_transpose1d(x, weight, None, self.stride, self.padding, self.output_padding)  # type: ignore[arg-type]
        return y, _bias_to_add(self), None


class WeightNormConv2d(_WeightNorm, nn.Conv2d):
    """`nn.Conv2d` with weight norm over the output channels. Kernels have one column."""

    def forward(self, x: Tensor) -> Tensor:
        return _convolve(self, x, self.weight_of_call(), self.bias)

    def unfinished(self, x: Tensor, signals: int = 1) -> Unfinished:
        return _convolve(self, x, self.weight_of_call(), None), _bias_to_add(self), None


def match_weight_norm(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert plain and weight-normed tensors to each other, as a module with the names of `expected` requires."""
    matched: dict[str, Tensor] = {}
    for key, value in state.items():
        base, _, leaf = key.rpartition(".")
        if leaf == "weight" and key not in expected and f"{base}.weight_g" in expected:
            matched[f"{base}.weight_g"] = weight_norms(value.float())
            matched[f"{base}.weight_v"] = value
        elif leaf == "weight_v" and f"{base}.weight" in expected and f"{base}.weight_g" in state:
            matched[f"{base}.weight"] = torch._weight_norm(value, state[f"{base}.weight_g"], 0)
        elif not (leaf == "weight_g" and f"{base}.weight" in expected and f"{base}.weight_v" in state):
            matched[key] = value
    return matched


def _fuse(conv: WeightNormConv1d | WeightNormConvTranspose1d) -> nn.Module:
    """Return the same convolution with a plain weight."""
    kind = nn.Conv1d if isinstance(conv, nn.Conv1d) else nn.ConvTranspose1d
    shape: dict[str, Any] = {"stride": conv.stride, "padding": conv.padding, "dilation": conv.dilation}
    if isinstance(conv, nn.ConvTranspose1d):
        shape["output_padding"] = conv.output_padding
    shape |= {"padding_mode": conv.padding_mode, "bias": conv.bias is not None}
    plain: Any = kind(conv.in_channels, conv.out_channels, conv.kernel_size, **shape)  # type: ignore[arg-type]
    with torch.no_grad():
        plain.weight.copy_(conv.normed_weight())
        if conv.bias is not None:
            plain.bias.copy_(conv.bias)
    return plain.to(conv.weight_v.device, conv.weight_v.dtype).train(conv.training)


def remove_weight_norm(module: nn.Module) -> None:
    """Replace every weight-normed convolution below `module` by an equal plain one. A second call does nothing."""
    for name, child in module.named_children():
        if isinstance(child, WeightNormConv1d | WeightNormConvTranspose1d):
            setattr(module, name, _fuse(child))
        else:
            remove_weight_norm(child)


class SpectralNormConv1d(nn.Conv1d):
    """`nn.Conv1d` whose weight is divided by its largest singular value, estimated by power iteration.

    In training mode each call does one iteration, v <- norm(W^T u), u <- norm(W v), and then uses sigma = u^T W v. In
    evaluation mode the stored vectors are used unchanged (Miyato et al. 2018, algorithm 1).
    """

    weight_orig: nn.Parameter
    weight_u: Tensor
    weight_v: Tensor
    shared = False  # whether all calls share the prepared weight, within `cache_weights`
    cached_prepared: Tensor | ChosenWeight | None = None  # `weight_orig` prepared for rows
    ways: Ways | None = None  # how to compute under autocast on a CPU, see `convolutions.choices`
    ready: Tensor | None = None  # `weight_orig` in the precision of autocast, from `hifigan.gpu.weight_norm`
    expanded_bias: Tensor | None = None  # see `hifigan.gpu.bias_sums`
    sigmas: Tensor | None = None  # of the next calls, if computed in advance

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        weight = self.weight.detach()
        del self.weight
        self.weight_orig = nn.Parameter(weight)
        matrix = weight.flatten(1)
        self.register_buffer("weight_u", F.normalize(torch.randn(matrix.size(0)), dim=0))
        self.register_buffer("weight_v", F.normalize(torch.randn(matrix.size(1)), dim=0))
        self.power_iterations(INITIAL_POWER_ITERATIONS)  # evaluation of random vectors would be meaningless

    @torch.no_grad()
    def power_iterations(self, count: int) -> None:
        """Update the stored singular vectors by some iterations, in fp32."""
        matrix = self.weight_orig.detach().flatten(1)
        with torch.autocast(matrix.device.type, enabled=False):
            for _ in range(count):
                # In place, because a CUDA graph reads and writes the vectors at fixed addresses.
                self.weight_v.copy_(F.normalize(torch.mv(matrix.t(), self.weight_u), dim=0))
                self.weight_u.copy_(F.normalize(torch.mv(matrix, self.weight_v), dim=0))

    def _next_sigmas(self, signals: int) -> Tensor:
        """Return sigma for each of several signals, [signals]."""
        if self.sigmas is None or not self.training:  # a recording that failed may have left some
            made = [self._next_sigma() for _ in range(signals)]
            return torch.stack(made) if signals > 1 else made[0].unsqueeze(0)
        sigmas, self.sigmas = self.sigmas, None
        if len(sigmas) == signals:
            return sigmas
        self.sigmas = sigmas[signals:]
        return sigmas[:signals]

    def _next_sigma(self) -> Tensor:
        if self.training:
            self.power_iterations(1)
        with torch.autocast(self.weight_orig.device.type, enabled=False):
            # Copies, because the next iteration may precede this one's backward pass.
            u, v = self.weight_u.clone(), self.weight_v.clone()
            return torch.dot(u, torch.mv(self.weight_orig.flatten(1), v))

    def forward(self, x: Tensor, signals: int = 1) -> Tensor:
        """x [signals * B, C, T], the signals concatenated. Each gets its own iteration, as in separate calls."""
        signals = signals if self.training else 1
        if signals == 1 and not (self.shared and are_rows(x)):
            return _convolve(self, x, self.weight_orig / self._next_sigmas(1), self.bias)
        y, _, sigmas = self.unfinished(x, signals)
        scaled = (y.unflatten(0, (signals, -1)) / sigmas.view(-1, 1, 1, 1)).flatten(0, 1)
        return (scaled + self.bias.view(-1, 1)).to(y.dtype)  # type: ignore[union-attr]

    def unfinished(self, x: Tensor, signals: int = 1) -> tuple[Tensor, Tensor, Tensor]:
        # The convolution is linear: each signal's output is divided by its own sigma before the bias is added.
        sigmas = self._next_sigmas(signals if self.training else 1)
        ready = _usable(self.ready)
        # A view of the parameter, because a module may not keep it twice.
        weight = self.weight_orig[:] if ready is None else ready
        return _convolve(self, x, weight, None), _bias_to_add(self), sigmas
