"""The figures of the documents."""

import csv
import itertools
import xml.etree.ElementTree as ET
from collections import defaultdict

import pytest

from scripts.draw_figures import (
    DATA,
    FIGURES,
    LATENCY,
    MODEL,
    SEED_LOSSES,
    SEEDS,
    draw_data,
    draw_latency,
    draw_model,
    draw_seeds,
    read_latencies,
)
from tests.support.paths import REPOSITORY


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


SVG = "{http://www.w3.org/2000/svg}"


def boxes(drawing, kind):
    """Return the title of each box of a kind: the text that follows its rectangle."""
    parts = list(ET.fromstring(drawing))
    return [parts[i + 1].text for i, part in enumerate(parts) if part.tag == f"{SVG}rect" and part.get("class") == kind]


def test_the_programs_on_the_ways_of_the_data_exist():
    programs = [name for name in boxes(draw_data(), "program") if name != "program"]  # the legend
    assert len(programs) == 9
    assert [name for name in programs if not (REPOSITORY / name).is_file()] == []
    at_the_root = {path.name for path in REPOSITORY.glob("*.py")} - {"hubconf.py"}
    assert at_the_root <= set(programs)


def test_texts_fit_into_their_boxes():
    """With 6.5 pixels a letter and 8 in titles, as in DejaVu Sans, the widest of the usual fonts."""
    parts = list(ET.fromstring(draw_data()))
    for i, rect in enumerate(parts):
        if rect.get("class") not in ("program", "module"):
            continue
        inside = itertools.takewhile(lambda part: "centre" in part.get("class", ""), parts[i + 1 :])
        for part in inside:
            letter = 8 if "title" in part.get("class") else 6.5
            assert letter * len(part.text) <= float(rect.get("width")), part.text


def test_the_range_is_that_of_the_seeds():
    """The validations, drawn from the left, one point each, along the highest losses and back along the lowest."""
    found = defaultdict(list)
    with SEED_LOSSES.open(newline="") as file:
        for row in csv.DictReader(file):
            if row["part"] == "val":
                found[int(row["step"])].append(float(row["mel_loss"]))
    assert {len(losses) for losses in found.values()} == {4}
    expected = [*map(max, found.values()), *map(min, reversed(found.values()))]
    drawing = ET.fromstring(draw_seeds())
    path = [path.get("d") for path in drawing.iter(f"{SVG}path") if path.get("class") == "range"][1]
    heights = [float(point.split()[1]) for point in path.strip("M Z").split(" L")]
    # The label of each line of the grid stands 4 pixels below it.
    labels = [part for part in drawing.iter(f"{SVG}text") if part.get("class") == "end" and float(part.get("y")) > 300]
    (bottom, low), (top, high) = ((float(part.get("y")) - 4, float(part.text)) for part in (labels[0], labels[-1]))
    assert [low + (bottom - y) / (bottom - top) * (high - low) for y in heights] == pytest.approx(expected, abs=0.02)
    assert "mean of 4 seeds" in texts(draw_seeds())


def test_figures_follow_the_page_into_the_dark():
    for path in (MODEL, LATENCY, DATA, SEEDS):
        assert "prefers-color-scheme: dark" in path.read_text(encoding="utf-8")
