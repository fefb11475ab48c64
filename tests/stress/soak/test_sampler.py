"""The sampler of long runs finds leaks: programs that leak a little in each iteration do not pass."""

import sys

import pytest

from tests.support.long_runs.sampling import PROC, Bounds, LineCounter, fit, watch
from tests.support.paths import written

pytestmark = pytest.mark.skipif(not PROC.exists(), reason="this system has no /proc")

COUNT, WARM_UP = 1000, 250
# An iteration makes and frees memory of random size, as real ones do, and leaks what LEAK adds to `kept`.
PROGRAM = """
import os, random, subprocess, sys, tempfile, threading, time
kept, random_numbers = [], random.Random(0)
for number in range({count}):
    work = bytearray(random_numbers.randrange(10**6))
    {leak}
    time.sleep(0.0008)
    print("done", flush=True)
"""
LEAKS = {
    "nothing": "pass",
    "memory": "kept.append(os.urandom(10_000))",
    "files": "kept.append(open(os.devnull)) if number % 100 == 0 else None",
    "threads": "number % 100 or threading.Thread(target=time.sleep, args=[60], daemon=True).start()",
    "processes": "number % 200 or kept.append(subprocess.Popen(['sleep', '20']))",
    "temporary": "number % 100 or kept.append(tempfile.mkstemp()) or os.close(kept[-1][0])",
    "shared": "number % 100 or kept.append(open(f'/dev/shm/leak_{{os.getpid()}}_{{number}}', 'w').close())",
    "iteration": "[random_numbers.random() for _ in range(number**3 // 25_000)]",
}


@pytest.mark.medium
@pytest.mark.alone
@pytest.mark.parametrize("leak", LEAKS)
def test_leaks_are_found(leak, tmp_path):
    program = PROGRAM.format(count=COUNT, leak=LEAKS[leak]).replace("{{", "{").replace("}}", "}")
    words = [written(tmp_path / "program.py", program)]
    try:
        soak = watch(words, tmp_path / "run", LineCounter(tmp_path / "run" / "stdout", "done"), 0.02)
    finally:
        for left in PROC.joinpath("/dev/shm").glob("leak_*"):
            left.unlink()
    faults = fit(soak.samples, WARM_UP).faults(Bounds(noise_mb=4))
    if leak == "nothing":
        assert faults == []
    else:
        assert any(leak in fault for fault in faults), (faults, soak.samples[-1])


def test_a_failing_program_is_not_judged(tmp_path):
    with pytest.raises(AssertionError, match="fails here"):
        watch(["-c", "import sys; sys.exit('fails here')"], tmp_path / "run", lambda: 0, 0.02)
    assert sys.executable


def test_lines_are_counted_once(tmp_path):
    path = written(tmp_path / "log", "done\nother\ndo")
    count = LineCounter(path, "done")
    assert count() == 1
    with path.open("a") as file:
        file.write("ne\ndone\n")
    assert count() == 3
    assert count() == 3
