"""Start-up time of a fresh process."""

import pytest
import torch

from benchmarks.inference.start import measure_starts
from common.errors import InputError


@pytest.mark.slow
def test_start_up_of_a_fresh_process(generator):
    (start,) = measure_starts(generator, "", torch.full((80, 9), -5.0), ["--backend eager"], 1)
    assert start.way == "--backend eager"
    assert len(start.seconds) == 1
    assert start.seconds[0] > 0.2
    assert start.peak_mib is None or 50 < start.peak_mib < 5000
    with pytest.raises(InputError, match=r"failed while its start-up was measured: .*--precision: is for the engine"):
        measure_starts(generator, "", torch.zeros(80, 9), ["--backend eager --precision bf16"], 1)
