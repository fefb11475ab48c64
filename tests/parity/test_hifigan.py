"""Generator, denoiser, discriminators and losses against numbers of published implementations."""

import numpy as np
import pytest
import torch

from hifigan import Denoiser, Generator, MultiPeriodDiscriminator, MultiScaleDiscriminator, losses
from hifigan.config import PRESETS
from hifigan.convolutions.rows import to_rows
from hifigan.discriminators import advance_spectral_norm
from tests.support.paths import PARITY
from tests.support.weights import public_shapes, rule_weights

TOLERANCE = 1e-5  # of the maximum


@pytest.fixture(scope="module")
def expected():
    return {key: torch.from_numpy(value) for key, value in np.load(PARITY / "generator.npz").items()}


def by_rule(module):
    module.load_state_dict(rule_weights(module.state_dict()))
    return module


@pytest.mark.parametrize("layout", [torch.clone, to_rows])
@pytest.mark.parametrize("version", ["v1", "v2", "v3"])
def test_generator_output(version, layout, expected):
    generator = by_rule(Generator(PRESETS[version]))
    assert sum(p.numel() for p in generator.parameters()) == expected[f"{version}_params"]
    with torch.no_grad():
        wav = generator(layout(expected["mel"]))
    torch.testing.assert_close(wav, expected[version], rtol=0, atol=TOLERANCE * expected[version].abs().max().item())


@pytest.mark.parametrize("version", ["v1", "v2", "v3"])
def test_removing_weight_norm_changes_nothing_and_scripts_exactly(version, expected):
    generator = by_rule(Generator(PRESETS[version]))
    with torch.no_grad():
        before = generator(expected["mel"])
        generator.remove_weight_norm()
        after = generator(expected["mel"])
        scripted = torch.jit.script(generator)(expected["mel"])
    assert not [name for name in generator.state_dict() if name.endswith(("weight_g", "weight_v"))]
    torch.testing.assert_close(after, before, rtol=0, atol=1e-6)
    assert torch.equal(scripted, after)


@pytest.mark.parametrize(
    ("name", "module"),
    [
        *((f"generator_{version}", lambda version=version: Generator(PRESETS[version])) for version in PRESETS),
        ("mpd", MultiPeriodDiscriminator),
        ("msd", MultiScaleDiscriminator),
    ],
)
def test_public_names_and_shapes_in_public_order(name, module):
    ours = {key: list(value.shape) for key, value in module().state_dict().items()}
    assert list(ours.items()) == list(public_shapes(name).items())


def test_samples_are_fp32_under_autocast(expected):
    generator = by_rule(Generator(PRESETS["v2"]))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        wav = generator(expected["mel"])
    assert wav.dtype == torch.float32
    assert len(wav.unique()) > 5000  # of 10240. bf16 has far fewer


def test_denoiser(expected):
    generator = by_rule(Generator(PRESETS["v2"])).eval()
    denoiser = Denoiser(generator)
    largest = expected["denoiser_bias_spec"].max().item()
    torch.testing.assert_close(denoiser.bias_spec, expected["denoiser_bias_spec"], rtol=0, atol=TOLERANCE * largest)
    for strength in (0.005, 0.1):
        out = denoiser(expected["denoiser_in"], strength)
        torch.testing.assert_close(out, expected[f"denoiser_out_{strength}"].squeeze(1), rtol=0, atol=TOLERANCE)
    torch.testing.assert_close(
        denoiser(expected["denoiser_in"], 0.0), expected["denoiser_in"][:, :19968], rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("layout", [torch.clone, to_rows])
@pytest.mark.parametrize(("name", "kind"), [("mpd", MultiPeriodDiscriminator), ("msd", MultiScaleDiscriminator)])
def test_discriminators_and_losses(name, kind, layout):
    expected = np.load(PARITY / "discriminators.npz")
    discriminator = by_rule(kind()).train()
    with torch.no_grad():
        real_scores, real_fmaps = discriminator(layout(torch.from_numpy(expected["y"])))
        fake_scores, fake_fmaps = discriminator(layout(torch.from_numpy(expected["y_hat"])))
    for which, scores, fmaps in (("real", real_scores, real_fmaps), ("fake", fake_scores, fake_fmaps)):
        for i, score in enumerate(scores):
            reference = expected[f"{name}{i}/{which}"]
            np.testing.assert_allclose(score.numpy(), reference, rtol=0, atol=TOLERANCE * np.abs(reference).max())
        flat = [fmap for maps in fmaps for fmap in maps]
        means = [fmap.abs().mean().item() for fmap in flat]
        np.testing.assert_allclose(means, expected[f"{name}/fmap_abs_mean_{which}"], rtol=TOLERANCE)
        shapes = [[*fmap.shape, 0][:4] for fmap in flat]
        assert shapes == expected[f"{name}/fmap_shapes"].tolist()
    computed = {
        "discriminator_loss": losses.discriminator_loss(real_scores, fake_scores),
        "generator_loss": losses.generator_loss(fake_scores),
        "feature_loss": losses.FEATURE_WEIGHT * losses.feature_matching_loss(real_fmaps, fake_fmaps),
    }
    for loss, value in computed.items():
        np.testing.assert_allclose(value.item(), expected[f"{name}/{loss}"], rtol=TOLERANCE)


def test_evaluation_mode_leaves_spectral_vectors_alone():
    msd = MultiScaleDiscriminator()
    before = {key: value.clone() for key, value in msd.state_dict().items()}
    wav = torch.randn(1, 1, 2048)
    msd.eval()(wav)
    assert all(torch.equal(value, before[key]) for key, value in msd.state_dict().items())
    msd.train()(wav)
    changed = {key for key, value in msd.state_dict().items() if not torch.equal(value, before[key])}
    vectors = {key for key, value in before.items() if key.endswith(("_u", "_v")) and value.dim() == 1}
    # conv_post has one output channel: one iteration finds its vectors for good.
    assert changed == {key for key in vectors if "conv_post" not in key}


@pytest.mark.parametrize("amp_grouped_conv", [True, False])
def test_grouped_convolutions_can_stay_in_fp32(amp_grouped_conv):
    msd = MultiScaleDiscriminator(amp_grouped_conv)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        _, fmaps = msd(torch.randn(1, 1, 2048))
    groups = [conv.groups for conv in msd.discriminators[0].convs]
    expected = [torch.float32 if g > 1 and not amp_grouped_conv else torch.bfloat16 for g in groups]
    assert [fmap.dtype for fmap in fmaps[0][:-1]] == expected


def test_power_iterations_count_like_forward_passes():
    torch.manual_seed(0)
    called, advanced = MultiScaleDiscriminator(), MultiScaleDiscriminator()
    advanced.load_state_dict(called.state_dict())
    for _ in range(3):
        called(torch.randn(1, 1, 2048))
    advance_spectral_norm(advanced, 3)
    assert all(torch.equal(a, b) for a, b in zip(called.buffers(), advanced.buffers(), strict=True))
