"""Corrections of the table: they win, survive new runs, kills and vanished clips, and broken rows are named."""

import csv
import io
import json
import logging
from pathlib import Path

import pytest

from common.errors import InputError
from voice.recordings import table
from voice.recordings.segment import EDITED, RECOGNISED, Segment
from voice.recordings.spreadsheet import COLUMNS
from voice.recordings.written import PREVIOUS, REVIEW, WRITTEN


def segment(number, text=None, **more):
    values = {"source": RECOGNISED, "confidence": 0.9, **more}
    start = values.pop("start_sec", 10.0 * number)
    text = f"Text {number}." if text is None else text
    return Segment(f"a-{number:04d}", "a.m4a", start, start + 4, text=text, **values)


SEGMENTS = [segment(number) for number in (1, 2, 3)]


def change(work, edit, name=REVIEW, **options):
    """Edit the rows of the table, a list of dicts, as a spreadsheet program would."""
    rows = list(csv.DictReader(io.StringIO((work / REVIEW).read_text("utf-8-sig"))))
    edit(rows)
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]) if rows else COLUMNS, extrasaction="ignore", **options)
    writer.writeheader()
    writer.writerows(rows)
    (work / name).write_text(stream.getvalue(), "utf-8", newline="")
    return work / name


def set_cell(number, **values):
    return lambda rows: rows[number - 1].update(values)


def texts(segments):
    return [item.text for item in segments]


