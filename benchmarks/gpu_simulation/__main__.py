"""Count what training and inference with V1, and FastPitch, cost on a simulated GPU.

Operators run on shapes alone, so that no GPU is needed, but a C++ compiler is. `cost.py` describes the model.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path


def main(argv: Sequence[str] | None = None) -> int:
    parser = _make_parser()
    args = parser.parse_args(argv)
    if args.checkout:
        sys.path.insert(0, str(args.checkout.resolve()))
    # Only now the project is imported, from that clone, and PyTorch, after the guard.
    from benchmarks.gpu_simulation.guard import load_guard

    load_guard()
    warnings.filterwarnings("ignore", "Accessing the data pointer of FakeTensor")
    from benchmarks.gpu_simulation import fastpitch, inference, report, training

    known = (*training.NAMES, *inference.NAMES, *fastpitch.NAMES)
    chosen = _choose(args.scenarios or known, known)
    if unknown := [text for text in args.scenarios if not _choose([text], known)]:
        parser.error(f"no scenario begins with {', '.join(unknown)}; they are {', '.join(known)}")
    measured = {name: tally for family in (training, inference, fastpitch) for name, tally in family.measure(chosen)}
    tallies = {name: measured[name] for name in known if name in chosen}
    results = {name: report.to_result(tally) for name, tally in tallies.items()}
    if args.json:
        print(json.dumps(results, indent=1))
    elif args.before:
        print("\n".join(report.make_comparison(json.loads(args.before.read_text(encoding="utf-8")), results)))
    else:
        print("\n".join(report.make_table(results)))
    for name, tally in tallies.items() if args.details else ():
        print("\n".join(["", *report.describe(name, tally)]))
    return 0


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_simulation", description=__doc__)
    parser.add_argument("scenarios", nargs="*", help="names of scenarios, or their beginnings (default: all)")
    parser.add_argument("--checkout", type=Path, metavar="PATH", help="simulate the code of another clone")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--before", type=Path, metavar="JSON", help="compare with earlier results")
    parser.add_argument("--details", action="store_true", help="also print places of waits, and operators")
    return parser


def _choose(texts: Sequence[str], known: Sequence[str]) -> set[str]:
    """Return the names that are among `texts`, or begin with one that is not a name itself."""
    return {name for name in known for text in texts if name == text or (text not in known and name.startswith(text))}


if __name__ == "__main__":
    sys.exit(main())
