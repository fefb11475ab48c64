"""The page of chosen results: players, marked words, bold figures and the blind test, for both kinds of evaluation."""

import re

import pytest

from common.recognition.word_errors import WordErrors
from evaluation.report.content import Content, describe_speech
from evaluation.report.page import ListeningClip, Player, render_page
from tests.support.evaluation.results import make_results, make_spoken_results

BETTER, WORSE = [2.0, 2.1, 2.2, 2.1] * 2, [3.0, 3.1, 3.2, 3.1] * 2
HEARD = WordErrors("red roses bloom", "red red noses", 1, 1, 1, "red {+red+} [-roses-]{+noses+} [-bloom-]")


def spoken_page(figures, words=None):
    """Return the page of spoken texts, on which the first text can be heard from each system."""
    results = make_spoken_results(figures, baseline=next(iter(figures)), words=words)
    players = [
        Player(
            name,
            f"audio/{name}.wav",
            f"pictures/{name}.png",
            results.figures[name, "clip0"],
            (words or {}).get((name, "clip0")),
        )
        for name in results.system_names
    ]
    text = results.plan.texts[0]
    return render_page(
        results, describe_speech(results), [ListeningClip(text.name, text.text, players, None)], None, "x"
    )


def bold(page):
    return re.findall(r"<td><b>(.*?)</b>", page)


def test_a_system_alone_has_a_player_and_no_blind_test():
    page = spoken_page({"one": {"rate": [4.0]}})
    assert page.count("<audio") == 1
    assert ">Text of clip0.</h3>" in page
    assert "<title>Listening report: one</title>" in page
    assert "1 clip, 1 system," in page
    assert 'id="blind-form"' not in page
    assert "Differences from" not in page
    assert "recogniser understood" not in page


@pytest.mark.parametrize("systems", [("one", "other"), ("ground-truth", "one"), ("ground-truth", "one", "other")])
def test_each_system_has_a_player_and_a_place_in_the_blind_test(systems):
    page = spoken_page({name: {"rate": [4.0]} for name in systems})
    assert page.count("<audio") == page.count("<img") == len(systems)
    for choice in ("one", "other"):
        options = re.search(rf'<select id="blind-{choice}">(.*?)</select>', page).group(1)
        assert re.findall(r"<option.*?>(.*?)</option>", options) == list(systems)


def test_recordings_are_grey_and_no_other_system_is():
    assert '<span class="name c0">ground-truth</span>' in spoken_page({"ground-truth": {"rate": [4.0]}})
    assert '<span class="name c1">one</span>' in spoken_page({"one": {"rate": [4.0]}})


def test_word_errors_are_marked_as_in_the_summary():
    figures = {"one": {"wer": [100.0], "words": [3.0]}, "other": {"wer": [0.0], "words": [3.0]}}
    right = WordErrors("red roses bloom", "red roses bloom", 0, 0, 0, "red roses bloom")
    page = spoken_page(figures, {("one", "clip0"): HEARD, ("other", "clip0"): right})
    marked = "red <ins>{+red+}</ins> <del>[-roses-]</del><ins>{+noses+}</ins> <del>[-bloom-]</del>"
    assert re.findall(r'<p class="words">(.*?)</p>', page) == [marked, "red roses bloom"]
    assert re.findall(r'<td class="words">(.*?)</td>', page) == [marked], "the texts with errors are listed once more"
    assert "what the recogniser understood: [-missing-], {+added+}, [-replaced-]{+by+}." in page
    assert "<td>1</td><td>3</td><td>1</td><td>1</td><td>1</td><td>0</td>" in page, "the totals of one"
    assert "WER, % <b>100.0</b>" in page


def test_figures_of_recordings_stand_beside_their_player():
    """Unlike in copy synthesis, where they are ideal by definition, they say what the recogniser makes of a person."""
    page = spoken_page({"ground-truth": {"wer": [5.0], "words": [3.0]}})
    assert "WER, % <b>5.0</b>" in page


def test_only_clear_results_are_bold():
    words = [10.0]
    clear = {"one": {"wer": WORSE, "words": words}, "other": {"wer": BETTER, "words": words}}
    assert bold(spoken_page(clear)) == ["2.1", "-1.0"], "the mean and the difference from the first system"
    close = {"one": {"wer": BETTER, "words": words}, "other": {"wer": [*BETTER[1:], 2.3], "words": words}}
    assert bold(spoken_page(close)) == []
    few = {name: {"wer": columns["wer"][:7], "words": words} for name, columns in clear.items()}
    assert bold(spoken_page(few)) == []
    assert bold(spoken_page({"one": {"rate": WORSE}, "other": {"rate": BETTER}})) == ["-1.00"], "no rate is the best"


def test_copies_have_the_same_tables():
    results = make_results({"one": {"stft": WORSE}, "other": {"stft": BETTER}}, "one")
    content = Content(texts={}, explanations={}, measurement={})
    page = render_page(results, content, [], None, "x")
    assert bold(page) == ["2.100", "-3.100", "-1.000"], "the difference of the recordings is clear too"
    assert "(never ground-truth)" in page
    assert "<title>Listening report: other and one</title>" in page
