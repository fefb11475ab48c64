"""The sentence at the top of a report claims what the figures show, and nothing else."""

import dataclasses
import math

import pytest

from evaluation.report.verdict import Verdict, sum_up
from tests.support.evaluation.results import make_results, make_spoken_results


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
    assert sentence == f"Listen for yourself: {words} to measure how new differs from old."
    assert not figures


def test_equal_figures():
    assert say({"mel_l1": 0.30}, {"mel_l1": 0.30}) == (
        "No measurable difference: on these 8 clips, no figure tells new and old apart.",
        "",
    )


def test_clear_but_inaudible():
    assert say({"mel_l1": 0.300}, {"mel_l1": 0.299}) == (
        "Expect hardly any difference between new and old: the figures of new are better, but by very little.",
        "mel L1 0.2990 against 0.3000",
    )
    sentence, _ = say({"mel_l1": 0.300, "stoi": 0.990}, {"mel_l1": 0.299, "stoi": 0.985})
    assert "between new and old: figures differ, but by very little." in sentence


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


def say_of_speech(**figures):
    """Return the sentence on systems that speak: each metric as its mean, the first system as the baseline."""
    names = {system.replace("_", "-"): means for system, means in figures.items()}
    columns = {
        system: {**{name: spread(mean) for name, mean in means.items()}, "words": [10.0]}
        for system, means in names.items()
    }
    return sum_up(make_spoken_results(columns, next(name for name in [*names][::-1] if name != "new")))


def test_what_only_differs_comes_last():
    assert say_of_speech(
        old={"wer": 9.0, "rate": 4.0, "f0_std": 30.0}, new={"wer": 3.0, "rate": 5.0, "f0_std": 20.0}
    ) == (
        Verdict(
            "Compared with old, listen in new for fewer misunderstood words. It also has faster speech and a flatter "
            "melody.",
            "new against old over 8 clips: WER, % 3.0 against 9.0; syllables/s 5.00 against 4.00; "
            "F0 deviation, Hz 20.0 against 30.0",
        )
    )
    only = say_of_speech(old={"wer": 9.0, "rate": 4.0}, new={"wer": 9.0, "rate": 3.0}).sentence
    assert only == "Compared with old, listen in new for slower speech."
    slight = say_of_speech(old={"rate": 4.0}, new={"rate": 4.1}).sentence
    assert slight == "Expect hardly any difference between new and old: figures differ, but by very little."


def test_recordings_of_texts_have_figures_of_their_own():
    verdict = say_of_speech(ground_truth={"wer": 1.0, "mos": 4.0}, new={"wer": 4.0, "mos": 3.0})
    assert verdict.sentence == (
        "Compared with the recordings, listen in new for more misunderstood words and a less natural voice."
    )
    assert verdict.figures.startswith("new against the recordings over 8 clips: WER, % 4.0 against 1.0; ")


@pytest.mark.parametrize(
    ("means", "sentence"),
    [
        ({"wer": 3.25}, "Listen to one for the marked words: its word error rate is 3.2 %."),
        ({"wer": 0.0}, "The recogniser understood every word of one: listen for its melody."),
        ({"rate": 4.0}, "Listen to one for skipped or misread words, and for its melody."),
        ({"wer": math.nan}, "Listen to one for skipped or misread words, and for its melody."),
    ],
)
def test_a_system_alone(means, sentence):
    columns = {**{name: [mean] for name, mean in means.items()}, "words": [10.0]}
    assert sum_up(make_spoken_results({"one": columns}, "one")) == Verdict(sentence)
