"""Progress bars are drawn for people, by one process."""

import pytest

from common.machine import progress


@pytest.mark.parametrize(("terminal", "rank", "drawn"), [(True, 0, True), (True, 1, False), (False, 0, False)])
def test_who_draws(terminal, rank, drawn, monkeypatch):
    monkeypatch.setattr(progress, "watched", lambda: terminal)
    with progress.progress_bar("mels", "files", 3, rank, world_size=2) as bar:
        assert bar.disable != drawn
        assert bar.total == 3
