"""What a sampling rate, or a hop, leads to: rates and kernels, window, FFT, mel bands, segment; see `plan`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from common.audio import AudioConfig, hz_to_mel
from common.errors import InputError
from hifigan.config import PRESETS

PUBLISHED = AudioConfig()  # 22,050 Hz
PUBLISHED_SEGMENT = 8192  # samples at 22,050 Hz
PUBLISHED_LARGEST_RATE = 8
LARGEST_RATE = 10
HOPS_SEC = (0.004, 0.025)  # in a longer hop sounds go unseen, a shorter one is mostly work
OTHER_HOPS_SEC = (0.008, 0.010, 0.012, 0.0125, 0.016)  # usual in other software
SEGMENT_STEP_FRAMES = 8  # rows of 16 bytes in half precision
NYQUIST_MARGIN = 0.95  # above this share, a recording's own low-pass filter has left nothing


def default_hop(sampling_rate: int) -> int:
    """About 11.6 ms, as published: a power of two within a tenth of it, else the nearest whose rates are all even.

    It does not depend on the generator, so that V1, V2 and V3 of one rate take the same mels. With a power of two the
    window of four hops fills the FFT, and at 24 kHz the generator is the published one, whose weights can be a start.
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
    """All ways to write `number` as a product of `count` factors from 2 to `largest`, each with its largest first."""
    if count == 0:
        if number == 1:
            yield ()
        return
    for first in range(largest, 1, -1):
        if number % first == 0:
            for rest in factorisations(number // first, count - 1, first):
                yield (first, *rest)


def upsample_rates(hop: int, stages: int) -> tuple[int, ...] | None:
    """Rates that multiply to `hop`, in `stages` steps or else in one more or one less; None where there are none.

    Like the published 8, 8, 2, 2 and 8, 8, 4: none above 8 if it can be (10 at most), as few odd ones as can be (their
    kernels are larger), and as much as possible early, while the signal is short.
    """
    for count in (stages, stages + 1, stages - 1):
        if found := list(factorisations(hop, count)):
            return min(found, key=_unlike_published)
    return None


def _unlike_published(rates: Sequence[int]) -> tuple[int, int, list[int]]:
    too_large = sum(rate > PUBLISHED_LARGEST_RATE for rate in rates)
    return too_large, sum(rate % 2 for rate in rates), [-rate for rate in rates]


def settled_rates(hop: int, sampling_rate: int, like: str) -> tuple[int, ...]:
    """`upsample_rates` of a hop for a published generator.

    Raises:
        InputError: not a sensible hop, or one without such rates; the message names those that are near.
    """
    shortest, longest = math.ceil(HOPS_SEC[0] * sampling_rate), math.floor(HOPS_SEC[1] * sampling_rate)
    if not shortest <= hop <= longest:
        raise InputError(
            f"--hop-length: {hop} is {1000 * hop / sampling_rate:.1f} ms at {sampling_rate} Hz; "
            f"give {shortest} to {longest} ({1000 * HOPS_SEC[0]:g} to {1000 * HOPS_SEC[1]:g} ms)"
        )
    stages = len(PRESETS[like].upsample_rates)
    rates = upsample_rates(hop, stages)
    if rates is None:
        below = (near for near in range(hop - 1, shortest - 1, -1) if upsample_rates(near, stages))
        above = (near for near in range(hop + 1, longest + 1) if upsample_rates(near, stages))
        nearest = " and ".join(str(near) for near in (next(below, None), next(above, None)) if near)
        raise InputError(
            f"--hop-length: {hop} is no product of {stages - 1} to {stages + 1} rates from 2 to {LARGEST_RATE}; "
            f"the nearest that are: {nearest}"
        )
    return rates


def kernel_size(rate: int) -> int:
    """Kernel of the transposed convolution of a rate: twice an even rate, as published, and three times an odd one.

    A transposed convolution with padding (kernel - rate) / 2 makes exactly rate x T samples of T, for which
    kernel - rate must be even. With a multiple of the rate each of them is the sum of equally many taps; with one that
    is not, such as 2 x rate + 1, some get a tap more than others, which is heard as a tone ("checkerboard", Odena et
    al. 2016). Twice an odd rate is no choice, so it is three times.
    """
    return (3 if rate % 2 else 2) * rate


def default_win(sampling_rate: int, hop: int) -> int:
    """Window of about 46.4 ms, as published, in whole hops, of which it takes at least four; odd for an odd hop."""
    wanted = PUBLISHED.win_length * sampling_rate / PUBLISHED.sampling_rate
    hops = max(4, round(wanted / hop))
    return hop * (hops | (hop % 2))


def default_filter(win: int, hop: int) -> int:
    """The power of two that holds the window; for an odd hop the odd number of hops that does.

    The reflection on each side, (filter - hop) / 2, has to be whole.
    """
    if hop % 2 == 0:
        return 1 << (win - 1).bit_length()
    return hop * (-(-win // hop) | 1)


def default_fmax(sampling_rate: int) -> float:
    """Highest frequency of the input mel in Hz: the published share of the bandwidth, from 8 to 16 kHz.

    8 kHz hold what speech is understood by, and above 16 kHz it has next to nothing. At 16 kHz and below, 95 % of the
    Nyquist frequency.
    """
    assert PUBLISHED.mel_fmax is not None
    share = PUBLISHED.mel_fmax * sampling_rate / PUBLISHED.sampling_rate // 1000 * 1000
    return min(max(8000.0, min(16000.0, share)), NYQUIST_MARGIN * sampling_rate / 2)


def default_num_mels(fmin_hz: float, fmax_hz: float) -> int:
    """As many bands per mel as published (80 from 0 to 8000 Hz), in tens."""
    bands_per_mel = PUBLISHED.num_mels / (hz_to_mel(PUBLISHED.fmax_hz) - hz_to_mel(PUBLISHED.mel_fmin))
    return max(10, 10 * round(bands_per_mel * (hz_to_mel(fmax_hz) - hz_to_mel(fmin_hz)) / 10))


def default_segment(sampling_rate: int, hop: int, padding: int) -> int:
    """About 0.37 s, as published, in steps of eight frames, and longer than the reflection `padding`."""
    step = SEGMENT_STEP_FRAMES * hop
    wanted = PUBLISHED_SEGMENT * sampling_rate / PUBLISHED.sampling_rate
    return step * max(1, round(wanted / step), padding // step + 1)


def other_hops(sampling_rate: int, like: str, chosen: int) -> dict[int, tuple[int, ...]]:
    """Hops near those that are usual elsewhere, without `chosen`, and their rates; even ones only."""
    stages = len(PRESETS[like].upsample_rates)
    shortest, longest = (int(limit * sampling_rate) for limit in HOPS_SEC)
    possible = {hop: upsample_rates(hop, stages) for hop in range(shortest, longest + 1) if hop % 2 == 0}
    working = {hop: rates for hop, rates in possible.items() if rates}
    nearest = {min(working, key=lambda hop: abs(hop - sec * sampling_rate)) for sec in OTHER_HOPS_SEC}
    return {hop: working[hop] for hop in sorted(nearest - {chosen})}
