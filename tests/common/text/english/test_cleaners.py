"""How texts are read: each rule by example, and sentences by kind that users reported or that are tricky on purpose."""

from __future__ import annotations

import csv
import re
import time
from pathlib import Path

import pytest

from common.text import TextProcessor
from common.text.any_language.cleaners import basic_cleaners, transliteration_cleaners
from common.text.english.cleaners import STEPS, english_cleaners, english_cleaners_v2

V2 = """
The café's naïve façade, œuvre, Straße|the cafe's naive facade, oeuvre, strasse
“Quoted” ‘it’s’ — a dash … ﬁne ＡＢＣ|"quoted" 'it's' -- a dash ... fine a.b.c.
Москва and 北京|moskva and beijing

at 10:30 am|at ten thirty a.m.
9:00PM|nine p.m.
at 12:30 p.m., the time|at twelve thirty p.m., the time
3 pm or 5 A.M.|three p.m. or five a.m.
12:00, 9:05, 14:00|twelve o'clock, nine oh five, fourteen hundred
from 5:30-6:30 pm for $5-$10|from five thirty to six thirty p.m. for five dollars to ten dollars
a 16:9 screen|a sixteen to nine screen
on 2021-03-05|on march fifth, twenty twenty one
on 3/5/2021 or 13/5/2021|on march fifth, twenty twenty one or may thirteenth, twenty twenty one
Nov. 22|november twenty two

80GB and 1 GB|eighty gigabytes and one gigabyte
2.5GHz, 10 MHz, 5 mm|two point five gigahertz, ten megahertz, five millimeters
a 10-GB file|a ten-gigabyte file
3 x 4 in|three by four inch
a 2 x 4 in the cellar|a two by four in the cellar
20 °C or 68°F, a 90° turn|twenty degrees celsius or sixty eight degrees fahrenheit, a ninety degrees turn
6 ft. tall at 60 mph|six feet tall at sixty miles per hour
A100|a one hundred
X105|x one zero five
C2766|c twenty seven sixty six
221B|two twenty one b
MP3s|m.p. threes
V510210|v five one zero two one zero
H2O|h two o

1,000 or 1,300 or 1,234 or 102,217|one thousand or thirteen hundred or one thousand two hundred and thirty four \
or one hundred and two thousand two hundred and seventeen
$3.50|three dollars, fifty cents
$1, $0.50, £1.01, €20|one dollar, fifty cents, one pound, one penny, twenty euros
£1.5 million and €2m and $5k|one point five million pounds and two million euros and five thousand dollars
₩5000|five thousand won
£102,217.|one hundred and two thousand, two hundred and seventeen pounds.
20 € for 5¢|twenty euros for five cents
1.5 or 6.75 or .5|one point five or six point seven five or point five
a .38 caliber revolver, version 2.0.1|a thirty eight caliber revolver, version two point zero point one
3rd, 29th, 101st, 1000th|third, twenty-ninth, one hundred and first, one thousandth
II, III. and XIV but I|two, three. and fourteen but i
CD MD IIII|c.d. m.d. i.i.i.i.
2x3|two by three
2000, 2001, 2009, 2010|two thousand, two thousand one, two thousand nine, twenty ten
1900, 1984, 1905, 1000|nineteen hundred, nineteen eighty four, nineteen oh five, one thousand
1500, 9900, 10000, 3000|fifteen hundred, ninety nine hundred, ten thousand, three thousand
123 and 5719|one hundred and twenty three and five thousand seven hundred and nineteen
the 1920s, the 1920's, the 80s|the nineteen twenties, the nineteen twenties, the eighties
0, 05, 007|zero, oh five, zero zero seven
-5, 3-2 and 5-10, 1914-18|minus five, three two and five to ten, nineteen fourteen to eighteen
1/2, 3/4, 2 1/2, 24/7|half, three quarters, two and a half, twenty four seven
555-1234|five five five, one two three four

Mr. Fox and Mrs. Hen met Dr. No, Ms. Lee|mister fox and missus hen met doctor no, miss lee
Mr Fox and Mrs Hen|mister fox and missus hen
Rev. Lt. Col. Gen. Maj. X|reverend lieutenant colonel general major x
Sgt. Capt. Hon. Sen. Drs. X|sergeant captain honorable senator doctors x
Smith & Co. Ltd. left, etc.|smith and company limited left, et cetera.
Lee, Jr., Esq. said|lee, junior, esquire said
St. Paul, Baker St. in London, 5th St.|saint paul, baker street in london, fifth street.
Ft. Worth|fort worth
No. 5 is no. Not 5|number five is no. not five
No. C2766|number c twenty seven sixty six
He said no. I left. No. Ill.|he said no. i left. no. ill.
Vol. I, ch. IV, Nos. 1 and 2, #5|volume one, chapter four, numbers one and two, number five
vol. II, pp. 5|volume two, pages five
20%, ½ cup, 2½ cups|twenty percent, half cup, two and a half cups
you & me @ home|you and me at home
name.com, a@b.org, x.gov|name dot com, a at b dot org, x dot gov

BBC and the FBI's TVs.|b.b.c. and the f.b.i.'s t.v.'s.
LL.D., the CEO. U.S.A.|l.l.d., the c.e.o. u.s.a.
NVIDIA, NASA, email|n.vidia, nasa, e-mail
DO NOT TOUCH THIS, O'NEILL|do not touch this, o'neill

a/b   and //c _ d|a b and c d
"""


