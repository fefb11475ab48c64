"""Texts that are not in the language of the recordings: letters of another script, and the commonest words."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping

FEWEST_WORDS = 30  # in fewer, function words say little
LEAST_SHARE = 0.15  # of a text's words that are a language's function words; in running text it is above 0.3
CLEARLY_MORE = 1.5  # times more function words of another language than of the expected one

# The commonest words of running text. Words that several of these languages share count for each.
_FUNCTION_WORDS = {
    "en": "the of and to a in is that it was for he on with as his her at be this have not but they are from or by she "
    "had my we an there you i me him them were been what when who would which will their if so no one all out up",
    "de": "der die das und ist nicht ich sie er es ein eine einen einem einer zu mit auf den dem des für von im sich "
    "auch war hat aber wie wir nur noch nach bei aus um dass so an als wenn was mir mich ihr ihm man",
    "fr": "le la les de des du un une et est que qui dans pour pas ne sur au aux avec ce cette il elle je tu nous vous "
    "se son sa ses par plus mais ou où en y d l c s n j qu sont était comme tout leur",
    "es": "el la los las de del un una y es que en a por con no se su sus para lo al como más pero le ya o este sí "
    "porque esta entre cuando muy sin sobre también me hasta hay donde yo él ella nos era fue",
    "it": "il lo la i gli le di del della dei un una e è che in a per con non si su da come più ma al alla anche o se "
    "ci mi ti era sono ha nel nella questo questa lui lei io tutto quando c l d",
    "nl": "de het een en van ik te dat die in is niet zijn op aan met als voor had er maar om hem dan zou of wat mijn "
    "men dit zo door over ze zich bij ook tot je uit naar haar was heeft nog wel geen",
    "pt": "o a os as de do da dos das um uma e é que em no na nos nas para por com não se seu sua mais como mas ao ele "
    "ela ou quando muito já eu também só pelo pela até isso entre era depois sem mesmo",
    "pl": "i w z na do nie się to że jest o jak po co ale od za tak czy tym już dla ja on ona być był była tego przez "
    "który która jego jej my wy oni gdy bo by tu mi mnie",
    "sv": "och i att det som en på är av för den med inte de om han hon ett till var jag men har från vi så man kan "
    "när hade här nu där ut över under sin sig mig du",
}
FUNCTION_WORDS = {language: frozenset(words.split()) for language, words in _FUNCTION_WORDS.items()}


def guess_language(texts: Iterable[str], expected: str) -> str:
    """Return the language that texts are clearly in, if it is another one than expected. Else return "".

    Args:
        texts: of one recording.
        expected: code of a language. "" is returned for those without function words here.
    """
    words = [word for text in texts for word in re.findall(r"[^\W\d_]+", text.lower())]
    if expected not in FUNCTION_WORDS or len(words) < FEWEST_WORDS:
        return ""
    counts = Counter(words)
    shares = {language: sum(counts[word] for word in known) / len(words) for language, known in FUNCTION_WORDS.items()}
    best = max(shares, key=lambda language: shares[language])
    is_clear = shares[best] > LEAST_SHARE and shares[best] > CLEARLY_MORE * shares[expected]
    return best if best != expected and is_clear else ""


def find_other_scripts(texts: Mapping[str, str], language: str) -> dict[str, str]:
    """Return the clips whose letters are mostly of another script than expected, with the script.

    Languages with function words here are written in Latin letters. For others, the script of most letters is expected.
    """
    scripts = {clip: _count_scripts(text) for clip, text in texts.items()}
    total: Counter[str] = sum(scripts.values(), Counter())
    if not total:
        return {}
    expected = "Latin" if language in FUNCTION_WORDS else total.most_common(1)[0][0]
    found = {}
    for clip, counts in scripts.items():
        if counts and counts[expected] < counts.total() / 2:
            found[clip] = counts.most_common(1)[0][0]
    return found


def _count_scripts(text: str) -> Counter[str]:
    """Count the letters by script, which the first word of a letter's Unicode name tells."""
    names = (unicodedata.name(letter, "").partition(" ")[0].capitalize() for letter in text if letter.isalpha())
    # Japanese mixes three.
    together = {"Hiragana": "Japanese or Chinese", "Katakana": "Japanese or Chinese", "Cjk": "Japanese or Chinese"}
    return Counter(together.get(name, name) for name in names if name)
