"""The sentence at the top of a report claims what the figures show, and nothing else."""

import dataclasses
import math

import pytest

from evaluation.report.verdict import sum_up
from tests.support.evaluation.results import make_results


def spread(mean, clips=8):
    return [mean * (1 + 0.01 * (i % 4 - 1.5)) for i in range(clips)]


def say(old, new, clips=8, **more):
    """Return the sentence on `new` against the baseline `old`, each given as its metrics' means, and its figures."""
    figures = {"old": old, "new": new, **more}
    columns = {system: {name: spread(mean, clips) for name, mean in means.items()} for system, means in figures.items()}
    verdict = sum_up(make_results(columns, "old"))
    return verdict.sentence, verdict.figures.removeprefix(f"new against old over {clips} clips: ")


def test_clear_gain():
    assert say({"mel_l1": 0.30, "pesq": 2.5}, {"mel_l1": 0.25, "pesq": 3.0}) == (
        "Compared with old, listen in new for a timbre closer to the recording and less distortion.",
        "mel L1 0.2500 against 0.3000; PESQ 3.00 against 2.50",
    )


def test_clear_loss():
    assert say({"mel_l1": 0.30, "hum": -80.0}, {"mel_l1": 0.30, "hum": -40.0}) == (
        "Compared with old, listen in new for more hum.",
        "hum, dB -40.0 against -80.0",
    )


def test_gain_and_loss():
    assert say({"mel_l1": 0.30, "pesq": 2.5, "mos": 4.0}, {"mel_l1": 0.25, "pesq": 2.0, "mos": 3.0}) == (
        "Compared with old, listen in new for a timbre closer to the recording, but also for more distortion and "
        "a less natural voice.",
        "mel L1 0.2500 against 0.3000; PESQ 2.00 against 2.50; MOS, predicted 3.00 against 4.00",
    )


@pytest.mark.parametrize(("clips", "words"), [(1, "1 clip is too few"), (7, "7 clips are too few")])
def test_too_few_clips_decide_nothing(clips, words):
    sentence, figures = say({"mel_l1": 0.30}, {"mel_l1": 0.10}, clips)
    assert sentence == f"Listen for yourself: {words} to measure whether new or old is better."
    assert not figures


def test_equal_figures():
    assert say({"mel_l1": 0.30}, {"mel_l1": 0.30}) == (
        "No measurable difference: on these 8 clips, no figure tells new and old apart.",
        "",
    )


def test_clear_but_inaudible():
    assert say({"mel_l1": 0.300}, {"mel_l1": 0.299}) == (
        "Expect hardly any difference between new and old: new measures better, but by very little.",
        "mel L1 0.2990 against 0.3000",
    )
    sentence, _ = say({"mel_l1": 0.300, "stoi": 0.990}, {"mel_l1": 0.299, "stoi": 0.985})
    assert "each leads in some figures" in sentence


def test_only_one_system():
    results = make_results({"new": {"mel_l1": spread(0.3)}}, "new")
    assert sum_up(results).sentence.startswith("Listen for any difference between new and the recordings: ")


def test_griffin_lim_is_what_a_single_system_is_compared_with():
    results = make_results({"new": {"pesq": spread(3.0)}, "griffin-lim": {"pesq": spread(2.0)}}, "new")
    assert sum_up(results).sentence.startswith("Compared with griffin-lim, listen in new for less distortion.")


def test_clips_without_a_figure_do_not_count():
    figures = [*spread(0.2, 7), math.nan]
    results = make_results({"old": {"mel_l1": spread(0.3)}, "new": {"mel_l1": figures}}, "old")
    assert sum_up(results).sentence.startswith("No measurable difference")


def test_systems_without_a_common_clip():
    results = make_results({"old": {"mel_l1": spread(0.3)}, "new": {"mel_l1": spread(0.3)}}, "old")
    figures = {key: row for key, row in results.figures.items() if key[0] != "new"}
    results = dataclasses.replace(results, figures=figures)
    assert sum_up(results).sentence == "There is nothing to compare: new and old have no clip in common."
