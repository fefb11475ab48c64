"""Progress bars are drawn for people, by one process."""

import dataclasses

import pytest

from common import distributed
from common.distributed import Distributed
from common.machine import progress


@pytest.mark.parametrize(("terminal", "rank", "drawn"), [(True, 0, True), (True, 1, False), (False, 0, False)])
def test_who_draws(terminal, rank, drawn, monkeypatch):
    monkeypatch.setattr(progress, "watched", lambda: terminal)
    place: Distributed = dataclasses.replace(distributed.init(cuda=False), rank=rank, world_size=2)
    with progress.progress_bar("mels", "files", 3, place) as bar:
        assert bar.disable != drawn
        assert bar.total == 3
