"""The review page: escaped texts, and in a real browser keys, playing, kept edits, export, import and no errors."""

import csv
import io
import json
import re

import pytest
import soundfile

from tests.support.data_sets import speechlike
from tests.support.web.browser import PROGRAM, Browser
from voice.recordings.review_page import render_page, write_page
from voice.recordings.segment import EDITED, GIVEN, RECOGNISED, Segment
from voice.recordings.table import import_review, read_review, write_review

HOSTILE = "</script><script>x()</script> <b>'\"& {{ 7 * 7 }}"
SEGMENTS = [
    Segment("memo #1 100%", "memo.m4a", 0.0, 0.8, text=HOSTILE, source=RECOGNISED, confidence=0.95),
    Segment("ann/two", "memo.m4a", 1.0, 1.8, text='- He said, "one; two".', source=RECOGNISED, confidence=0.2),
    Segment("three", "memo.m4a", 2.0, 2.8, text="Three.", source=GIVEN, remarks=("too <fast>",)),
    Segment("four", "memo.m4a", 3.0, 3.8, text="Four.", source=GIVEN, use=False),
]
CURRENT = "document.querySelector('.current').clip.base.clip"
STATUS = "document.getElementById('status').textContent"


def show(number):
    """Return the expression of a row of the page."""
    return f"document.querySelectorAll('.clip')[{number}]"


@pytest.fixture
def work(tmp_path):
    for number, segment in enumerate(SEGMENTS):
        path = tmp_path / "data" / "wavs" / f"{segment.clip}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, speechlike(0.8, seed=number), 22050)
    write_page(tmp_path, write_review(tmp_path, SEGMENTS), "Ann")
    return tmp_path


@pytest.fixture
def browser(work, tmp_path_factory):
    if PROGRAM is None:
        pytest.skip("no Chromium on this machine")
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        browser.look(1400, 900, "light")
        open_page(browser, work)
        yield browser
        assert browser.errors == []
        assert [address for address in browser.requests if not address.startswith(("file:", "data:", "blob:"))] == []


def open_page(browser, work):
    browser.open((work / "review.html").as_uri())
    browser.run("window.saved = []; URL.createObjectURL = blob => { saved.push(blob); return 'data:,' }")


def press(browser, keys):
    codes = {"ArrowDown": 40, "ArrowUp": 38, "Enter": 13, "Escape": 27}
    for key in keys:
        browser.press(key, "" if key in codes else key, codes.get(key, ord(key[0].upper())))


def export(browser):
    browser.click("document.getElementById('export')")
    return browser.run("saved[saved.length - 1].text()")


def test_texts_stay_text_and_nothing_comes_from_a_network():
    page = render_page(SEGMENTS, "<i>Ann</i>", "x")
    assert page.count("<script") == page.count("</script>") == 2, "our data and our code"
    assert "<h1>Review of &lt;i&gt;Ann&lt;/i&gt;</h1>" in page
    assert "<b>'" not in page
    assert "http" not in page
    data = json.loads(re.search(r'id="data">(.*?)</script>', page).group(1))
    assert [clip["text"] for clip in data["clips"]] == [segment.text for segment in SEGMENTS]
    assert "4 clips from 1 recording, 0.1 minutes" in page


def test_each_working_folder_has_its_own_storage(tmp_path):
    ids = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        found = write_review(folder, SEGMENTS)
        texts = [write_page(folder, found, "Ann").read_text() for _ in range(2)]
        assert texts[0] == texts[1], "an update keeps the edits"
        ids.append(re.search(r'"id": "(\w{12})"', texts[0]).group(1))
    assert ids[0] != ids[1]


