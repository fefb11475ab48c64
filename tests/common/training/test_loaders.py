"""Validation batches: every key once, whatever the number of processes."""

import dataclasses

from torch.utils.data import Dataset

from common import distributed
from common.training.loaders import validation_batches
from common.training.sampling import ClipKey


class Numbers(Dataset):
    def __getitem__(self, key):
        return 10 * key.clip + key.draw


def test_processes_share_validation_without_repetition():
    keys = [ClipKey(clip, draw) for clip in range(3) for draw in range(2)]
    seen = []
    for rank in range(4):
        place = dataclasses.replace(distributed.init(cuda=False), rank=rank, world_size=4)
        batches = list(validation_batches(Numbers(), keys, list, 1, place))
        assert all(len(batch) == 1 for batch in batches)
        seen += [number for batch in batches for number in batch]
    assert sorted(seen) == [0, 1, 10, 11, 20, 21]
