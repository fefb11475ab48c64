"""The metrics of resynthesised recordings. To add one, add an entry to `METRICS`: everything else follows it.

Those of spoken texts are in evaluation/spoken/metrics.py, built from the same parts.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from common.audio import AudioConfig, MelSpectrogram
from common.data.pyin import Track
from common.errors import InputError
from evaluation import perception, spectra, voicing
from evaluation.voicing import PitchContour
from hifigan.losses import MEL_WEIGHT


@dataclasses.dataclass(frozen=True)
class Direction:
    """Which values of a metric are better.

    Attributes:
        name: in results.json.
        words: in front of "is better".
        arrow: in the headings of the report.
        rank: sort key of values, the best first.
    """

    name: str
    words: str
    arrow: str
    rank: Callable[[float], float]


LOWER = Direction("lower", "lower", "↓", lambda value: value)
HIGHER = Direction("higher", "higher", "↑", lambda value: -value)
NEAR_ZERO = Direction("zero", "nearer to 0", "→0", abs)
NEAR_ONE = Direction("one", "nearer to 1", "→1", lambda value: abs(value - 1))
# Such a metric only describes the speech: its rank tells two systems apart, and none is the best.
NEITHER = Direction("neither", "neither", "", lambda value: -value)


@dataclasses.dataclass(frozen=True)
class HearingCue:
    """The audible effect of a difference in a metric.

    Attributes:
        better: what the better system has, compared with the other. With `NEITHER`: the one with higher figures.
        worse: what the other one has.
        audible: the least difference of means that is worth listening for. A rule of thumb.
    """

    better: str
    worse: str
    audible: float


class ReferenceClip:
    """A recording, with everything that measuring its resyntheses can share.

    Attributes:
        wav: float64 [T], full scale 1.0.
        sampling_rate: in Hz.
        input_mel: mel spectrogram in the bands that generators take.
        full_mel: mel spectrogram up to the Nyquist frequency.
    """

    def __init__(self, wav: np.ndarray, audio: AudioConfig) -> None:
        self.wav = wav
        self.sampling_rate = audio.sampling_rate
        self.input_mel = MelSpectrogram(audio)
        self.full_mel = MelSpectrogram(dataclasses.replace(audio, mel_fmax=None))
        self._hop_length = audio.hop_length

    @property
    def frame_sec(self) -> float:
        """Seconds from one frame of the pitch track to the next."""
        return self._hop_length / self.sampling_rate

    @functools.cached_property
    def pitch_track(self) -> Track:
        """Pitch and voicing, tracked when a metric first asks for them."""
        return self.track_pitch(self.wav)

    def track_pitch(self, wav: np.ndarray) -> Track:
        return voicing.track_pitch(wav, self.sampling_rate, self._hop_length)


class ComparedClip:
    """A recording and one resynthesis of it, from which metrics compute their figures.

    Attributes:
        reference: the recording.
        real: its samples [T].
        fake: the resynthesised samples [T].
        sampling_rate: in Hz.
    """

    def __init__(self, reference: ReferenceClip, fake: np.ndarray) -> None:
        self.reference, self.real, self.fake = reference, reference.wav, fake
        self.sampling_rate = reference.sampling_rate
        self._fake_track: Track | None = None

    @property
    def wav(self) -> np.ndarray:
        """The samples that metrics judge without the recording."""
        return self.fake

    @property
    def tracks(self) -> tuple[Track, Track]:
        """Pitch and voicing of the recording and of the resynthesis, tracked when a metric first asks for them."""
        real = self.reference.pitch_track
        if self._fake_track is None:
            self._fake_track = real if self.fake is self.real else self.reference.track_pitch(self.fake)
        return real, self._fake_track

    @property
    def tracked_pitch(self) -> PitchContour | None:
        """Pitch of the resynthesis. None if no metric has asked for it."""
        if self._fake_track is None:
            return None
        return PitchContour(self._fake_track.f0_hz.astype(np.float32), self.reference.frame_sec)


@dataclasses.dataclass(frozen=True)
class Metric:
    """A column of the tables.

    Attributes:
        title: its heading, with the unit.
        better: which values are better.
        description: one line for the legend.
        compute: the figure of a clip (NaN if it has none), from a `ComparedClip` or, for spoken texts, a `SpokenClip`.
            Raises ValueError if the clip cannot be measured. None only for `SEGMENT_METRIC`.
        packages: the optional packages that it needs (requirements-evaluation.txt).
        digits: after the decimal point.
        beside_players: show it beside the players of the report, which have room for three.
        cue: what a difference sounds like. None if another metric has the same cue.
        weight: name of the figure that weights clips in the mean. Empty: all clips count the same.
    """

    title: str
    better: Direction
    description: str
    compute: Callable[[Any], float] | None
    packages: tuple[str, ...] = ()
    digits: int = 3
    beside_players: bool = False
    cue: HearingCue | None = None
    weight: str = ""


# Of any audio: it is also a metric of spoken texts.
PREDICTED_MOS = Metric(
    "MOS, predicted",
    HIGHER,
    "opinion score predicted from the audio alone, 1 to 5",
    lambda clip: perception.opinion_score(clip.wav, clip.sampling_rate),
    packages=("distillmos",),
    digits=2,
    beside_players=True,
    cue=HearingCue("a more natural voice", "a less natural voice", 0.1),
)
# Measured when a system vocodes segments of a clip (evaluation/work.py), not on its whole resynthesis.
SEGMENT_METRIC = "val_mel_loss"
METRICS = {
    "mel_l1": Metric(
        "mel L1",
        LOWER,
        "mean difference of natural-log mels up to the Nyquist frequency, whole clips",
        lambda clip: spectra.mel_l1(clip.real, clip.fake, clip.reference.full_mel),
        digits=4,
        beside_players=True,
        cue=HearingCue("a timbre closer to the recording", "a timbre farther from the recording", 0.02),
    ),
    "mel_l1_input": Metric(
        "mel L1, input bands",
        LOWER,
        "the same in the bands that generators take",
        lambda clip: spectra.mel_l1(clip.real, clip.fake, clip.reference.input_mel),
        digits=4,
    ),
    SEGMENT_METRIC: Metric(
        "validation mel loss",
        LOWER,
        f"{MEL_WEIGHT:g} x the mel L1 of five fixed segments of 8192 samples, each vocoded alone: what training logs",
        compute=None,
    ),
    "stft": Metric(
        "STFT distance",
        LOWER,
        "spectral convergence and log-magnitude L1, mean of three resolutions",
        lambda clip: spectra.stft_distance(clip.real, clip.fake),
    ),
    "mcd": Metric(
        "MCD, dB",
        LOWER,
        "mel-cepstral distortion, frame by frame without time warping",
        lambda clip: spectra.mel_cepstral_distortion(clip.real, clip.fake, clip.reference.full_mel),
        digits=2,
    ),
    "pesq": Metric(
        "PESQ",
        HIGHER,
        "wideband PESQ at 16 kHz, up to 4.64",
        lambda clip: perception.pesq_wideband(clip.real, clip.fake, clip.sampling_rate),
        packages=("pesq",),
        digits=2,
        beside_players=True,
        cue=HearingCue("less distortion", "more distortion", 0.1),
    ),
    "stoi": Metric(
        "STOI",
        HIGHER,
        "short-time intelligibility, up to 1",
        lambda clip: perception.short_time_intelligibility(clip.real, clip.fake, clip.sampling_rate),
        packages=("pystoi",),
        digits=4,
        cue=HearingCue("clearer words", "less clear words", 0.01),
    ),
    "mos": PREDICTED_MOS,
    "f0_cents": Metric(
        "F0 RMSE, cents",
        LOWER,
        "pitch error where both are voiced (pYIN)",
        lambda clip: voicing.pitch_error_cents(*clip.tracks),
        digits=1,
        cue=HearingCue("a more accurate pitch", "a less accurate pitch", 5.0),
    ),
    "voicing_f1": Metric(
        "V/UV F1",
        HIGHER,
        "F1 of voiced and unvoiced frames (pYIN)",
        lambda clip: voicing.voicing_f1(*clip.tracks),
        digits=4,
    ),
    "periodicity": Metric(
        "periodicity RMSE",
        LOWER,
        "error of the probability of being voiced (pYIN)",
        lambda clip: voicing.periodicity_error(*clip.tracks),
        digits=4,
        cue=HearingCue("smoother vowels", "rougher vowels", 0.02),
    ),
    "hum": Metric(
        "hum, dB",
        LOWER,
        "level of the strongest lasting spectral line that the recording lacks; -90: none",
        lambda clip: spectra.hum(clip.real, clip.fake, clip.sampling_rate)[0],
        digits=1,
        cue=HearingCue("less hum", "more hum", 3.0),
    ),
    "buzz": Metric(
        "pauses, dB",
        NEAR_ZERO,
        "how much louder the resynthesis is in the recording's pauses",
        lambda clip: spectra.silence_buzz(clip.real, clip.fake, clip.sampling_rate),
        digits=2,
        cue=HearingCue("pauses more like the recording's", "pauses less like the recording's", 1.0),
    ),
    "level": Metric(
        "level, dB",
        NEAR_ZERO,
        "how much louder the resynthesis is",
        lambda clip: spectra.level_difference(clip.real, clip.fake),
        digits=2,
        cue=HearingCue("a loudness closer to the recording", "a loudness farther from the recording", 1.0),
    ),
}


def choose_metrics(wanted: Sequence[str], metrics: Mapping[str, Metric] = METRICS) -> tuple[list[str], dict[str, str]]:
    """Return the names of the metrics to measure, and the reason for each that is skipped.

    Args:
        wanted: names, or empty for all whose packages can be used.
        metrics: the metrics to choose from, by name.

    Raises:
        InputError: an unknown name, or a metric requested by name needs a package that cannot be used.
    """
    if unknown := [name for name in wanted if name not in metrics]:
        raise InputError(f"--metrics: {unknown[0]} is none of {' '.join(metrics)}")
    chosen, skipped = [], {}
    for name, metric in metrics.items():
        if wanted and name not in wanted:
            continue
        if reason := next(filter(None, map(perception.why_not, metric.packages)), None):
            if wanted:
                raise InputError(f"--metrics {name}: {reason}")
            skipped[name] = reason
        else:
            chosen.append(name)
    return chosen, skipped


def measure_clip(
    reference: ReferenceClip, fake: np.ndarray, names: Collection[str]
) -> tuple[dict[str, float], list[str], PitchContour | None]:
    """Measure one resynthesis of a recording.

    Args:
        reference: the recording.
        fake: the resynthesis [T], full scale 1.0.
        names: keys of `METRICS`. `SEGMENT_METRIC` is ignored.

    Returns:
        figures by metric (NaN where there is none), remarks on metrics that could not be measured, and the pitch if a
        metric has tracked it.
    """
    clip = ComparedClip(reference, fake)
    figures, remarks = compute_figures(clip, names, METRICS)
    return figures, remarks, clip.tracked_pitch


def compute_figures(
    clip: Any, names: Collection[str], metrics: Mapping[str, Metric]
) -> tuple[dict[str, float], list[str]]:
    """Return the figures of a clip by metric (NaN where there is none), and remarks on those that failed."""
    figures, remarks = {}, []
    for name in names:
        compute = metrics[name].compute
        if compute is None:
            continue
        try:
            figures[name] = compute(clip)
        except ValueError as error:
            figures[name] = math.nan
            remarks.append(f"{name}: {error}")
    return figures, remarks
