"""CUDA graphs of the generator, in every precision of a GPU."""

import pytest
import torch

from hifigan.config import PRESETS
from hifigan.engine.cuda import FRAME_STEP, MAX_GRAPHS, CudaEngine
from hifigan.synthesis.vocoder import Vocoder
from tests.support.engines import random_batch
from tests.support.models import TINY
from tests.support.weights import by_rule


@pytest.mark.gpu
@pytest.mark.parametrize("variant", list(PRESETS))
def test_graphs_equal_the_generator(variant):
    generator = by_rule(PRESETS[variant]).cuda()
    cuda = CudaEngine(generator)
    made, expected = [], []
    for frames, batch in ((FRAME_STEP, 1), (2 * FRAME_STEP, 3), (FRAME_STEP, 1)):  # captured, captured, replayed
        mel = random_batch(frames, batch).cuda() + len(made)
        made.append(cuda(mel))
        with torch.no_grad():
            expected.append(generator(mel).squeeze(1))
    for wav, whole in zip(made, expected, strict=True):  # at the end: no call may write into another one's result
        torch.testing.assert_close(wav, whole, rtol=0, atol=1e-4)


@pytest.mark.gpu
@pytest.mark.parametrize(("precision", "least_db"), [("tf32", 35), ("fp16", 35), ("bf16", 30)])
def test_precisions_of_a_gpu_are_near(precision, least_db):
    generator, mel = by_rule(PRESETS["v1"]), random_batch(FRAME_STEP)
    with torch.no_grad():
        exact = generator(mel).squeeze(1)  # on the CPU: there, fp32 is fp32
    wav = CudaEngine(generator.cuda(), precision)(mel.cuda()).cpu()
    assert 10 * torch.log10(exact.square().sum() / (wav - exact).square().sum()) > least_db


@pytest.mark.gpu
def test_few_graphs_are_kept():
    cuda = CudaEngine(by_rule(TINY).cuda())
    for frames in range(1, MAX_GRAPHS + 3):
        cuda(random_batch(frames).cuda())
    assert len(cuda._graphs) == MAX_GRAPHS


@pytest.mark.gpu
def test_clips_of_all_lengths_on_a_gpu():
    generator = by_rule(PRESETS["v2"]).cuda()
    mels = [random_batch(frames)[0] for frames in (1, 31, 32, 33, 100, 7)]
    for mel, wav in zip(mels, Vocoder(generator)(mels), strict=True):
        with torch.no_grad():
            whole = generator(mel[None].cuda())[0, 0].cpu()
        torch.testing.assert_close(wav, whole, rtol=0, atol=1e-4)
