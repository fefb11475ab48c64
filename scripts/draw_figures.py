"""Draw the figures of the documents as SVG, for light and dark pages: `python -m scripts.draw_figures`.

docs/model.svg shows HiFi-GAN in training and in use, with the numbers of the V1 generator. docs/latency.svg shows the
latency table of benchmarks/results/inference-cpu.md. docs/data.svg shows the ways of the data through the programs.
docs/seeds.svg shows the losses of runs with several seeds, benchmarks/results/training-seeds.csv.
"""

from __future__ import annotations

import csv
import html
import math
import re
import statistics
from collections.abc import Sequence
from pathlib import Path

from common.plot_log import smoothed
from fastpitch.training.state import CHECKPOINT_FILES as FASTPITCH_CHECKPOINT_FILES
from hifigan.config import PRESETS
from hifigan.discriminators import MultiPeriodDiscriminator, MultiScaleDiscriminator
from hifigan.losses import FEATURE_WEIGHT, MEL_WEIGHT
from hifigan.training.state import CHECKPOINT_FILES
from scripts.draw_architecture import REPOSITORY, STYLE
from voice.folder import VOICE_FILES

MODEL = REPOSITORY / "docs" / "model.svg"
LATENCY = REPOSITORY / "docs" / "latency.svg"
DATA = REPOSITORY / "docs" / "data.svg"
SEEDS = REPOSITORY / "docs" / "seeds.svg"
RESULTS = REPOSITORY / "benchmarks" / "results" / "inference-cpu.md"
SEED_LOSSES = REPOSITORY / "benchmarks" / "results" / "training-seeds.csv"
WIDTH = 920
NARROW = 480  # readable on a phone
MORE_STYLE = """
  .kept { fill: var(--folder); stroke: var(--folder-line) }
  .ours { fill: var(--folder-line) } .bar { fill: var(--line) }
  .dashed { stroke-dasharray: 4 3 } .end { text-anchor: end } .wave { stroke: var(--text); stroke-width: 1.4 }
  .range { fill: var(--folder-line); opacity: 0.6; stroke: none } .grid { stroke: var(--line) }
"""


def svg(title: str, height: int, parts: list[str], width: int = WIDTH) -> str:
    """Return a whole drawing of `width` x `height` pixels."""
    body = "\n".join(parts)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">
<title>{html.escape(title)}</title>
<style>{STYLE}{MORE_STYLE}</style>
<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0 0 L8 4 L0 8 z"/></marker></defs>
<rect width="{width}" height="{height}" class="paper"/>
{body}
</svg>
"""


def text(x: float, y: float, words: str, kind: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" class="{kind}">{html.escape(words)}</text>'


def box(x: float, y: float, width: float, height: float, lines: list[str], kind: str) -> str:
    """Return a box whose first line is its title and whose other lines are notes."""
    parts = [f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="7" class="{kind}"/>']
    top = y + height / 2 + 5 - 9 * (len(lines) - 1)
    for index, line in enumerate(lines):
        parts.append(text(x + width / 2, top + 18 * index, line, "centre title" if index == 0 else "centre note"))
    return "\n".join(parts)


Point = tuple[float, float]


def arrow(*corners: Point) -> str:
    """Return an arrow through `corners`, from the first to the last."""
    return f'<path d="M{line(corners)}" marker-end="url(#head)"/>'


def line(points: Sequence[Point]) -> str:
    """Return the coordinates of a polygonal line, as a path has them after its M."""
    return " L".join(f"{x:g} {y:g}" for x, y in points)


def wave(x: float, y: float, width: float) -> str:
    """Return the picture of a waveform of about 30 pixels' height around `y`."""
    heights = (2, 5, 11, 15, 9, 13, 6, 3, 7, 12, 8, 4, 2)
    step = width / len(heights)
    lines = " ".join(f"M{x + step * (i + 0.5):g} {y - h} V{y + h}" for i, h in enumerate(heights))
    return f'<path d="{lines}" class="wave"/>'


