"""Plan a generator and its signal settings for any sampling rate: `python -m hifigan.plan --sampling-rate 24000`.

All values are scaled from the published ones for 22,050 Hz and a hop of 256 (paper section 2.2 and appendix A.1). For
that rate and hop, the plan equals the published configuration.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from common.audio_config import AudioConfig
from common.cli import ArgumentParser, add_flags, flag, from_flags, run
from common.errors import InputError
from common.files.atomic import write_whole
from hifigan.config import PRESETS, GeneratorConfig
from hifigan.plan.rules import (
    PUBLISHED,
    default_filter,
    default_fmax,
    default_hop,
    default_num_mels,
    default_segment,
    default_win,
    kernel_size,
    other_hops,
    require_rates,
)
from hifigan.training.flags import VocoderDataConfig, VocoderOptimConfig, VocoderRunConfig, VocoderTrainConfig

log = logging.getLogger(__name__)

SAMPLING_RATE_LIMITS_HZ = (8000, 192000)  # range of the rules
MIN_JUDGED_SAMPLES = 11 * 3**4  # largest period x strides: one step of that discriminator's last layers


@dataclasses.dataclass(frozen=True)
class Request:
    """Input of a plan. None lets the planner choose a value."""

    sampling_rate: int = flag(0, "sampling rate of the recordings in Hz", required=True)
    like: str = flag("v1", "published generator to scale", choices=tuple(PRESETS))
    hop_length: int | None = flag(None, "samples from one mel frame to the next, instead of about 11.6 ms")
    filter_length: int | None = flag(None, "FFT size in samples, instead of the power of two that holds the window")
    win_length: int | None = flag(None, "window in samples, instead of about 46 ms")
    num_mels: int | None = flag(None, "mel bands, instead of the published number per mel")
    mel_fmin: float = flag(PUBLISHED.mel_fmin, "lowest mel frequency in Hz")
    mel_fmax: float | None = flag(None, "highest mel frequency of the generator's input in Hz, instead of by the rate")
    segment_size: int | None = flag(None, "samples in one training segment, instead of about 0.37 s")
    output: str = flag("", "JSON file to write; by default the plan is only printed", short=("-o",), metavar="PATH")

    def __post_init__(self) -> None:
        lowest, highest = SAMPLING_RATE_LIMITS_HZ
        if not lowest <= self.sampling_rate <= highest:
            raise InputError(f"--sampling-rate: {self.sampling_rate}; give {lowest} to {highest} Hz")


@dataclasses.dataclass(frozen=True)
class Plan:
    """A generator, its audio settings, and the reasons for them.

    Attributes:
        generator: a preset with rates and kernels for the hop.
        audio: settings of the generator's mels.
        segment_size: samples in one training segment.
        reasons: one short line per key of `to_dict`.
        remarks: possible drawbacks compared with the published configuration.

    Raises:
        InputError: `train.py` would refuse these settings, or a mel band contains no FFT bin.
    """

    generator: GeneratorConfig
    audio: AudioConfig
    segment_size: int
    reasons: dict[str, str]
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        lists = VocoderDataConfig(training_files=("any",), validation_files=("any",), segment_size=self.segment_size)
        VocoderTrainConfig(VocoderRunConfig(), VocoderOptimConfig(), lists, self.audio, self.generator)
        check_bands(self.audio)  # the loss has wider bands

    def to_dict(self) -> dict[str, Any]:
        """Return the six generator keys and the signal settings, in the format of `read_config_file`."""
        audio = dataclasses.asdict(self.audio)
        del audio["framing"]
        return {**self.generator.to_dict(), **audio, "mel_fmax_loss": None, "segment_size": self.segment_size}


def make_plan(request: Request) -> Plan:
    """Choose the values that the request leaves open.

    Raises:
        InputError: the hop has no rates, or settings contradict each other.
    """
    rate, preset = request.sampling_rate, PRESETS[request.like]
    hop = default_hop(rate) if request.hop_length is None else request.hop_length
    rates = require_rates(hop, rate, request.like)
    generator = dataclasses.replace(
        preset, upsample_rates=rates, upsample_kernel_sizes=tuple(kernel_size(r) for r in rates)
    )
    win = default_win(rate, hop) if request.win_length is None else request.win_length
    size = default_filter(win, hop) if request.filter_length is None else request.filter_length
    if request.win_length is None:
        win = min(win, size)
    fmax = default_fmax(rate) if request.mel_fmax is None else request.mel_fmax
    bands = default_num_mels(request.mel_fmin, fmax) if request.num_mels is None else request.num_mels
    audio = AudioConfig(rate, size, hop, win, bands, request.mel_fmin, fmax)
    segment = default_segment(rate, hop, audio.padding) if request.segment_size is None else request.segment_size
    return Plan(
        dataclasses.replace(generator, num_mels=bands),
        audio,
        segment,
        {**_reasons(generator, audio, segment), **_list_given(request)},
        tuple(_remarks(generator, preset, audio, segment)),
    )


def check_bands(audio: AudioConfig) -> None:
    """Check that every mel band contains an FFT bin. A band without one is constant, and useless.

    Raises:
        InputError: names the number of such bands, and a number of bands without any.
    """
    empty = _count_empty_bands(audio)
    if not empty:
        return
    fewer = next(
        n for n in range(audio.num_mels, 0, -1) if not _count_empty_bands(dataclasses.replace(audio, num_mels=n))
    )
    raise InputError(
        f"--num-mels: {empty} of {audio.num_mels} bands from {audio.mel_fmin:g} to {audio.fmax_hz:g} Hz hold no bin "
        f"of an FFT of {audio.filter_length}; give at most {fewer}, or a larger --filter-length"
    )


def _count_empty_bands(audio: AudioConfig) -> int:
    from common.audio import mel_filters  # imports PyTorch, which --help does not need

    return int((~mel_filters(audio).any(axis=1)).sum())


def _reasons(generator: GeneratorConfig, audio: AudioConfig, segment: int) -> dict[str, str]:
    hop, rate = audio.hop_length, audio.sampling_rate
    odd = any(r % 2 for r in generator.upsample_rates)
    stages, channels = len(generator.upsample_rates), generator.upsample_initial_channel
    return {
        "upsample_rates": f"multiply to the hop, in {stages} steps, most of it early",
        "upsample_kernel_sizes": f"twice the rate{', three times an odd one' * odd}: equally many taps per sample",
        "upsample_initial_channel": f"as published; {channels >> stages} are left after the last step",
        "sampling_rate": "as given",
        "filter_length": "power of two that holds the window" if hop % 2 == 0 else "odd, as the hop is",
        "hop_length": f"{_in_ms(hop, rate)}; published: {_in_ms(PUBLISHED.hop_length, PUBLISHED.sampling_rate)}",
        "win_length": f"{_in_ms(audio.win_length, rate)}, {audio.win_length / hop:g} hops; published: "
        f"{_in_ms(PUBLISHED.win_length, PUBLISHED.sampling_rate)}, 4 hops",
        "num_mels": "the published number per mel",
        "mel_fmin": "as published",
        "mel_fmax": f"{200 * audio.fmax_hz / rate:.0f} % of the Nyquist frequency; published: 73 %, 8000 Hz",
        "mel_fmax_loss": "the Nyquist frequency, so that the loss covers all frequencies",
        "segment_size": f"{segment / rate:.3f} s, {segment / hop:g} frames; published: 0.372 s, 32 frames",
    }


def _list_given(request: Request) -> dict[str, str]:
    """Return the reasons for values that the user chose."""
    names = ("filter_length", "num_mels", "mel_fmax")  # the other reasons compare with the published value
    given = {name: "as given" for name in names if getattr(request, name) is not None}
    return {**given, **({"mel_fmin": "as given"} if request.mel_fmin != PUBLISHED.mel_fmin else {})}


def _remarks(generator: GeneratorConfig, preset: GeneratorConfig, audio: AudioConfig, segment: int) -> Iterator[str]:
    reach = generator.receptive_field_frames * audio.hop_length / audio.sampling_rate
    published = preset.receptive_field_frames * PUBLISHED.hop_length / PUBLISHED.sampling_rate
    if reach < 0.75 * published:
        yield (
            f"the generator sees {1000 * reach:.0f} ms to either side, the published one {1000 * published:.0f} ms; "
            "a longer hop would help"
        )
    if audio.win_length < 4 * audio.hop_length:
        yield f"the window is {audio.win_length / audio.hop_length:.1f} hops; published: 4"
    if audio.filter_length % 2:
        yield "an odd hop needs an odd FFT, which the mels of FastPitch (tacotron framing) do not have"
    if segment < MIN_JUDGED_SAMPLES:
        yield f"a segment of less than {MIN_JUDGED_SAMPLES} samples is mostly padding to the discriminators"


def _in_ms(samples: int, sampling_rate: int) -> str:
    return f"{1000 * samples / sampling_rate:.1f} ms"


def format_plan(plan: Plan) -> str:
    """Return one line per key, with its value and reason."""
    rows = [(key, _format(value), plan.reasons.get(key, "as published")) for key, value in plan.to_dict().items()]
    width = max(len(value) for _, value, _ in rows)
    return "\n".join(f"{key:<25} {value:<{width}}  {reason}" for key, value, reason in rows)


def _format(value: Any) -> str:
    if isinstance(value, list):
        return (" | " if isinstance(value[0], list) else " ").join(map(_format, value))
    return "Nyquist" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def main(argv: Sequence[str] | None = None) -> int:
    parser = ArgumentParser(prog="hifigan.plan", description=__doc__)
    add_flags(parser, Request, "plan")
    request = from_flags(Request, vars(parser.parse_args(argv)))
    plan = make_plan(request)
    lines = [f"like {request.like}, for {request.sampling_rate} Hz:", format_plan(plan)]
    if request.hop_length is None:
        others = other_hops(request.sampling_rate, request.like, plan.audio.hop_length)
        shown = (
            f"{hop} ({_in_ms(hop, request.sampling_rate)}: {_format(list(rates))})" for hop, rates in others.items()
        )
        lines.append(f"other hops (--hop-length): {', '.join(shown)}")
    if request.output:
        write_whole(Path(request.output), (json.dumps(plan.to_dict(), indent=1) + "\n").encode())
        lines.append(f"{request.output}: written; for --hifigan-config of prepare_dataset.py and train.py")
    sys.stdout.write("\n".join(lines) + "\n")
    for remark in plan.remarks:
        log.warning(remark)
    return 0


if __name__ == "__main__":
    run(main, "hifigan.plan")
