"""Tables of given tallies."""

from benchmarks.gpu_simulation import report
from benchmarks.gpu_simulation.cost import Cost
from benchmarks.gpu_simulation.counter import Tally


def tally(kernels):
    counted = Tally(peak_bytes=3 * 2**29, waits=["a.py:1 x.item()"])
    counted.add("add", Cost(kernels, 2 * 10**9, 10**12, 0.004))
    return counted


def test_a_table_has_a_row_for_each_scenario():
    lines = report.make_table({"one": report.to_result(tally(5))})
    assert lines[-1] == "| one | 5 | 5 | 1 | 0 | 2.0 | 1.00 | 4.00 | 1.50 |"
    assert len(lines) == 3


def test_a_comparison_shows_what_differs():
    before, after = ({"one": report.to_result(tally(kernels)), "two": report.to_result(tally(1))} for kernels in (9, 5))
    lines = report.make_comparison(before, {"one": after["one"], "three": after["one"]})
    assert lines[2:] == ["| one | 9 → 5 | 9 → 5 | 1 | 0 | 2.0 | 1.00 | 4.00 | 1.50 |"]


def test_details_name_places_and_operators():
    assert report.describe("one", tally(5)) == ["one:", "  waits: 1 x a.py:1 x.item()", "  add: 5 kernels, 2.00 GB"]
