"""Judge the engine in bf16 by the quality gate, and print the fields of `Quality` as JSON.

    python -m tests.support.generators.quality_gate CHECKPOINT WAVS SECONDS [emulated]

A process of its own, because HIFIGAN_CPU_ISA is read once. With `emulated`, the engine runs on emulated matrix units.
"""

import dataclasses
import json
import sys
from pathlib import Path
from unittest import mock

import torch

from benchmarks.inference.quality import judge, read_clips
from hifigan import load_generator
from hifigan.backend import eager_backend
from hifigan.engine.cpu_c import lacks_bf16
from hifigan.engine.native import amx
from hifigan.engine.select import engine_backend
from tests.support.native.matrix_units import emulated_library

CLIPS = 27
CLIPS_IN_FP32 = 2  # where the engine takes bf16 for fp32


def main(checkpoint: str, wavs: str, seconds: str, units: str = "") -> None:
    if units:
        assert units == "emulated"
        assert emulated_library() is not None
        with mock.patch.object(amx, "library", emulated_library):
            judge_engine(checkpoint, wavs, seconds)
    else:
        judge_engine(checkpoint, wavs, seconds)


def judge_engine(checkpoint: str, wavs: str, seconds: str) -> None:
    generator, info = load_generator(Path(checkpoint))
    count = CLIPS_IN_FP32 if lacks_bf16() else CLIPS
    clips = read_clips(Path(wavs), count, float(seconds), info.audio.sampling_rate)
    assert len(clips) == count
    ways = {"eager": eager_backend(generator), "engine": engine_backend(generator, "bf16")}
    print(json.dumps(dataclasses.asdict(judge(ways, clips, info.audio, torch.device("cpu"))[1])))


if __name__ == "__main__":
    main(*sys.argv[1:])