@pytest.mark.parametrize("line", [line for line in V2.splitlines() if line])
def test_english_cleaners_v2(line: str) -> None:
    text, cleaned = line.split("|")
    assert english_cleaners_v2(text) == cleaned


def test_all_white_space_is_one_space() -> None:
    assert english_cleaners_v2("a\n\n b\t\u00a0c\x00d") == "a b c d"


def test_the_older_cleaners() -> None:
    text = "Mr. Müller  paid £3.50\tto the BBC at 9:30 for II, 20%"
    assert basic_cleaners(text) == "mr. müller paid £3.50 to the bbc at 9:30 for ii, 20%"
    assert transliteration_cleaners(text) == "mr. muller paid £3.50 to the bbc at 9:30 for ii, 20%"
    assert english_cleaners(text) == (
        "mister muller paid three pounds, fifty pence to the bbc at nine:thirty for ii, twenty percent"
    )


def test_no_number_is_too_long() -> None:
    digits = "1234567890" * 1000
    for text in (digits, f"${digits}", f"{digits}th", f"{digits}.5", f"{digits}-{digits}1", f"{digits}s", f"0{digits}"):
        assert english_cleaners_v2(text).startswith(("one two three", "zero one two"))


PROCESSOR = TextProcessor(p_arpabet=0)
TABLES = Path(__file__).with_name("readings")

# Reported sentences whose reading differs from the proposed one on purpose: sentence -> (reading, reason).
DIFFERENT = {
    "2024-03-15T10:30:00Z is a stamp.": (
        "march fifteenth, twenty twenty four, at ten thirty u.t.c. is a stamp.",
        "the report proposes none",
    ),
    "Restaurants from $ to $$$.": ("restaurants from dollar to three dollar signs.", "the report proposes none"),
    "The file v1==v2 check, a!=b.": (
        "the file v one equals v two check, a is not equal to b.",
        "as `y != 0` in another report",
    ),
    "The bill was €1.234,56.": (
        "the bill was one thousand, two hundred and thirty-four euros, fifty-six cents.",
        "the same amount; published models read both units, with a comma and hyphens",
    ),
    "Revenue was $3.50/unit and $20/month.": (
        "revenue was three dollars, fifty cents per unit and twenty dollars per month.",
        "the same amount, as published models read it",
    ),
    "$5 US$ or 5 US$": ("five u.s. dollars or five u.s. dollars", "the report gives one of the two amounts"),
    "Preheat the oven to 180C (350F).": (
        "preheat the oven to one hundred and eighty degrees celsius (three hundred and fifty degrees fahrenheit).",
        "degrees are named both times",
    ),
}


