"""Spectral distances between a recording and its resynthesis, and detectors of two vocoder artefacts, hum and buzz.

All functions take float64 waveforms [T] of equal length, full scale 1.0. L frames, M mel bands, F frequency bins.
"""

from __future__ import annotations

import math

import numpy as np
import scipy.fft
import scipy.ndimage
import torch

from common.audio import MelSpectrogram
from hifigan.losses import mel_loss

FLOOR_DB = -120.0  # below the quantisation noise of 16 bits
# FFT size, hop and window in samples (Yamamoto, Song and Kim 2020, arXiv:1910.11480, table 1).
RESOLUTIONS = ((512, 50, 240), (1024, 120, 600), (2048, 240, 1200))
CEPSTRUM_ORDER = 24
LINE_WINDOW_SEC = 0.19  # of the hum detector, which gives lines a width of 10 Hz
LINE_FMIN_HZ = 40.0
MAX_LINE_FRAMES = 1000  # bounds the memory for long files
NO_LINE_DB = -90.0  # softer lines are inaudible
PAUSE_WINDOW_SEC = 0.02
PAUSE_BELOW_LOUD_DB = 40.0  # distance of pauses from the loud frames of the recording
LOUD_FRAME_PERCENTILE = 95
MIN_PAUSE_FRAMES = 5


def mel_l1(real: np.ndarray, fake: np.ndarray, mel: MelSpectrogram) -> float:
    """Return the mean absolute difference of natural-log mels: like the mel loss of training, without its weight."""
    waves = torch.from_numpy(np.stack([real, fake])).float()
    with torch.inference_mode():
        one, other = mel(waves)
    return mel_loss(one, other).item()


def mel_cepstral_distortion(real: np.ndarray, fake: np.ndarray, mel: MelSpectrogram) -> float:
    """Return mel-cepstral distortion in dB (Kubichek 1993), frame by frame: resynthesis needs no time warping."""
    waves = torch.from_numpy(np.stack([real, fake])).float()
    with torch.inference_mode():
        one, other = mel(waves).double().numpy()
    return cepstral_distance(one - other)


def cepstral_distance(difference: np.ndarray) -> float:
    """Return the mean cepstral distance in dB from a difference of natural-log mels [M, L].

    The cepstrum is the cosine transform of the log mel, coefficients 1 to 24, so that level does not count. Published
    figures use various cepstra: compare within one table only.
    """
    # ln |H| = c_0 + sum of c_k cos(k w). SciPy's sum has a factor of 2, so its coefficients are M times c_k.
    cepstra = scipy.fft.dct(difference, axis=0)[1 : CEPSTRUM_ORDER + 1] / len(difference)
    return float(10 / math.log(10) * np.sqrt(2 * np.square(cepstra).sum(axis=0)).mean())


def stft_distance(real: np.ndarray, fake: np.ndarray) -> float:
    """Return spectral convergence plus log-magnitude L1, mean of three resolutions (arXiv:1910.11480, eq. 3-6)."""
    distances = []
    for size, hop, window_length in RESOLUTIONS:
        one, other = (_magnitudes(wav, size, hop, window_length) for wav in (real, fake))
        convergence = np.linalg.norm(one - other) / np.linalg.norm(one)
        distances.append(convergence + np.abs(np.log(one) - np.log(other)).mean())
    return float(np.mean(distances))


def level_difference(real: np.ndarray, fake: np.ndarray) -> float:
    """Return how much louder the resynthesis is, in dB of the root mean square."""
    return level_db(fake) - level_db(real)


def level_db(wav: np.ndarray) -> float:
    """Return the root mean square in dB relative to full scale, at least -120."""
    return 20 * math.log10(max(math.sqrt(float(np.square(wav).mean())), 10 ** (FLOOR_DB / 20)))


def hum(real: np.ndarray, fake: np.ndarray, sampling_rate: int) -> tuple[float, float]:
    """Find the strongest spectral line that lasts throughout the resynthesis but not the recording.

    Speech moves and pauses, so the tenth percentile over time at each frequency contains only lasting sounds. A line
    has to exceed the median of its neighbourhood, and the lasting sounds of the recording by 6 dB.

    Returns:
        its level in dB, at least -90, where 0 is a sine of amplitude 1 (up to 2 dB too low where speech overlaps the
        line), and its frequency in Hz.
    """
    size = 2 ** round(math.log2(LINE_WINDOW_SEC * sampling_rate))
    real_power, fake_power = _lasting_power(real, size), _lasting_power(fake, size)
    nearby = scipy.ndimage.median_filter(fake_power, 65, mode="nearest")
    line = fake_power - np.maximum(nearby, 4 * scipy.ndimage.maximum_filter(real_power, 9, mode="nearest"))
    bin_hz = sampling_rate / 2 / (len(line) - 1)
    line[: math.ceil(LINE_FMIN_HZ / bin_hz)] = 0.0
    strongest = int(line.argmax())
    return 10 * math.log10(max(line[strongest], 10 ** (NO_LINE_DB / 10))), strongest * bin_hz


def _lasting_power(wav: np.ndarray, size: int) -> np.ndarray:
    """Return the power [F] that each frequency exceeds 90 % of the time. A sine has the square of its amplitude."""
    wav = np.pad(wav, (0, max(0, size - len(wav))))
    window = np.hanning(size)
    step = max(size // 4, len(wav) // MAX_LINE_FRAMES)
    frames = np.lib.stride_tricks.sliding_window_view(wav, size)[::step] * window
    # Zero-padding doubles the frequencies: a line between two of them is measured at most 0.4 dB too low.
    spectrum = scipy.fft.rfft(frames, 2 * size, axis=1)
    return np.quantile(np.square(np.abs(spectrum) * 2 / window.sum()), 0.1, axis=0)


def silence_buzz(real: np.ndarray, fake: np.ndarray, sampling_rate: int) -> float:
    """Return how much louder the resynthesis is in the recording's pauses, in dB, or NaN without pauses.

    Pauses are frames of 20 ms that are 40 dB below the recording's loud frames.
    """
    size = round(PAUSE_WINDOW_SEC * sampling_rate)
    one, other = (np.square(wav[: len(wav) // size * size]).reshape(-1, size).mean(axis=1) for wav in (real, fake))
    if not one.size:
        return math.nan
    pauses = one < np.percentile(one, LOUD_FRAME_PERCENTILE) * 10 ** (-PAUSE_BELOW_LOUD_DB / 10)
    if pauses.sum() < MIN_PAUSE_FRAMES:
        return math.nan
    floor = 10 ** (FLOOR_DB / 10)
    return float(10 * np.log10((other[pauses].mean() + floor) / (one[pauses].mean() + floor)))


def _magnitudes(wav: np.ndarray, size: int, hop: int, window_length: int) -> np.ndarray:
    """Return magnitudes [F, L] of [T] samples."""
    window = torch.hann_window(window_length, dtype=torch.float64)
    spectrum = torch.stft(torch.from_numpy(wav), size, hop, window_length, window, return_complex=True)
    return np.sqrt(np.square(spectrum.abs().numpy()) + 1e-7)
