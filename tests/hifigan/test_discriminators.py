"""Discriminators: real and fake in one call, and narrow layers."""

import copy

import pytest
import torch

from hifigan import MultiPeriodDiscriminator, MultiScaleDiscriminator, losses
from hifigan.convolutions.rows import are_rows, to_rows
from hifigan.discriminators import build_discriminators, judge_both

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


@pytest.mark.parametrize("width", [0.125, 0.5, 1.0])
@pytest.mark.parametrize("name", ["mpd", "msd"])
def test_width_scales_the_hidden_channels(name, width):
    """Hidden layers have `width` times the paper's channels. The input and the scores keep their single channel."""
    judge = build_discriminators(width=width)[name]
    channels = [[conv.out_channels for conv in part.convs] for part in judge.discriminators]
    paper = [32, 128, 512, 1024, 1024] if name == "mpd" else [128, 128, 256, 512, 1024, 1024, 1024]
    assert channels == [[int(count * width) for count in paper]] * len(channels)
    assert {part.conv_post.out_channels for part in judge.discriminators} == {1}
    assert {part.convs[0].in_channels for part in judge.discriminators} == {1}
    scores, fmaps = judge(torch.randn(2, 1, LENGTH))
    assert [[fmap.size(1) for fmap in maps] for maps in fmaps] == [[*counts, 1] for counts in channels]
    assert all(score.shape[0] == 2 and score.dim() == 2 for score in scores)
    assert all(score.isfinite().all() for score in scores)


@pytest.mark.parametrize("name", ["mpd", "msd"])
def test_width_1_is_the_default(name):
    whole, default = build_discriminators(width=1.0)[name], build_discriminators()[name]
    assert {key: tensor.shape for key, tensor in whole.state_dict().items()} == {
        key: tensor.shape for key, tensor in default.state_dict().items()
    }


@pytest.mark.parametrize("width", [0.125, 0.25, 0.75])
@pytest.mark.parametrize("name", ["mpd", "msd"])
def test_layouts_of_narrow_discriminators_judge_alike(name, width):
    """Rows, which training uses on a CPU, give the judgements and gradients of PyTorch's own layout."""
    torch.manual_seed(0)
    plain = build_discriminators(width=width)[name].double()
    rows = copy.deepcopy(plain)
    wav = torch.randn(2, 1, 2048, dtype=torch.float64)
    assert are_rows(to_rows(wav))
    results = []
    for judge, signal in ((plain, wav.clone()), (rows, to_rows(wav))):
        signal.requires_grad_(True)
        scores, fmaps = judge(signal)
        sum(score.square().sum() for score in scores).backward()
        results.append([*scores, *(fmap for maps in fmaps for fmap in maps), signal.grad])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9 * one.abs().max().item())
    for (key, one), other in zip(plain.named_parameters(), rows.parameters(), strict=True):
        assert (one.grad - other.grad).norm() <= 1e-9 * one.grad.norm(), key


@pytest.mark.parametrize(("width", "kept"), [(0.25, False), (0.5, True)])
def test_narrow_scale_discriminators_leave_rows(width, kept):
    """Below half the width, the grouped convolutions compute in PyTorch's own layout, which is faster there."""
    judge = build_discriminators(width=width)["msd"]
    layouts = []
    for part in judge.discriminators:
        part.register_forward_pre_hook(lambda module, args: layouts.append(are_rows(args[0])))
    judge(to_rows(torch.randn(2, 1, 2048)))
    assert layouts == [kept] * 3
