"""Selection of engine and precision for a device."""

import types

import pytest
import torch

from common.errors import InputError
from hifigan import Generator
from hifigan.config import PRESETS
from hifigan.engine import select
from hifigan.engine.cpu import CpuEngine
from hifigan.engine.precisions import ALL_PRECISIONS
from hifigan.engine.select import choose_precision, engine_backend, is_fastest_in_windows, list_precisions
from tests.support.engines import random_batch
from tests.support.generators.variants import VARIANTS, make_variant, random_mel
from tests.support.models import TINY
from tests.support.weights import by_rule

CPU = torch.device("cpu")


@pytest.mark.parametrize(("speed_up", "expected"), [(4.0, "bf16"), (1.16, "bf16"), (1.1, "fp32"), (0.3, "fp32")])
def test_auto_on_a_cpu_is_what_was_measured(speed_up, expected, monkeypatch):
    monkeypatch.setattr(select, "measure_bf16_speed_up", lambda: speed_up)
    assert choose_precision("auto", CPU) == expected


@pytest.mark.parametrize("precision", ["fp16", "int8", "FP32"])
def test_precisions_that_a_cpu_does_not_take(precision):
    with pytest.raises(InputError, match=f"{precision} is not for this CPU, which takes fp32, (tf32, )?bf16 or auto"):
        engine_backend(by_rule(TINY), precision)


def test_weight_norm_must_be_gone():
    with pytest.raises(InputError, match="remove_weight_norm"):
        engine_backend(Generator(TINY).eval())


def test_a_backend_on_the_cpu():
    generator, mel = by_rule(TINY), random_batch(9, batch=2)
    backend = engine_backend(generator, "bf16")
    assert torch.equal(backend(mel), CpuEngine(generator, "bf16")(mel))
    assert backend(mel).shape == (2, 9 * TINY.hop_length)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_flags_know_every_precision_of_a_device(device):
    assert {*list_precisions(torch.device(device)), "auto"} <= set(ALL_PRECISIONS)


@pytest.mark.parametrize("name", VARIANTS)
def test_architectures_of_other_programs(name, caplog):
    """The engine computes them, or one line says that PyTorch does."""
    generator, mel = make_variant(name), random_mel(30, 2)
    with caplog.at_level("INFO"):
        backend = engine_backend(generator)
    with torch.no_grad():
        expected = generator(mel)[:, 0]
    torch.testing.assert_close(backend(mel), expected, rtol=0, atol=1e-5)
    by_pytorch = [record.message for record in caplog.records if "runs in plain PyTorch" in record.message]
    assert len(by_pytorch) == (name not in ("normalised input", "kind 2, normalised"))


@pytest.mark.parametrize(
    ("name", "chunk_frames", "compiled", "expected"),
    [("v2", 4, True, True), ("v1", 15, True, False), ("v1", 16, True, True), ("v2", 64, False, False)],
)
def test_streams_run_in_the_engine_where_it_is_faster(name, chunk_frames, compiled, expected, monkeypatch):
    monkeypatch.setattr(select.vector, "library", lambda: compiled or None)
    generator = types.SimpleNamespace(device=CPU, config=PRESETS[name])
    assert is_fastest_in_windows(generator, chunk_frames) == expected
