"""Real and fake in one discriminator call: the same mathematics as two calls."""

import copy

import pytest
import torch

from hifigan import MultiPeriodDiscriminator, MultiScaleDiscriminator, losses
from hifigan.discriminators import judge_both

LENGTH = 1000


@pytest.mark.parametrize("kind", [MultiPeriodDiscriminator, MultiScaleDiscriminator])
def test_one_call_equals_two(kind):
    """Judgements, gradients and spectral-norm vectors, over steps that change the weights."""
    torch.manual_seed(0)
    apart = kind().double()
    together = copy.deepcopy(apart)
    optimisers = [torch.optim.SGD(judge.parameters(), 0.05) for judge in (apart, together)]
    for step in range(3):
        real, fake = torch.randn(2, 2, 1, LENGTH, dtype=torch.float64).unbind()
        results = []
        for judge, optimiser, in_one_call in zip((apart, together), optimisers, (False, True), strict=True):
            optimiser.zero_grad()
            judgements = judge_both(judge, real, fake, in_one_call)
            losses.discriminator_loss(judgements[0][0], judgements[1][0]).backward()
            optimiser.step()
            results.append([t for scores, fmaps in judgements for t in [*scores, *(f for maps in fmaps for f in maps)]])
        for one, other in zip(*results, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9 * one.abs().max().item())
        for (name, one), other in zip(apart.named_parameters(), together.parameters(), strict=True):
            assert (one.grad - other.grad).norm() <= 1e-9 * one.grad.norm(), (step, name)
        for name, buffer in apart.named_buffers():
            torch.testing.assert_close(buffer, together.get_buffer(name), rtol=1e-9, atol=1e-12)


def test_evaluation_leaves_the_vectors_alone():
    judge = MultiScaleDiscriminator().eval()
    before = {name: buffer.clone() for name, buffer in judge.named_buffers()}
    real, fake = torch.randn(2, 2, 1, LENGTH).unbind()
    with torch.no_grad():
        pairs = zip(judge_both(judge, real, fake, True), judge_both(judge, real, fake, False), strict=True)
        for (scores, _), (expected, _) in pairs:
            for one, other in zip(scores, expected, strict=True):
                torch.testing.assert_close(one, other)
    assert all(torch.equal(buffer, before[name]) for name, buffer in judge.named_buffers())


@pytest.mark.parametrize("period", [2, 3, 11])
def test_period_discriminator_sees_every_sample(period):
    wav = torch.randn(1, 1, 1001, requires_grad=True)
    scores, _ = MultiPeriodDiscriminator([period])(wav)
    scores[0].square().sum().backward()
    assert (wav.grad != 0).all()
