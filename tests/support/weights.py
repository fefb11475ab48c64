"""Weights by a rule that other implementations can repeat (see parity/README.md)."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from hifigan import Generator
from hifigan.config import GeneratorConfig
from tests.support.paths import PARITY


def rule_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights that depend only on tensor names and shapes: normal numbers seeded by the CRC of the name."""
    return {name: _by_rule(name, tensor) for name, tensor in state.items()}


def by_rule(config: GeneratorConfig) -> Generator:
    """Return a generator with `rule_weights`, in evaluation mode, without weight norm."""
    generator = Generator(config)
    generator.load_state_dict(rule_weights(generator.state_dict()))
    generator.remove_weight_norm()
    return generator.eval()


def fastpitch_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Apply the rule to FastPitch: names get a prefix, some tensors stay, and durations become realistic."""
    kept = ("inv_freq", "pitch_mean", "pitch_std")
    weights = {
        name: tensor.clone() if name.endswith(kept) else _by_rule(f"fastpitch/{name}", tensor)
        for name, tensor in state.items()
    }
    weights["duration_predictor.fc.bias"] += 1.2
    weights["duration_predictor.fc.weight"] *= 0.3
    return weights


def _by_rule(name: str, tensor: Tensor) -> Tensor:
    noise = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode()))).standard_normal(tuple(tensor.shape))
    kind = name.split(".")[-1]
    is_vector = tensor.dim() == 1
    if kind == "weight_g":
        noise = 1 + np.abs(noise) / 10
    elif kind == "weight_u" or (kind == "weight_v" and is_vector):
        noise = noise / np.sqrt((noise**2).sum())
    elif kind in ("weight", "weight_orig") and not is_vector:
        noise = noise / np.sqrt(noise[0].size)
    elif kind == "weight":
        noise = 1 + noise / 10
    elif kind != "weight_v":
        noise = noise / 10
    return torch.tensor(noise, dtype=torch.float32)


def public_shapes(name: str) -> dict[str, list[int]]:
    """Return tensor names and shapes of the public checkpoints, in order."""
    return json.loads((PARITY / f"{name}_state_dict.json").read_text())
