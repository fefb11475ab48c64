"""Costs of 8.05 s of speech, a chunk of a stream and the denoiser on a GPU."""

import pytest

from hifigan.engine.graph_cache import Size, graph_size
from tests.benchmarks.gpu_simulation.budgets import BEFORE, BUDGETS, assert_within

pytestmark = [pytest.mark.gpu_simulated, pytest.mark.medium]


@pytest.mark.parametrize("scenario", BUDGETS["inference"])
def test_inference_stays_within_its_budget(scenario, inference):
    assert_within(BUDGETS["inference"][scenario], inference[scenario])


def test_8_seconds_take_fewer_than_100_kernels(inference):
    for scenario in ("engine-fp16-1", "vocoder-fp16-1"):
        assert inference[scenario]["kernels"] < 100


def test_the_engine_makes_the_products_of_the_generator_in_one_launch(inference):
    """Those of PyTorch's layers before, for all frames that the graph has room for."""
    result = inference["engine-fp16-1"]
    room = graph_size(Size(1, 693)).frames / 693
    assert result["flop"] == pytest.approx(room * BEFORE["engine-fp16-1"]["flop"], rel=0.02)
    assert result["kernels"] - result["launches"] > 70  # all layers are in the graph
