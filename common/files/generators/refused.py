"""Models that resemble HiFi-GAN but need more than a mel, or do not make samples: named, not loaded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from common.files.generators.file import tensors_in

# A pattern of tensor names -> what it is, in the order in which they are tried.
_KINDS = (
    (
        r"(^|\.)(m_source|noise_convs)\.",
        "an NSF-HiFi-GAN (RVC, so-vits-svc, OpenVPI), which needs the pitch beside the mel",
    ),
    (r"(^|\.)waveform_decoder\.", "the decoder of XTTS, which takes latent vectors of its language model, not mels"),
    (
        r"(^|\.)(enc_p|text_encoder)\..*|(^|\.)dec\.(conv_pre|ups)\.",
        "a VITS model (VITS, MMS, Piper), whose decoder takes latent vectors, not mels",
    ),
    (
        r"(^|\.)(reflection_pad|stft)\.|(^|\.)istft",
        "an iSTFT variant, which makes spectra and needs an inverse transform",
    ),
    (r"(^|\.)(dict|unit_embeddings?|unit_embedding)\.weight$", "a unit vocoder, which takes speech units, not mels"),
    (r"\.activations\.\d+\.act\.alpha$|(^|\.)activation_post\.", "a BigVGAN, which has other activations"),
    (r"(^|\.)conv_post\.|(^|\.)conv_pre\.", ""),  # HiFi-GAN's own names: looked at more closely
    (r"(^|\.)backbone\.convnext", "a Vocos model, which has no upsampling convolutions"),
    (r"(^|\.)(emb_g|cond)\.", "a generator that needs the embedding of a speaker beside the mel"),
    (r"(^|\.)encoder\.word_emb\.weight$", "a FastPitch model, which belongs to --fastpitch"),
)


def reason(content: Mapping[str, Any]) -> str:
    """Return what a checkpoint holds instead of a HiFi-GAN generator, or an empty text if that is unknown."""
    names = list(_names(content))
    for pattern, kind in _KINDS:
        if any(re.search(pattern, name) for name in names):
            if kind:
                return kind
            break
    if any(re.search(r"(^|\.)cond(_layer)?\.weight", name) for name in names):
        return "a generator that needs the embedding of a speaker beside the mel"
    return ""


def output_kind(state: Mapping[str, Any]) -> str:
    """Return what a generator under the public names makes instead of samples, or an empty text."""
    for key in ("conv_post.weight", "conv_post.weight_v"):
        channels = state[key].shape[0] if key in state and state[key].dim() == 3 else 1
        if channels == 4:
            return "it makes four bands (multi-band), which need a synthesis filter"
        if channels > 1:
            return f"its last layer has {channels} channels, as iSTFT variants have, not samples"
    return ""


def _names(content: Mapping[str, Any], depth: int = 0) -> list[str]:
    names = list(tensors_in(content))
    if depth < 3:
        for value in content.values():
            if isinstance(value, Mapping):
                names += _names(value, depth + 1)
    return names
