"""Operations of a step."""

import json

import pytest

from benchmarks.training.arithmetic import segment_flop
from tests.support.models import TINY


@pytest.mark.medium
def test_discriminators_take_most(tmp_path):
    """Nine passes of the discriminators, of 17.2 GFLOP each. The tiny generator is negligible."""
    (tmp_path / "tiny.json").write_text(json.dumps(TINY.to_dict()))
    assert segment_flop(str(tmp_path / "tiny.json"), 8192) == pytest.approx(9 * 17.2e9, rel=0.02)
    assert segment_flop("v1", 8192) == pytest.approx(214.3e9, rel=1e-3)  # as measured on whole models
