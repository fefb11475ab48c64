"""Print a summary of the quickstart's results, their size and where to listen. Called by scripts/quickstart.sh."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from common.files.dllogger_lines import read_json_lines

FIGURES = ("mel_l1", "pesq", "mos")  # of evaluation/results.json, where they were measured
CONTENTS = {
    "hello.wav": "the sentence that the voice spoke",
    "converted": "clips of QUICKSTART_DATA, converted to 22.05 kHz mono",
    "recordings": "the recordings, as training and validation part",
    "copies/kathleen": "the same, resynthesised by the vocoder of the voice",
    "copies/universal": "the same, resynthesised by the published universal generator",
    "copies/fine-tuned": "validation part, resynthesised by the fine-tuned vocoder",
    "fine-tuning": "checkpoints and logs of the fine-tuning",
    "evaluation": "figures for each clip, and the audio that was measured",
    "report": "the page with audio",
}


def report(out: Path, first_sound_sec: int, total_sec: int) -> str:
    """Return a summary of the results below `out`.

    Args:
        out: folder of the quickstart.
        first_sound_sec, total_sec: seconds from the end of the installation to the first sound and to the end.
    """
    lines = [
        f"first sound after {first_sound_sec} s, everything after {total_sec // 60} min {total_sec % 60} s "
        "(without the installation)",
        "",
        *_table(json.loads((out / "evaluation" / "results.json").read_text(encoding="utf-8")), _speeds(out)),
        "",
        "Means over the validation clips. data/demo has two minutes of the speaker that the voice was trained on,",
        "so its fine-tuning has little to gain. It shows how to adapt the vocoder to your own recordings",
        "(QUICKSTART_DATA=DIR).",
        "",
        f"{out} takes {_megabytes(out):.0f} MB:",
    ]
    sizes = {name: _megabytes(out / name) for name in CONTENTS if (out / name).exists()}
    lines += [f"  {size:>6.1f} MB  {name:<18}{CONTENTS[name]}" for name, size in sizes.items()]
    lines += [
        "",
        f"Listen: {out / 'hello.wav'}",
        f"Compare and take the blind test: open {out}/report/index.html in a browser",
        'Speak: python inference.py --text "Any text." -o any.wav',
    ]
    return "\n".join(lines)


def _table(results: dict[str, Any], speeds: dict[str, float]) -> list[str]:
    """Return a row of means for each system of the evaluation, with the speed of its copy synthesis if known."""
    metrics = {name: results["metrics"][name] for name in FIGURES if name in results["metrics"]}
    titles = [f"{metric['title']} ({metric['better'].lower()} is better)" for metric in metrics.values()]
    rows = [("", *titles, "seconds of speech per second")]
    for system, means in results["means"].items():
        cells = [_figure(means[name]["mean"], metric["digits"]) for name, metric in metrics.items()]
        rows.append((system, *cells, _figure(speeds.get(system), 1)))
    widths = [max(map(len, column)) + 3 for column in zip(*rows, strict=True)]
    return [
        first.ljust(widths[0]) + "".join(cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
        for first, *cells in rows
    ]


def _figure(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _speeds(out: Path) -> dict[str, float]:
    """Return the last logged speed of each copy synthesis. A rerun that skips all finished files logs none."""
    found = {}
    for log in sorted(out.glob("copies/*/nvlog_infer.json")):
        for _, data in read_json_lines(log):
            if "RTF" in data:
                found[log.parent.name] = data["RTF"]
    return found


def _megabytes(path: Path) -> float:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(prog="quickstart_report")
    parser.add_argument("out", type=Path)
    parser.add_argument("--first-sound", type=int, required=True, metavar="SECONDS")
    parser.add_argument("--total", type=int, required=True, metavar="SECONDS")
    args = parser.parse_args()
    print(report(args.out, args.first_sound, args.total))


if __name__ == "__main__":
    main()
