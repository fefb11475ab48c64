"""Streaming against the whole utterance."""

import itertools

import pytest
import torch

from common.errors import InputError
from hifigan import Generator, GeneratorConfig, StreamingGenerator
from hifigan.backend import eager_backend
from hifigan.config import PRESETS
from tests.support.generators.variants import VARIANTS, ZERO_PADDED, make_variant
from tests.support.generators.variants import random_mel as mel_of_variant
from tests.support.models import TINY
from tests.support.weights import by_rule

# Overlaps longer than a stride, strides without overlap, an even number of blocks, kernels of one.
UNUSUAL = GeneratorConfig(
    upsample_rates=(2, 1, 5),
    upsample_kernel_sizes=(16, 1, 11),
    upsample_initial_channel=16,
    resblock_kernel_sizes=(1, 5),
    resblock_dilation_sizes=((1, 2), (2, 6)),
)
CONFIGS = {**PRESETS, "unusual": UNUSUAL}


@pytest.fixture(scope="module")
def generators():
    return {name: by_rule(config) for name, config in CONFIGS.items()}


@pytest.fixture(scope="module")
def tiny():
    return by_rule(TINY)


def random_mel(batch, frames, seed=0):
    return torch.randn(batch, 80, frames, generator=torch.Generator().manual_seed(seed)) * 2 - 5


@torch.no_grad()
def whole(generator, mel):
    return generator(mel)


def joined(streaming, mel, sizes):
    pieces = [streaming.stream(part) for part in mel.split(sizes, dim=2)]
    return torch.cat([*pieces, streaming.finish()], dim=2)


def assert_close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5)


CHUNKS = {
    "one frame": (1, [1]),
    "short": (2, [1] * 5),  # shorter than the look-ahead: each edge reaches across
    "any size": (1, [3, 0, 1, 8, 2, 13, 4]),
    "frame by frame": (1, [1] * 29),
    "at once": (2, [0, 27, 0]),
}


@pytest.mark.parametrize(
    ("name", "chunks"),
    [(name, chunks) for name in CONFIGS for chunks in CHUNKS if name != "v1" or chunks in ("short", "any size")],
)
def test_pieces_join_to_the_whole_utterance(generators, name, chunks):
    batch, sizes = CHUNKS[chunks]
    mel = random_mel(batch, sum(sizes))
    expected = whole(generators[name], mel)
    assert expected.std() > 0.01
    assert_close(joined(StreamingGenerator(generators[name]), mel, sizes), expected)


def test_random_chunks_of_a_long_utterance(tiny):
    random = torch.Generator().manual_seed(1)
    sizes = torch.randint(0, 40, (30,), generator=random).tolist()
    mel = random_mel(1, sum(sizes))
    assert_close(joined(StreamingGenerator(tiny), mel, sizes), whole(tiny, mel))


@pytest.mark.parametrize("look_ahead", [0, 3, None])
def test_sends_each_frame_once_its_look_ahead_is_there(tiny, look_ahead):
    streaming = StreamingGenerator(tiny, look_ahead)
    ahead = TINY.receptive_field_frames if look_ahead is None else look_ahead
    received = sent = 0
    for size in (1, 0, 2, 7, 1, 1, 12, 5):
        received += size
        sent += streaming.stream(random_mel(2, size)).size(2)
        assert sent == max(0, received - ahead) * 256
    assert streaming.latency_samples == ahead * 256
    assert streaming.finish().size(2) == received * 256 - sent


def test_the_exact_look_ahead_is_that_of_the_design():
    generator = by_rule(PRESETS["v2"])
    streaming = StreamingGenerator(generator)
    assert streaming.look_ahead == 13
    assert streaming.latency_sec(22050) == pytest.approx(0.151, abs=0.0005)


