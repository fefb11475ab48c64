"""Pictures of the listening report: transparent with grey text, for light and dark pages."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from common.files.atomic import write_whole
from common.plot_log import Curves, draw

TEXT_COLOUR = "#7f8792"  # legible on white and on black
REAL_COLOUR, FAKE_COLOUR = "#4c9be8", "#f76707"
SPECTROGRAM_RANGE_DB = (-95.0, -15.0)
SMOOTHED_STEPS = 20


@contextlib.contextmanager
def _style(font_size: float) -> Iterator[None]:
    import matplotlib

    with matplotlib.rc_context():
        for name in ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"):
            matplotlib.rcParams[name] = TEXT_COLOUR
        matplotlib.rcParams.update({"savefig.transparent": True, "font.size": font_size, "legend.framealpha": 0.0})
        yield


def draw_clip(
    path: Path,
    wav: np.ndarray,
    sampling_rate: int,
    pitch_hz: np.ndarray | None,
    real_pitch_hz: np.ndarray | None,
    hop_length: int,
) -> None:
    """Write a PNG of the spectrogram of [T] samples and, if known, their pitch over the recording's."""
    import librosa
    from matplotlib.figure import Figure

    spectrum = np.abs(librosa.stft(wav, n_fft=1024, hop_length=256))
    # Scaled so that a sine shows its amplitude.
    decibels = 20 * np.log10(np.maximum(spectrum / 1024 * 4, 10 ** (SPECTROGRAM_RANGE_DB[0] / 20)))
    seconds = len(wav) / sampling_rate
    with_pitch = pitch_hz is not None
    with _style(12):
        figure = Figure(figsize=(6.4, 3.9 if with_pitch else 2.6), layout="constrained")
        panels = figure.subplots(
            2 if with_pitch else 1, 1, sharex=True, squeeze=False, height_ratios=[2, 1] if with_pitch else [1]
        )[:, 0]
        panels[0].imshow(
            decibels,
            origin="lower",
            aspect="auto",
            extent=(0, seconds, 0, sampling_rate / 2000),
            cmap="magma",
            vmin=SPECTROGRAM_RANGE_DB[0],
            vmax=SPECTROGRAM_RANGE_DB[1],
        )
        panels[0].set_ylabel("kHz")
        if pitch_hz is not None:
            for contour, colour, width in ((real_pitch_hz, REAL_COLOUR, 6.0), (pitch_hz, FAKE_COLOUR, 2.0)):
                if contour is not None:
                    times = np.arange(len(contour)) * hop_length / sampling_rate
                    panels[1].plot(times, np.where(contour > 0, contour, np.nan), color=colour, linewidth=width)
            panels[1].set_ylabel("pitch, Hz")
            panels[1].grid(alpha=0.25)
        panels[-1].set_xlabel("seconds")
        panels[-1].set_xlim(0, seconds)
        content = io.BytesIO()
        figure.savefig(content, dpi=110, format="png")
    write_whole(path, content.getvalue())


def draw_curves(runs: Sequence[tuple[str, Curves]], path: Path) -> None:
    """Write a PNG with the curves of training runs."""
    with _style(10):
        draw(runs, path, SMOOTHED_STEPS)
