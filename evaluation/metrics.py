"""The columns of an evaluation: what they are called, which direction is better, and how they are measured."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Sequence

import numpy as np

from common.audio import AudioConfig, MelSpectrogram
from common.data.pyin import Track
from common.errors import InputError
from evaluation import perception, spectra, voicing


@dataclasses.dataclass(frozen=True)
class Metric:
    """A column.

    Attributes:
        title: with its unit.
        better: "lower", "higher", "zero" (nearest to it), or "" where neither is.
        says: what it is, in one line.
        package: that it needs beyond requirements.txt.
        digits: after the decimal point.
    """

    title: str
    better: str
    says: str
    package: str = ""
    digits: int = 3


METRICS = {
    "mel_l1": Metric(
        "mel L1", "lower", "mean difference of natural-log mels up to the Nyquist frequency, whole clips", digits=4
    ),
    "mel_l1_input": Metric("mel L1, input bands", "lower", "the same in the bands that generators take", digits=4),
    "val_mel_loss": Metric(
        "validation mel loss",
        "lower",
        "45 x the mel L1 of five fixed segments of 8192 samples, each vocoded alone: what training logs",
    ),
    "stft": Metric("STFT distance", "lower", "spectral convergence and log-magnitude L1, mean of three resolutions"),
    "mcd": Metric("MCD, dB", "lower", "mel-cepstral distortion, frames aligned as they are", digits=2),
    "pesq": Metric("PESQ", "higher", "wideband PESQ at 16 kHz, up to 4.64", "pesq", 2),
    "stoi": Metric("STOI", "higher", "short-time intelligibility, up to 1", "pystoi", 4),
    "mos": Metric("MOS, predicted", "higher", "opinion score from the copy alone, 1 to 5", "distillmos", 2),
    "f0_cents": Metric("F0 RMSE, cents", "lower", "pitch error where both are voiced (pYIN)", digits=1),
    "voicing_f1": Metric("V/UV F1", "higher", "F1 of voiced and unvoiced frames (pYIN)", digits=4),
    "periodicity": Metric("periodicity RMSE", "lower", "error of the probability of being voiced (pYIN)", digits=4),
    "hum": Metric(
        "hum, dB", "lower", "level of the strongest lasting spectral line that the recording lacks; -90: none", digits=1
    ),
    "buzz": Metric("pauses, dB", "zero", "how much louder the copy is in the recording's pauses", digits=2),
    "level": Metric("level, dB", "zero", "how much louder the copy is", digits=2),
}
SEGMENT_METRIC = "val_mel_loss"  # of segments that are vocoded, so not measured on whole copies
VOICING = ("f0_cents", "voicing_f1", "periodicity")


def choose(wanted: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The columns to measure, and those left out with the reason.

    Args:
        wanted: names; empty is all that can be had.

    Raises:
        InputError: a column that was asked for by name needs a package that cannot be used.
    """
    chosen, left_out = [], {}
    for name in METRICS:
        if wanted and name not in wanted:
            continue
        package = METRICS[name].package
        if package and (reason := perception.why_not(package)):
            if wanted:
                raise InputError(f"--metrics {name}: {reason}")
            left_out[name] = reason
        else:
            chosen.append(name)
    return chosen, left_out


class Meter:
    """Measures copies of one recording.

    Args:
        real: [T], full scale 1.0.
        audio: the signal contract of the generators.
        names: keys of `METRICS`.
    """

    def __init__(self, real: np.ndarray, audio: AudioConfig, names: Collection[str]) -> None:
        self.real = real
        self.audio = audio
        self.mel = MelSpectrogram(audio)
        self.loss_mel = MelSpectrogram(dataclasses.replace(audio, mel_fmax=None))
        self.names = names
        self._contour: Track | None = None

    def measure(self, fake: np.ndarray) -> tuple[dict[str, float], list[str], np.ndarray | None]:
        """The figures of a copy [T] (NaN where there is none), remarks on those that could not be measured, and the
        pitch of each frame in Hz, 0 where unvoiced, if it is needed for them."""
        values, remarks = {}, []
        contour = self.contour_of(fake) if set(VOICING) & set(self.names) else None
        for name in self.names:
            if name == SEGMENT_METRIC:
                continue
            try:
                values[name] = self._figure(name, fake, contour)
            except ValueError as error:
                values[name] = math.nan
                remarks.append(f"{name}: {error}")
        return values, remarks, None if contour is None else contour.f0_hz.astype(np.float32)

    def contour_of(self, wav: np.ndarray) -> Track:
        """Pitch and voicing; that of the recording is found once."""
        if wav is not self.real:
            return voicing.track_pitch(wav, self.audio.sampling_rate, self.audio.hop_length)
        if self._contour is None:
            self._contour = voicing.track_pitch(wav, self.audio.sampling_rate, self.audio.hop_length)
        return self._contour

    def _figure(self, name: str, fake: np.ndarray, contour: Track | None) -> float:
        real, rate = self.real, self.audio.sampling_rate
        if contour is not None and name in VOICING:
            compare = dict(
                zip(VOICING, (voicing.pitch_error_cents, voicing.voicing_f1, voicing.periodicity_error), strict=True)
            )
            return compare[name](self.contour_of(real), contour)
        figures = {
            "mel_l1": lambda: spectra.mel_l1(real, fake, self.loss_mel),
            "mel_l1_input": lambda: spectra.mel_l1(real, fake, self.mel),
            "stft": lambda: spectra.stft_distance(real, fake),
            "mcd": lambda: spectra.mel_cepstral_distortion(real, fake, self.loss_mel),
            "pesq": lambda: perception.pesq_wideband(real, fake, rate),
            "stoi": lambda: perception.short_time_intelligibility(real, fake, rate),
            "mos": lambda: perception.opinion_score(fake, rate),
            "hum": lambda: spectra.hum(real, fake, rate)[0],
            "buzz": lambda: spectra.silence_buzz(real, fake, rate),
            "level": lambda: spectra.level_difference(real, fake),
        }
        return figures[name]()
