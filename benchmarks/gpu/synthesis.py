"""Stages of `benchmarks.gpu_first`: inference, whole programs, and tests."""

from __future__ import annotations

import functools
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.gpu.findings import Findings
from benchmarks.inference.cases import given_mels
from benchmarks.inference.models import write_random_weights
from benchmarks.inference.quality import snr_db
from benchmarks.inference.rounds import Case, Task, measure
from benchmarks.inference.ways import EAGER, list_ways
from benchmarks.training.benchmark import make_clips
from common.machine.timing import now_sec
from common.project import PROJECT
from hifigan.checkpoint import load_generator
from hifigan.config import PRESETS

TAIL_FRAMES = 26  # of a short last window


def find_infer(find: Findings) -> None:
    """Every way to run V1 within PyTorch: 8.05 s, and a tail of 26 frames."""
    with tempfile.TemporaryDirectory() as scratch:
        path = write_random_weights(PRESETS["v3" if find.dry else "v1"], Path(scratch) / "g.pt")
        generator, info = load_generator(path, None, find.device)
        ways = [way for way in list_ways(generator, info, Path(scratch), True, True) if not way.is_runtime]
        ways.sort(
            key=lambda way: (way.name != EAGER, way.precision != find.half, not way.name.startswith("TorchScript"))
        )
        mel = torch.randn(80, 40 if find.dry else 693, device=find.device) * 2 - 5
        exact: list[torch.Tensor] = []
        for maker in ways:
            with find.guarded(maker.name):
                began = now_sec(find.device)
                way = maker.make()
                found: dict[str, Any] = {"made_sec": round(now_sec(find.device) - began, 2)}
                for frames in (mel.size(1), TAIL_FRAMES):
                    vocoder = way.vocoder(0.0, info.audio.filter_length)
                    task = Task("", way.name, way.precision, Case([mel[:, :frames]]), 0.0, given_mels, vocoder)
                    (times,) = measure([task], 3, 3 if find.dry else 60, find.device, seconds=4.0)
                    if times.failure:
                        raise RuntimeError(times.failure)
                    found[f"first_sec_{frames}"] = round(times.first_sec, 3)
                    found[f"ms_{frames}"] = round(1e3 * float(np.median(times.vocoding_sec)), 3)
                    if frames == mel.size(1):
                        exact = exact or times.wavs
                        found["snr_db"] = snr_db(exact[0], times.wavs[0])
                        found["waits"] = find.waits(functools.partial(vocoder, [mel]))
                find.say(way=maker.name, **found)


def find_program(find: Findings) -> None:
    """train.py itself, resumed, and inference.py on what it wrote."""
    cuda = [] if find.dry else ["--cuda"]
    amp = [] if find.dry else ["--amp"]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        make_clips(folder, 1)
        clips = 4 if find.dry else 32
        (folder / "train.txt").write_text("".join(f"{clip}.wav\n" for clip in range(clips)))
        data = ["--dataset-path", scratch, "--training-files", f"{scratch}/train.txt"]
        data += ["--validation-files", f"{scratch}/val.txt", "--batch-size", "2" if find.dry else "8"]
        small = ["--discriminator-width", "0.125", "--segment-size", "2048"] if find.dry else []
        train = ["train.py", *cuda, *amp, *data, *small, "-o", f"{scratch}/run", "--ema", "0.99"]
        train += ["--hifigan-config", "v3", "--epochs", "2"]
        checkpoint = f"{scratch}/run/hifigan_gen_checkpoint_2.pt"
        speak = ["inference.py", *cuda, "--hifigan", checkpoint, "-i", f"{scratch}/0.wav", "-o", f"{scratch}/wavs"]
        speak += ["--denoising-strength", "0.01", *([] if find.dry else ["--precision", "fp16"])]
        for name, words in (("train", [*train, "--epochs-this-job", "1"]), ("resume", train), ("inference", speak)):
            began = time.monotonic()
            ran = subprocess.run([sys.executable, *words], cwd=PROJECT, capture_output=True, text=True)
            sec = round(time.monotonic() - began, 1)
            find.say(program=name, status=ran.returncode, sec=sec, out=ran.stdout[-600:], err=ran.stderr[-600:])


def find_tests(find: Findings) -> None:
    """The tests that need a GPU. Their results are in a file of their own, each at once."""
    files = sorted(path for path in (PROJECT / "tests").rglob("test_*.py") if "mark.gpu" in path.read_text("utf-8"))
    where = [str(path.relative_to(PROJECT)) for path in files[: 1 if find.dry else None]]
    words = [sys.executable, "-m", "pytest", "-v", "-ra", "-m", "gpu", "-p", "no:cacheprovider", *where]
    path = find.folder / "gpu_first_tests.log"
    with path.open("w") as log:
        status = subprocess.run(words, cwd=PROJECT, stdout=log, stderr=subprocess.STDOUT).returncode
    find.say(status=status, log=str(path), tail=path.read_text(errors="replace")[-1500:])
