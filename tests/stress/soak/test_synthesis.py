"""Thousands of utterances of different lengths in one process: nothing grows but the output."""

import numpy as np
import pytest

from tests.support.long_runs.loops import DONE, mels, random_texts
from tests.support.long_runs.sampling import FULL_ONLY, PROC, Bounds, LineCounter, check, watch
from tests.support.stress import cases

pytestmark = [
    pytest.mark.skipif(not PROC.exists(), reason="this system has no /proc"),
    pytest.mark.slow,
    pytest.mark.alone,
]
FULL = 5000


def files_in(folder):
    return lambda: sum(1 for path in folder.glob("*.wav")) if folder.exists() else 0


def test_texts(tmp_path):
    """`inference.py` speaks a phrase file with the shipped voice."""
    count = cases(80, FULL)
    phrases = tmp_path / "phrases.txt"
    phrases.write_text("".join(f"{number}.wav|{text}\n" for number, text in enumerate(random_texts(count))))
    words = ["inference.py", "-i", phrases, "-o", tmp_path / "out", *(["-bs", "4"] if count < FULL else [])]
    soak = watch(words, tmp_path / "run", files_in(tmp_path / "out"), cases(1, 20) / 20)
    assert files_in(tmp_path / "out")() == count
    # Memory rises in steps with the largest batches, 6 MB per 1,000 texts, ever more rarely: between 4,000 and 4,600
    # texts by 0.4 MB. A leak of 10 kB would be 10 MB.
    check("speaking texts leaks nothing", soak, count, warm_up=count // 4, bounds=Bounds(memory_mb=8))


@FULL_ONLY
def test_mels(tmp_path):
    """`inference.py` vocodes mels of 55 lengths in the engine, denoised."""
    count = cases(150, FULL)
    for number, mel in enumerate(mels(min(count, 1000))):
        np.save(tmp_path / f"{number}.npy", mel.numpy())
    rows = [f"{number % 1000}.npy\t{number}.wav" for number in range(count)]
    (tmp_path / "phrases.tsv").write_text("\n".join(["mel\toutput", *rows]) + "\n")
    words = f"inference.py -i {tmp_path}/phrases.tsv -d {tmp_path} -o {tmp_path}/out --denoising-strength 0.01".split()
    words += ["--hifigan", "pretrained/kathleen/hifigan.safetensors", "-bs", "4"]
    soak = watch(words, tmp_path / "run", files_in(tmp_path / "out"), cases(1, 20) / 20)
    assert files_in(tmp_path / "out")() == count
    check("vocoding mels leaks nothing", soak, count, warm_up=count // 4)


def test_the_python_api(tmp_path):
    """`Voice` speaks, vocodes and resynthesises by turns."""
    count = cases(60, FULL)
    done = LineCounter(tmp_path / "run" / "stdout", DONE)
    words = ["-m", "tests.support.long_runs.loops", "speak", str(count), tmp_path]
    soak = watch(words, tmp_path / "run", done, cases(1, 20) / 20)
    assert done() == count
    check("the Python API leaks nothing", soak, count, warm_up=count // 4)


@FULL_ONLY
def test_streams_of_the_program(tmp_path):
    """`inference.py --stream`, text by text."""
    count = cases(40, 1000)
    phrases = tmp_path / "phrases.txt"
    phrases.write_text("".join(f"{number}.wav|{text}\n" for number, text in enumerate(random_texts(count))))
    words = ["inference.py", "-i", phrases, "-o", tmp_path / "out", "--stream"]
    soak = watch(words, tmp_path / "run", files_in(tmp_path / "out"), cases(1, 20) / 20)
    assert files_in(tmp_path / "out")() == count
    check("streams of inference.py leak nothing", soak, count, warm_up=count // 4)


def test_streams_of_the_python_api(tmp_path):
    """New streams of both kinds, a third of them abandoned midway."""
    count = cases(60, 2000)
    done = LineCounter(tmp_path / "run" / "stdout", DONE)
    words = ["-m", "tests.support.long_runs.loops", "stream", str(count), tmp_path]
    soak = watch(words, tmp_path / "run", done, cases(1, 20) / 20)
    assert done() == count
    # The first 60 streams let the allocator grow by 11 MB, all 2,000 by 0.2 MB after the warm-up.
    bounds = Bounds(noise_mb=cases(20, 12))
    check("streams of the Python API leak nothing", soak, count, warm_up=count // 4, bounds=bounds)
