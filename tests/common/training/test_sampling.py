"""Micro-batches: the same clips in each step, however the work is shared."""

import itertools

import pytest

from common.errors import InputError
from common.training.sampling import MicroBatchSampler


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
    assert len(clips) == len(set(clips)) == 48  # each clip once, the remaining two skipped


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
