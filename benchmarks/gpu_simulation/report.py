"""Tables of what was counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from benchmarks.gpu_simulation.counter import Tally
from common.markdown import table

Results = Mapping[str, Mapping[str, Any]]  # fields of `Tally` by scenario
COLUMNS = ("scenario", "kernels", "launches", "waits", "crossings", "GB", "TFLOP", "model ms", "peak GiB")
TOP_OPERATORS = 15


def to_result(tally: Tally) -> dict[str, Any]:
    """Return what JSON holds of a tally."""
    skipped = ("kernels_by_operator", "bytes_by_operator")
    return {name: value for name, value in vars(tally).items() if name not in skipped}


def make_table(results: Results) -> list[str]:
    return table(COLUMNS, [(name, *_cells(result)) for name, result in results.items()])


def make_comparison(before: Results, after: Results) -> list[str]:
    """Return a table of the scenarios that both have, with "before -> after" in each cell that differs."""
    both = [name for name in after if name in before]
    return table(COLUMNS, [(name, *map(_arrow, _cells(before[name]), _cells(after[name]))) for name in both])


def describe(name: str, tally: Tally) -> list[str]:
    """Return the places of waits, crossings and errors, and the operators that move most bytes."""
    lines = [f"{name}:"]
    for kind, places in (("waits", tally.waits), ("crossings", tally.crossings), ("errors", tally.errors)):
        lines += [f"  {kind}: {count} x {place}" for place, count in Counter(places).most_common()]
    for operator, moved in (+tally.bytes_by_operator).most_common(TOP_OPERATORS):  # those that move any
        lines.append(f"  {operator}: {tally.kernels_by_operator[operator]} kernels, {moved / 1e9:.2f} GB")
    return lines


def _cells(result: Mapping[str, Any]) -> list[str]:
    return [
        str(result["kernels"]),
        str(result["launches"]),
        str(len(result["waits"])),
        str(len(result["crossings"])),
        f"{result['moved_bytes'] / 1e9:.1f}",
        f"{result['flop'] / 1e12:.2f}",
        f"{1e3 * result['sec']:.2f}",
        f"{result['peak_bytes'] / 2**30:.2f}",
    ]


def _arrow(before: str, after: str) -> str:
    return after if before == after else f"{before} → {after}"
