"""How much freed memory a process keeps. The tests run in separate processes, because the setting cannot be undone."""

import platform
import subprocess
import sys

import pytest

from common.machine import malloc
from tests.support.paths import REPOSITORY

# Pages of 4 KiB that are handed out while 64 MiB are taken, written and freed ten times, after a first time.
COUNT = """
import ctypes, resource
from common.machine.malloc import keep_freed_memory
{prepare}
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
size, before = 2**26, 0
for time in range(11):
    block = ctypes.c_void_p(libc.malloc(ctypes.c_size_t(size)))
    libc.memset(block, 1, ctypes.c_size_t(size))
    libc.free(block)
    if time == 0:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(prepare):
    done = subprocess.run(
        [sys.executable, "-c", COUNT.format(prepare=prepare)], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's malloc alone can be told")
def test_freed_memory_is_found_again():
    assert faults("assert keep_freed_memory()") < 100
    assert faults("") > 1000


def test_other_c_libraries_are_left_as_they_are(monkeypatch):
    monkeypatch.setattr(malloc.ctypes, "CDLL", lambda name: object())
    assert not malloc.keep_freed_memory()
    monkeypatch.setattr(malloc.sys, "platform", "darwin")
    assert not malloc.keep_freed_memory()