def mel(x: float, y: float, width: float, height: float) -> str:
    """Return the picture of a mel spectrogram: a grid of cells of different strength."""
    rows, columns = 6, 9
    cells = []
    for row in range(rows):
        for column in range(columns):
            strength = 0.15 + 0.8 * ((row * row + 3 * column + row * column) % 7) / 7 * (row + 2) / (rows + 1)
            cells.append(
                f'<rect x="{x + column * width / columns:.1f}" y="{y + row * height / rows:.1f}" '
                f'width="{width / columns:.1f}" height="{height / rows:.1f}" class="ours" opacity="{strength:.2f}"/>'
            )
    return "\n".join(cells)


def draw_model() -> str:
    """Return the picture of generator, discriminators and losses."""
    v1 = PRESETS["v1"]
    rates = " x ".join(map(str, v1.upsample_rates))
    periods = ", ".join(str(d.period) for d in MultiPeriodDiscriminator(width=0.125).discriminators)
    scales = len(MultiScaleDiscriminator(width=0.125).discriminators)
    parts = [
        text(20, 30, "In use", "title"),
        mel(20, 62, 90, 60),
        text(65, 142, f"mel, {v1.num_mels} bands", "centre note"),
        arrow((118, 92), (188, 92)),
        box(190, 52, 340, 80, ["Generator", f"{len(v1.upsample_rates)} upsampling stages: {rates}",
                               f"residual blocks, kernels {', '.join(map(str, v1.resblock_kernel_sizes))}"], "kept"),
        arrow((530, 92), (600, 92)),
        wave(606, 92, 110),
        text(661, 142, "speech", "centre note"),
        text(740, 88, "Only the generator is", "note"),
        text(740, 106, "kept after training.", "note"),
        f'<path d="M20 164 H{WIDTH - 20}" class="dashed"/>',
        text(20, 196, "In training", "title"),
        wave(20, 250, 100),
        text(70, 290, "recording", "centre note"),
        wave(20, 350, 100),
        text(70, 390, "generated", "centre note"),
        arrow((126, 250), (228, 236)),
        arrow((126, 350), (228, 346)),
        arrow((126, 250), (228, 330)),
        arrow((126, 350), (228, 252)),
        box(230, 210, 260, 66, ["Multi-period discriminator", f"one network per period: {periods}"], "module"),
        box(230, 306, 260, 66, ["Multi-scale discriminator", f"{scales} networks: raw, halved, quartered"], "module"),
        arrow((490, 243), (578, 243)),
        arrow((490, 339), (578, 262)),
        arrow((490, 250), (578, 306)),
        arrow((490, 345), (578, 318)),
        box(580, 214, 320, 54, ["adversarial loss (least squares)"], "program"),
        box(580, 286, 320, 54, [f"{FEATURE_WEIGHT:g} x feature matching loss"], "program"),
        box(580, 358, 320, 54, [f"{MEL_WEIGHT:g} x L1 of the log mels"], "program"),
        arrow((112, 386), (578, 386)),
    ]  # fmt: skip
    return svg("HiFi-GAN: a generator turns mels into speech. Two discriminators judge it in training.", 430, parts)


def read_latencies() -> list[tuple[str, float, bool]]:
    """Return (way, seconds, passed the quality gate) for V1 and 8.05 s of speech, from the results page."""
    section = RESULTS.read_text(encoding="utf-8").split("### V1: 8.05 s, batch size 1")[1].split("\n#")[0]
    rows = re.findall(r"^\| ([^|]+) \| ([\d.]+) \|.*\| (pass|FAIL) \|$", section, re.MULTILINE)
    return [(way, float(seconds), gate == "pass") for way, seconds, gate in rows]


