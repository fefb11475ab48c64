"""Speed of a synthesis: measured in each process, then summed up and reported for all of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from common.files.dllogger_lines import open_json_lines
from common.machine.timing import latency_summary


@dataclasses.dataclass
class SynthesisTimes:
    """Times and amounts of one process's runs. Frames and samples are counted without padding.

    Attributes:
        first_audio_sec: with streaming, seconds from the text or mel to the first samples of each output.
        chunks_sec: with streaming, seconds that the generator took for each chunk.
        rtfs: seconds of audio per second of work, for each run.
    """

    speaking_sec: list[float] = dataclasses.field(default_factory=list)
    vocoding_sec: list[float] = dataclasses.field(default_factory=list)
    latencies_sec: list[float] = dataclasses.field(default_factory=list)
    first_audio_sec: list[float] = dataclasses.field(default_factory=list)
    chunks_sec: list[float] = dataclasses.field(default_factory=list)
    rtfs: list[float] = dataclasses.field(default_factory=list)
    frames: int = 0
    samples: int = 0
    outputs: int = 0

    def add(self, speaking_sec: float, vocoding_sec: float, frames: int, samples: int, sampling_rate: int) -> None:
        """Add one run of one batch."""
        self.speaking_sec.append(speaking_sec)
        self.vocoding_sec.append(vocoding_sec)
        self.latencies_sec.append(speaking_sec + vocoding_sec)
        self.frames += frames
        self.samples += samples
        self.rtfs.append(samples / sampling_rate / self.latencies_sec[-1])


def summarise(processes: Sequence[SynthesisTimes], speaks: bool, samples_per_sec: float) -> dict[str, float]:
    """Return the figures of all processes together: rates are added up, latencies cover all batches."""
    worked = [times for times in processes if times.latencies_sec]
    figures: dict[str, float] = {"utterances": sum(times.outputs for times in worked)}
    if not worked:
        return figures
    if speaks:
        figures["mel_gen_frames/s"] = sum(times.frames / sum(times.speaking_sec) for times in worked)
    figures["hifigan_frames/s"] = sum(times.frames / sum(times.vocoding_sec) for times in worked)
    figures["hifigan_samples/s"] = sum(times.samples / sum(times.vocoding_sec) for times in worked)
    if first_audio_sec := [sec for times in worked for sec in times.first_audio_sec]:
        figures |= latency_summary(first_audio_sec, "first_audio_sec")
        figures |= latency_summary([sec for times in worked for sec in times.chunks_sec], "chunk_latency")
    return {
        **figures,
        **latency_summary([latency for times in worked for latency in times.latencies_sec]),
        "RTF": float(np.mean([rtf for times in worked for rtf in times.rtfs])),
        "audio_sec": sum(times.samples for times in worked) / samples_per_sec,
    }


def log_figures(figures: dict[str, float], path: Path) -> None:
    """Append the figures to a DLLogger file."""
    lines = open_json_lines(path)
    lines.log([], figures)
    lines.flush()


def report(figures: dict[str, float], total: int, target: str, unusable: int = 0) -> None:
    """Print how many of `total` outputs were made, where, how fast, and the latencies.

    Args:
        figures: from `summarise`.
        total: outputs of the job.
        target: the output directory, or "stdout".
        unusable: outputs whose input file cannot be used. The error at the end reports them.
    """
    made = round(figures["utterances"])
    existing = total - unusable - made
    if not made:
        if not unusable:
            print(f"nothing to do: all {total} utterances are in {target} already (--overwrite makes them again)")
        return
    skipped = f", {existing} there already (--overwrite makes them again)" if existing else ""
    speeds = [name for name in ("mel_gen_frames/s", "hifigan_frames/s", "hifigan_samples/s") if name in figures]
    print(
        f"{made} utterance{'s' * (made != 1)}, {figures['audio_sec']:.1f} s of audio -> {target}{skipped}\n"
        + "".join(f"{name} {figures[name]:.0f} | " for name in speeds)
        + f"RTF {figures['RTF']:.2f}"
    )
    latencies = {"first_audio_sec": "time to the first sample", "chunk_latency": "latency of a chunk"}
    if "first_audio_sec_avg" not in figures:
        latencies = {"latency": "latency of a batch"}
    for name, words in latencies.items():
        percentiles = "".join(f" | {p}% {figures[f'{name}_{p}%']:.4f} s" for p in (50, 90, 95, 99))
        print(f"{words}: mean {figures[f'{name}_avg']:.4f} s{percentiles}")