@pytest.mark.slow
def test_filters_order_and_search(browser):
    shown = "[...document.querySelectorAll('.clip')].map(row => row.clip.base.clip)"
    counts = "[...document.querySelectorAll('[data-filter] span')].map(span => span.textContent)"
    assert browser.run(shown) == ["ann/two", "three"], "what needs a look comes first"
    assert browser.run(counts) == ["4", "2", "0", "1"]
    browser.click("document.querySelector('[data-filter=all]')")
    assert browser.run(shown) == [segment.clip for segment in SEGMENTS]
    browser.run(
        "order.value = 'doubt'; order.dispatchEvent(new Event('change'))".replace(
            "order", "document.querySelector('#order')"
        )
    )
    assert browser.run(shown) == ["three", "ann/two", "memo #1 100%", "four"]
    press(browser, "/")
    browser.call("Input.insertText", text="HE SAID")
    browser.wait_for(f"({shown}).join() === 'ann/two'")
    browser.run("document.querySelector('#search').value = ''")
    browser.click("document.querySelector('[data-filter=skipped]')")
    assert browser.run(shown) == ["four"]
    assert browser.run(f"getComputedStyle({show(0)}.querySelector('textarea')).textDecorationLine") == "line-through"


@pytest.mark.slow
def test_review_by_keyboard(browser, work):
    browser.click("document.querySelector('[data-filter=all]')")
    assert browser.run(CURRENT) == "ann/two", "the clip stays the current one"
    press(browser, ["k", " "])
    playing = "document.querySelector('.playing')?.clip.base.clip"
    browser.wait_for(f"{playing} === 'memo #1 100%'")
    browser.wait_for(f"{show(0)}.querySelector('.track').style.getPropertyValue('--played') > 0")
    press(browser, ["c"])
    browser.wait_for(f"{playing} === 'ann/two'")
    press(browser, ["Enter"])
    browser.wait_for(f"{playing} === undefined")
    press(browser, ["e"])
    assert browser.run("document.activeElement.type") == "textarea"
    browser.call("Input.insertText", text=" =xj?")
    press(browser, ["Escape", "ArrowDown", "x", "j", "j", "x", "k", "r"])
    browser.wait_for(f"{playing} === 'three'")
    assert browser.run("document.querySelector('#count').textContent") == "4 of 4 checked"
    assert browser.run("document.querySelector('#unsaved').textContent") == "4 changes not exported"
    leaving = "dispatchEvent(new Event('beforeunload', { cancelable: true }))"
    assert browser.run(leaving) is False
    press(browser, ["?"])
    assert browser.run("document.querySelector('#keys').open")
    press(browser, ["Escape"])
    content = export(browser)
    assert browser.run(leaving) is True
    assert browser.run("document.querySelector('#unsaved').hidden")
    open_page(browser, work)
    assert export(browser) == content, "edits are kept"
    (work / "review (1).csv").write_text(content, "utf-8", newline="")
    result = import_review(work / "review (1).csv", work, SEGMENTS)
    assert result == read_review(work, SEGMENTS)
    assert [item.text for item in result] == [HOSTILE, '- He said, "one; two". =xj?', "Three.", "Four."]
    assert [item.source for item in result] == [EDITED, EDITED, GIVEN, GIVEN]
    assert [item.use for item in result] == [True, True, False, True]
    write_page(work, result, "Ann")
    open_page(browser, work)
    rows = list(csv.DictReader(io.StringIO(export(browser).removeprefix("\ufeff"))))
    assert all(row["text"] == row["text_before"] and row["use"] == row["use_before"] for row in rows)
    assert browser.run("localStorage.length") == 0, "the page came with all edits"


@pytest.mark.slow
def test_mouse_undo_and_empty_texts(browser):
    browser.click("document.querySelector('[data-filter=all]')")
    browser.click(f"{show(2)}.querySelector('textarea')")
    assert browser.run(CURRENT) == "three"
    browser.call("Input.insertText", text="Not ")
    browser.click(f"{show(2)}.querySelector('.undo')")
    assert browser.run(f"{show(2)}.querySelector('textarea').value") == "Three."
    browser.click(f"{show(2)}.querySelector('textarea')")
    browser.run("document.activeElement.select()")
    browser.run("document.execCommand('delete')")
    press(browser, ["Enter"])
    assert browser.run(STATUS) == "three has no text now, and is skipped."
    browser.click(f"{show(3)}.querySelector('.use')")
    browser.click(f"{show(0)}.querySelector('.right')")
    rows = list(csv.DictReader(io.StringIO(export(browser).removeprefix("\ufeff"))))
    assert [row["use"] for row in rows] == ["yes", "yes", "no", "yes"]
    assert [row["source"] for row in rows] == ["edited", "recognised", "given", "given"]
    assert rows[2]["text"] == "Three."
    assert browser.run(f"{show(0)}.querySelector('.right').getAttribute('aria-pressed')") == "true"


