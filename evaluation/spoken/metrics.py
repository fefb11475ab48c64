"""The metrics of spoken texts. To add one, add an entry to `SPOKEN_METRICS`: everything else follows it."""

from __future__ import annotations

import functools
import math
from pathlib import Path

import numpy as np

from common.recognition import whisper
from common.recognition.word_errors import WordErrors, compare_words
from evaluation.metrics import LOWER, NEAR_ONE, NEITHER, PREDICTED_MOS, HearingCue, Metric
from evaluation.spoken import delivery
from evaluation.voicing import PitchContour, track_pitch


class SpokenClip:
    """A spoken text, from which metrics compute their figures.

    Args:
        wav: float64 [T], full scale 1.0.
        sampling_rate: in Hz.
        text: what should be spoken.
        recogniser_model: folder of the recogniser's model, or None if no metric needs it.
        recorded_sec: length of the speech in the recording of the text, NaN without one.

    Attributes:
        tracked_pitch: pitch of the whole audio, None until a metric has asked for it.
    """

    def __init__(
        self, wav: np.ndarray, sampling_rate: int, text: str, recogniser_model: Path | None, recorded_sec: float
    ) -> None:
        self.wav, self.sampling_rate, self.text = wav, sampling_rate, text
        self.recorded_sec = recorded_sec
        self.tracked_pitch: PitchContour | None = None
        self._recogniser_model = recogniser_model
        self._start_sec, self._end_sec = delivery.find_speech(wav, sampling_rate)

    @property
    def speech_sec(self) -> float:
        """Seconds from the beginning to the end of the speech, with the pauses in between."""
        return self._end_sec - self._start_sec

    @functools.cached_property
    def f0_hz(self) -> np.ndarray:
        """Pitch of each frame from the beginning to the end of the speech, 0 where unvoiced."""
        hop = round(delivery.FRAME_SEC * self.sampling_rate)
        frame_sec = hop / self.sampling_rate
        track = track_pitch(self.wav, self.sampling_rate, hop).f0_hz
        self.tracked_pitch = PitchContour(track.astype(np.float32), frame_sec)
        times = np.arange(len(track)) * frame_sec
        return track[(times >= self._start_sec) & (times < self._end_sec)]

    @functools.cached_property
    def word_errors(self) -> WordErrors:
        """The text compared with what the recogniser understands. Raises ValueError if the text has no words."""
        assert self._recogniser_model is not None
        return compare_words(self.text, whisper.transcribe(self.wav, self.sampling_rate, self._recogniser_model))


# The metric whose figures come with the words of the text as "words", which weight it, and with a transcript.
WORD_ERRORS = "wer"
SPOKEN_METRICS = {
    WORD_ERRORS: Metric(
        "WER, %",
        LOWER,
        "word errors of the recogniser (substituted, missing and added words) by the words of all texts",
        lambda clip: 100 * clip.word_errors.rate,
        packages=("faster_whisper", "jiwer", "whisper_normalizer"),
        digits=1,
        beside_players=True,
        cue=HearingCue("fewer misunderstood words", "more misunderstood words", 1.0),
        weight="words",
    ),
    "rate": Metric(
        "syllables/s",
        NEITHER,
        "speaking rate without the silence at both ends: syllables of the text by seconds",
        lambda clip: delivery.count_syllables(clip.text) / clip.speech_sec if clip.speech_sec else math.nan,
        digits=2,
        beside_players=True,
        cue=HearingCue("faster speech", "slower speech", 0.3),
    ),
    "duration": Metric(
        "duration ratio",
        NEAR_ONE,
        "length of the speech by its length in the recording",
        lambda clip: clip.speech_sec / clip.recorded_sec if clip.recorded_sec else math.nan,
    ),
    "f0_mean": Metric(
        "F0, Hz",
        NEITHER,
        "mean pitch of voiced frames (pYIN, 60 to 600 Hz)",
        lambda clip: delivery.mean_hz(clip.f0_hz),
        digits=1,
        cue=HearingCue("a higher pitch", "a lower pitch", 10.0),
    ),
    "f0_std": Metric(
        "F0 deviation, Hz",
        NEITHER,
        "standard deviation of the pitch within a text: low values sound monotonous",
        lambda clip: delivery.deviation_hz(clip.f0_hz),
        digits=1,
        cue=HearingCue("a livelier melody", "a flatter melody", 5.0),
    ),
    "f0_range": Metric(
        "F0 range, Hz",
        NEITHER,
        "from the 5th to the 95th percentile of the pitch within a text",
        lambda clip: delivery.range_hz(clip.f0_hz),
        digits=1,
    ),
    "voiced": Metric(
        "voiced, %",
        NEITHER,
        "share of voiced frames in the speech, with its pauses",
        lambda clip: delivery.voiced_percent(clip.f0_hz),
        digits=1,
    ),
    "mos": PREDICTED_MOS,
}
