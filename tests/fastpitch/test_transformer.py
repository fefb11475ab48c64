"""The feed-forward transformer."""

import torch

from fastpitch import FastPitch
from fastpitch.transformer import PositionalEmbedding
from tests.support.models import TINY_FASTPITCH
from tests.support.weights import fastpitch_weights


@torch.no_grad()
def test_the_transformer_leaves_zeros_in_the_padding():
    model = FastPitch(TINY_FASTPITCH).eval()
    model.load_state_dict(fastpitch_weights(model.state_dict()))
    mask = torch.tensor([[True, True, False], [False, False, False]])
    out = model.encoder(torch.randn(2, 3, 16), mask)
    assert out[mask].all()
    assert not out[~mask].any()


def test_positions_are_sines_then_cosines():
    positions = PositionalEmbedding(4)(3)
    angles = torch.tensor([[0, 0], [1, 0.01], [2, 0.02]])
    torch.testing.assert_close(positions, torch.cat([angles.sin(), angles.cos()], 1))
