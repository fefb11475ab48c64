"""The receptive field of the generator, the shapes that it refuses, and architectures of other programs."""

import pytest
import torch

from common.audio_config import AudioConfig, MelConvention
from hifigan import Generator
from hifigan.config import PRESETS
from tests.support.generators.variants import VARIANTS, make_variant, random_mel
from tests.support.weights import by_rule


@pytest.mark.parametrize(("version", "frames"), [("v1", 13), ("v2", 13), ("v3", 11)])
def test_receptive_field_is_what_gradients_see(version, frames):
    config = PRESETS[version]
    assert config.receptive_field_frames == frames
    generator = by_rule(config)
    mel = torch.randn(1, 80, 60, requires_grad=True)
    generator(mel)[0, 0, 30 * 256 : 31 * 256].sum().backward()
    seen = mel.grad.abs().sum((0, 1)).nonzero().flatten()
    assert (30 - seen.min().item(), seen.max().item() - 30) == (frames, frames)


@pytest.mark.medium
def test_a_generator_trained_with_kernels_runs_without_weight_norm_and_as_torchscript():
    generator = Generator(PRESETS["v3"]).eval()
    mel = torch.randn(1, 80, 4)
    with torch.no_grad():
        expected = generator(mel)
        generator.fused = True
        generator.remove_weight_norm()
        for run in (generator, torch.jit.script(generator)):
            torch.testing.assert_close(run(mel), expected)


@pytest.mark.parametrize("shape", [(80, 40), (1, 81, 40), (1, 40, 80), (1, 80, 0)])
def test_generator_refuses_other_shapes(shape):
    with pytest.raises(ValueError, match=r"expected a mel of shape \[B, 80, L\]"):
        Generator(PRESETS["v2"])(torch.zeros(shape))


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_make_the_samples_that_their_configuration_tells(name):
    generator = make_variant(name)
    config = generator.config
    for frames in (config.min_frames, config.min_frames + 1, 30):
        with torch.no_grad():
            wav = generator(random_mel(frames, 2))
        assert wav.shape == (2, 1, config.num_samples(frames))
    surplus = config.num_samples(30) - 30 * config.hop_length
    assert surplus == config.surplus_samples
    assert (surplus > 0) == (name in ("odd kernel - rate", "several odd ones"))


@pytest.mark.parametrize("name", VARIANTS)
def test_receptive_field_of_variants(name):
    generator = make_variant(name)
    hop, reach = generator.config.hop_length, generator.config.receptive_field_frames
    mel = random_mel(80).requires_grad_()
    generator(mel)[0, 0, 40 * hop : 41 * hop].abs().sum().backward()
    seen = mel.grad.abs().sum((0, 1)).nonzero().flatten()
    assert max(40 - seen.min().item(), seen.max().item() - 40) == reach


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_without_weight_norm_and_as_torchscript(name):
    normed, plain = make_variant(name, weight_norm=True), make_variant(name)
    mel = random_mel(20)
    with torch.no_grad():
        expected = plain(mel)
        assert expected.abs().max() > 0.01
        torch.testing.assert_close(normed(mel), expected, rtol=0, atol=1e-6)
        torch.testing.assert_close(torch.jit.script(plain)(mel), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", VARIANTS)
def test_folders_keep_the_architecture_and_the_mels_of_variants(name, tmp_path):
    generator = make_variant(name)
    hop = generator.config.hop_length
    setup = {"sampling_rate": 16000, "filter_length": 8 * hop, "hop_length": hop, "win_length": 4 * hop}
    setup |= {"num_mels": 20, "mel_fmin": 80.0, "mel_fmax": None, "framing": "tacotron"}
    mels = {"log_base": "log10", "log_floor": 1e-10, "gain": 20.0, "mel_mean": (1.0,), "mel_scale": (2.0,)}
    mels |= {"window": "symmetric", "edges": "zeros", "mel_clip": (-4.0, 4.0), "last_frame": -3.0}
    generator.save_pretrained(tmp_path, setup={**setup, **mels})
    again = Generator.from_pretrained(tmp_path)
    assert again.config == generator.config
    assert again.info.convention == MelConvention(**mels)
    assert again.info.audio == AudioConfig(**setup)
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in generator.state_dict().items())
    again.save_pretrained(tmp_path / "again")
    assert (tmp_path / "again" / "config.json").read_text() == (tmp_path / "config.json").read_text()
