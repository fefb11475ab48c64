"""Damaged audio files of every kind through preparation and inference: success or one line each, and nothing else.

By default a few hundred files. For more of each format, with counts on stdout:
`HIFIGAN_TEST_MUTATIONS=20000 python -m pytest tests/programs/test_mutated_audio.py -s -n 0`.
"""

from __future__ import annotations

import functools
import io
import multiprocessing
import os
import random
import re
import resource
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import prepare_dataset
from common.audio import AudioConfig, MelSpectrogram
from common.audio_files import resample
from common.machine.processes import Report, _report
from common.synthesis.sources import _read_usable, utterance_from_audio
from tests.support.data_sets import swelling_noise

COUNT = int(os.environ.get("HIFIGAN_TEST_MUTATIONS", "100"))
MEMORY_BYTES = 2 << 30
SECONDS_PER_FILE = 20
SAMPLES = 3000
FORMATS = {
    "wav": (("WAV", "PCM_16"), ("WAV", "PCM_24"), ("WAV", "FLOAT"), ("WAVEX", "PCM_32"), ("WAV", "PCM_U8")),
    "flac": (("FLAC", "PCM_16"), ("FLAC", "PCM_24")),
    "ogg": (("OGG", "VORBIS"), ("OGG", "OPUS")),
}
FIELDS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)


@functools.cache
def originals(suffix: str) -> list[bytes]:
    encoded = []
    for number, (container, subtype) in enumerate(FORMATS[suffix]):
        for channels in (1, 2):
            wav = np.stack([swelling_noise(SAMPLES, number + channel) for channel in range(channels)], 1)
            buffer = io.BytesIO()
            rate = 48000 if subtype == "OPUS" else 22050
            soundfile.write(buffer, wav, rate, format=container, subtype=subtype)
            encoded.append(buffer.getvalue())
    return encoded


def mutate(suffix: str, seed: int) -> bytes:
    """Damage a file in one to three ways, one half of them in the header."""
    rng = random.Random(f"{suffix} {seed}")
    content = bytearray(rng.choice(originals(suffix)))
    for _ in range(rng.randint(1, 3)):
        where = rng.randrange(min(len(content), 64) if rng.random() < 0.5 else len(content)) if content else 0
        kind = rng.choice(("flip", "field", "cut", "splice", "remove", "repeat", "insert", "append"))
        if kind == "flip" and content:
            for _ in range(rng.choice((1, 1, 8, 64))):
                at = min(len(content) - 1, where + rng.randrange(64))
                content[at] ^= 1 << rng.randrange(8)
        elif kind == "field":
            size = rng.choice((1, 2, 4, 8))
            value = rng.choice(FIELDS) % (1 << 8 * size)
            content[where : where + size] = value.to_bytes(size, rng.choice(("little", "big")))
        elif kind == "cut":
            del content[where:]
        elif kind == "splice":
            other = rng.choice(originals(rng.choice(tuple(FORMATS))))
            content[where:] = other[rng.randrange(len(other)) :]
        elif kind == "remove":
            del content[where : where + rng.randint(1, 200)]
        elif kind == "repeat":
            content[where:where] = content[where : where + rng.randint(1, 2000)] * rng.randint(1, 4)
        elif kind == "insert":
            content[where:where] = rng.randbytes(rng.randint(1, 100))
        else:
            content += rng.randbytes(rng.randint(1, 1000))
    return bytes(content)


def process(folder: Path, name: str, audio: AudioConfig, mel: MelSpectrogram) -> list[str]:
    """Prepare and read one file as the programs do. Return the problem of each, or an empty text."""
    work = functools.partial(prepare_dataset.extract_mel, folder, audio)
    prepared: Report = _report(work, folder, (Path(name), Path("mels/a.pt")))
    problems: list[str] = []
    made = list(_read_usable({"a.wav": folder / name}, functools.partial(utterance_from_audio, mel=mel), problems))
    assert len(made) + len(problems) == 1
    for utterance in made:
        assert utterance.mel.isfinite().all()
    return [prepared.error, *(problems or [""])]


def work_through(suffix: str, seeds: range, folder: Path, results: Connection) -> None:
    """Process mutated files in a process with little memory, and report each outcome."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends this process
    virtual = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (virtual + MEMORY_BYTES, virtual + MEMORY_BYTES))
    audio = AudioConfig()
    mel = MelSpectrogram(audio)
    for seed in seeds:
        results.send((seed, "began"))
        path = folder / f"a.{suffix}"
        path.write_bytes(mutate(suffix, seed))
        signal.alarm(SECONDS_PER_FILE)
        outcome = process(folder, path.name, audio, mel)
        signal.alarm(0)
        results.send((seed, outcome))
    results.send((seeds.stop, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))


def outcomes(suffix: str, count: int, folder: Path) -> Iterator[tuple[int, list[str] | str | int]]:
    """Yield (seed, problems), "ended" for a file that ended its process, and at last the peak memory."""
    start = 0
    resample(np.zeros(1000), 16000, 22050)  # imports once what each process needs
    context = multiprocessing.get_context("fork")
    while start < count:
        results, sender = context.Pipe(duplex=False)
        child = context.Process(target=work_through, args=(suffix, range(start, count), folder, sender))
        child.start()
        sender.close()
        began = start
        try:
            while True:
                seed, outcome = results.recv()
                if outcome == "began":
                    began = seed
                else:
                    yield seed, outcome
        except EOFError:
            child.join()
        if child.exitcode == 0:
            return
        yield began, f"ended ({child.exitcode})"
        start = began + 1


@pytest.mark.medium
@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory")
@pytest.mark.parametrize("suffix", FORMATS)
def test_mutated_files(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    for path in (folder, elsewhere):
        path.mkdir()
    monkeypatch.chdir(elsewhere)
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    for seed, outcome in outcomes(suffix, COUNT, folder):
        if isinstance(outcome, int):
            counts[f"peak memory {outcome / 2**20:.0f} MB"] += 1
            assert outcome < MEMORY_BYTES
            continue
        if isinstance(outcome, str):
            wrong.append(f"{seed}: {outcome}")
            continue
        prepared, copied = outcome
        counts["prepared" if not prepared else _kind(prepared)] += 1
        counts["copy synthesis: made" if not copied else "copy synthesis: named"] += 1
        wrong += [f"{seed}: {line}" for line in (prepared, copied) if line and not _is_plain(line, folder)]
    print(f"\n{suffix}: {COUNT} files", *(f"{number:7} {kind}" for kind, number in counts.most_common()), sep="\n  ")
    assert not wrong, f"{len(wrong)} of {COUNT}: {wrong[:10]}"
    assert {path.name for path in folder.rglob("*")} <= {f"a.{suffix}", "mels", "a.pt"}
    assert not list(elsewhere.iterdir())
    assert {path.name for path in tmp_path.iterdir()} == {"data", "elsewhere"}


def _is_plain(line: str, folder: Path) -> bool:
    """Return whether a problem is one line that begins with the file's name, and no defect of ours."""
    return "\n" not in line and line.startswith(f"{folder}/a.") and "cannot be used (" not in line


def _kind(line: str) -> str:
    return re.sub(r"[\d.]+", "N", line.split(": ", 1)[1])[:70]
