"""Cache of clips in memory."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from common.audio_files import wav_info
from common.errors import InputError
from common.machine.hardware import free_bytes
from common.training.sampling import ClipKey
from hifigan.training.segments import Segment, SegmentDataset


class CachedSegments(Dataset[Segment]):
    """Segments, or whole batches of them, of another data set, whose clips are kept on a device after one reading.

    Args:
        dataset: data set of the segments.
        device: device of the clips.
        progress: show a progress bar while reading.

    Raises:
        InputError: the clips need more memory than is free.
    """

    def __init__(self, dataset: SegmentDataset, device: torch.device, progress: bool = False) -> None:
        self._dataset = dataset
        needed = needed_bytes(dataset)
        free = free_bytes(device)
        if free is not None and needed > free:
            raise InputError(
                f"--dataset-cache: the clips need {needed / 2**30:.1f} GB of the {free / 2**30:.1f} GB that are free "
                f"on {device.type}; give none"
            )
        clips = range(len(dataset))
        read = [dataset.load(clip) for clip in tqdm(clips, "reading audio", disable=not progress, leave=False)]
        self._parts = [_in_memory(kind, device) for kind in zip(*read, strict=True)]

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, key: ClipKey) -> Segment:
        return tuple(part[0] for part in self.__getitems__([key]))

    def __getitems__(self, keys: Sequence[ClipKey]) -> Segment:
        """Return a batch [B, ...] of segments. `torch.utils.data.DataLoader` calls this."""
        places = [self._dataset.places([part.lengths[key.clip] for part in self._parts], key) for key in keys]
        clips = [key.clip for key in keys]
        return tuple(part.gather(clips, of_part) for part, *of_part in zip(self._parts, *places, strict=True))


class _Clips:
    """One part of all clips, [..., L] with a length L for each clip, in the CPU's memory."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self.lengths = [tensor.size(-1) for tensor in tensors]
        self._tensors = tensors

    def gather(self, clips: Sequence[int], places: Sequence[slice]) -> Tensor:
        """Assemble a batch of places of equal size, one from each clip."""
        return torch.stack([self._tensors[clip][..., place] for clip, place in zip(clips, places, strict=True)])


class _PackedClips:
    """The same in one block of a GPU's memory.

    Separate clips would fragment the memory, and each clip of a batch would need a kernel.
    """

    def __init__(self, tensors: Sequence[Tensor], device: torch.device) -> None:
        self.lengths = [tensor.size(-1) for tensor in tensors]
        self._shape = tensors[0].shape[:-1]
        sizes = [tensor.numel() for tensor in tensors]
        self._starts = [0, *itertools.accumulate(sizes)]
        self._block = torch.empty(self._starts[-1], dtype=tensors[0].dtype, device=device)
        for part, tensor in zip(self._block.split(sizes), tensors, strict=True):
            part.copy_(tensor.flatten())

    def gather(self, clips: Sequence[int], places: Sequence[slice]) -> Tensor:
        starts = [self._starts[clip] + place.start for clip, place in zip(clips, places, strict=True)]
        corners = torch.tensor([starts, [self.lengths[clip] for clip in clips]])
        if self._block.device.type == "cuda":  # the copy must not block
            corners = corners.pin_memory()
        first, length = corners.to(self._block.device, non_blocking=True)
        rows = torch.arange(self._shape.numel(), device=self._block.device).view(-1, 1)
        columns = torch.arange(places[0].stop - places[0].start, device=self._block.device)
        index = first.view(-1, 1, 1) + rows * length.view(-1, 1, 1) + columns
        return self._block[index].view(len(clips), *self._shape, -1)


def _in_memory(tensors: Sequence[Tensor], device: torch.device) -> _Clips | _PackedClips:
    return _Clips(tensors) if device.type == "cpu" else _PackedClips(tensors, device)


def needed_bytes(dataset: SegmentDataset) -> int:
    """Return the bytes that the clips need in memory."""
    return round(dataset.bytes_per_sample * sum(wav_info(path).frames for path in dataset.paths))