def test_untouched_tables_change_nothing(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    assert table.read_review(tmp_path, SEGMENTS) == SEGMENTS, "without a table"
    assert table.write_review(tmp_path, SEGMENTS) == SEGMENTS
    before = (tmp_path / REVIEW).stat().st_mtime_ns
    assert table.write_review(tmp_path, SEGMENTS) == table.read_review(tmp_path, SEGMENTS) == SEGMENTS
    assert (tmp_path / REVIEW).stat().st_mtime_ns == before
    assert not (tmp_path / PREVIOUS).exists()
    assert not caplog.records


def test_texts_that_differ_are_edited_and_win_over_later_ones(tmp_path):
    table.write_review(tmp_path, SEGMENTS)
    change(tmp_path, set_cell(2, text="My text."))
    later = [segment(number, f"Later {number}.") for number in (1, 2, 3)]
    for result in (
        table.read_review(tmp_path, later),
        table.write_review(tmp_path, later),
        table.read_review(tmp_path, later),
        table.write_review(tmp_path, SEGMENTS),
    ):
        assert result[1].text == "My text."
        assert (result[1].source, result[1].confidence) == (EDITED, None)
        assert {item.source for item in (result[0], result[2])} == {RECOGNISED}
    assert texts(table.write_review(tmp_path, later)) == ["Later 1.", "My text.", "Later 3."]
    assert texts(table.write_review(tmp_path, SEGMENTS)) == ["Text 1.", "My text.", "Text 3."]
    assert "My text." in (tmp_path / REVIEW).read_text("utf-8-sig")
    previous = (tmp_path / PREVIOUS).read_text("utf-8-sig")
    assert "Text 1." in previous, "the table as the user saved it"
    assert "My text." in previous


def test_a_text_that_the_user_calls_edited_is_confirmed(tmp_path):
    table.write_review(tmp_path, SEGMENTS)
    change(tmp_path, set_cell(1, source="edited"))
    later = [segment(1, "Later."), *SEGMENTS[1:]]
    assert texts(table.write_review(tmp_path, later)) == ["Text 1.", "Text 2.", "Text 3."]


@pytest.mark.parametrize("word", ["no", "No", "FALSE", "0", "x", "n"])
def test_use_excludes_and_includes_for_good(tmp_path, word):
    found = [SEGMENTS[0], segment(2, use=False), SEGMENTS[2]]
    table.write_review(tmp_path, found)
    change(tmp_path, set_cell(1, use=word))
    change(tmp_path, set_cell(2, use="yes"))
    assert [item.use for item in table.write_review(tmp_path, found)] == [False, True, True]
    assert [item.use for item in table.write_review(tmp_path, found)] == [False, True, True]


def test_deleted_rows_are_not_used(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    table.write_review(tmp_path, SEGMENTS)
    change(tmp_path, lambda rows: rows.pop(1))
    assert [item.use for item in table.write_review(tmp_path, [*SEGMENTS, segment(4)])] == [True, False, True, True]
    assert "1 rows were deleted; their clips are not used: a-0002" in caplog.text
    assert [item.use for item in table.read_review(tmp_path, SEGMENTS)] == [True, False, True]


def test_clips_come_and_go_with_their_corrections(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    table.write_review(tmp_path, SEGMENTS)
    change(tmp_path, set_cell(2, text="My text."))
    result = table.write_review(tmp_path, [SEGMENTS[0], segment(4)])
    assert texts(result) == ["Text 1.", "Text 4."]
    assert "dropped 2 clips that are no longer cut from the recordings, 1 of them corrected" in caplog.text
    caplog.clear()
    assert table.write_review(tmp_path, [SEGMENTS[0], segment(4)]) == [SEGMENTS[0], segment(4)]
    assert not caplog.records
    assert texts(table.write_review(tmp_path, SEGMENTS)) == ["Text 1.", "My text.", "Text 3."]


def test_corrections_follow_the_place_and_not_the_id(tmp_path):
    """Other settings cut elsewhere, so that the ids move on."""
    table.write_review(tmp_path, SEGMENTS)
    change(tmp_path, set_cell(2, text="My text."))
    moved = [segment(2, start_sec=5.0), segment(3, "Text 2.", start_sec=20.1)]
    result = table.write_review(tmp_path, moved)
    assert texts(result) == ["Text 2.", "My text."]
    assert [item.clip for item in result] == ["a-0002", "a-0003"]
    assert texts(table.read_review(tmp_path, moved)) == ["Text 2.", "My text."]


def test_corrections_survive_the_loss_of_either_file(tmp_path):
    for lost in (REVIEW, WRITTEN):
        table.write_review(tmp_path, SEGMENTS)
        change(tmp_path, lambda rows: (set_cell(1, text="My text.")(rows), set_cell(3, use="no")(rows)))
        table.write_review(tmp_path, SEGMENTS)
        (tmp_path / lost).unlink()
        for _ in range(2):
            result = table.write_review(tmp_path, SEGMENTS)
            assert texts(result) == ["My text.", "Text 2.", "Text 3."]
            assert [item.use for item in result] == [True, True, False]


@pytest.mark.parametrize("killed_before", [PREVIOUS, REVIEW, WRITTEN])
def test_kills_make_no_corrections(tmp_path, monkeypatch, killed_before):
    """A text of the program that a kill leaves behind is not taken for the user's."""
    table.write_review(tmp_path, SEGMENTS)
    change(tmp_path, set_cell(1, text="My text."))

    def killed(path, target):
        if target.name == killed_before:
            raise KeyboardInterrupt
        return replace(path, target)

    replace = Path.replace
    monkeypatch.setattr(Path, "replace", killed)
    later = [segment(number, f"Later {number}.") for number in (1, 2, 3)]
    with pytest.raises(KeyboardInterrupt):
        table.write_review(tmp_path, later)
    monkeypatch.undo()
    last = [segment(number, f"Last {number}.") for number in (1, 2, 3)]
    result = table.write_review(tmp_path, last)
    assert texts(result) == ["My text.", "Last 2.", "Last 3."]
    assert [item.source for item in result] == [EDITED, RECOGNISED, RECOGNISED]


def test_broken_rows_are_named_and_the_others_count(tmp_path, caplog):
    table.write_review(tmp_path, SEGMENTS)

    def spoil(rows):
        rows[0]["text"] = ""
        rows[1].update(text="My text.", use="perhaps", speaker="Ann")
        rows[2]["text"] = "#NAME?"
        rows.append({**rows[1], "use": "", "text": "Twice."})
        rows.append({**rows[1], "use": "", "clip": "b-0001"})
        rows.append({**rows[1], "clip": ""})

    change(tmp_path, spoil)
    assert texts(table.write_review(tmp_path, SEGMENTS)) == ["Text 1.", "My text.", "Text 3."]
    for line in (
        "review.csv: row 2: no text; a-0001 keeps its earlier text (to leave it out, write no as its use)",
        "review.csv: row 3: use is 'perhaps' instead of yes or no; it stays as it was",
        "review.csv: row 3: no speaker 'Ann'; a-0002 stays without",
        "review.csv: row 4: the text is #NAME?, an error of the spreadsheet; a-0003 keeps its earlier text",
        "review.csv: row 5: a-0002 is also in row 3, which counts",
        "review.csv: row 6: no clip 'b-0001'; it is ignored",
        "review.csv: row 7: no clip id; it is ignored",
    ):
        assert caplog.text.count(line) == 1, line
    assert len(caplog.records) == 7


def test_a_table_of_another_voice_is_one_problem(tmp_path, caplog):
    table.write_review(tmp_path, SEGMENTS)
    foreign = change(tmp_path, lambda rows: [row.update(clip=f"b-{row['clip']}") for row in rows], "other.csv")
    assert table.import_review(foreign, tmp_path, SEGMENTS) == SEGMENTS
    (record,) = caplog.records
    assert record.getMessage().endswith("3 of 3 rows name no clip of this voice: b-a-0001; b-a-0002; b-a-0003")


def test_problems_are_named_once_in_a_run(tmp_path, caplog):
    table.write_review(tmp_path, SEGMENTS)
    change(tmp_path, set_cell(1, use="perhaps"))
    table.write_review(tmp_path, table.read_review(tmp_path, SEGMENTS))
    assert caplog.text.count("use is 'perhaps'") == 1


def test_speakers_can_be_corrected(tmp_path):
    found = [segment(1, speaker="Ann"), segment(2, speaker="Bob")]
    table.write_review(tmp_path, found)
    change(tmp_path, set_cell(1, speaker="Bob"))
    assert [item.speaker for item in table.write_review(tmp_path, found)] == ["Bob", "Bob"]
    assert [item.speaker for item in table.write_review(tmp_path, found)] == ["Bob", "Bob"]


def test_the_export_of_the_page_is_merged(tmp_path):
    """It has the values that the page was made with. Corrections of the table since then stay."""
    table.write_review(tmp_path, SEGMENTS)

    def export(rows):
        for row in rows:
            row.update(text_before=row["text"], use_before=row["use"])
        rows[0]["text"] = "From the page."
        rows[2]["use"] = "no"

    file = change(tmp_path, export, "review (1).csv")
    change(tmp_path, set_cell(2, text="From the table."))
    later = [segment(1), segment(2), segment(3, "Later 3.")]
    result = table.import_review(file, tmp_path, [*later, segment(4)])
    assert texts(result) == ["From the page.", "From the table.", "Later 3.", "Text 4."]
    assert [item.use for item in result] == [True, True, False, True]
    assert table.read_review(tmp_path, [*later, segment(4)]) == result
    assert texts(table.read_review(tmp_path, SEGMENTS)) == ["From the page.", "From the table.", "Text 3."]


def test_a_file_is_merged_once(tmp_path, caplog):
    """The same command, given again, does not undo what the user corrected since."""
    caplog.set_level(logging.INFO)
    table.write_review(tmp_path, SEGMENTS)
    file = change(tmp_path, set_cell(1, text="First."), "export.csv")
    assert texts(table.import_review(file, tmp_path, SEGMENTS))[0] == "First."
    change(tmp_path, set_cell(1, text="Second."))
    for _ in range(2):
        assert texts(table.import_review(file, tmp_path, SEGMENTS))[0] == "Second."
        assert "export.csv: merged already" in caplog.text
    change(tmp_path, set_cell(1, text="Third."), "export.csv")
    assert texts(table.import_review(file, tmp_path, SEGMENTS))[0] == "Third."


def test_an_export_in_place_of_the_table_deletes_nothing(tmp_path):
    table.write_review(tmp_path, SEGMENTS)
    change(tmp_path, lambda rows: [row.update(text_before=row["text"], use_before="yes") for row in rows])
    change(tmp_path, lambda rows: rows.pop())
    assert table.write_review(tmp_path, SEGMENTS) == SEGMENTS


def test_an_export_about_another_cut_is_not_applied(tmp_path, caplog):
    table.write_review(tmp_path, SEGMENTS)
    file = change(tmp_path, lambda rows: [row.update(text_before="", text="Mine.") for row in rows], "old.csv")
    moved = [segment(1), segment(2, start_sec=25.0), segment(3)]
    assert texts(table.import_review(file, tmp_path, moved)) == ["Mine.", "Text 2.", "Mine."]
    assert "row 3: a-0002 is another part of a.m4a now; the row is ignored" in caplog.text


def test_errors(tmp_path):
    with pytest.raises(FileNotFoundError):
        table.import_review(tmp_path / "no.csv", tmp_path, SEGMENTS)
    table.write_review(tmp_path, SEGMENTS)
    for content in ("[]", json.dumps({"table": "", "id": "a", "imported": [], "clips": [{"clip": "a"}]})):
        (tmp_path / WRITTEN).write_text(content)
        with pytest.raises(InputError, match=r"review-written.json: not a record of what was written; delete it"):
            table.read_review(tmp_path, SEGMENTS)


def test_a_text_for_a_clip_without_one_makes_it_usable(tmp_path):
    found = [segment(1, "", source="", use=False), segment(2)]
    table.write_review(tmp_path, found)
    change(tmp_path, set_cell(1, text="Now it has one."))
    assert [item.use for item in table.write_review(tmp_path, found)] == [True, True]
