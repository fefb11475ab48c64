"""Streaming by windows sends what `StreamingGenerator` sends, chunk by chunk."""

import pytest
import torch

from common.errors import InputError
from hifigan.backend import Backend, eager_backend
from hifigan.streaming import StreamingGenerator
from hifigan.synthesis.window_stream import WindowStream
from tests.support.generators.variants import VARIANTS, make_variant, random_mel
from tests.support.models import TINY
from tests.support.weights import by_rule

REACH = TINY.receptive_field_frames
SIZES = {"usual": [16] * 4 + [5], "short": [1, 2, 1, 3, 30, 1], "one": [3], "long": [70, 1, 40]}


@pytest.fixture(scope="module")
def tiny():
    return by_rule(TINY)


def assert_sends_the_same(generator, mel, sizes, look_ahead=None, backend=None):
    stream, expected = (
        WindowStream(backend or eager_backend(generator), look_ahead),
        StreamingGenerator(generator, look_ahead),
    )
    for _ in range(2):  # two utterances
        for chunk in mel.split(sizes, dim=2):
            sent, other = stream.stream(chunk), expected.stream(chunk)
            assert sent.shape == other.shape
            torch.testing.assert_close(sent, other, rtol=0, atol=1e-5)
        torch.testing.assert_close(stream.finish(), expected.finish(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("look_ahead", [None, 0, 2, REACH - 1])
def test_chunks_of_all_sizes(tiny, sizes, look_ahead):
    mel = torch.randn(2, 80, sum(SIZES[sizes]), generator=torch.Generator().manual_seed(0)) * 2 - 5
    assert_sends_the_same(tiny, mel, SIZES[sizes], look_ahead)


@pytest.mark.parametrize("name", [name for name in VARIANTS if name != "reflection"])
def test_architectures_of_other_programs(name):
    generator = make_variant(name)
    sizes = SIZES["usual"]
    assert_sends_the_same(generator, random_mel(sum(sizes), 1), sizes, 3)


def test_memory_that_the_next_call_overwrites(tiny):
    """As graphs do."""
    kept = []

    def run(mel):
        for wav in kept:
            wav.fill_(torch.nan)
        kept.append(tiny(mel).squeeze(1))
        return kept[-1]

    backend = Backend(run, TINY, torch.device("cpu"), reuses_memory=True)
    mel = torch.randn(1, 80, 70, generator=torch.Generator().manual_seed(0)) * 2 - 5
    with torch.no_grad():
        assert_sends_the_same(tiny, mel, [16] * 4 + [6], 2, backend)


def test_windows_are_of_one_size(tiny):
    sizes = []
    run = eager_backend(tiny).run

    def record(mel):
        sizes.append(mel.size(2))
        return run(mel)

    stream = WindowStream(Backend(record, TINY, torch.device("cpu")), 4)
    for _ in range(9):
        stream.stream(torch.zeros(1, 80, 16))
    assert set(sizes[3:]) == {REACH + 4 + 16 + (REACH - 4 + 1)}


def test_there_is_nothing_to_finish(tiny):
    stream = WindowStream(eager_backend(tiny))
    with pytest.raises(InputError, match="no frames to finish"):
        stream.finish()
