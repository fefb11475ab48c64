"""The engine of GPUs: it chooses exact and fast kernels, and graphs do not change what it computes."""

import logging

import pytest
import torch

from common.machine import triton_kernels
from hifigan.config import PRESETS, GeneratorConfig
from hifigan.engine import cuda
from hifigan.engine.cuda import FRAME_STEP, CudaEngine
from hifigan.synthesis.vocoder import Vocoder
from tests.support.engines import random_batch
from tests.support.gpu.graph_emulator import GraphEmulator
from tests.support.gpu.interpret import use_high_tiles
from tests.support.weights import by_rule

SMALL = GeneratorConfig(
    upsample_rates=(4, 2),
    upsample_kernel_sizes=(8, 4),
    upsample_initial_channel=32,
    resblock="2",
    resblock_kernel_sizes=(3,),
    resblock_dilation_sizes=((1,),),
)


@pytest.fixture
def in_python(monkeypatch):
    """Run kernels in Python, and try them with few frames."""
    pytest.importorskip("triton")
    use_high_tiles(monkeypatch)
    monkeypatch.setattr(cuda, "CHECKED_LENGTHS", (7, 4))
    monkeypatch.setattr(cuda, "MEASURED_FRAMES", 8)
    monkeypatch.setattr(cuda, "MEASURED_RUNS", 1)


@pytest.fixture
def fast_kernels(in_python, monkeypatch):
    """Let the measurement find the kernels faster, as it never does in Python."""
    monkeypatch.setattr(cuda, "_seconds", lambda run, generator: 1.0 - run._masks_padding)


def mels(*lengths):
    return [random_batch(frames)[0] for frames in lengths]


def assert_as_alone(generator, given, wavs, atol=1e-5):
    for mel, wav in zip(given, wavs, strict=True):
        with torch.no_grad():
            whole = generator(mel[None])[0, 0]
        torch.testing.assert_close(wav, whole, rtol=0, atol=atol)


@pytest.mark.medium
def test_kernels_that_are_faster_are_used_in_graphs(fast_kernels, caplog):
    generator, recorder = by_rule(SMALL), GraphEmulator()
    with caplog.at_level(logging.INFO):
        engine = CudaEngine(generator, "fp32", recorder)
    assert engine.masks_padding
    (record,) = [record.getMessage() for record in caplog.records if record.name == cuda.__name__]
    assert "kernels in Triton" in record
    for frames in (9, 11, 10):
        mel = random_batch(frames, 2)
        assert_as_alone(generator, mel, engine(mel))
    assert len(recorder.tapes) == 1
    assert recorder.replays == 2
    padded = random_batch(11, 2)
    wav = engine(padded, torch.tensor([5, 11], dtype=torch.int32))
    assert_as_alone(generator, [padded[0, :, :5], padded[1]], [wav[0, : 5 * 8], wav[1]])


@pytest.mark.medium
def test_the_faster_way_is_used(in_python, monkeypatch):
    """In Python these are PyTorch's operators."""
    engine = CudaEngine(by_rule(SMALL), "fp32", GraphEmulator())
    assert not engine.masks_padding


@pytest.mark.medium
def test_kernels_that_compute_something_else_are_not_used(fast_kernels, monkeypatch, caplog):
    from hifigan.engine.cuda_rows import RowGenerator

    plain = RowGenerator.__call__
    monkeypatch.setattr(RowGenerator, "__call__", lambda self, mel, lengths: 1.001 * plain(self, mel, lengths))
    generator = by_rule(SMALL)
    with caplog.at_level(logging.WARNING):
        engine = CudaEngine(generator, "fp32", GraphEmulator())
    assert not engine.masks_padding
    assert "without the GPU kernel of the generator" in caplog.text
    mel = random_batch(9, 2)
    for _ in range(3):  # directly, recorded, replayed
        assert_as_alone(generator, mel, engine(mel))


