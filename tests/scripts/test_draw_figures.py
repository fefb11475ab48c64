"""The figures of the documents."""

import xml.etree.ElementTree as ET

import pytest

from scripts.draw_figures import FIGURES, LATENCY, MODEL, draw_latency, draw_model, read_latencies


@pytest.mark.medium
@pytest.mark.parametrize("path", FIGURES, ids=lambda path: path.name)
def test_the_committed_figures_are_up_to_date(path):
    assert path.read_text(encoding="utf-8") == FIGURES[path](), "run: python -m scripts.draw_figures"


def texts(drawing):
    return [element.text for element in ET.fromstring(drawing).iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.medium
def test_the_model_has_the_numbers_of_the_paper():
    words = " ".join(texts(draw_model()))
    for part in (
        "8 x 8 x 2 x 2",
        "kernels 3, 7, 11",
        "per period: 2, 3, 5, 7, 11",
        "3 networks",
        "45 x L1",
        "2 x feature",
    ):
        assert part in words


def test_the_bars_are_the_rows_of_the_results():
    rows = read_latencies()
    ways = {way: (seconds, passed) for way, seconds, passed in rows}
    assert ways["eager fp32"] == (2.4105, True)
    assert ways["OpenVINO bf16"] == (0.5319, False)
    drawn = texts(draw_latency())
    assert {way for way, _, _ in rows} <= set(drawn)
    assert [word for word in drawn if "fails" in word] == [
        f"{seconds:.2f}  (fails the quality gate)" for seconds, passed in sorted(ways.values()) if not passed
    ]
    bars = ET.fromstring(draw_latency()).findall("{http://www.w3.org/2000/svg}rect")[1:]
    widths = [float(bar.get("width")) for bar in bars]
    seconds = sorted(seconds for _, seconds, _ in rows)
    assert [w / widths[-1] for w in widths] == pytest.approx([s / seconds[-1] for s in seconds], abs=2e-3)


def test_figures_follow_the_page_into_the_dark():
    for path in (MODEL, LATENCY):
        assert "prefers-color-scheme: dark" in path.read_text(encoding="utf-8")