@pytest.mark.slow
def test_import_of_a_spreadsheets_export(browser, work, tmp_path):
    content = export(browser).removeprefix("\ufeff")
    rows = list(csv.reader(io.StringIO(content)))
    place = {name: rows[0].index(name) for name in ("use", "text")}
    rows[2][place["text"]] = '\'=mine; "quoted"'
    rows[4][place["use"]] = "TRUE"
    stream = io.StringIO()
    csv.writer(stream, delimiter=";").writerows([*rows, ["other", *rows[1][1:]]])
    file = tmp_path / "saved.csv"
    file.write_text(stream.getvalue(), "utf-8-sig", newline="")
    document = browser.call("DOM.getDocument")["root"]["nodeId"]
    chooser = browser.call("DOM.querySelector", nodeId=document, selector="#file")["nodeId"]
    browser.call("DOM.setFileInputFiles", files=[str(file)], nodeId=chooser)
    browser.wait_for(f"{STATUS}.startsWith('Imported')")
    assert browser.run(STATUS) == "Imported 2 changed clips; 1 rows are of other clips."
    result = list(csv.DictReader(io.StringIO(export(browser).removeprefix("\ufeff"))))
    assert result[1]["text"] == '\'=mine; "quoted"'
    assert result[3]["use"] == "yes"


@pytest.mark.slow
def test_clips_that_are_missing_are_named(browser, work):
    (work / "data" / "wavs" / "three.wav").unlink()
    press(browser, ["j", " "])
    browser.wait_for(f"{STATUS} === 'three cannot be played: data/wavs must lie beside this page.'")
    browser.errors.clear()


@pytest.mark.slow
def test_thousands_of_clips_stay_quick(browser, tmp_path):
    many = [
        Segment(f"c{number}", "a.wav", 5.0 * number, 5.0 * number + 3, text=f"Number {number}.", source=GIVEN)
        for number in range(5000)
    ]
    page = tmp_path / "many.html"
    page.write_text(render_page(many, "Many", "many"))
    browser.open(page.as_uri())
    assert browser.run("document.querySelectorAll('.clip').length") == 50
    browser.run(f"{show(49)}.focus()")
    press(browser, ["j"])
    assert browser.run(CURRENT) == "c50"
    assert browser.run("document.getElementById('page').textContent") == "Page 2 of 100"
    press(browser, ["k"])
    assert browser.run(CURRENT) == "c49"
    took = browser.run(
        "(() => { const began = performance.now(); for (let i = 0; i < 10; i++) "
        "document.querySelector('[data-filter=all]').click(); return performance.now() - began })()"
    )
    assert took / 10 < 500


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 800, 1400])
def test_fits_and_is_legible(browser, width, scheme):
    browser.click("document.querySelector('[data-filter=all]')")
    browser.look(width, 800, scheme)
    assert browser.run("document.documentElement.scrollWidth <= window.innerWidth")
    assert browser.run(
        "[...document.querySelectorAll('textarea')].every(area => area.scrollHeight <= area.clientHeight + 1)"
    )
    brightness = "(text => text.match(/[0-9]+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0) / 3)"
    ink, back = (
        browser.run(f"{brightness}(getComputedStyle(document.body).{name})") for name in ("color", "backgroundColor")
    )
    assert abs(ink - back) > 180
    assert (back < 60) == (scheme == "dark")
