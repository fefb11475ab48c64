"""What a synthesis took: measured by each process, summed up and reported for all of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from common.machine.timing import latency_summary


@dataclasses.dataclass
class Measured:
    """What the runs of one process took; frames and samples without padding."""

    speaking_sec: list[float] = dataclasses.field(default_factory=list)
    vocoding_sec: list[float] = dataclasses.field(default_factory=list)
    latencies_sec: list[float] = dataclasses.field(default_factory=list)
    first_audio_sec: list[float] = dataclasses.field(default_factory=list)  # of streams, from text or mel
    chunks_sec: list[float] = dataclasses.field(default_factory=list)  # likewise, in the generator
    rtfs: list[float] = dataclasses.field(default_factory=list)
    frames: int = 0
    samples: int = 0
    outputs: int = 0

    def add(self, speaking_sec: float, vocoding_sec: float, frames: int, samples: int, sampling_rate: int) -> None:
        """One run of one batch."""
        self.speaking_sec.append(speaking_sec)
        self.vocoding_sec.append(vocoding_sec)
        self.latencies_sec.append(speaking_sec + vocoding_sec)
        self.frames += frames
        self.samples += samples
        self.rtfs.append(samples / sampling_rate / self.latencies_sec[-1])


def summary(processes: Sequence[Measured], speaks: bool, samples_per_sec: float) -> dict[str, float]:
    """The figures of all processes together: rates are summed up, latencies those of all batches."""
    worked = [measured for measured in processes if measured.latencies_sec]
    figures: dict[str, float] = {"utterances": sum(measured.outputs for measured in worked)}
    if not worked:
        return figures
    if speaks:
        figures["mel_gen_frames/s"] = sum(measured.frames / sum(measured.speaking_sec) for measured in worked)
    figures["hifigan_frames/s"] = sum(measured.frames / sum(measured.vocoding_sec) for measured in worked)
    figures["hifigan_samples/s"] = sum(measured.samples / sum(measured.vocoding_sec) for measured in worked)
    if first_audio_sec := [sec for measured in worked for sec in measured.first_audio_sec]:
        figures |= latency_summary(first_audio_sec, "first_audio_sec")
        figures |= latency_summary([sec for measured in worked for sec in measured.chunks_sec], "chunk_latency")
    return {
        **figures,
        **latency_summary([latency for measured in worked for latency in measured.latencies_sec]),
        "RTF": float(np.mean([rtf for measured in worked for rtf in measured.rtfs])),
        "audio_sec": sum(measured.samples for measured in worked) / samples_per_sec,
    }


def report(figures: dict[str, float], total: int, target: str, left_out: int = 0) -> None:
    """Prints how much of `total` outputs was made, where, how fast, and the latencies.

    Args:
        left_out: how many have an input that cannot be used; that is for an error to tell.
    """
    made = round(figures["utterances"])
    there = total - left_out - made
    if not made:
        if not left_out:
            print(f"nothing to do: all {total} utterances are in {target} already (--overwrite makes them anew)")
        return
    kept = f", {there} there already (--overwrite makes them anew)" if there else ""
    speeds = [name for name in ("mel_gen_frames/s", "hifigan_frames/s", "hifigan_samples/s") if name in figures]
    print(
        f"{made} utterances, {figures['audio_sec']:.1f} s of audio -> {target}{kept}\n"
        + "".join(f"{name} {figures[name]:.0f} | " for name in speeds)
        + f"RTF {figures['RTF']:.2f}"
    )
    latencies = {"first_audio_sec": "time to the first sample", "chunk_latency": "latency of a chunk"}
    if "first_audio_sec_avg" not in figures:
        latencies = {"latency": "latency of a batch"}
    for name, words in latencies.items():
        shares = "".join(f" | {p}% {figures[f'{name}_{p}%']:.4f} s" for p in (50, 90, 95, 99))
        print(f"{words}: mean {figures[f'{name}_avg']:.4f} s{shares}")
