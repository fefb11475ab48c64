"""Pictures of the listening report: transparent with grey text, for light and dark pages."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from common.files.atomic import write_whole
from common.plot_log import Curves, draw, import_matplotlib, new_figure

TEXT_COLOUR = "#7f8792"  # legible on white and on black
SPECTROGRAM_RANGE_DB = (-95.0, -15.0)
SPECTROGRAM_INCHES, SPECTROGRAM_DPI = (3.2, 1.8), 220
SMOOTHED_STEPS = 20


@contextlib.contextmanager
def _style(font_size: float) -> Iterator[None]:
    matplotlib = import_matplotlib()
    with matplotlib.rc_context():
        for name in ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"):
            matplotlib.rcParams[name] = TEXT_COLOUR
        matplotlib.rcParams.update({"savefig.transparent": True, "font.size": font_size, "legend.framealpha": 0.0})
        yield


def draw_spectrogram(path: Path, wav: np.ndarray, sampling_rate: int) -> None:
    """Write a PNG of the spectrogram of [T] samples, with letters large enough for a picture 220 pixels wide."""
    import librosa

    spectrum = np.abs(librosa.stft(wav, n_fft=1024, hop_length=256))
    # Scaled so that a sine shows its amplitude.
    decibels = 20 * np.log10(np.maximum(spectrum / 1024 * 4, 10 ** (SPECTROGRAM_RANGE_DB[0] / 20)))
    seconds = len(wav) / sampling_rate
    with _style(9):
        figure = new_figure(*SPECTROGRAM_INCHES)
        axes = figure.subplots()
        axes.imshow(
            decibels,
            origin="lower",
            aspect="auto",
            extent=(0, seconds, 0, sampling_rate / 2000),
            cmap="magma",
            vmin=SPECTROGRAM_RANGE_DB[0],
            vmax=SPECTROGRAM_RANGE_DB[1],
        )
        axes.set(xlabel="seconds", ylabel="kHz")
        axes.locator_params(nbins=5)
        content = io.BytesIO()
        figure.savefig(content, dpi=SPECTROGRAM_DPI, format="png")
    write_whole(path, content.getvalue())


def draw_curves(runs: Sequence[tuple[str, Curves]], path: Path) -> None:
    """Write a PNG with the curves of training runs."""
    with _style(10):
        draw(runs, path, SMOOTHED_STEPS)