def draw_latency() -> str:
    """Return a bar chart of the latencies."""
    rows = sorted(read_latencies(), key=lambda row: row[1])
    left, longest = 230, max(seconds for _, seconds, _ in rows)
    parts = [text(20, 30, "Seconds for 8.05 s of speech, V1, batch size 1, two CPU cores with AMX", "title")]
    for index, (way, seconds, passed) in enumerate(rows):
        y = 50 + 28 * index
        length = (WIDTH - left - 190) * seconds / longest
        kind = "ours" if way.startswith("engine") else "bar"
        parts.append(text(left - 12, y + 14, way, "end"))
        parts.append(f'<rect x="{left}" y="{y}" width="{length:.1f}" height="20" rx="3" class="{kind}"/>')
        note = "" if passed else "  (fails the quality gate)"
        parts.append(text(left + length + 8, y + 14, f"{seconds:.2f}{note}", "note"))
    return svg("Latency of the ways to run V1 on a CPU", 64 + 28 * len(rows), parts)


def draw_data() -> str:
    """Return the picture of the ways from recordings to models, and from models to speech."""
    left, right, half, whole = 27, 247, 206, 426
    middle, one, two = left + whole / 2, left + half / 2, right + half / 2
    generator, discriminators = (name.format("N") for name in CHECKPOINT_FILES)
    acoustic = FASTPITCH_CHECKPOINT_FILES[0].format("N")
    thirds = [(left + 145 * i, left + 145 * i + 68) for i in range(3)]  # left edge and middle
    parts = [
        box(left, 14, 92, 26, ["program"], "program"),
        box(left + 104, 14, 92, 26, ["files"], "module"),
        box(left, 58, whole, 50, ["recordings and texts", "wavs/, metadata.csv"], "module"),
        arrow((middle, 108), (middle, 128)),
        box(left, 130, whole, 50, ["prepare_dataset.py", "splits, converts, extracts mels and pitch"], "program"),
        arrow((one, 180), (one, 200)),
        arrow((two, 180), (two, 200)),
        box(left, 202, half, 50, ["filelists/", "paths of recordings"], "module"),
        box(right, 202, half, 50, ["filelists/, pitch/", "with texts; pitch in Hz"], "module"),
        arrow((one, 252), (one, 272)),
        arrow((two, 252), (two, 272)),
        box(left, 274, half, 50, ["train.py", "HiFi-GAN, the vocoder"], "program"),
        box(right, 274, half, 50, ["fastpitch/train.py", "FastPitch, text to mels"], "program"),
        arrow((one, 324), (one, 344)),
        arrow((two, 324), (two, 344)),
        box(left, 346, half, 68, ["checkpoint pair", generator, discriminators], "module"),
        box(right, 346, half, 68, ["checkpoint", acoustic], "module"),
        # Fine-tuning, and the ways around it.
        '<rect x="18" y="432" width="444" height="246" rx="8" class="house"/>',
        text(one + 12, 456, "Optional: fine-tuning", "title"),
        arrow((left, 380), (9, 380), (9, 712), (left - 2, 712)),
        arrow((right + half, 380), (NARROW - 9, 380), (NARROW - 9, 712), (right + half + 2, 712)),
        arrow((two, 414), (two, 470)),
        box(right, 472, half, 50, ["fastpitch/extract_mels.py", "reads the recordings too"], "program"),
        arrow((two, 522), (two, 542)),
        box(right, 544, half, 50, ["FastPitch's mels", "aligned with the recordings"], "module"),
        arrow((right, 569), (left + half + 2, 569)),
        arrow((one, 414), (one, 542)),
        box(left, 544, half, 50, ["train.py", "with --input-mels-dir"], "program"),
        arrow((one, 594), (one, 614)),
        box(left, 616, half, 50, ["checkpoint pair", "fine-tuned"], "module"),
        arrow((one, 666), (one, 686)),
        box(left, 688, whole, 50, ["voice/pack.py", "one folder from both models"], "program"),
        arrow((middle, 738), (middle, 758)),
        box(left, 760, whole, 50, ["the voice's folder", ", ".join(VOICE_FILES)], "module"),
    ]  # fmt: skip
    ends = (
        ("inference.py", "speaks", ["speech", "wav files"]),
        ("export.py", "the vocoder", ["exported file", "ONNX, TorchScript"]),
        ("evaluate.py", "measures", ["results.json", "listening report"]),
    )
    for (x, centre), (program, note, files) in zip(thirds, ends, strict=True):
        parts += [
            arrow((centre, 810), (centre, 830)),
            box(x, 832, 136, 50, [program, note], "program"),
            arrow((centre, 882), (centre, 902)),
            box(x, 904, 136, 50, files, "module"),
        ]
    return svg("From recordings and texts to checkpoints, to a voice, and to speech", 968, parts, NARROW)


