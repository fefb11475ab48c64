"""Rules that derive a plan from sampling rate and hop: rates, kernels, window, FFT, mel bands, segment."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from common.audio_config import AudioConfig
from common.errors import InputError
from hifigan.config import PRESETS

PUBLISHED = AudioConfig()  # 22,050 Hz
PUBLISHED_SEGMENT_SAMPLES = 8192  # at 22,050 Hz
PUBLISHED_LARGEST_RATE = 8
LARGEST_RATE = 10
HOP_LIMITS_SEC = (0.004, 0.025)  # shorter hops waste work, longer ones miss sounds
OTHER_HOPS_SEC = (0.008, 0.010, 0.012, 0.0125, 0.016)  # usual in other software
SEGMENT_STEP_FRAMES = 8  # rows of 16 bytes in half precision
MAX_NYQUIST_SHARE = 0.95  # above it, a recording's own low-pass filter leaves nothing


def default_hop(sampling_rate: int) -> int:
    """Return about 11.6 ms, as published: a power of two within 10 % of it, else the nearest hop with only even rates.

    It does not depend on the generator, so that V1, V2, and V3 of one sampling rate take the same mels. With a power of
    two, the window of four hops fills the FFT, and at 24 kHz the generator is the published one, so that training can
    start from its weights.
    """
    wanted = PUBLISHED.hop_length * sampling_rate / PUBLISHED.sampling_rate
    power = 2 ** round(math.log2(wanted))
    if abs(power / wanted - 1) <= 0.1:
        return power
    hops = [hop for hop in range(2, 2 * int(wanted)) if any(map(_are_even, factorisations(hop, 4)))]
    return min(hops, key=lambda hop: abs(hop - wanted))


def _are_even(rates: Sequence[int]) -> bool:
    return all(rate % 2 == 0 and rate <= PUBLISHED_LARGEST_RATE for rate in rates)


def factorisations(number: int, count: int, largest: int = LARGEST_RATE) -> Iterator[tuple[int, ...]]:
    """Yield all ways to write `number` as a product of `count` factors from 2 to `largest`, in descending order."""
    if count == 0:
        if number == 1:
            yield ()
        return
    for first in range(largest, 1, -1):
        if number % first == 0:
            for rest in factorisations(number // first, count - 1, first):
                yield (first, *rest)


def upsample_rates(hop: int, stages: int) -> tuple[int, ...] | None:
    """Return rates whose product is `hop`, in `stages` steps, else in one more or one less, or None.

    Like the published 8, 8, 2, 2 and 8, 8, 4, they avoid rates above 8 (10 is the maximum), have few odd rates (whose
    kernels are larger), and upsample early, while the signal is short.
    """
    for count in (stages, stages + 1, stages - 1):
        if found := list(factorisations(hop, count)):
            return min(found, key=_unlike_published)
    return None


def _unlike_published(rates: Sequence[int]) -> tuple[int, int, list[int]]:
    too_large = sum(rate > PUBLISHED_LARGEST_RATE for rate in rates)
    return too_large, sum(rate % 2 for rate in rates), [-rate for rate in rates]


def require_rates(hop: int, sampling_rate: int, like: str) -> tuple[int, ...]:
    """Return `upsample_rates` of a hop for a published generator.

    Raises:
        InputError: the hop is out of range, or has no such rates. The message names the nearest hops that have.
    """
    shortest, longest = math.ceil(HOP_LIMITS_SEC[0] * sampling_rate), math.floor(HOP_LIMITS_SEC[1] * sampling_rate)
    if not shortest <= hop <= longest:
        raise InputError(
            f"--hop-length: {hop} is {1000 * hop / sampling_rate:.1f} ms at {sampling_rate} Hz; "
            f"give {shortest} to {longest} ({1000 * HOP_LIMITS_SEC[0]:g} to {1000 * HOP_LIMITS_SEC[1]:g} ms)"
        )
    stages = len(PRESETS[like].upsample_rates)
    rates = upsample_rates(hop, stages)
    if rates is None:
        below = (near for near in range(hop - 1, shortest - 1, -1) if upsample_rates(near, stages))
        above = (near for near in range(hop + 1, longest + 1) if upsample_rates(near, stages))
        nearest = " and ".join(str(near) for near in (next(below, None), next(above, None)) if near)
        raise InputError(
            f"--hop-length: {hop} is not a product of {stages - 1} to {stages + 1} rates from 2 to {LARGEST_RATE}; "
            f"the nearest that are: {nearest}"
        )
    return rates


def kernel_size(rate: int) -> int:
    """Return the kernel of a transposed convolution: twice an even rate, as published, and three times an odd one.

    With padding (kernel - rate) / 2, a transposed convolution turns T samples into exactly rate x T, which requires an
    even kernel - rate. If the kernel is a multiple of the rate, each output sample sums the same number of taps. With
    other kernels, such as 2 x rate + 1, some samples get an extra tap, which is heard as a tone ("checkerboard", Odena
    et al. 2016). Twice an odd rate would leave kernel - rate odd, so it is three times.
    """
    return (3 if rate % 2 else 2) * rate


def default_win(sampling_rate: int, hop: int) -> int:
    """Return a window of about 46.4 ms, as published: at least four whole hops, and odd for an odd hop."""
    wanted = PUBLISHED.win_length * sampling_rate / PUBLISHED.sampling_rate
    hops = max(4, round(wanted / hop))
    return hop * (hops | (hop % 2))


def default_filter(win: int, hop: int) -> int:
    """Return the smallest power of two that holds the window, or for an odd hop the smallest odd number of hops.

    The reflection on each side, (filter - hop) / 2, must be an integer.
    """
    if hop % 2 == 0:
        return 1 << (win - 1).bit_length()
    return hop * (-(-win // hop) | 1)


def default_fmax(sampling_rate: int) -> float:
    """Return the highest frequency of the input mel in Hz: the published share of the bandwidth, from 8 to 16 kHz.

    Speech is intelligible from 8 kHz on, and has almost no energy above 16 kHz. At sampling rates up to 16 kHz, it is
    95 % of the Nyquist frequency.
    """
    assert PUBLISHED.mel_fmax is not None
    share = PUBLISHED.mel_fmax * sampling_rate / PUBLISHED.sampling_rate // 1000 * 1000
    return min(max(8000.0, min(16000.0, share)), MAX_NYQUIST_SHARE * sampling_rate / 2)


def default_num_mels(fmin_hz: float, fmax_hz: float) -> int:
    """Return a multiple of ten with about the published number of bands per mel (80 from 0 to 8000 Hz)."""
    from common.audio import hz_to_mel  # imports PyTorch, which --help does not need

    bands_per_mel = PUBLISHED.num_mels / (hz_to_mel(PUBLISHED.fmax_hz) - hz_to_mel(PUBLISHED.mel_fmin))
    return max(10, 10 * round(bands_per_mel * (hz_to_mel(fmax_hz) - hz_to_mel(fmin_hz)) / 10))


def default_segment(sampling_rate: int, hop: int, padding: int) -> int:
    """Return about 0.37 s, as published, as a multiple of eight frames that is longer than the reflection `padding`."""
    step = SEGMENT_STEP_FRAMES * hop
    wanted = PUBLISHED_SEGMENT_SAMPLES * sampling_rate / PUBLISHED.sampling_rate
    return step * max(1, round(wanted / step), padding // step + 1)


def other_hops(sampling_rate: int, like: str, chosen: int) -> dict[int, tuple[int, ...]]:
    """Return the even hops nearest to those usual elsewhere, except `chosen`, and their rates."""
    stages = len(PRESETS[like].upsample_rates)
    shortest, longest = (int(limit * sampling_rate) for limit in HOP_LIMITS_SEC)
    possible = {hop: upsample_rates(hop, stages) for hop in range(shortest, longest + 1) if hop % 2 == 0}
    working = {hop: rates for hop, rates in possible.items() if rates}
    nearest = {min(working, key=lambda hop: abs(hop - sec * sampling_rate)) for sec in OTHER_HOPS_SEC}
    return {hop: working[hop] for hop in sorted(nearest - {chosen})}
