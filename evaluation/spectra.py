"""Spectral distances between a recording and its copy, and detectors of what vocoders add: hum and buzz.

All functions take float64 waveforms [T] of one length, full scale 1.0; L frames, M mel bands, F frequency bins.
"""

from __future__ import annotations

import math

import numpy as np
import scipy.fft
import scipy.ndimage
import torch

from common.audio import MelSpectrogram
from hifigan.losses import mel_loss

FLOOR_DB = -120.0  # below anything that 16 bits can hold
# FFT size, hop and window in samples (Yamamoto, Song and Kim 2020, arXiv:1910.11480, table 1).
RESOLUTIONS = ((512, 50, 240), (1024, 120, 600), (2048, 240, 1200))
CEPSTRUM_ORDER = 24
LINE_WINDOW_SEC = 0.19  # of the hum detector: lines are 10 Hz wide
LINE_FMIN_HZ = 40.0
MOST_LINE_FRAMES = 1000  # of long files, to save memory
NO_LINE_DB = -90.0  # softer lines are not heard
PAUSE_WINDOW_SEC = 0.02
PAUSE_DB = 40.0  # pauses are this far below the loud frames of the recording
LOUD_PERCENTILE = 95
LEAST_PAUSE_FRAMES = 5


def mel_l1(real: np.ndarray, fake: np.ndarray, mel: MelSpectrogram) -> float:
    """Mean absolute difference of natural-log mels (the recipe's mel loss without its weight of 45)."""
    waves = torch.from_numpy(np.stack([real, fake])).float()
    with torch.inference_mode():
        one, other = mel(waves)
    return mel_loss(one, other).item()


def mel_cepstral_distortion(real: np.ndarray, fake: np.ndarray, mel: MelSpectrogram) -> float:
    """Mel-cepstral distortion in dB (Kubichek 1993), frame by frame: copies need no dynamic time warping."""
    waves = torch.from_numpy(np.stack([real, fake])).float()
    with torch.inference_mode():
        one, other = mel(waves).double().numpy()
    return cepstral_distance(one - other)


def cepstral_distance(difference: np.ndarray) -> float:
    """Difference of natural-log mels [M, L] -> mean over frames of the distance of cepstra, in dB.

    The cepstrum is the cosine transform of the log mel, coefficients 1 to 24: level does not count. Published figures
    rest on various cepstra, so compare within one table only.
    """
    # ln |H| = c_0 + sum of c_k cos(k w): the scale of c_k is 1 / M of SciPy's, whose sum has a factor of 2.
    cepstra = scipy.fft.dct(difference, axis=0)[1 : CEPSTRUM_ORDER + 1] / len(difference)
    return float(10 / math.log(10) * np.sqrt(2 * np.square(cepstra).sum(axis=0)).mean())


def stft_distance(real: np.ndarray, fake: np.ndarray) -> float:
    """Spectral convergence plus L1 of log magnitudes, mean over three resolutions (arXiv:1910.11480, equations 3-6)."""
    distances = []
    for size, hop, window_length in RESOLUTIONS:
        one, other = (_magnitudes(wav, size, hop, window_length) for wav in (real, fake))
        convergence = np.linalg.norm(one - other) / np.linalg.norm(one)
        distances.append(convergence + np.abs(np.log(one) - np.log(other)).mean())
    return float(np.mean(distances))


def level_difference(real: np.ndarray, fake: np.ndarray) -> float:
    """How much louder the copy is, in dB of the root mean square."""
    return level_db(fake) - level_db(real)


def level_db(wav: np.ndarray) -> float:
    """Root mean square in dB of full scale; not below -120."""
    return 20 * math.log10(max(math.sqrt(float(np.square(wav).mean())), 10 ** (FLOOR_DB / 20)))


def hum(real: np.ndarray, fake: np.ndarray, sampling_rate: int) -> tuple[float, float]:
    """The strongest spectral line that is there all the time in the copy, and not in the recording.

    Speech moves and pauses, so that the tenth percentile over time of each frequency keeps only what lasts. A line
    stands out from the median of its neighbourhood, and by 6 dB from what lasts in the recording.

    Returns:
        level in dB, 0 being a sine of amplitude 1, not below -90 (up to 2 dB too low where speech lies over the line);
        and frequency in Hz.
    """
    size = 2 ** round(math.log2(LINE_WINDOW_SEC * sampling_rate))
    there, found = _lasting(real, size), _lasting(fake, size)
    nearby = scipy.ndimage.median_filter(found, 65, mode="nearest")
    line = found - np.maximum(nearby, 4 * scipy.ndimage.maximum_filter(there, 9, mode="nearest"))
    bin_hz = sampling_rate / 2 / (len(line) - 1)
    line[: math.ceil(LINE_FMIN_HZ / bin_hz)] = 0.0
    strongest = int(line.argmax())
    return 10 * math.log10(max(line[strongest], 10 ** (NO_LINE_DB / 10))), strongest * bin_hz


def _lasting(wav: np.ndarray, size: int) -> np.ndarray:
    """[T] -> power at each frequency [F] that is exceeded nine tenths of the time; a sine has its amplitude squared."""
    wav = np.pad(wav, (0, max(0, size - len(wav))))
    window = np.hanning(size)
    step = max(size // 4, len(wav) // MOST_LINE_FRAMES)
    frames = np.lib.stride_tricks.sliding_window_view(wav, size)[::step] * window
    # Twice as many frequencies: a line between two of them is measured 0.4 dB too low at most.
    spectrum = scipy.fft.rfft(frames, 2 * size, axis=1)
    return np.quantile(np.square(np.abs(spectrum) * 2 / window.sum()), 0.1, axis=0)


def silence_buzz(real: np.ndarray, fake: np.ndarray, sampling_rate: int) -> float:
    """How much louder the copy is in the recording's pauses, in dB; NaN where there are none.

    Pauses are frames of 20 ms, 40 dB below the loud ones of the recording.
    """
    size = round(PAUSE_WINDOW_SEC * sampling_rate)
    one, other = (np.square(wav[: len(wav) // size * size]).reshape(-1, size).mean(axis=1) for wav in (real, fake))
    if not one.size:
        return math.nan
    pauses = one < np.percentile(one, LOUD_PERCENTILE) * 10 ** (-PAUSE_DB / 10)
    if pauses.sum() < LEAST_PAUSE_FRAMES:
        return math.nan
    floor = 10 ** (FLOOR_DB / 10)
    return float(10 * np.log10((other[pauses].mean() + floor) / (one[pauses].mean() + floor)))


def _magnitudes(wav: np.ndarray, size: int, hop: int, window_length: int) -> np.ndarray:
    """[T] -> [F, L]."""
    window = torch.hann_window(window_length, dtype=torch.float64)
    spectrum = torch.stft(torch.from_numpy(wav), size, hop, window_length, window, return_complex=True)
    return np.sqrt(np.square(spectrum.abs().numpy()) + 1e-7)
