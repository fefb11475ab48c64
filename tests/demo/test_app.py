"""The demo page: speech, limits and one-line errors; in headless Chromium and over HTTP if gradio is installed."""

from __future__ import annotations

import io
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from common.audio_files import to_int16
from common.cli import run
from common.errors import InputError
from demo import app
from demo.app import MAX_CHARACTERS, DemoConfig, build_page, model_card, serve, speak
from tests.support.models import make_voice
from tests.support.paths import REPOSITORY
from tests.support.web.browser import PROGRAM, Browser
from voice import Voice, load_voice

COLUMNS = 7
TABLE = "".join("|" + cell * COLUMNS + "\n" for cell in (" metric |", "---|", " intelligibility |"))


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Voice:
    folder = make_voice(tmp_path_factory.mktemp("voice") / "ann")
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# Ann\n\nShe reads *novels*.\n\n" + TABLE)
    return load_voice(folder)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def address(voice: Voice) -> Iterator[str]:
    pytest.importorskip("gradio")
    page = build_page(voice)
    serve(page, DemoConfig(port=free_port()))
    yield page.local_url
    page.close()


def test_speech_is_the_voice_s(voice: Voice) -> None:
    rate, wav = speak(voice, "Hello there.", 1.25, 20)
    assert rate == voice.sampling_rate
    assert np.array_equal(wav, to_int16(voice.speak("Hello there.", pace=1.25, pitch_transform_shift=20.0), ""))
    assert np.abs(wav).max() > 100


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (" \n", "the text is empty: write something to speak"),
        ("a" * (MAX_CHARACTERS + 1), "the text has 501 characters, and this page speaks at most 500"),
        ("~", "nothing can be spoken of the text '~'"),
    ],
)
def test_texts_that_are_not_spoken(text: str, message: str, voice: Voice) -> None:
    with pytest.raises(InputError, match=message) as caught:
        speak(voice, text, 1.0, 0)
    assert "\n" not in str(caught.value)


def test_the_card_is_shown_without_its_metadata(voice: Voice) -> None:
    assert model_card(voice) == "# Ann\n\nShe reads *novels*.\n\n" + TABLE
    assert model_card(load_voice()).startswith("# ")


def one_line_of_error(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit):
        run(lambda: app.main(words), "demo/app.py")
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    return error


def test_errors_take_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert "--port: 70000 is not between 1 and 65535" in one_line_of_error(["--port", "70000"], capsys)
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert "error: the demo needs the package gradio: pip install gradio" in one_line_of_error([], capsys)


def test_a_page_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradio asks its own server for the page, and raises ValueError if a proxy answers instead, or nobody."""

    class Page:
        def launch(self, **_: object) -> None:
            raise ValueError("When localhost is not accessible, a shareable link must be created.")

    pytest.importorskip("gradio")
    with pytest.raises(InputError, match=r"does not answer at 127.0.0.1:7860 .* a proxy may be in the way"):
        serve(Page(), DemoConfig())


def test_old_audio_is_deleted(voice: Voice) -> None:
    pytest.importorskip("gradio")
    assert build_page(voice).delete_cache == (app.CLEANED_EVERY_SEC, app.KEPT_AUDIO_SEC)


@pytest.fixture
def browser(tmp_path: Path, address: str) -> Iterator[Browser]:
    if PROGRAM is None:
        pytest.skip("no Chromium on this machine")
    with Browser(tmp_path) as browser:
        browser.look(1000, 800, "light")
        browser.call("Page.navigate", url=address)
        browser.wait_for("!!document.querySelector('#speak')")
        yield browser


def enter(browser: Browser, element: str, value: object) -> None:
    """Set the value of an input as if a user had typed it."""
    script = "(e => {{ e.value = {value!r}; e.dispatchEvent(new Event('input', {{bubbles: true}})); }})({element})"
    browser.run(script.format(value=value, element=element))


def download(browser: Browser) -> tuple[np.ndarray, int]:
    """Return the samples and the rate of the speech on the page, as its download link gives it."""
    browser.wait_for("!!document.querySelector('#speech a[download]')")
    with urllib.request.urlopen(browser.run("document.querySelector('#speech a[download]').href")) as answer:
        samples, rate = soundfile.read(io.BytesIO(answer.read()), dtype="int16")
    return samples, rate


@pytest.mark.slow
def test_the_page_in_a_browser(browser: Browser, voice: Voice) -> None:
    shown = browser.run("document.body.innerText")
    assert "Voice: ann, 22050 Hz" in shown
    enter(browser, "document.querySelector('#text textarea')", "Hello there.")
    enter(browser, "document.querySelector('#pace input[type=number]')", 0.5)
    browser.click("document.querySelector('#speak')")
    samples, rate = download(browser)
    assert rate == voice.sampling_rate
    assert np.array_equal(samples, speak(voice, "Hello there.", 0.5, 0)[1])

    # On a phone, words of the model card's tables stay whole, and only the tables scroll.
    browser.look(390, 844, "light")
    browser.run("[...document.querySelectorAll('button')].find(e => e.innerText.includes('About this voice')).click()")
    browser.wait_for("!!document.querySelector('#card td')?.getBoundingClientRect().width")
    heights = browser.run("[...document.querySelectorAll('#card td')].map(e => e.getBoundingClientRect().height)")
    assert len(heights) == COLUMNS
    assert max(heights) < 80
    assert browser.run("document.documentElement.scrollWidth") <= 390

    enter(browser, "document.querySelector('#text textarea')", "~")
    browser.click("document.querySelector('#speak')")
    browser.wait_for("document.body.innerText.includes(\"nothing can be spoken of the text '~'\")")
    assert browser.run("document.querySelector('#text textarea').maxLength") == MAX_CHARACTERS
    local = ("http://127.0.0.1:", "data:", "blob:")
    assert [address for address in browser.requests if not address.startswith(local)] == []


@pytest.mark.slow
def test_the_page_over_http(address: str, voice: Voice) -> None:
    client: Any = pytest.importorskip("gradio_client").Client(address, verbose=False)
    path = client.predict("Good morning.", 1.0, 30, api_name="/speak")
    samples, rate = soundfile.read(path, dtype="int16")
    assert rate == voice.sampling_rate
    assert np.array_equal(samples, speak(voice, "Good morning.", 1.0, 30)[1])
    with pytest.raises(Exception, match="the text has 501 characters"):  # the limit holds without the page as well
        client.predict("a" * 501, 1.0, 0, api_name="/speak")


@pytest.mark.slow
def test_the_program(voice: Voice, tmp_path: Path) -> None:
    pytest.importorskip("gradio")
    port = str(free_port())
    words = ["demo/app.py", "--voice", str(voice.files.folder), "--port", port]
    with subprocess.Popen(
        [sys.executable, *words], cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == f"ann speaks at http://127.0.0.1:{port}/ (Ctrl-C ends it)\n"
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
                assert "Speak with ann" in answer.read().decode()
        finally:
            process.terminate()
