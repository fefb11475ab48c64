"""Recognise the architecture of a FastPitch file by its tensors. Published files have no configuration, or a part."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

PUBLISHED_HEAD = 64  # width of an attention head in every published model; shapes show only heads x width


def config_of(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the keys of `FastPitchConfig` that the tensors show. Dropouts and factors are not among them."""
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    found: dict[str, Any] = {
        "energy_conditioning": "energy_emb.weight" in shapes,
        "n_speakers": shapes.get("speaker_emb.weight", (1,))[0],
    }
    named: tuple[tuple[str, tuple[str | None, ...]], ...] = (
        ("encoder.word_emb.weight", ("n_symbols", "symbols_embedding_dim")),
        ("proj.weight", ("n_mel_channels", "out_fft_output_size")),
        ("pitch_emb.weight", (None, None, "pitch_embedding_kernel_size")),
        ("energy_emb.weight", (None, None, "energy_embedding_kernel_size")),
    )
    for name, keys in named:
        found |= _named(shapes.get(name, ()), keys)
    if "symbols_embedding_dim" in found:
        found["in_fft_output_size"] = found["symbols_embedding_dim"]
    for part, side in (("encoder", "in_fft"), ("decoder", "out_fft")):
        found |= _transformer(shapes, part, side)
    for part, name in (("duration", "dur"), ("pitch", "pitch"), ("energy", "energy")):
        of_layer = (f"{name}_predictor_filter_size", None, f"{name}_predictor_kernel_size")
        found |= _named(shapes.get(f"{part}_predictor.layers.0.conv.weight", ()), of_layer)
        if layers := _layers(shapes, f"{part}_predictor"):
            found[f"{name}_predictor_n_layers"] = layers
    return found


def _transformer(shapes: Mapping[str, tuple[int, ...]], part: str, side: str) -> dict[str, Any]:
    keys = (f"{side}_conv1d_filter_size", None, f"{side}_conv1d_kernel_size")
    found = _named(shapes.get(f"{part}.layers.0.pos_ff.CoreNet.0.weight", ()), keys)
    if layers := _layers(shapes, part):
        found[f"{side}_n_layers"] = layers
    width = shapes.get(f"{part}.layers.0.dec_attn.o_net.weight", (0, 0))[-1]
    if width:
        heads = max(1, width // PUBLISHED_HEAD) if width % PUBLISHED_HEAD == 0 else 1
        found |= {f"{side}_n_heads": heads, f"{side}_d_head": width // heads}
    return found


def _layers(shapes: Mapping[str, tuple[int, ...]], part: str) -> int:
    return len({found[1] for name in shapes if (found := re.match(rf"{part}\.layers\.(\d+)\.", name))})


def _named(shape: tuple[int, ...], keys: tuple[str | None, ...]) -> dict[str, int]:
    return {key: size for key, size in zip(keys, shape, strict=False) if key}
