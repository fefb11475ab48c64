"""Tables and agreement of measured training runs."""

import math

from benchmarks.training import report

NAN = float("nan")


def test_losses_need_not_be_compared():
    parts = [dict.fromkeys(("G", "mel"), 1.0)]
    courses = [report.Course("fp32", fast, 1.0, [1.0], [1.0], [[1.0, 2.0, 3.0]], parts) for fast in ("off", "on")]
    rows = report.result_rows(courses, 1, 0, "v1", 4, 8192)
    assert [row["agreement"] for row in rows] == [None, None]
    assert "0 steps" in report.markdown({}, rows)


def test_agreement_is_the_largest_relative_difference():
    assert report.agreement([[1, 2, 4], [1, 1, 1]], [[1, 2, 5], [9, 9, 9]], 1) == 0.25


def test_steps_that_loss_scaling_skips_do_not_count():
    skipped, step, other = [NAN] * 3, [1.0, 2.0, 4.0], [1.0, 2.0, 5.0]
    assert report.agreement([skipped, step], [skipped, other], 2) == 0.25
    assert report.agreement([step, skipped, step], [step, step, other], 3) == 0  # apart from there on
    assert report.agreement([skipped, skipped], [skipped, skipped], 2) is None


def test_courses_that_are_not_finite():
    skipped, step = [NAN] * 3, [1.0, 2.0, 4.0]

    def is_finite(precision, losses):
        return report.is_finite(report.Course(precision, "on", losses=losses))

    assert is_finite("fp32", [step, step])
    assert not is_finite("fp32", [skipped, step])
    assert not is_finite("bf16 autocast", [step, [1.0, math.inf, 1.0]])
    assert is_finite("fp16 autocast", [skipped, skipped, step])
    assert not is_finite("fp16 autocast", [step, skipped])
    assert not is_finite("fp16 autocast", [skipped] * 17 + [step])


def test_tables_of_layers_show_the_fastest_way():
    seconds = {"as it is": 0.002, "other": 0.001, "failed": None}
    cells = report.layer_cells("MSD", seconds, [*seconds, "not there"])
    assert cells == ["MSD", "2.000", "**1.000**", "-", "-"]
