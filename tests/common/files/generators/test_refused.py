"""Files that resemble a HiFi-GAN generator and are none are refused by name."""

import pytest
import torch

from common.errors import InputError
from common.files.generators import refused
from common.files.generators.read import read_generator

ONE = torch.ones(1)
PLAIN = {"conv_pre.weight": torch.ones(16, 80, 7), "ups.0.weight": torch.ones(16, 8, 16)}
# Kind -> names and tensors that such files have.
KINDS = {
    "an NSF-HiFi-GAN": {"weight": {"dec.m_source.l_linear.weight": ONE, "dec.conv_pre.weight": torch.ones(16, 192, 7)}},
    "NSF-HiFi-GAN ": {"generator": {**PLAIN, "m_source.l_linear.weight": ONE, "noise_convs.0.weight": ONE}},
    "a VITS model": {"model": {"enc_p.emb.weight": ONE, "dec.conv_pre.weight": torch.ones(16, 192, 7)}},
    "MMS, Piper": {
        "state_dict": {"model_g.enc_p.emb.weight": ONE, "model_g.dec.conv_pre.weight": torch.ones(16, 192, 7)}
    },
    "VITS, MMS": {"text_encoder.embed_tokens.weight": ONE, "decoder.conv_pre.weight": torch.ones(16, 192, 7)},
    "the decoder of XTTS": {
        "model": {
            "hifigan_decoder.waveform_decoder.conv_pre.weight": torch.ones(16, 1024, 7),
            "gpt.text_head.bias": ONE,
        }
    },
    "iSTFT variant": {"generator": {**PLAIN, "conv_post.weight": torch.ones(18, 8, 7)}},
    "an iSTFT variant": {"generator": {**PLAIN, "stft.window": ONE}},
    "a unit vocoder": {"generator": {**PLAIN, "dict.weight": torch.ones(100, 128)}},
    "a BigVGAN": {"generator": {**PLAIN, "resblocks.0.activations.0.act.alpha": ONE}},
    "multi-band": {"generator": {**PLAIN, "conv_post.weight": torch.ones(4, 8, 7)}},
    "embedding of a speaker": {"generator": {**PLAIN, "cond.weight": torch.ones(16, 256, 1)}},
    "a Vocos model": {"state_dict": {"backbone.convnext.0.dwconv.weight": ONE}},
    "which belongs to --fastpitch": {"state_dict": {"encoder.word_emb.weight": ONE}},
}


@pytest.mark.parametrize("words", KINDS)
def test_each_kind_is_named(words, tmp_path):
    path = tmp_path / "model.pth"
    torch.save(KINDS[words], path)
    with pytest.raises(InputError) as caught:
        read_generator(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert words.strip() in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_files_name_their_keys(tmp_path):
    torch.save({"weights": {}, "iteration": 3}, tmp_path / "model.pth")
    with pytest.raises(InputError, match=r"not a HiFi-GAN generator \(its keys: weights, iteration\)"):
        read_generator(tmp_path / "model.pth")


def test_generators_are_not_refused():
    assert refused.reason({"generator": PLAIN, "discriminator": {"convs.0.weight": ONE}}) == ""
    assert refused.output_kind({**PLAIN, "conv_post.weight": torch.ones(1, 8, 7)}) == ""
    assert refused.output_kind({}) == ""