@pytest.mark.parametrize("look_ahead", [0, 1, 5, TINY.receptive_field_frames - 1])
def test_less_look_ahead_is_the_utterance_so_far_with_its_last_frame_repeated(tiny, look_ahead):
    """The oracle makes each call's audio from the whole utterance so far, and fades over from the call before."""
    mel, sizes, fade = random_mel(2, 37), [1, 9, 0, 2, 14, 5, 6], 128
    streaming = StreamingGenerator(tiny, look_ahead)
    weight = torch.arange(1, fade + 1) / (fade + 1)
    ends = list(itertools.accumulate(sizes))
    sent, before = 0, None
    for call, (start, end) in enumerate(itertools.pairwise([0, *ends, ends[-1]])):
        last = call == len(sizes)
        future = mel[:, :, :0] if last else mel[:, :, end - 1 : end].expand(-1, -1, 30)
        now = whole(tiny, torch.cat([mel[:, :, :end], future], dim=2))
        due = 256 * (end if last else max(0, end - look_ahead))
        expected = now[:, :, sent:due].clone()
        if before is not None and due > sent:
            old = before[:, :, sent : sent + fade]
            expected[:, :, :fade] = old + weight * (expected[:, :, :fade] - old)
        assert_close(streaming.finish() if last else streaming.stream(mel[:, :, start:end]), expected)
        if due > sent:
            sent, before = due, now
    assert sent == 37 * 256


def test_utterances_do_not_leak_into_each_other(tiny):
    for look_ahead in (2, None):
        streaming = StreamingGenerator(tiny, look_ahead)
        first, second = random_mel(1, 20), random_mel(3, 24, seed=1)
        alone = joined(StreamingGenerator(tiny, look_ahead), second, 5)
        joined(streaming, first, 7)
        assert torch.equal(joined(streaming, second, 5), alone)
        streaming.stream(first)
        streaming.reset()
        assert torch.equal(joined(streaming, second, 5), alone)


def test_two_streams_share_a_generator(tiny):
    mels = [random_mel(1, 20, seed) for seed in (0, 1)]
    streams = [StreamingGenerator(tiny, 1) for _ in mels]
    pieces = [[s.stream(mel[:, :, i : i + 4]) for i in range(0, 20, 4)] for s, mel in zip(streams, mels, strict=True)]
    for s, mel, wavs in zip(streams, mels, pieces, strict=True):
        assert torch.equal(torch.cat([*wavs, s.finish()], 2), joined(StreamingGenerator(tiny, 1), mel, 4))


@pytest.mark.parametrize(
    ("chunk", "message"),
    [
        (torch.zeros(80, 4), r"expected a mel chunk of shape \[B, 80, L\], got \[80, 4\]"),
        (torch.zeros(1, 4, 80), r"got \[4, 80\]; transpose it"),
        (torch.zeros(2, 80, 4), "batch size changed from 1 to 2"),
        (torch.zeros(0, 80, 4), "the batch is empty"),
        (torch.zeros(1, 80, 4).double(), "it is float64; convert it to float32"),
        (torch.zeros(1, 80, 4).half(), "float16"),
        (torch.full((1, 80, 4), torch.nan), "not finite"),
        (torch.full((1, 80, 4), torch.inf), "not finite"),
    ],
)
def test_refused_chunks_leave_the_stream_as_it_was(tiny, chunk, message):
    mel = random_mel(1, 16)
    streaming = StreamingGenerator(tiny)
    pieces = [streaming.stream(mel[:, :, :9])]
    with pytest.raises(ValueError, match=message):
        streaming.stream(chunk)
    pieces += [streaming.stream(mel[:, :, 9:]), streaming.finish()]
    assert_close(torch.cat(pieces, dim=2), whole(tiny, mel))


def test_an_error_half_way_leaves_the_stream_as_it_was(tiny, monkeypatch):
    mel = random_mel(1, 30)
    streaming = StreamingGenerator(tiny, 2)
    pieces = [streaming.stream(mel[:, :, :9])]
    with monkeypatch.context() as patch:

        def fail(_x):
            raise RuntimeError("out of memory")

        patch.setattr(torch, "tanh", fail)
        with pytest.raises(RuntimeError, match="out of memory"):
            streaming.stream(mel[:, :, 9:])
        with pytest.raises(RuntimeError, match="out of memory"):
            streaming.finish()
    pieces += [streaming.stream(mel[:, :, 9:]), streaming.finish()]
    assert torch.equal(torch.cat(pieces, dim=2), joined(StreamingGenerator(tiny, 2), mel, [9, 21]))


