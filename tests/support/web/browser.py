"""A real browser for tests of pages: headless Chromium, driven through a pipe with its DevTools protocol."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
TIMEOUT_SEC = 60.0  # generous, for a busy machine


class Browser:
    """One page of a browser, as a context manager.

    Args:
        profile: an empty folder for the browser's profile.

    Attributes:
        errors: exceptions, logged errors and warnings, and failed requests.
        requests: addresses that the page requested.
    """

    def __init__(self, profile: Path) -> None:
        commands, self._commands = os.pipe()
        self._events, events = os.pipe()
        # The browser reads file descriptor 3 and writes 4. The shell moves the pipe's ends there from higher numbers.
        ends = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (commands, events)]
        flags = "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --mute-audio --remote-debugging-pipe"
        self._process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{ends[0]} 4>&{ends[1]}', "bash", str(PROGRAM), *flags.split()]
            + [f"--user-data-dir={profile}", "about:blank"],
            pass_fds=ends,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for fd in (commands, events, *ends):
            os.close(fd)
        self._buffer = b""
        self._number = 0
        self._session = ""
        self.errors: list[str] = []
        self.requests: list[str] = []

    def __enter__(self) -> Browser:
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(self, *error: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._commands)
        os.close(self._events)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command of the protocol and return its result."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer["error"]
                return answer["result"]

    def open(self, address: str) -> None:
        """Load a page completely."""
        self.call("Page.navigate", url=address)
        self.wait_for("document.readyState === 'complete'")

    def run(self, script: str) -> Any:
        """Evaluate an expression in the page, awaiting promises, and return its value."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait_for(self, script: str) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + TIMEOUT_SEC
        while not self.run(script):
            assert time.monotonic() < end, f"still false: {script}"
            time.sleep(0.05)

    def click(self, element: str) -> None:
        """Click in the middle of the element that an expression returns."""
        self.run(f"({element}).scrollIntoView({{block: 'center', behavior: 'instant'}})")
        place = self.run(f"(r => [r.x + r.width / 2, r.y + r.height / 2])(({element}).getBoundingClientRect())")
        self.click_at(*place)

    def click_at(self, x: float, y: float) -> None:
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key: str, text: str = "", code: int = 0) -> None:
        """Press and release a key."""
        for kind in ("keyDown", "keyUp"):
            more = {"text": text} if text and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **more)

    def look(self, width: int, height: int, scheme: str) -> None:
        """Set the size of the window in CSS pixels, and the colour scheme "light" or "dark"."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self, path: Path, whole: bool = False) -> None:
        """Save the visible part or the whole page as PNG."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            assert select.select([self._events], [], [], TIMEOUT_SEC)[0], "the browser does not answer"
            part = os.read(self._events, 1 << 20)
            assert part, "the browser exited"
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        event = json.loads(message)
        self._note(event.get("method", ""), event.get("params", {}))
        return event

    def _note(self, method: str, data: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            self.errors.append(str(data["exceptionDetails"]))
        elif method == "Log.entryAdded" and data["entry"]["level"] in ("error", "warning"):
            self.errors.append(data["entry"]["text"])
        elif method == "Runtime.consoleAPICalled" and data["type"] in ("error", "warning", "assert"):
            self.errors.append(str(data["args"]))
        elif method == "Network.loadingFailed" and not data.get("canceled"):
            self.errors.append(data["errorText"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(data["request"]["url"])
