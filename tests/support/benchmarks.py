"""Run benchmarks, and parse the tables that they print."""

import os
import signal
import subprocess
import sys
import time

from tests.support.paths import REPOSITORY

HEADER = ["machine", "versions", "commit", "date", "command", "HiFi-GAN", "input"]


def parts(printed):
    """Return the header, the column names, and the cells of the rows."""
    lines = printed.splitlines()
    header = dict(line[2:].split(": ", 1) for line in lines if line.startswith("- "))
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return header, rows[0], rows[2:]


def kill_when_written(module, argv, tables):
    """Start a benchmark, and kill it once it has written its tables."""
    running = subprocess.Popen([sys.executable, "-m", module, *argv], cwd=REPOSITORY)
    try:
        while not tables.is_file() and running.poll() is None:
            time.sleep(0.1)
    finally:
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
