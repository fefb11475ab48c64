"""Hundreds of evaluations in one process, each with tables, audio and a page with pictures."""

import pytest

from tests.support.data_sets import write_data_set
from tests.support.long_runs.loops import DONE
from tests.support.long_runs.sampling import FULL_ONLY, PROC, Bounds, LineCounter, check, watch
from tests.support.stress import cases


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.skipif(not PROC.exists(), reason="this system has no /proc")
@FULL_ONLY
def test_evaluations(tmp_path):
    """An evaluation does a thousand times the work of a step, and 20 MB in 1,000 of them are 20 kB each."""
    count = cases(16, 500)
    write_data_set(tmp_path / "set", [0.5, 0.5])
    (tmp_path / "recordings").mkdir()
    (tmp_path / "set" / "wavs" / "clip000.wav").rename(tmp_path / "recordings" / "clip000.wav")
    done = LineCounter(tmp_path / "run" / "stdout", DONE)
    words = ["-m", "tests.support.long_runs.loops", "evaluate", str(count), tmp_path]
    soak = watch(words, tmp_path / "run", done, cases(1, 20) / 20)
    assert done() == count
    check("evaluations leak nothing", soak, count, warm_up=count // 4, bounds=Bounds(memory_mb=20))
