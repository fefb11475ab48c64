"""The table as spreadsheet programs save it."""

import csv
import io

import pytest

from common.errors import InputError
from voice.recordings.segment import GIVEN, Segment
from voice.recordings.spreadsheet import COLUMNS, format_rows, read_rows

TEXTS = [
    'She said, "Yes; no."',
    "- A line of dialogue",
    "=1+1",
    "'-already marked",
    "'Tis an apostrophe",
    "Grüße, 東京\u2028 и é",
    "",
]
SEGMENTS = [
    Segment(f"c{number}", "a, b.m4a", 1.5, 4.0, text=text, source=GIVEN, remarks=("one", "two"), use=bool(number % 2))
    for number, text in enumerate(TEXTS)
]


def read(tmp_path, content):
    path = tmp_path / "review.csv"
    path.write_bytes(content)
    problems = []
    rows = read_rows(path, problems)
    assert not problems
    return rows


def save_as(encoding, **options):
    """Return the table as a program saves it with another separator, quotes and encoding."""
    rows = list(csv.reader(io.StringIO(format_rows(SEGMENTS).decode("utf-8-sig"))))
    stream = io.StringIO()
    saved = [[cell.encode(encoding, "replace").decode(encoding) for cell in row] for row in rows]
    csv.writer(stream, **options).writerows(saved)
    return stream.getvalue().encode(encoding)


def test_columns():
    rows = list(csv.reader(io.StringIO(format_rows(SEGMENTS[:1]).decode("utf-8-sig"))))
    assert rows[0] == list(COLUMNS)
    assert rows[1] == ["c0", "no", TEXTS[0], "", "given", "", "2.50", "a, b.m4a", "1.50", "one; two"]


def test_texts_that_look_like_formulas_are_marked():
    content = format_rows(SEGMENTS).decode("utf-8-sig")
    assert ",'- A line" in content
    assert ",'=1+1," in content


@pytest.mark.parametrize(
    ("encoding", "options"),
    [
        ("utf-8", {}),
        ("utf-8-sig", {"delimiter": ";"}),
        ("utf-16", {"delimiter": "\t"}),
        ("utf-8", {"quoting": csv.QUOTE_ALL, "lineterminator": "\n"}),
    ],
)
def test_saved_by_a_spreadsheet_program(tmp_path, encoding, options):
    rows = read(tmp_path, save_as(encoding, **options))
    assert [row.text or "" for row in rows] == [" ".join(text.split()) for text in TEXTS]
    assert [row.use for row in rows] == [item.use for item in SEGMENTS]
    assert [row.number for row in rows] == list(range(2, 2 + len(TEXTS)))
    assert {row.start_sec for row in rows} == {1.5}


def test_saved_by_excel_in_western_europe(tmp_path):
    rows = read(tmp_path, save_as("cp1252", delimiter=";"))
    assert rows[0].text == TEXTS[0]
    assert rows[5].text.startswith("Grüße, ?")


def test_columns_may_be_few_and_in_any_order(tmp_path):
    rows = read(tmp_path, b'\n;;\nText;note;CLIP\none;x;c1\n\n"two\nlines";y;c2\n')
    found = [(row.number, row.clip, row.text, row.use) for row in rows]
    assert found == [(4, "c1", "one", None), (6, "c2", "two lines", None)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "review.csv: is empty"),
        (b"clip,txt\na,b\n", "review.csv: its first row lacks the column 'text'; the columns are clip, use, text"),
        (b"PK\3\4\0\0", "review.csv: a spreadsheet; save it as CSV"),
        (b"clip,text\na," + b"b" * 200_000, "review.csv: not a CSV table .field larger"),
    ],
)
def test_other_files(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, content)
