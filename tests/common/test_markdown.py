from common.markdown import table


def test_table():
    assert table(["", "seconds"], [("one", 1.5), ("two", "-")]) == [
        "|  | seconds |",
        "|---|---|",
        "| one | 1.5 |",
        "| two | - |",
    ]
