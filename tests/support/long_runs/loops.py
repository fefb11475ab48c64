"""Programs that use the Python API again and again: `python -m tests.support.long_runs.loops NAME COUNT FOLDER`.

Each prints a line after each iteration, and fails if the number of Python objects grows with the iterations.
"""

from __future__ import annotations

import gc
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from tests.support.models import make_checkpoint
from tests.support.paths import DEMO_DATA

DONE = "done"
MAX_MEL_FRAMES = 60
WARM_UP_PART, OBJECTS_PER_ITERATION = 4, 0.1  # a quarter of the run; one leaked object in each would be 1


def random_texts(count: int, most_words: int = 3) -> list[str]:
    """Return English texts of different lengths, from the words of the demo data."""
    rows = (DEMO_DATA / "metadata.csv").read_text(encoding="utf-8").splitlines()
    words = " ".join(row.split("|")[-1] for row in rows).split()
    rng = random.Random(0)
    return [" ".join(rng.choices(words, k=rng.randint(1, most_words))) for _ in range(count)]


def mels(count: int, bands: int = 80) -> Iterator[torch.Tensor]:
    """Yield mels [M, L] of different lengths."""
    random_numbers = torch.Generator().manual_seed(0)
    for _ in range(count):
        frames = int(torch.randint(5, MAX_MEL_FRAMES, (), generator=random_numbers))
        yield torch.randn(bands, frames, generator=random_numbers) - 5


def speak(count: int, folder: Path) -> Iterator[None]:
    """Speak, vocode and resynthesise by turns with the shipped voice."""
    from voice import load_voice

    voice = load_voice(denoising_strength=0.01)
    rng = np.random.default_rng(0)
    for number, (text, mel) in enumerate(zip(random_texts(count), mels(count), strict=True)):
        if number % 3 == 0:
            voice.save(text, folder / "speech.wav", pace=1 + number % 7 / 10, pitch_transform_shift=number % 5)
        elif number % 3 == 1:
            voice.vocode(mel)
        else:
            voice.resynthesise(rng.uniform(-0.5, 0.5, rng.integers(2000, 12000)), 22050 if number % 2 else 16000)
        yield


def stream(count: int, folder: Path) -> Iterator[None]:
    """Stream mels in different ways, each with a new stream. A third of the streams are abandoned midway."""
    from hifigan import StreamingGenerator, load_generator
    from hifigan.synthesis.flags import StreamConfig
    from hifigan.synthesis.stream_vocoder import StreamVocoder

    generator, _info = load_generator("pretrained/kathleen/hifigan.safetensors")
    thin, _info = load_generator(make_checkpoint(folder / "thin.pt"))
    rng = random.Random(0)
    for number, mel in enumerate(mels(count)):
        abandon = rng.randint(0, 2) if number % 3 == 0 else None
        chunk = rng.choice((16, 25, 50))
        ahead = rng.choice((None, 0, 5))
        if number % 2:
            for at, _chunk in enumerate(StreamVocoder(generator, StreamConfig(True, chunk, ahead))(mel)):
                if at == abandon:
                    break
        else:
            streaming = StreamingGenerator(thin, ahead)
            for at, frames in enumerate(mel[None].split(chunk, dim=2)):
                streaming.stream(frames)
                if at == abandon:
                    break
            else:
                streaming.finish()
        yield


def evaluate(count: int, folder: Path) -> Iterator[None]:
    """Evaluate the shipped voice's generator on the recordings in `folder`, with a page.

    Every tenth time, all metrics are measured, and Griffin-Lim is a second system.
    """
    import evaluate

    for number in range(count):
        words = f"-i {folder}/recordings -o {folder}/out --report {folder}/report --jobs 1".split()
        systems = ["mine=pretrained/kathleen/hifigan.safetensors"]
        if number % 10 == 9:
            systems.append("griffin-lim")
        else:
            words += ["--metrics", "mel_l1", "stft", "level"]
        assert evaluate.main([*words, "--system", *systems]) == 0
        yield


LOOPS: dict[str, Callable[[int, Path], Iterator[None]]] = {"speak": speak, "stream": stream, "evaluate": evaluate}


def main(name: str, count: int, folder: Path) -> None:
    warm_up = count // WARM_UP_PART
    before = 0
    for number, _ in enumerate(LOOPS[name](count, folder), 1):
        if number == warm_up:
            before = count_objects()
        print(DONE, flush=True)
    growth = (count_objects() - before) / (count - warm_up)
    print(f"objects {before}, {growth:+.3f} per iteration", file=sys.stderr)
    if growth > OBJECTS_PER_ITERATION and growth * (count - warm_up) > before / 100:
        sys.exit(f"{growth:.2f} Python objects more after each iteration")


def count_objects() -> int:
    gc.collect()
    return len(gc.get_objects())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
