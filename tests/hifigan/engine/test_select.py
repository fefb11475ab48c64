"""Which engine and precision a device gets, and the engine of GPUs."""

import pytest
import torch

from common.errors import InputError
from hifigan import Generator
from hifigan.config import PRESETS
from hifigan.engine import select
from hifigan.engine.cpu import CpuEngine, speed_up_of_bf16
from hifigan.engine.cuda import FRAME_STEP, MOST_GRAPHS, CudaEngine
from hifigan.engine.select import chosen_precision, engine_backend
from hifigan.synthesis.vocoder import Vocoder
from tests.support.models import TINY
from tests.support.weights import by_rule

CPU = torch.device("cpu")


def random_mel(frames, batch=1):
    return torch.randn(batch, 80, frames, generator=torch.Generator().manual_seed(frames)) * 2 - 5


@pytest.mark.parametrize(("speed_up", "expected"), [(4.0, "bf16"), (1.31, "bf16"), (1.2, "fp32"), (0.3, "fp32")])
def test_auto_on_a_cpu_is_what_was_measured(speed_up, expected, monkeypatch):
    monkeypatch.setattr(select, "speed_up_of_bf16", lambda: speed_up)
    assert chosen_precision("auto", CPU) == expected


def test_the_measurement_is_a_ratio():
    assert 0.01 < speed_up_of_bf16() < 100


@pytest.mark.parametrize("precision", ["fp16", "int8", "FP32"])
def test_precisions_that_a_cpu_does_not_take(precision):
    with pytest.raises(InputError, match=f"{precision} is not for this CPU, which takes fp32, (tf32, )?bf16 or auto"):
        engine_backend(by_rule(TINY), precision)


def test_weight_norm_must_be_gone():
    with pytest.raises(InputError, match="remove_weight_norm"):
        engine_backend(Generator(TINY).eval())


def test_a_backend_on_the_cpu():
    generator, mel = by_rule(TINY), random_mel(9, batch=2)
    backend = engine_backend(generator, "bf16")
    assert torch.equal(backend(mel), CpuEngine(generator, "bf16")(mel))
    assert backend(mel).shape == (2, 9 * TINY.hop_length)


@pytest.mark.gpu
@pytest.mark.parametrize("variant", list(PRESETS))
def test_graphs_equal_the_generator(variant):
    generator = by_rule(PRESETS[variant]).cuda()
    cuda = CudaEngine(generator)
    made, expected = [], []
    for frames, batch in ((FRAME_STEP, 1), (2 * FRAME_STEP, 3), (FRAME_STEP, 1)):  # captured, captured, replayed
        mel = random_mel(frames, batch).cuda() + len(made)
        made.append(cuda(mel))
        with torch.no_grad():
            expected.append(generator(mel).squeeze(1))
    for wav, whole in zip(made, expected, strict=True):  # at the end: no call may write into another one's result
        torch.testing.assert_close(wav, whole, rtol=0, atol=1e-4)


@pytest.mark.gpu
@pytest.mark.parametrize(("precision", "least_db"), [("tf32", 35), ("fp16", 35), ("bf16", 30)])
def test_precisions_of_a_gpu_are_near(precision, least_db):
    generator, mel = by_rule(PRESETS["v1"]), random_mel(FRAME_STEP)
    with torch.no_grad():
        exact = generator(mel).squeeze(1)  # on the CPU: there, fp32 is fp32
    wav = CudaEngine(generator.cuda(), precision)(mel.cuda()).cpu()
    assert 10 * torch.log10(exact.square().sum() / (wav - exact).square().sum()) > least_db


@pytest.mark.gpu
def test_few_graphs_are_kept():
    cuda = CudaEngine(by_rule(TINY).cuda())
    for frames in range(1, MOST_GRAPHS + 3):
        cuda(random_mel(frames).cuda())
    assert len(cuda._graphs) == MOST_GRAPHS


@pytest.mark.gpu
def test_clips_of_all_lengths_on_a_gpu():
    generator = by_rule(PRESETS["v2"]).cuda()
    mels = [random_mel(frames)[0] for frames in (1, 31, 32, 33, 100, 7)]
    for mel, wav in zip(mels, Vocoder(generator)(mels), strict=True):
        with torch.no_grad():
            whole = generator(mel[None].cuda())[0, 0].cpu()
        torch.testing.assert_close(wav, whole, rtol=0, atol=1e-4)
