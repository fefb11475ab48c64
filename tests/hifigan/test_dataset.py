"""What an optimiser step trains on depends on the seed and the step alone."""

import itertools

import numpy as np
import pytest
import soundfile
import torch

from common.errors import InputError
from hifigan.dataset import MicroBatchSampler, SegmentDataset, SegmentKey, training_loader, validation_loader

RATE, SEGMENT = 22050, 1000


@pytest.fixture
def paths(tmp_path):
    """Ramps: the value of a sample tells its place in the file."""
    made = []
    for i, length in enumerate((5000, 4000, 3000, 1000, 600, 7000, 2500, 2000, 9000)):
        path = tmp_path / f"{i}.wav"
        soundfile.write(path, np.linspace(0.1, 0.8, length), RATE, subtype="FLOAT")
        made.append(path)
    return made


def keys_of_steps(batch_size, accumulation, world_size, epoch=3, seed=7, num_clips=50):
    """Per optimiser step, the keys of all processes in the order of the micro-batches."""
    streams = []
    for rank in range(world_size):
        sampler = MicroBatchSampler(num_clips, batch_size, accumulation, rank, world_size, seed)
        sampler.epoch = epoch
        streams.append(list(sampler))
    steps = []
    for step in range(len(streams[0]) // accumulation):
        parts = [streams[rank][step * accumulation + a] for a in range(accumulation) for rank in range(world_size)]
        steps.append(list(itertools.chain(*parts)))
    return steps


def test_steps_are_the_same_for_all_shares_of_the_work():
    expected = keys_of_steps(2, 8, 1)
    assert (
        keys_of_steps(2, 4, 2)
        == keys_of_steps(2, 2, 4)
        == keys_of_steps(2, 1, 8)
        == keys_of_steps(16, 1, 1)
        == expected
    )
    clips = [key.clip for step in expected for key in step]
    assert len(clips) == len(set(clips)) == 48  # each clip once, the remaining two left out


def test_order_depends_on_seed_and_epoch():
    orders = {tuple(keys_of_steps(4, 1, 1, epoch=e, seed=s)[0]) for e in (1, 2) for s in (1, 2)}
    assert len(orders) == 4


def test_an_epoch_can_be_entered_in_the_middle():
    whole = MicroBatchSampler(50, 2, 3, 0, 1, 7)
    rest = MicroBatchSampler(50, 2, 3, 0, 1, 7)
    rest.first_step = 5
    assert list(rest) == list(whole)[15:]
    assert len(rest) == len(list(rest))


def test_too_few_clips_for_one_step():
    with pytest.raises(InputError, match=r"takes 16 clips .* have 15"):
        MicroBatchSampler(15, 4, 2, 0, 2, 7)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_do_not_depend_on_workers(paths, workers):
    batches = []
    for count in (0, workers):
        sampler = MicroBatchSampler(len(paths), 3, 1, 0, 1, 5)
        batches.append(torch.cat(list(training_loader(SegmentDataset(paths, RATE, SEGMENT, 5), sampler, count, False))))
    assert torch.equal(*batches)


def test_crops_are_cut_from_normalised_clips(paths):
    dataset = SegmentDataset(paths, RATE, SEGMENT, 5)
    clip = np.linspace(0.1, 0.8, 5000) / 0.8 * 0.95
    starts = set()
    for draw in range(200):
        segment = dataset[SegmentKey(0, draw)].numpy()
        start = int(np.abs(clip - segment[0]).argmin())
        np.testing.assert_allclose(segment, clip[start : start + SEGMENT], atol=1e-6)
        starts.add(start)
    assert len(starts) > 150
    assert min(starts) < 200
    assert max(starts) > 3800
    assert torch.equal(dataset[SegmentKey(0, 3)], dataset[SegmentKey(0, 3)])


def test_last_crop_is_possible(paths):
    dataset = SegmentDataset(paths[:1], RATE, 4999, 5)
    firsts = {round(dataset[SegmentKey(0, draw)][0].item(), 6) for draw in range(40)}
    assert len(firsts) == 2  # starts 0 and 1


def test_exactly_one_segment_and_shorter_clips(paths):
    dataset = SegmentDataset(paths, RATE, SEGMENT, 5)
    whole = dataset[SegmentKey(3, 0)].numpy()
    np.testing.assert_allclose(whole, np.linspace(0.1, 0.8, 1000) / 0.8 * 0.95, atol=1e-6)
    short = dataset[SegmentKey(4, 0)].numpy()
    np.testing.assert_allclose(short[:600], np.linspace(0.1, 0.8, 600) / 0.8 * 0.95, atol=1e-6)
    assert not short[600:].any()


def test_validation_segments_are_five_per_clip_shared_without_repetition(paths):
    alone = torch.cat(list(validation_loader(paths, RATE, SEGMENT, 4, 0, 1)))
    assert len(alone) == 5 * len(paths)
    shared = [torch.cat(list(validation_loader(paths, RATE, SEGMENT, 4, rank, 2))) for rank in range(2)]
    assert torch.equal(alone[0::2], shared[0])
    assert torch.equal(alone[1::2], shared[1])
    assert len(torch.unique(alone[:5], dim=0)) == 5


def test_audio_that_changed_after_the_check_is_named(paths):
    soundfile.write(paths[0], np.zeros(5000), 16000)
    with pytest.raises(InputError, match=r"0\.wav: sampling rate is 16000 Hz, expected 22050 Hz"):
        SegmentDataset(paths, RATE, SEGMENT, 5)[SegmentKey(0, 0)]
