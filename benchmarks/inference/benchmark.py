"""Measure speed and quality of all ways to run HiFi-GAN, or FastPitch and HiFi-GAN: tables, JSON, and a plot.

Everything that is compared runs in one process. Each round runs all ways of a model and size once, so that other load
on the machine affects all of them equally. What matters most comes first, and all results are written as soon as they
are there. scripts/inference_benchmark.sh runs it with defaults.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.inference import report
from benchmarks.inference.config import PROGRAM, VocoderBenchmarkConfig
from benchmarks.inference.figures import collect
from benchmarks.inference.session import InferenceSession
from benchmarks.inference.supervisor import supervise
from benchmarks.inference.ways import PACKAGES
from benchmarks.journal import Journal
from benchmarks.processor import describe_instruction_sets
from common import distributed
from common.cli import ArgumentParser, add_flags, from_flags, run
from common.errors import InputError
from common.machine import hardware


def main(argv: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    parser = ArgumentParser(prog=PROGRAM, description=__doc__, epilog="Flags may be written with - or _.")
    add_flags(parser, VocoderBenchmarkConfig, "benchmark")
    cfg = from_flags(VocoderBenchmarkConfig, vars(parser.parse_args(words)))
    device = distributed.select_device(cfg.cuda)
    Path(cfg.output).mkdir(parents=True, exist_ok=True)  # now, to fail before hours of measurement
    journal = Journal(Path(cfg.output) / f"{PROGRAM}.jsonl")
    header = hardware.describe(device, "benchmarks.inference.benchmark", words, PACKAGES)
    journal.add("header", entries=header | {"instruction sets": describe_instruction_sets()})
    if cfg.watched:
        supervise(cfg, journal)
    else:
        InferenceSession(cfg, journal).run()
    results = collect(journal.records())
    if not results.rows:
        raise InputError("; ".join(results.failures) or "nothing was measured")
    print(report.write(Path(cfg.output), results))
    print(report.json_block(results), end="", flush=True)
    report.write_picture(Path(cfg.output), results)
    return 1 if results.failures else 0


if __name__ == "__main__":
    run(main, PROGRAM)
