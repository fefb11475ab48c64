"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Return the lines of a table: its head, then one line per row."""
    return [*table_head(columns), *map(table_row, rows)]


def table_head(columns: Sequence[str]) -> list[str]:
    """Return the two lines above a table's rows, for tables that are printed row by row."""
    return [table_row(columns), "|" + "---|" * len(columns)]


def table_row(cells: Sequence[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"
