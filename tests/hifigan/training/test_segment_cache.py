"""Cached segments: the same numbers as read from files."""

import pytest
import torch

from common.audio import AudioConfig, MelSpectrogram
from common.errors import InputError
from common.training.sampling import ClipKey
from hifigan.training.segment_cache import CachedSegments, _PackedClips
from hifigan.training.segments import PairDataset, SegmentDataset

AUDIO, SEGMENT = AudioConfig(), 1024


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_a_cache_changes_nothing_and_reads_once(paths, device):
    dataset = SegmentDataset(paths, AUDIO, SEGMENT, 5)
    keys = [ClipKey(clip, draw) for clip in range(len(paths)) for draw in range(4)]
    expected = [dataset[key][0] for key in keys]
    cached = CachedSegments(dataset, torch.device(device))
    for path in paths:
        path.unlink()
    assert len(cached) == len(dataset)
    for key, segment in zip(keys, expected, strict=True):
        (wav,) = cached[key]
        assert wav.device.type == device
        assert torch.equal(wav.cpu(), segment)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("framing", [None, "tacotron"])
def test_batches_gathered_at_once_are_those_of_items(framing, device, paths, pairs, monkeypatch):
    """The GPU's code, on the CPU too: the same samples and so bit-identical mels on each device."""
    dataset = SegmentDataset(paths, AUDIO, SEGMENT, 5)
    if framing:
        dataset = PairDataset(pairs[0], pairs[1][framing], AudioConfig(framing=framing), 8192, 5)
    monkeypatch.setattr("hifigan.training.segment_cache._in_memory", _PackedClips)
    cached = CachedSegments(dataset, torch.device(device))
    keys = [ClipKey(clip, draw) for draw in range(5) for clip in torch.randperm(len(dataset)).tolist()]
    expected = [torch.stack(parts) for parts in zip(*(dataset[key] for key in keys), strict=True)]
    batch = cached.__getitems__(keys)
    assert [(part.shape, part.dtype, part.device.type) for part in batch] == [
        (part.shape, torch.float32, device) for part in expected
    ]
    assert all(part.is_contiguous() for part in batch)
    assert all(map(torch.equal, [part.cpu() for part in batch], expected))
    assert all(map(torch.equal, [part.cpu() for part in cached[keys[3]]], dataset[keys[3]]))
    transform = MelSpectrogram(AUDIO).to(device)
    assert torch.equal(transform(batch[0]), transform(expected[0].to(device)))


def test_a_cache_that_does_not_fit_is_refused(paths, monkeypatch):
    monkeypatch.setattr("hifigan.training.segment_cache.free_bytes", lambda device: 100)
    with pytest.raises(InputError, match=r"--dataset-cache: the clips need .* that are free on cpu"):
        CachedSegments(SegmentDataset(paths, AUDIO, SEGMENT, 5), torch.device("cpu"))


def test_caches_hold_pairs_too(pairs):
    paths, mels = pairs
    dataset = PairDataset(paths, mels["tacotron"], AudioConfig(framing="tacotron"), 8192, 5)
    cached = CachedSegments(dataset, torch.device("cpu"))
    for key in (ClipKey(clip, draw) for clip in range(4) for draw in range(3)):
        assert all(map(torch.equal, dataset[key], cached[key]))
