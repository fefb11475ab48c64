"""Which systems a report compares, and which differences and best figures it may claim."""

import math

import pytest

from tests.support.evaluation.results import make_results, make_spoken_results

LOW, HIGH = [0.20, 0.21, 0.22, 0.21] * 2, [0.30, 0.31, 0.32, 0.31] * 2


@pytest.mark.parametrize(
    ("systems", "baseline", "pair"),
    [
        (["scratch", "universal", "fine-tuned", "griffin-lim"], "universal", ("universal", "fine-tuned")),
        (["universal", "griffin-lim"], "universal", ("griffin-lim", "universal")),
        (["universal"], "universal", ("ground-truth", "universal")),
        (["griffin-lim"], "griffin-lim", ("ground-truth", "griffin-lim")),
        (["griffin-lim", "universal"], "griffin-lim", ("griffin-lim", "universal")),
        (["universal", "griffin-lim"], "ground-truth", ("ground-truth", "universal")),
    ],
)
def test_pair_of_a_report(systems, baseline, pair):
    assert make_results({name: {"mel_l1": LOW} for name in systems}, baseline).pair == pair


@pytest.mark.parametrize(
    ("systems", "baseline", "pair"),
    [
        (["one"], "one", None),
        (["ground-truth"], "ground-truth", None),
        (["ground-truth", "one"], "one", ("ground-truth", "one")),
        (["ground-truth", "one"], "ground-truth", ("ground-truth", "one")),
        (["one", "other"], "one", ("one", "other")),
        (["ground-truth", "one", "other"], "other", ("other", "one")),
    ],
)
def test_pair_of_a_report_on_spoken_texts(systems, baseline, pair):
    """There may be no recordings, and even a system alone."""
    assert make_spoken_results({name: {"rate": [4.0]} for name in systems}, baseline).pair == pair


def best(name="mel_l1", **figures):
    return make_results({system.replace("_", "-"): {name: values} for system, values in figures.items()}, "one").best(
        name
    )


def test_best_system_needs_an_interval_of_its_own_and_enough_clips():
    assert best(one=HIGH, other=LOW) == "other"
    assert best("pesq", one=HIGH, other=LOW) == "one"
    assert best(one=LOW, other=[value + 0.001 for value in LOW]) is None
    assert best(one=HIGH, other=LOW, third=LOW) is None
    assert best(one=HIGH[:7], other=LOW[:7]) is None
    assert best(one=HIGH, other=[*LOW[:7], math.nan]) is None
    assert best(one=HIGH, other=LOW, third=[math.nan]) == "other", "a system without figures is not in the way"
    assert best(other=LOW, third=[math.nan]) is None, "nothing to be better than"


def test_griffin_lim_and_the_recordings_are_never_the_best():
    assert best(one=HIGH, ground_truth=LOW) is None
    assert best(one=HIGH, other=LOW, ground_truth=[0.0]) == "other"
    assert best(one=HIGH, griffin_lim=LOW) is None
    assert best(one=LOW, griffin_lim=HIGH) == "one"


def test_a_figure_that_should_be_zero_may_lie_on_either_side():
    """Systems of -0.3 dB and +0.3 dB on average are equally good, though their intervals are far apart."""
    near, far = [-0.3, -0.31] * 4, [0.6, 0.61] * 4
    assert best("level", one=near, other=far) == "one"
    assert best("level", one=near, other=[-value for value in near]) is None
    results = make_results({"one": {"level": near}, "other": {"level": far}}, "one")
    assert results.advantage("one", "other", "level").mean == pytest.approx(0.3)
    assert results.compare("one", "other", "level").mean == pytest.approx(-0.91)


def test_advantage_is_paired_and_positive_for_the_better():
    wide = [0.1 * i for i in range(8)]
    results = make_results({"one": {"pesq": wide}, "other": {"pesq": [value + 0.05 for value in wide]}}, "one")
    assert results.advantage("other", "one", "pesq").is_clear
    assert results.advantage("other", "one", "pesq").mean == pytest.approx(0.05)
    assert results.best("pesq") is None, "unpaired, the intervals overlap"


def test_a_metric_that_only_describes_has_a_sign_but_no_best_system():
    results = make_spoken_results({"one": {"rate": LOW}, "other": {"rate": HIGH}}, "one")
    assert results.advantage("other", "one", "rate").mean == pytest.approx(0.1)
    assert results.best("rate") is None


def test_word_errors_count_by_the_words_of_a_text():
    """One long text in which `one` is better outweighs seven short ones in which `other` is."""
    words = [93.0] + [1.0] * 7
    one, other = [0.0] + [20.0] * 7, [10.0] + [10.0] * 7
    results = make_spoken_results({"one": {"wer": one, "words": words}, "other": {"wer": other, "words": words}}, "one")
    assert results.advantage("one", "other", "wer").mean == pytest.approx((93 * 10 - 7 * 10) / 100)
    assert results.mean("one", "wer").mean == pytest.approx(7 * 20 / 100)
    even = {"one": {"wer": [1.0] * 8, "words": words}, "other": {"wer": [2.0] * 8, "words": words}}
    assert make_spoken_results(even, "one").best("wer") == "one"
