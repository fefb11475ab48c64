"""Texts in other languages and scripts are found, and texts in the expected one are not."""

import pytest

from tests.support.paths import REPOSITORY
from voice.recordings.findings.languages import FUNCTION_WORDS, find_other_scripts, guess_language

# The first article of the Universal Declaration of Human Rights, and the beginning of the second.
TEXTS = {
    "en": "All human beings are born free and equal in dignity and rights. They are endowed with reason and conscience "
    "and should act towards one another in a spirit of brotherhood. Everyone is entitled to all the rights",
    "de": "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und Gewissen begabt "
    "und sollen einander im Geist der Brüderlichkeit begegnen. Jeder hat Anspruch auf die in dieser Erklärung "
    "verkündeten Rechte",
    "fr": "Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont doués de raison et de "
    "conscience et doivent agir les uns envers les autres dans un esprit de fraternité.",
    "es": "Todos los seres humanos nacen libres e iguales en dignidad y derechos y, dotados como están de razón y "
    "conciencia, deben comportarse fraternalmente los unos con los otros. Toda persona tiene los derechos",
    "it": "Tutti gli esseri umani nascono liberi ed eguali in dignità e diritti. Essi sono dotati di ragione e di "
    "coscienza e devono agire gli uni verso gli altri in spirito di fratellanza. Ad ogni individuo spettano tutti i "
    "diritti e tutte le libertà",
    "nl": "Alle mensen worden vrij en gelijk in waardigheid en rechten geboren. Zij zijn begiftigd met verstand en "
    "geweten, en behoren zich jegens elkander in een geest van broederschap te gedragen.",
    "pt": "Todos os seres humanos nascem livres e iguais em dignidade e em direitos. Dotados de razão e de "
    "consciência, devem agir uns para com os outros em espírito de fraternidade. Todos os seres humanos podem "
    "invocar os direitos",
    "pl": "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw. Są oni obdarzeni rozumem i "
    "sumieniem i powinni postępować wobec innych w duchu braterstwa. Każdy człowiek posiada wszystkie prawa i wolności "
    "zawarte w niniejszej Deklaracji bez względu na to",
    "sv": "Alla människor är födda fria och lika i värde och rättigheter. De har utrustats med förnuft och samvete och "
    "bör handla gentemot varandra i en anda av gemenskap. Var och en är berättigad till alla de rättigheter",
}


@pytest.mark.parametrize("language", TEXTS)
def test_languages(language):
    assert set(TEXTS) == set(FUNCTION_WORDS)
    assert guess_language([TEXTS[language]], language) == ""
    for expected in set(TEXTS) - {language}:
        assert guess_language([TEXTS[language]], expected) in ("", language)
    assert guess_language([TEXTS[language]], "de" if language == "en" else "en") == language


def test_few_words_and_unknown_languages_say_nothing():
    assert guess_language(["Ja, das ist die Frage."], "en") == ""
    assert guess_language([TEXTS["de"]], "eo") == ""


def test_english_sentences_are_english():
    rows = (REPOSITORY / "data" / "demo" / "metadata.csv").read_text(encoding="utf-8").splitlines()
    assert guess_language([row.split("|")[1] for row in rows], "en") == ""


def test_scripts():
    texts = {"a": "Hello.", "b": "Привет, мир", "c": "42", "d": "Café: ここはどこですか", "e": "naïve Ω"}
    assert find_other_scripts(texts, "en") == {"b": "Cyrillic", "d": "Japanese or Chinese"}
    russian = {"a": "Привет", "b": "Да, мир", "c": "Hello"}
    assert find_other_scripts(russian, "ru") == {"c": "Latin"}
    assert find_other_scripts({"a": "東京 タワー です"}, "ja") == {}
    assert find_other_scripts({"a": ""}, "en") == {}
