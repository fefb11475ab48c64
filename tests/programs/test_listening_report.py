"""The listening report: escaped text, and in a real browser playing, blind tests, storage, export and no errors."""

import json
from html.parser import HTMLParser

import pytest
import soundfile

import evaluate
from evaluation.report.page import ListeningClip, Player, _script_data
from tests.support.data_sets import speechlike
from tests.support.web.browser import PROGRAM, Browser

CLIPS = ("plain", "a<b>&'\"c", "</script><script>x()")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Return the folder of a report on three recordings with hostile names and texts, and four systems."""
    folder = tmp_path_factory.mktemp("report")
    for number, clip in enumerate(CLIPS):
        for place, gain in (("real", 1.0), ("one", 0.5), ("third", 0.6), ("other", 0.8)):
            path = folder / place / f"{clip.replace('/', '_')}.wav"
            path.parent.mkdir(exist_ok=True)
            soundfile.write(path, gain * speechlike(0.8, seed=number), 22050)
    (folder / "real" / "metadata.csv").write_text("plain|<i>Some</i> words & more.\n")
    log = folder / "run" / "nvlog.json"
    log.parent.mkdir()
    lines = [{"step": [epoch], "data": {"val_mel_loss": 30.0 / epoch}} for epoch in (1, 2, 3)]
    settings = {"base_lr": 0.0007, "note": "<u>", "<u>key</u>": "'\"><script>y()</script>{{ 7 * 7 }}"}
    lines.insert(0, {"step": "PARAMETER", "data": settings})
    log.write_text("".join(f"DLLL {json.dumps({'type': 'LOG', **line})}\n" for line in lines))
    argv = ["-i", folder / "real", "-o", folder / "out", "--report", folder / "page", "--jobs", 1]
    systems = ["griffin-lim", *(f"{name}={folder / name}" for name in ("third", "one", "other"))]
    metrics = ["mel_l1", "level", "f0_cents"]
    words = [*argv, "--metrics", *metrics, "--logs", log.parent, "--baseline", "one", "--system", *systems]
    assert evaluate.main([str(word) for word in words]) == 0
    return folder / "page"


@pytest.fixture
def browser(tmp_path):
    if PROGRAM is None:
        pytest.skip("no Chromium on this machine")
    with Browser(tmp_path) as browser:
        yield browser


def test_files_of_the_page(report):
    text = (report / "index.html").read_text()
    assert "http" not in text  # nothing is loaded from a network
    assert "<i>Some</i>" not in text
    assert "&lt;i&gt;Some&lt;/i&gt; words &amp; more." in text
    assert "<b>&'" not in text
    assert "<dt>base_lr</dt><dd>0.0007</dd><dt>note</dt><dd>&lt;u&gt;</dd>" in text
    assert len(list((report / "audio").iterdir())) == len(list((report / "pictures").iterdir())) == 15
    assert (report / "curves.png").stat().st_size > 5000


def test_players_come_before_tables_and_three_clips_decide_nothing(report):
    text = (report / "index.html").read_text()
    assert text.index("<audio") < text.index('id="blind-form"') < text.index("<table")
    assert "Listen for yourself: 3 clips are too few to measure how other differs from one." in text
    assert "<td><b>" not in text
    assert "a baseline without a neural network" in text
    assert text.count("<svg") == 3
    assert text.count("<path") == 15


class PageParser(HTMLParser):
    """Collects the names of elements, the values of attributes, and all text."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.values, self.text = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.values += [value for _, value in attrs]

    def handle_data(self, data):
        self.text.append(data.strip())


def test_hostile_names_and_texts_stay_text(report):
    page = PageParser((report / "index.html").read_text())
    assert page.elements.count("script") == 2  # our data and our code
    assert not {"i", "u"} & set(page.elements)
    for clip in CLIPS:
        name = clip.replace("/", "_")
        assert name in page.text
        assert f"one, {name}" in page.values
    assert {"<i>Some</i> words & more.", "<u>key</u>", "'\"><script>y()</script>{{ 7 * 7 }}"} <= set(page.text)


def test_names_cannot_end_the_script():
    item = ListeningClip("</script>", "", [Player("a", "audio/1.wav", "pictures/1.png", {})], None)
    assert "<" not in _script_data([item], "x")
    assert json.loads(_script_data([item], "x"))["clips"][0]["clip"] == "</script>"


