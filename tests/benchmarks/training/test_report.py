"""Tables and agreement of measured training runs."""

from benchmarks.training import report


def test_losses_need_not_be_compared():
    parts = [dict.fromkeys(("G", "mel"), 1.0)]
    courses = [report.Course("fp32", fast, 1.0, [1.0], [1.0], [[1.0, 2.0, 3.0]], parts) for fast in ("off", "on")]
    rows = report.result_rows(courses, 1, 0, "v1", 4, 8192)
    assert [row["agreement"] for row in rows] == [None, None]
    assert "0 steps" in report.markdown({}, rows)


def test_agreement_is_the_largest_relative_difference():
    assert report.agreement([[1, 2, 4], [1, 1, 1]], [[1, 2, 5], [9, 9, 9]], 1) == 0.25


def test_tables_of_layers_show_the_fastest_way():
    seconds = {"as it is": 0.002, "other": 0.001, "failed": None}
    cells = report.layer_cells("MSD", seconds, [*seconds, "not there"])
    assert cells == ["MSD", "2.000", "**1.000**", "-", "-"]
