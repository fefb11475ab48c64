"""Print a summary of the quickstart's results and where to listen to them. Called by scripts/quickstart.sh."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common.files.dllogger_lines import read_json_lines


def records(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the data of each DLLogger line except the settings."""
    for step, data in read_json_lines(path):
        if step != "PARAMETER":
            yield data


def val_mel_losses(folder: Path) -> list[float]:
    """Return the weighted validation mel losses of a run. The first is from before training."""
    return [data["val_mel_loss"] for data in records(folder / "nvlog.json") if "val_mel_loss" in data]


def report(out: Path) -> str:
    """Return a summary of the results below `out`."""
    # A rerun that skips all finished files logs no speed.
    *_, speed = (data for data in records(out / "copy-synthesis" / "nvlog_infer.json") if "RTF" in data)
    lines = [
        f"copy synthesis, V1 universal   {speed['RTF']:.2f} seconds of speech per second on this machine",
        "",
        "validation mel loss            before   after",
    ]
    for name, what in (("scratch", "V3 from scratch"), ("fine-tuned", "V1 universal, fine-tuned")):
        losses = val_mel_losses(out / name)
        lines.append(f"{what:<29}{losses[0]:>8.2f}{losses[-1]:>8.2f}")
    lines += [
        "",
        "A full training run takes days on GPUs and ends below 10. This one only shows that everything works.",
        "In the short form, the losses may not even fall.",
        f"Open {out}/report/index.html in a browser to hear and compare the validation clips.",
        "Audio and figures:",
        f"  {out}/original            the recordings",
        f"  {out}/copy-synthesis      the same clips, resynthesised by the published generator",
        f"  {out}/scratch/wavs        validation clips, resynthesised by the generator trained from scratch",
        f"  {out}/fine-tuned/wavs     validation clips, resynthesised by the fine-tuned generator",
        f"  {out}/evaluation          figures for each clip",
        f"Curves and spectrograms: tensorboard --logdir {out}",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    print(report(Path(sys.argv[1])))