@pytest.mark.slow
def test_players_play(report, browser):
    browser.look(1200, 900, "light")
    browser.open((report / "index.html").as_uri())
    assert browser.run("document.querySelectorAll('audio').length") == 15
    first, second = (f"document.querySelectorAll('audio')[{i}]" for i in (0, 1))
    # The play button is at the left end of the player's controls.
    for player in (first, second):
        browser.run(f"{player}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
        x, y, height = browser.run(f"(r => [r.x, r.y, r.height])({player}.getBoundingClientRect())")
        browser.click_at(x + height / 2, y + height / 2)
        browser.wait_for(f"{player}.currentTime > 0")
        browser.wait_for("document.querySelectorAll('.axis path.playing').length === 1")
    assert browser.run(f"{first}.paused")  # one at a time
    browser.run("document.querySelectorAll('img').forEach(image => { image.loading = 'eager' })")
    browser.wait_for("[...document.images].every(image => image.complete && image.naturalWidth)")
    assert browser.errors == []
    assert [address for address in browser.requests if not address.startswith(("file:", "data:"))] == []


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 800, 1400])
def test_fits_and_is_legible(report, browser, width, scheme):
    browser.look(width, 800, scheme)
    browser.open((report / "index.html").as_uri())
    assert browser.run("document.querySelector('details.pictures').open") == (width > 360)
    browser.run("document.querySelectorAll('details').forEach(details => { details.open = true })")
    assert browser.run("document.documentElement.scrollWidth <= window.innerWidth")
    tops = browser.run(
        "[...document.querySelectorAll('article:first-of-type .player')].map(player => player.offsetTop)"
    )
    assert [tops.count(top) for top in sorted(set(tops))] == {360: [1] * 5, 800: [3, 2], 1400: [5]}[width]
    brightness = "(text => text.match(/[0-9]+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0) / 3)"
    ink, back = (
        browser.run(f"{brightness}(getComputedStyle(document.body).{name})") for name in ("color", "backgroundColor")
    )
    assert abs(ink - back) > 180
    assert (back < 60) == (scheme == "dark")


@pytest.mark.slow
def test_blind_test_by_keyboard(report, browser):
    browser.look(1200, 900, "light")
    page = (report / "index.html").as_uri()
    browser.open(page)
    browser.run("window.saved = []; URL.createObjectURL = blob => { saved.push(blob); return 'data:,' }")
    chosen = browser.run("['one', 'other'].map(id => document.getElementById(`blind-${id}`).value)")
    assert chosen == ["one", "other"], "the baseline and the last system"
    browser.click("document.querySelector('#blind-form button')")
    status = "document.getElementById('blind-status').textContent"
    assert browser.run(status) == "Clip 1 of 3"
    browser.press("f", "f", 70)  # without listening first, no answer is accepted
    assert browser.run(status) == "Clip 1 of 3"
    for number, key in enumerate("fns"):
        assert browser.run("document.activeElement.id") == "blind-play-first"
        browser.press("1", "1", 49)
        browser.press("2", "2", 50)
        browser.press(key, key, ord(key.upper()))
        browser.wait_for(f"!({status}).startsWith('Clip {number + 1}')")
    assert browser.run(status).startswith("Done. one better: ")
    browser.click("document.getElementById('blind-export')")
    exported = json.loads(browser.run("saved[0].text()"))
    (session,) = exported["sessions"]
    assert sorted(answer["clip"] for answer in session["answers"]) == sorted(clip.replace("/", "_") for clip in CLIPS)
    assert [answer["answer"] for answer in session["answers"]] == ["first", "same", "second"]
    assert all({answer["first"], answer["second"]} == {"one", "other"} for answer in session["answers"])
    assert all(answer["plays"] == [1, 1] for answer in session["answers"])
    browser.open(page)
    assert browser.run(status) == "3 answers from earlier visits are stored here."
    stored = "document.getElementById('blind-stored').hidden"
    assert not browser.run(stored)
    browser.click("document.getElementById('blind-clear')")
    assert browser.run(stored)
    assert browser.run("document.activeElement.id") == "blind-one"
    assert browser.errors == []


@pytest.mark.slow
def test_everything_can_be_reached_by_keyboard(report, browser):
    browser.look(1200, 900, "light")
    browser.open((report / "index.html").as_uri())
    reached = set()
    for _ in range(120):
        browser.press("Tab", code=9)
        place = "document.activeElement"
        reached.add(browser.run(f"{place}.tagName + ({place}.id && '#' + {place}.id) + ({place}.className && '.skip')"))
    assert {"A.skip", "A", "SUMMARY", "AUDIO", "SELECT#blind-one", "BUTTON"} <= reached
