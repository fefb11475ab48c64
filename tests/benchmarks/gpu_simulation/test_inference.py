"""What 8.05 s of speech, a chunk of a stream and the denoiser cost a GPU."""

import pytest

from tests.benchmarks.gpu_simulation.budgets import BUDGETS, assert_within

pytestmark = [pytest.mark.gpu_simulated, pytest.mark.medium]


@pytest.mark.parametrize("scenario", BUDGETS["inference"])
def test_inference_stays_within_its_budget(scenario, inference):
    assert_within(BUDGETS["inference"][scenario], inference[scenario])


def test_the_engine_makes_the_products_of_the_generator(inference):
    """613 MFLOP a frame (benchmarks/results/inference-cpu.md), within graphs, which are launched at once."""
    result = inference["engine-fp16-1"]
    assert result["flop"] == pytest.approx(693 * 613e6, rel=0.01)
    assert result["launches"] == 3  # copy of the mel, graph, copy of the wav
