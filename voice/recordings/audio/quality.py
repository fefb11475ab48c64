"""Technical quality of a recording, in figures and in advice."""

from __future__ import annotations

import dataclasses
from typing import Any

LOW_RATE_HZ = 16_000
DULL_BELOW_HZ = 7_000  # the highest band of the mels ends at 8000 Hz
NOISY_BELOW_DB = 25.0
VERY_NOISY_BELOW_DB = 15.0
CLIPPED_SHARE = 1e-4  # of the samples of speech
QUIET_BELOW_LUFS = -45.0  # rounding to 16 bits is heard after such a gain
DC_ABOVE = 0.01
LITTLE_SPEECH = 0.15  # of a recording; pauses of dictation take less than half


@dataclasses.dataclass(frozen=True)
class RecordingQuality:
    """Measurements of one recording.

    Attributes:
        seconds: its length.
        sampling_rate: of the file, in Hz.
        channels: number of channels in the file.
        codec: kind of file, as its decoder names it.
        channel_choice: which channel is used, "" for a mono file.
        dc_offset: mean of the samples, which is removed. Full scale is 1.
        clipped_share: share of samples at full scale, in runs of at least two.
        bandwidth_hz: frequency above which the recording holds no sound.
        speech_sec: seconds of speech. 0 before speech was searched, also in the following.
        loudness_lufs: loudness of the speech in the file.
        gain_db: gain of the clips.
        snr_db: level of speech above the noise in pauses. None without pauses.
        noise_dbfs: level of this noise in the file.
    """

    seconds: float
    sampling_rate: int
    channels: int
    codec: str
    channel_choice: str
    dc_offset: float
    clipped_share: float
    bandwidth_hz: float
    speech_sec: float = 0.0
    loudness_lufs: float = 0.0
    gain_db: float = 0.0
    snr_db: float | None = None
    noise_dbfs: float | None = None

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def remarks(self) -> list[str]:
        """Describe each weakness in one sentence, with advice."""
        found = []
        if self.sampling_rate < LOW_RATE_HZ:
            found.append(
                f"recorded at {self.sampling_rate} Hz, as in telephony: the voice will sound dull; record at 44100 Hz"
            )
        elif self.bandwidth_hz < DULL_BELOW_HZ:
            found.append(
                f"no sound above {self.bandwidth_hz / 1000:.1f} kHz, as after a telephone or a low bit rate: the voice "
                "will sound dull; use the original file, or record again"
            )
        if self.clipped_share > CLIPPED_SHARE:
            found.append(f"{self.clipped_share:.2%} of the samples are clipped: record at a lower level")
        if self.snr_db is not None and self.snr_db < NOISY_BELOW_DB:
            degree = "very noisy" if self.snr_db < VERY_NOISY_BELOW_DB else "noisy"
            found.append(
                f"{degree}: speech is {self.snr_db:.0f} dB above the noise, and the voice will learn the noise; record "
                "in a quieter room or nearer to the microphone"
            )
        if self.speech_sec and self.loudness_lufs < QUIET_BELOW_LUFS:
            found.append(f"very quiet ({self.loudness_lufs:.0f} LUFS): record at a higher level")
        if 0 < self.speech_sec < LITTLE_SPEECH * self.seconds:
            found.append(
                f"speech in only {self.speech_sec:.0f} of {self.seconds:.0f} s: music or noise? listen to its clips"
            )
        if abs(self.dc_offset) > DC_ABOVE:
            found.append(f"its mean is {self.dc_offset:.3f} instead of 0 (removed): check the sound card")
        return found
