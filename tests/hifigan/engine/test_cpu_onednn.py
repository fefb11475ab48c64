"""Layers on oneDNN: samples folded into channels, and processors without fused convolutions."""

import pytest

from hifigan.engine import cpu_onednn
from tests.support.engines import assert_equal_to_plain


@pytest.mark.parametrize("fold_to", [1, 8, 64])
@pytest.mark.parametrize("name", ["v2", "v3", "unusual"])
def test_folding_samples_into_channels_changes_nothing(generators, name, fold_to, without_compiler, monkeypatch):
    monkeypatch.setattr(cpu_onednn, "FOLD_TO_CHANNELS", fold_to)
    assert_equal_to_plain(generators[name], 23)


@pytest.mark.parametrize("name", ["v2", "v3", "unusual"])
def test_without_fused_convolutions(generators, name, without_compiler, monkeypatch):
    """As on processors other than x86, and in PyTorch builds without oneDNN."""
    monkeypatch.setattr(cpu_onednn, "FUSED", False)
    assert_equal_to_plain(generators[name], 45)