def test_nothing_to_finish(tiny):
    streaming = StreamingGenerator(tiny)
    for _ in range(2):
        with pytest.raises(ValueError, match="no frames to finish"):
            streaming.finish()
        assert streaming.stream(random_mel(1, 0)).shape == (1, 1, 0)


@pytest.mark.parametrize("look_ahead", [-1, TINY.receptive_field_frames + 1])
def test_look_ahead_has_a_range(tiny, look_ahead):
    with pytest.raises(ValueError, match=f"look_ahead is {look_ahead}, not 0 to {TINY.receptive_field_frames}"):
        StreamingGenerator(tiny, look_ahead)


def test_weight_norm_is_refused():
    with pytest.raises(ValueError, match=r"remove_weight_norm\(\)"):
        StreamingGenerator(Generator(TINY))


@pytest.mark.parametrize("look_ahead", [2, None])
def test_what_is_kept_does_not_grow(tiny, look_ahead):
    """In bytes of storage: views would keep the activations of whole chunks alive."""
    streaming = StreamingGenerator(tiny, look_ahead)

    def kept_bytes():
        return sum(x.untyped_storage().nbytes() for x in streaming._memory.values())

    streaming.stream(random_mel(1, 40))
    before = kept_bytes()
    assert 0 < before < 200_000
    streaming.stream(random_mel(1, 120))
    streaming.stream(random_mel(1, 1))
    assert kept_bytes() == before


def test_each_frame_is_computed_once(tiny, monkeypatch):
    """Chunks of three frames compute no more output positions of convolutions than the whole utterance."""
    positions = []
    conv1d = torch.nn.functional.conv1d

    def counting(*args, **kwargs):
        y = conv1d(*args, **kwargs)
        positions.append(y.size(2))
        return y

    monkeypatch.setattr(torch.nn.functional, "conv1d", counting)
    joined(StreamingGenerator(tiny), random_mel(1, 30), 3)
    per_frame = 1 + 256
    for stage, rate in enumerate((8, 64, 256)):
        per_frame += rate * len(tiny.resblocks[stage]) * 2  # two convolutions in each block
    assert sum(positions) == 30 * per_frame


@pytest.mark.parametrize("look_ahead", [2, None])
def test_autocast(tiny, look_ahead):
    mel = random_mel(1, 40)
    with torch.autocast("cpu", torch.bfloat16):
        streaming = StreamingGenerator(tiny, look_ahead)
        pieces = [streaming.stream(part) for part in mel.split(2, dim=2)]
        kept = {key: x.dtype for key, x in streaming._memory.items()}
        exact = (tiny.conv_pre, tiny.ups[0], tiny.conv_post)
        assert {kept[layer] for layer in exact} == {torch.float32}
        assert {kept[layer] for layer in tiny.ups[1:]} == {torch.bfloat16}
        convs = [layer for layer in tiny.resblocks.modules() if isinstance(layer, torch.nn.Conv1d)]
        assert torch.bfloat16 in {kept[conv] for conv in convs}
        wav = torch.cat([*pieces, streaming.finish()], dim=2)
    expected = eager_backend(tiny, amp=True)(mel)[:, None]
    assert wav.dtype == torch.float32
    if look_ahead is None:
        error = (wav - expected).square().sum() / expected.square().sum()
        assert -10 * torch.log10(error) > 40  # dB


@pytest.mark.gpu
def test_on_a_gpu():
    generator = by_rule(PRESETS["v2"]).cuda()
    mel = random_mel(2, 40).cuda()
    torch.testing.assert_close(joined(StreamingGenerator(generator), mel, 7), whole(generator, mel), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ZERO_PADDED)
@pytest.mark.parametrize("chunks", ["any size", "at once"])
def test_architectures_of_other_programs(name, chunks):
    generator = make_variant(name)
    batch, sizes = CHUNKS[chunks]
    mel = mel_of_variant(sum(sizes), batch)
    assert_close(joined(StreamingGenerator(generator), mel, sizes), whole(generator, mel))


def test_reflection_needs_the_whole_utterance():
    reflecting = [name for name in VARIANTS if name not in ZERO_PADDED]
    assert reflecting == ["reflection"]
    with pytest.raises(InputError, match="pads by reflection, which needs the whole utterance"):
        StreamingGenerator(make_variant("reflection"))