def read_seed_losses(part: str) -> tuple[list[int], list[list[float]]]:
    """Return the steps, and the mel losses of each seed, of training ("train") or validation ("val")."""
    steps: dict[int, None] = {}
    curves: dict[str, list[float]] = {}
    with SEED_LOSSES.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["part"] == part:
                steps[int(row["step"])] = None
                curves.setdefault(row["seed"], []).append(float(row["mel_loss"]))
    return list(steps), list(curves.values())


def seed_panel(title: str, top: float, steps: Sequence[int], curves: Sequence[Sequence[float]]) -> list[str]:
    """Return a chart of 170 pixels' height below `top`: the mean of the curves and their range, over the steps."""
    left, right, upper, lower = 46, NARROW - 16, top + 14, top + 184
    lowest, highest = (10 * f(g(map(g, curves)) / 10) for f, g in ((math.floor, min), (math.ceil, max)))

    def place(step: float, loss: float) -> Point:
        x = left + (right - left) * step / steps[-1]
        return round(x, 1), round(lower - (lower - upper) * (loss - lowest) / (highest - lowest), 1)

    parts = [text(left, top, title, "title")]
    for loss in range(lowest, highest + 1, 10):
        parts.append(f'<path d="M{line([place(0, loss), place(steps[-1], loss)])}" class="grid"/>')
        parts.append(text(left - 8, place(0, loss)[1] + 4, str(loss), "end"))
    for step in range(0, steps[-1] + 1, steps[-1] // 4):
        parts.append(text(place(step, 0)[0], lower + 18, str(step), "centre"))
    columns = list(zip(*curves, strict=True))
    upwards = [place(step, max(values)) for step, values in zip(steps, columns, strict=True)]
    back = [place(step, min(values)) for step, values in zip(steps, columns, strict=True)][::-1]
    means = [place(step, statistics.fmean(values)) for step, values in zip(steps, columns, strict=True)]
    return [
        *parts,
        f'<path d="M{line([*upwards, *back])} Z" class="range"/>',
        f'<path d="M{line(means)}" class="wave"/>',
    ]


def draw_seeds() -> str:
    """Return the curves of the mel losses over the seeds."""
    steps, train = read_seed_losses("train")
    val_steps, val = read_seed_losses("val")
    epoch = val_steps[1] // 2  # validations are two epochs apart
    smooth = [smoothed(losses, epoch)[epoch - 1 :].tolist() for losses in train]
    parts = [
        f'<path d="M20 24 H48" class="wave"/>{text(54, 28, f"mean of {len(train)} seeds")}',
        f'<rect x="196" y="16" width="28" height="14" class="range"/>{text(230, 28, "from the lowest to the highest")}',
        *seed_panel(f"Training mel loss, mean of {epoch} steps", 60, steps[epoch - 1 :], smooth),
        *seed_panel("Validation mel loss", 300, val_steps, val),
        text(NARROW / 2, 522, "optimiser steps", "centre note"),
    ]
    return svg("Mel losses of short runs that differ only in their seed", 534, parts, NARROW)


FIGURES = {MODEL: draw_model, LATENCY: draw_latency, DATA: draw_data, SEEDS: draw_seeds}


def main() -> None:
    for path, draw in FIGURES.items():
        Path(path).write_text(draw(), encoding="utf-8")


if __name__ == "__main__":
    main()
