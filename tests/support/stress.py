"""Counts of the stress tests, and the record of their results.

The tests in tests/stress run a few cases of each promise. `bash scripts/stress.sh` sets HIFIGAN_STRESS=full, runs as
many as docs/reliability.md states, and prints the results as a table (`python -m tests.support.stress`).
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from common.markdown import table
from tests.support.paths import REPOSITORY

FULL = os.environ.get("HIFIGAN_STRESS") == "full"
RESULTS = Path(os.environ.get("HIFIGAN_STRESS_RESULTS") or REPOSITORY / "output" / "stress.jsonl")


def cases(short: int, full: int) -> int:
    """Return how many cases to run: `full` in a stress run, else `short`."""
    return full if FULL else short


def record(promise: str, count: int, result: str) -> None:
    """Append a result to `RESULTS`.

    Args:
        promise: a few words, the same in each run. Several tests, or cases of one, may prove it.
        count: number of cases, steps or files in this test.
        result: figures in words, such as "0 tracebacks, peak 331 MB".
    """
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0]
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"promise": promise, "count": count, "result": result, "test": test}) + "\n")


def results_table(path: Path) -> list[str]:
    """Return the last results of each promise as a Markdown table, with the sum of their counts."""
    last: dict[str, dict[str, tuple[int, str]]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        last.setdefault(row["promise"], {})[row["test"]] = (row["count"], row["result"])
    rows = []
    for promise, found in last.items():
        tests = dict.fromkeys(f"`{test.partition('[')[0]}`" for test in found)
        results = dict.fromkeys(result for _, result in found.values())
        rows.append((promise, ", ".join(tests), f"{sum(count for count, _ in found.values()):,}", "; ".join(results)))
    return table(("promise", "test", "count", "result"), rows)


if __name__ == "__main__":
    print("\n".join(results_table(Path(sys.argv[1]) if len(sys.argv) > 1 else RESULTS)))
