"""Discriminators of every program are recognised, with what their shapes do not show."""

import json
import math
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from common.errors import InputError
from hifigan.checkpoint import load_public_state
from hifigan.config import DiscriminatorConfig
from hifigan.discriminators import build_discriminators
from hifigan.training.discriminator_files import read_discriminators

PEERS = Path(__file__).parents[2] / "formats" / "discriminators"
NARROW = 0.125


def states(config=None):
    config = DiscriminatorConfig() if config is None else config
    return {name: module.state_dict() for name, module in build_discriminators(width=NARROW, config=config).items()}


def flat(tensors, prefix=""):
    return {f"{prefix}{name}.{key}": value for name, state in tensors.items() for key, value in state.items()}


def save(path, content, settings=""):
    torch.save(content, path)
    if settings:
        path.with_name("config.yml").write_text(settings)
    return path


def parallel_wavegan(tensors):
    renamed = {}
    for key, value in flat(tensors).items():
        name, _, rest = key.partition(".discriminators.")
        number, _, layer = rest.partition(".")
        kind, _, leaf = layer.partition(".")
        if name == "msd":
            new = f"layers.7.{leaf}" if kind == "conv_post" else f"layers.{leaf.replace('.', '.0.', 1)}"
        else:
            new = f"output_conv.{leaf}" if kind == "conv_post" else f"convs.{leaf.replace('.', '.0.', 1)}"
        renamed[f"{name}.discriminators.{number}.{new}"] = value
    return renamed


@pytest.mark.parametrize(
    ("wrap", "padding"),
    [
        (lambda s: {**s, "scaler_g": {}, "steps": 1}, 1),  # ours and NVIDIA's
        (lambda s: {**s, "optim_g": {}, "steps": 1, "epoch": 0}, 2),  # the paper authors'
        (lambda s: {"model": {**flat(s, "model_d."), "model_g.conv_pre.bias": torch.zeros(1)}}, 2),  # Coqui's trainer
        (lambda s: {"model": {"conv_pre.bias": torch.zeros(1)}, "model_disc": flat(s)}, 2),  # Coqui's releases
        (lambda s: {"state_dict": {**flat(s), "generator.conv_pre.bias": torch.zeros(1)}}, 2),  # NeMo, EveryVoice
        (lambda s: {"state_dict": {"model_gen": {}, "model_disc": flat(s)}}, 1),  # NATSpeech
    ],
)
def test_each_program_s_file(wrap, padding, tmp_path):
    tensors = states()
    found = read_discriminators(save(tmp_path / "d.pt", wrap(tensors)))
    assert DiscriminatorConfig.from_dict(found.config) == DiscriminatorConfig(pool_padding=padding)
    for name, state in tensors.items():
        assert found.states[name].keys() == state.keys()
        assert all(torch.equal(found.states[name][key], value) for key, value in state.items())


@pytest.mark.parametrize("scales", [(2, 2, 4, 4, 1), (4, 4, 4, 4, 1)])
def test_parallel_wavegan_s_strides_come_from_its_configuration(scales, tmp_path):
    config = DiscriminatorConfig(2, (1, *scales, 1), 2)
    tensors = states(config)
    settings = f"discriminator_params: {{scale_discriminator_params: {{downsample_scales: {list(scales)}}}}}"
    content = {"model": {"generator": {}, "discriminator": parallel_wavegan(tensors)}}
    found = read_discriminators(save(tmp_path / "d.pkl", content, settings))
    assert DiscriminatorConfig.from_dict(found.config) == config
    for name, state in tensors.items():
        assert all(torch.equal(found.states[name][key], value) for key, value in state.items())


def test_other_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="not a discriminator checkpoint, it has no 'mpd'"):
        read_discriminators(save(tmp_path / "g.pt", {"generator": {"conv_pre.bias": torch.zeros(1)}}))
    broken = "discriminator_params: {scale_discriminator_params: {downsample_scales: [a]}}"
    content = {"model": {"discriminator": parallel_wavegan(states())}}
    with pytest.raises(InputError, match=r"discriminator_params of its config\.yml cannot be read"):
        read_discriminators(save(tmp_path / "d.pkl", content, broken))
    for values in ({"pool_padding": 3}, {"scale_strides": (1, 2)}, {"other": 1}):
        with pytest.raises(InputError, match="discriminators of an unknown kind"):
            DiscriminatorConfig.from_dict(values)


@pytest.mark.slow
@pytest.mark.parametrize("peer", ["coqui", "pwg"])
def test_scores_are_the_peer_s(peer, tmp_path):
    """Full size, with weights by rule, against what the programs themselves answered."""
    tensors = by_rule(json.loads((PEERS / f"{peer}-keys.json").read_text()))
    content = {"discriminator": tensors} if peer == "pwg" else {f"model_d.{key}": t for key, t in tensors.items()}
    found = read_discriminators(save(tmp_path / "d.pt", {"model": content}))
    judges = build_discriminators(config=DiscriminatorConfig.from_dict(found.config)).eval()
    wav = torch.from_numpy(np.load(PEERS / "wav.npy")).view(1, 1, -1)
    expected = np.load(PEERS / f"{peer}-scores.npz")
    for name, judge in judges.items():
        load_public_state(judge, found.states[name])
        with torch.no_grad():
            scores, _ = judge(wav)
        for number, score in enumerate(scores):
            wanted = torch.from_numpy(expected[f"{name}{number}"]).flatten()
            torch.testing.assert_close(score.flatten(), wanted, rtol=1e-5, atol=1e-6)


def by_rule(shapes):
    """Return weights that follow from their names and shapes, as those of the peers did."""
    state = {}
    for name, shape in shapes.items():
        seed, count = zlib.crc32(name.encode()), math.prod(shape)
        wave = np.sin(np.arange(count, dtype=np.float64) * (0.7 + seed % 1000 / 1000.0) + seed % 628 / 100.0)
        is_spectral = f"{name.rpartition('.')[0]}.weight_orig" in shapes
        if name.endswith("weight_u") or (is_spectral and name.endswith("weight_v")):
            value = np.full(count, 1 / math.sqrt(count))
        elif name.endswith("weight_orig"):
            value = (wave + 0.5) / math.sqrt(count // shape[0])
        elif name.endswith(("weight_g", "original0")):
            value = 1.5 + 0.3 * wave
        elif name.endswith("bias"):
            value = 0.05 * wave
        else:
            value = wave
        state[name] = torch.from_numpy(value.astype(np.float32).reshape(shape))
    return state
