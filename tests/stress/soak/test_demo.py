"""Hundreds of requests to the demo page over HTTP: memory stays constant, and old audio is deleted."""

import json
import socket
import urllib.request

import pytest

from tests.support.long_runs.loops import random_texts
from tests.support.long_runs.sampling import FULL_ONLY, PROC, Bounds, LineCounter, check, watch
from tests.support.stress import cases

# The page keeps audio for an hour. Here it is three seconds, so that the run sees it go.
PROGRAM = """
from common.cli import run
from demo import app
app.KEPT_AUDIO_SEC, app.CLEANED_EVERY_SEC = 3, 1
run(lambda: app.main(["--port", "{port}"]), "demo/app.py")
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask(port, text):
    """Return the answer's events."""
    address = f"http://127.0.0.1:{port}/gradio_api/call/speak"
    body = json.dumps({"data": [text, 1.0, 0]}).encode()
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        event = json.load(answer)["event_id"]
    with urllib.request.urlopen(f"{address}/{event}") as answer:
        return answer.read().decode()


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.skipif(not PROC.exists(), reason="this system has no /proc")
@FULL_ONLY
def test_requests(tmp_path):
    pytest.importorskip("gradio")
    count = cases(20, 300)
    port, texts = free_port(), random_texts(count)
    started = LineCounter(tmp_path / "run" / "stdout", "speaks at")
    answered = 0

    def done():
        nonlocal answered
        if answered < count and started():
            events = ask(port, texts[answered])
            assert "event: complete" in events, events
            answered += 1
        return answered

    words = ["-c", PROGRAM.format(port=port)]
    soak = watch(words, tmp_path / "run", done, 0.05, {"GRADIO_ANALYTICS_ENABLED": "False"}, stop_at=count)
    assert answered == count
    check("the demo page leaks nothing", soak, count, warm_up=count // 4, bounds=Bounds(memory_mb=20))
    assert max(usage.temporary for usage in soak.samples) < count // 2 + 10
