"""Compare a FastPitch's mels with the recordings, in figures and in pictures of mels and alignments.

python -m benchmarks.fastpitch_mels --fastpitch CKPT --dataset-path DATA --filelist LIST -o DIR

Teacher-forced mels have the recording's durations and are compared frame by frame. Free mels have their own
durations and are compared along the path of dynamic time warping. For scale, so are other takes of the same text, if
the list has any.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from common.cli import ArgumentParser, positive, run
from common.plot_log import new_figure
from common.text.settings import TextConfig
from common.training.sampling import ClipKey
from fastpitch import FastPitch, load_fastpitch
from fastpitch.training.recordings import Example, SpeechDataset, collate, read_recordings

LN_MEL_RANGE = (-11.5, 2.0)  # of speech, for the colours of pictures


def main(argv: Sequence[str] | None = None) -> int:
    parser = ArgumentParser(
        prog="fastpitch_mels", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fastpitch", required=True, help="checkpoint that includes the aligner")
    parser.add_argument("--ema", action="store_true", help="use the moving average of the weights")
    parser.add_argument("--dataset-path", required=True, help="directory that paths in the file list are relative to")
    parser.add_argument("--filelist", required=True, help="file list with lines wav|pitch|text")
    parser.add_argument(
        "--clips", type=int, default=20, help="number of clips, evenly spaced over the list (default: 20)"
    )
    parser.add_argument("--pictures", type=int, default=4, help="number of clips to draw (default: 4)")
    parser.add_argument("-o", "--output", required=True, help="directory for the pictures")
    args = parser.parse_args(argv)
    positive(clips=args.clips)
    model, info = load_fastpitch(args.fastpitch, ema=args.ema)
    recordings = read_recordings([args.filelist], Path(args.dataset_path), model.n_speakers)
    mean_hz, std_hz = (value.item() for value in model.pitch_statistics())
    text = TextConfig.from_setup(info.train_setup).processor()
    dataset = SpeechDataset(recordings, info.audio, text, mean_hz, std_hz)
    chosen = np.linspace(0, len(dataset) - 1, min(args.clips, len(dataset))).round().astype(int)
    rows = []
    for number, clip in enumerate(chosen):
        example = dataset[ClipKey(int(clip), 0)]
        compared = compare(model, example)
        takes = [i for i, other in enumerate(recordings) if other.text == recordings[clip].text and i != clip]
        if takes:
            compared.figures["other take, warped"] = warped_l1(dataset[ClipKey(takes[0], 0)].mel, example.mel)
        rows.append(compared.figures)
        if number < args.pictures:
            draw(compared, example, recordings[clip].text, Path(args.output) / f"{recordings[clip].wav.stem}.png")
    print(f"{len(rows)} clips of {args.filelist}; mel L1 per band and frame, natural logarithm")
    for name in rows[0] | {name: 0 for row in rows for name in row}:
        values = [row[name] for row in rows if name in row]
        print(f"{name}: mean {np.mean(values):.3f}, {np.min(values):.3f} to {np.max(values):.3f} ({len(values)} clips)")
    return 0


class MelComparison:
    """Forced and free mels [M, L] of one text, its soft alignment [L, S], durations [S], and figures by name."""

    def __init__(self, forced: Tensor, free: Tensor, soft: Tensor, durations: Tensor) -> None:
        self.forced, self.free, self.soft, self.durations = forced, free, soft, durations
        self.figures: dict[str, float] = {}


@torch.inference_mode()
def compare(model: FastPitch, example: Example) -> MelComparison:
    """Compare a recording with the mels that the model predicts from its text."""
    batch = collate([example], model.padding_idx)
    forced = model.teacher_forced(*batch)
    free = model(batch.ids, 1.0, batch.speaker)
    soft = forced.log_soft[0].exp()
    compared = MelComparison(forced.mel[0], free.mel[0], soft, forced.durations[0])
    peaks = soft.argmax(dim=1)
    hard = torch.repeat_interleave(torch.arange(len(forced.durations[0])), forced.durations[0])
    compared.figures = {
        "teacher-forced": (forced.mel[0] - example.mel).abs().mean().item(),
        "free, warped": warped_l1(free.mel[0], example.mel),
        "the clip's mean frame": (example.mel - example.mel.mean(dim=1, keepdim=True)).abs().mean().item(),
        "free length / real length": free.mel.size(2) / example.mel.size(1),
        "frames whose most probable symbol is not before the last frame's": (peaks.diff() >= 0).float().mean().item(),
        "probability of the hard alignment's symbols": soft.gather(1, hard[:, None]).mean().item(),
    }
    return compared


def warped_l1(mel: Tensor, reference: Tensor) -> float:
    """Return the mean L1 of two mels [M, L] and [M, L'] along the cheapest path between them.

    Each step of the path goes one frame on in one mel or in both (dynamic time warping).
    """
    distances = torch.cdist(mel.T, reference.T, p=1).double().numpy()
    costs = np.full((mel.size(1) + 1, reference.size(1) + 1), np.inf)
    costs[0, 0] = 0
    rows, columns = distances.shape
    for diagonal in range(rows + columns - 1):  # cells with the same sum of indices do not depend on each other
        row = np.arange(max(0, diagonal - columns + 1), min(rows, diagonal + 1))
        column = diagonal - row
        before = [costs[row, column], costs[row, column + 1], costs[row + 1, column]]
        costs[row + 1, column + 1] = distances[row, column] + np.minimum.reduce(before)
    row, column, length = rows, columns, 0
    while row and column:
        length += 1
        steps = ((row - 1, column - 1), (row - 1, column), (row, column - 1))
        row, column = min(steps, key=lambda cell: costs[cell])
    return float(costs[-1, -1] / length / mel.size(0))


def draw(compared: MelComparison, example: Example, title: str, output: Path) -> None:
    """Draw the mels one above the other, and the soft alignment with the chosen path."""
    figure = new_figure(10, 11)
    panels = {"real": example.mel, "teacher-forced": compared.forced, "free": compared.free}
    axes = figure.subplots(4, 1)
    for axis, (name, mel) in zip(axes, panels.items(), strict=False):
        axis.imshow(
            mel.numpy(),
            origin="lower",
            aspect="auto",
            vmin=LN_MEL_RANGE[0],
            vmax=LN_MEL_RANGE[1],
            interpolation="nearest",
        )
        axis.set(title=name, ylabel="band", xlim=(0, max(mel.size(1) for mel in panels.values())))
    axes[3].imshow(compared.soft.T.numpy(), origin="lower", aspect="auto", vmin=0, vmax=1, interpolation="nearest")
    symbols = np.repeat(np.arange(len(compared.durations)), compared.durations.numpy())
    axes[3].plot(symbols, color="red", linewidth=0.8)
    axes[3].set(title="alignment: soft, and the path taken", xlabel="frame", ylabel="symbol")
    figure.suptitle(title)
    output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, dpi=80, format="png")


if __name__ == "__main__":
    run(main, "fastpitch_mels")