def read_table(name: str) -> list[tuple[str, str, str]]:
    with (TABLES / name).open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    assert rows[0] == ["kind", "sentence", "reading"]
    return [(kind, sentence, reading) for kind, sentence, reading in rows[1:]]


REPORTED = read_table("reported.tsv")
WRITTEN = read_table("written.tsv")


def spoken(reading: str) -> str:
    """Return the words only: the reports are loose about hyphens and commas, and leave out words as `...`."""
    return re.sub(r"[^a-z.]", "", reading.lower().replace("...", "…").replace(".", "").replace("…", "."))


@pytest.mark.parametrize(("kind", "sentence", "reading"), REPORTED, ids=[row[1] for row in REPORTED])
def test_reported_sentences(kind: str, sentence: str, reading: str) -> None:
    ours = PROCESSOR.clean(sentence)
    pattern = ".*".join(map(re.escape, spoken(reading).split(".")))
    is_as_reported = reading != "..." and re.fullmatch(pattern, spoken(ours)) is not None
    if sentence in DIFFERENT:
        assert ours == DIFFERENT[sentence][0]
        assert not is_as_reported, f"remove it from DIFFERENT: {DIFFERENT[sentence][1]}"
    else:
        assert is_as_reported, ours


@pytest.mark.parametrize(("kind", "sentence", "reading"), WRITTEN, ids=[row[1] for row in WRITTEN])
def test_written_sentences(kind: str, sentence: str, reading: str) -> None:
    assert PROCESSOR.clean(sentence) == reading


def test_differences_are_few() -> None:
    assert set(DIFFERENT) <= {sentence for _, sentence, _ in REPORTED}
    assert len(DIFFERENT) / len(REPORTED) < 0.08


SENTENCES = [sentence for _, sentence, _ in REPORTED + WRITTEN]


@pytest.mark.medium
def test_a_cleaned_sentence_stays_as_it_is() -> None:
    changed = {s: PROCESSOR.clean(once) for s in SENTENCES if PROCESSOR.clean(once := PROCESSOR.clean(s)) != once}
    assert not changed


@pytest.mark.medium
def test_each_step_is_idempotent() -> None:
    changed = {}
    for sentence in SENTENCES:
        text = sentence
        for step in STEPS:
            text = step(text)
            if (again := step(text)) != text:
                changed[step.__name__, sentence] = (text, again)
    assert not changed


@pytest.mark.medium
@pytest.mark.parametrize(
    "piece",
    [
        *("a", "1", "A ", "1 ", "1-", "1/", "1:", "$1", "1 000 ", "a.", "/a", "@", "#a", "-a ", "--a ", "_", "'", '1"'),
        *("1^", "*a", "<a", "==", "(1)", "II", "I ", "St. ", "1 A St. ", "Jan 1-", "1:23:", "1 mg/kg/", "µm ", "x²"),
        *(
            "HELLO, ",
            "a.com",
            "http://a.b/",
            "1.2.3.4 ",
            "123-",
            "1234 ",
            "1 1/2 ",
            "a - b",
            "NaCl",
            "\u00a0",
            "\n",
            " ",
        ),
    ],
)
def test_time_grows_with_length(piece: str) -> None:
    """A pattern that looks at each character twice for every other would take minutes."""
    text = (piece * 10_000)[:10_000]
    english_cleaners_v2(piece)  # reads the dictionary
    start = time.perf_counter()
    english_cleaners_v2(text)
    assert time.perf_counter() - start < 3


def test_prose_is_read_quickly() -> None:
    text = " ".join(sentence for kind, sentence, _ in WRITTEN if kind == "news") * 5
    english_cleaners_v2(text[:1000])
    start = time.perf_counter()
    english_cleaners_v2(text)
    assert (time.perf_counter() - start) / len(text) < 2e-4  # seconds per character; 3e-5 on an idle machine