def test_without_triton_pytorch_computes(monkeypatch):
    monkeypatch.setattr(triton_kernels, "may_run", lambda device: False)
    generator, recorder = by_rule(SMALL), GraphEmulator()
    engine = CudaEngine(generator, "fp32", recorder)
    made, expected = [], []
    for frames, batch in ((FRAME_STEP, 1), (2 * FRAME_STEP, 3), (FRAME_STEP, 1), (FRAME_STEP, 1)):
        mel = random_batch(frames, batch) + len(made)
        made.append(engine(mel).clone())
        expected.append(mel)
    for wav, mel in zip(made, expected, strict=True):
        assert_as_alone(generator, mel, wav)
    assert (len(recorder.tapes), recorder.replays) == (1, 2)


def test_lengths_in_a_vocoder_without_masks(monkeypatch):
    """Results of a graph are copied before its next replay, which recomputes the ends."""
    generator, recorder = by_rule(SMALL), GraphEmulator()
    monkeypatch.setattr(triton_kernels, "may_run", lambda device: False)
    vocoder = Vocoder(backend_of(CudaEngine(generator, "fp32", recorder)), batch_frames=1000)
    for _ in range(3):
        given = mels(1, 31, 32, 33, 100, 7)
        assert_as_alone(generator, given, vocoder(given))
    assert recorder.replays > 2


@pytest.mark.medium
def test_lengths_in_a_vocoder_with_masks(fast_kernels):
    generator, recorder = by_rule(SMALL), GraphEmulator()
    backend = backend_of(CudaEngine(generator, "fp32", recorder))
    vocoder = Vocoder(backend, batch_frames=1000)
    calls = []
    run = backend.run
    backend.run = lambda *args: calls.append(args) or run(*args)
    for _ in range(2):
        given = mels(1, 13, 6)
        assert_as_alone(generator, given, vocoder(given))
    assert len(calls) == 2, "no end is computed again"


def backend_of(engine):
    from hifigan.engine.select import cuda_backend

    return cuda_backend(engine, SMALL)


@pytest.mark.gpu
@pytest.mark.parametrize("variant", list(PRESETS))
def test_graphs_equal_the_generator(variant):
    generator = by_rule(PRESETS[variant]).cuda()
    engine = CudaEngine(generator)
    made, expected = [], []
    for frames, batch in ((FRAME_STEP, 1), (2 * FRAME_STEP, 3), (FRAME_STEP, 1), (FRAME_STEP, 1)):
        mel = random_batch(frames, batch).cuda() + len(made)
        made.append(engine(mel).clone())
        with torch.no_grad():
            expected.append(generator(mel).squeeze(1))
    for wav, whole in zip(made, expected, strict=True):
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
@pytest.mark.parametrize("precision", ["fp32", "tf32", "fp16", "bf16"])
@pytest.mark.parametrize("variant", list(PRESETS))
def test_kernels_work_on_this_gpu(variant, precision):
    """Whether or not they are faster."""
    from hifigan.engine.cuda_rows import RowGenerator

    generator = by_rule(PRESETS[variant]).cuda()
    cuda._check(generator, RowGenerator(generator, precision), cuda._by_pytorch(generator, precision))


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_the_second_gpu():
    generator = by_rule(PRESETS["v2"])
    given = mels(100, 31, 7)
    vocoder = Vocoder(generator.to("cuda:1"))
    for _ in range(3):
        for mel, wav in zip(given, vocoder(given), strict=True):
            with torch.no_grad():
                whole = generator(mel[None].to("cuda:1"))[0, 0].cpu()
            torch.testing.assert_close(wav, whole, rtol=0, atol=1e-4)


@pytest.mark.gpu
def test_clips_of_all_lengths_on_a_gpu():
    generator = by_rule(PRESETS["v2"]).cuda()
    given = mels(1, 31, 32, 33, 100, 7)
    vocoder = Vocoder(generator)
    for _ in range(3):  # directly, recorded, replayed
        for mel, wav in zip(given, vocoder(given), strict=True):
            with torch.no_grad():
                whole = generator(mel[None].cuda())[0, 0].cpu()
            torch.testing.assert_close(wav, whole, rtol=0, atol=1e-4)
