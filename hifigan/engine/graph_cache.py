"""CUDA graphs of a vocoder by size, recorded only when a size comes again.

A recording costs more than a call. So the first call of a size runs directly. Graphs of a vocoder that masks padding
have few sizes, and each serves all smaller ones.

Shapes: B batch, M mel bands, L frames, T samples.
"""

from __future__ import annotations

import dataclasses
import logging
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from common.errors import InputError, first_line
from common.machine.graph_capture import Recorder

log = logging.getLogger(__name__)

Work = Callable[[Tensor, Tensor], Tensor]  # mel [B, M, L] and lengths [B] -> wav [B, T]

MAX_GRAPHS = 32  # the least recently used is dropped
# Frames of the largest graph. V1 takes 0.1 MB per frame with kernels of its own, and 0.3 to 0.5 with PyTorch's. Graphs
# share their memory, so that together they take little more than the largest.
MAX_GRAPH_FRAMES = 16384
FEWEST_FRAMES = 64
MOST_PADDING = 4  # a graph serves sizes down to this part of its own. Padding is not computed, but its blocks start.


class Size(NamedTuple):
    """Size of a batch of mels."""

    batch: int
    frames: int

    @property
    def total(self) -> int:
        return self.batch * self.frames

    def holds(self, other: Size) -> bool:
        """Return whether a batch of this size has room for another."""
        return self.batch >= other.batch and self.frames >= other.frames


@dataclasses.dataclass(frozen=True)
class _Recorded:
    """A graph, and the tensors that it reads and writes."""

    replay: Callable[[], None]
    mel: Tensor
    lengths: Tensor
    wav: Tensor


class GraphCache:
    """Runs a vocoder, directly or through graphs.

    Args:
        work: the vocoder, which does not wait for the GPU.
        recorder: records it.
        masks_padding: `work` reads the lengths, and frames behind the end of an utterance do not matter.
    """

    def __init__(self, work: Work, recorder: Recorder, masks_padding: bool) -> None:
        self._work = work
        self._recorder = recorder
        self._masks_padding = masks_padding
        self._graphs: OrderedDict[Size, _Recorded] = OrderedDict()
        self._met: Counter[Size] = Counter()
        self._may_record = True

    def __call__(self, mel: Tensor, lengths: Tensor) -> Tensor:
        """Run the vocoder, in inference mode.

        Args:
            mel: [B, M, L].
            lengths: frames of each utterance, [B], int32.

        Returns:
            wav [B, T'], T' >= T, valid until the next call.
        """
        size = Size(mel.size(0), mel.size(2))
        found = self._find(size)
        if found is None and self._is_worth_recording(size):
            found = self._record(graph_size(size) if self._masks_padding else size, mel, lengths)
        if found is None:
            return self._work(mel, lengths)
        self._graphs.move_to_end(found)
        graph = self._graphs[found]
        _fill(graph, mel, lengths)
        graph.replay()
        return graph.wav[: size.batch]

    def _find(self, size: Size) -> Size | None:
        """Return the smallest recorded size that serves a size."""
        if not self._masks_padding:
            return size if size in self._graphs else None
        most = MOST_PADDING * graph_size(size).total
        serve = [recorded for recorded in self._graphs if recorded.holds(size) and recorded.total <= most]
        return min(serve, key=lambda recorded: recorded.total, default=None)

    def _is_worth_recording(self, size: Size) -> bool:
        key = graph_size(size) if self._masks_padding else size
        if not self._may_record or key.total > MAX_GRAPH_FRAMES:
            return False
        self._met[key] += 1
        return self._met[key] > 1

    def _record(self, size: Size, mel: Tensor, lengths: Tensor) -> Size | None:
        """Record a graph. If that fails, warn once and never try again."""
        if len(self._graphs) == MAX_GRAPHS:
            self._graphs.popitem(last=False)
        given = mel.new_zeros(size.batch, mel.size(1), size.frames)
        given_lengths = lengths.new_zeros(size.batch)
        graph = _Recorded(lambda: None, given, given_lengths, given)
        _fill(graph, mel, lengths)
        try:
            self._recorder.warm_up(lambda: self._work(given, given_lengths))
            replay, wav = self._recorder.record(lambda: self._work(given, given_lengths))
        except InputError:  # the process cannot go on
            raise
        except Exception as error:  # of any kind: the vocoder also runs without graphs
            self._may_record = False
            self._graphs.clear()  # CUDA may have invalidated their memory
            log.warning(
                "vocoding continues without CUDA graphs, with the same results but slower: %s", first_line(error)
            )
            return None
        self._graphs[size] = dataclasses.replace(graph, replay=replay, wav=wav)
        return size


def graph_size(size: Size) -> Size:
    """Return the size of the graph for a size: a power of two of utterances, and 1 or 1.5 times one of frames."""
    power = 1 << max(FEWEST_FRAMES - 1, size.frames - 1).bit_length()
    frames = 3 * power // 4 if FEWEST_FRAMES < size.frames <= 3 * power // 4 else power
    return Size(1 << (size.batch - 1).bit_length(), frames)


def _fill(graph: _Recorded, mel: Tensor, lengths: Tensor) -> None:
    batch, _, frames = mel.shape
    graph.mel[:batch, :, :frames].copy_(mel)
    if batch < len(graph.lengths):
        graph.lengths.zero_()
    graph.lengths[:batch].copy_(lengths)
