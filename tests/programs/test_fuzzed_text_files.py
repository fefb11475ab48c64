"""Mutated metadata, file lists and phrase files: success or one line of error, nothing outside the output.

`HIFIGAN_FUZZ=20000` sets the number of files (default: 150). A failure names the seed that repeats it.
"""

from __future__ import annotations

import contextlib
import os
import random
import resource
from pathlib import Path

import pytest

import prepare_dataset
from common.audio_input.names import AUDIO_SUFFIXES
from common.data.filelists import read_filelist
from common.errors import InputError
from common.synthesis.phrases import read_phrases, safe_name
from common.text.processor import TextProcessor
from fastpitch.synthesis.flags import SpeechConfig
from fastpitch.synthesis.pieces import read_pieces
from tests.support.models import fastpitch_info

COUNT = int(os.environ.get("HIFIGAN_FUZZ", "150"))
CLIPS = [f"c{i}" for i in range(8)]
TEXTS = [
    "The birch canoe slid on the planks.",
    "It is 12:30 p.m. on May 3rd, 1999.",
    "Größe – “naïve”",
    "Dr. X paid $5.",
]
SEEDS = {
    "metadata": [
        "".join(f"{clip}|{TEXTS[i % 4]}\n" for i, clip in enumerate(CLIPS)),
        "".join(f"{clip}|{TEXTS[i % 4]}|{TEXTS[i % 4]}\n" for i, clip in enumerate(CLIPS)),
        "".join(f"wavs/{clip}.wav|{TEXTS[i % 4]} {i}|s{i % 2}\n" for i, clip in enumerate(CLIPS)),
        "".join(f'"{clip}"|s{i % 2}|{TEXTS[i % 4]} {i}\r\n' for i, clip in enumerate(CLIPS)),
        "id|text|speaker\n" + "".join(f"{clip}|{TEXTS[i % 4]}|s{i}\n" for i, clip in enumerate(CLIPS)),
    ],
    "list": ["".join(f"wavs/{clip}.wav|pitch/{clip}.pt|{TEXTS[i % 4]}|{i % 2}\n" for i, clip in enumerate(CLIPS))],
    "phrases": [
        "\n".join(TEXTS),
        "".join(f"{clip}.wav|{text}\n" for clip, text in zip(CLIPS, TEXTS, strict=False)),
        "text\toutput\tspeaker\n" + "".join(f"{text}\tx/{i}\t{i % 2}\n" for i, text in enumerate(TEXTS)),
    ],
}
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252", "cp1251", "latin-1", "shift-jis"]
PIECES = ["|", "||", "\t", "\r", "\n", "\r\n", "\0", "\ufeff", "../", "/etc/passwd", "C:\\", '"', "{", "}", "{HH AH0}"]
PIECES += [
    "\u2028",
    "\x85",
    "\ud800",
    "😀",
    "a" * 300,
    "." * 50,
    "* * *",
    "_",
    "-",
    "~",
    "|" * 40,
    "1" * 400,
    "\\",
    ".wav",
]
PIECES += [
    "wavs/",
    "%s",
    "%n",
    "\x1b[2J",
    "١٢",
    "e\u0301" * 30,
    "I" * 200,
    "$",
    "https://a.b/c?d=e",
    "1e999",
    "0x",
    "½",
]


def mutate(rng: random.Random, text: str) -> bytes:
    """Return a text with a few changes of lines, columns, characters, encoding and bytes."""
    for _ in range(rng.choice((0, 1, 1, 2, 3, 8))):
        lines = text.split("\n")
        i = rng.randrange(len(lines))
        kind = rng.randrange(8)
        if kind == 0:
            lines[i] = lines[rng.randrange(len(lines))]
        elif kind == 1:
            lines[i] = "|".join(lines[i].split("|")[: rng.randrange(3)])
        elif kind == 2:
            lines[i] += "|" + rng.choice(PIECES)
        elif kind == 3:
            columns = lines[i].split("|")
            rng.shuffle(columns)
            lines[i] = "|".join(columns)
        elif kind == 4 and len(lines[i]) < 2000:  # repeated again and again it would fill the memory
            lines[i] = lines[i] * rng.choice((2, 50, 500))
        elif kind == 5:
            lines.insert(i, rng.choice(PIECES))
        elif kind == 6:
            del lines[i]
        text = "\n".join(lines)
        at = rng.randrange(len(text) + 1)
        if kind == 7:
            text = text[:at] + rng.choice(PIECES) + text[at + rng.randrange(3) :]
    content = bytearray(text.encode(rng.choice(ENCODINGS) if rng.random() < 0.4 else "utf-8", "ignore"))
    for _ in range(rng.choice((0, 0, 0, 1, 4, 40))):
        if content:
            at = rng.randrange(len(content))
            content[at : at + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
    return bytes(content[: rng.randrange(len(content) + 1)] if rng.random() < 0.1 else content)


def check_lists(folder: Path, root: Path) -> None:
    """Raise AssertionError unless all lists can be read, and name files of the data set."""
    for path in folder.glob("*_audio_*.txt"):
        if not path.read_bytes():
            continue
        for row in read_filelist(path):
            assert Path(row[0]).suffix.lower() in AUDIO_SUFFIXES
            assert (root / row[0]).resolve().is_relative_to(root.resolve())
            assert len(row) == (
                1 if "pitch_text" not in path.name and not path.name.endswith("_text.txt") else len(row)
            )
            if "pitch_text" in path.name:
                assert len(row) in (3, 4)
                assert row[2]


def read_texts(path: Path, folder: Path, processor: TextProcessor) -> None:
    """Read a phrase file, and its texts, as `inference.py` does."""
    phrases = read_phrases(path)
    for phrase in phrases:
        assert safe_name(phrase.output) == phrase.output
        assert (folder / phrase.output).resolve().is_relative_to(folder.resolve())
    problems: list[str] = []
    cfg = SpeechConfig(fastpitch="f.pt", p_arpabet=0.0)
    pieces = read_pieces(phrases, path, folder, cfg, fastpitch_info({}, n_speakers=2), processor, problems)
    assert {piece.name for piece in pieces} <= {phrase.output for phrase in phrases}
    assert len({piece.name for piece in pieces}) + len(problems) == len(phrases)
    for problem in problems:
        check_message(problem)


def check_message(message: str) -> None:
    """Raise AssertionError unless this is a line that a terminal can show."""
    assert message.isprintable(), repr(message[:500])
    assert len(message) < 1500, f"{len(message)} characters: {message[:500]}"


def run_one(seed: int, root: Path, processor: TextProcessor) -> str:
    """Try one mutated file. Return its kind, and whether it was taken or refused."""
    rng = random.Random(seed)
    kind = rng.choice(("metadata", "metadata", "list", "phrases", "phrases"))
    content = mutate(rng, rng.choice(SEEDS[kind]))
    output = root / "out"
    name = "metadata.csv" if kind == "metadata" else "mutated.txt"
    (root / name).write_bytes(content)
    try:
        if kind == "metadata":
            words = ["-d", str(root), "--write-filelists", str(output), "--name", "v"]
            prepare_dataset.main(words + (["--skip-missing"] if rng.random() < 0.7 else []))
            check_lists(output, root)
        elif kind == "list":
            rows = read_filelist(root / name)
            assert all(row and row[0] for row in rows)
            with contextlib.suppress(InputError):
                read_phrases(root / name)
        else:
            read_texts(root / name, output, processor)
    except (InputError, OSError) as error:
        check_message(str(error))
        return f"{kind} refused"
    return f"{kind} taken"


@pytest.mark.medium
@pytest.mark.timeout(600 + COUNT)
def test_mutated_text_files(tmp_path: Path) -> None:
    root = tmp_path / "set"
    (root / "wavs").mkdir(parents=True)
    for clip in CLIPS:
        (root / "wavs" / f"{clip}.wav").touch()
    processor = TextProcessor(p_arpabet=0)
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # of other tests in this process
    outcomes: dict[str, int] = {}
    for seed in range(COUNT):
        try:
            outcome = run_one(seed, root, processor)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}") from error
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        outside = {path.name for path in tmp_path.iterdir()} | {path.name for path in root.iterdir()}
        assert outside <= {"set", "wavs", "out", "metadata.csv", "mutated.txt"}, f"seed {seed} wrote {outside}"
    print(dict(sorted(outcomes.items())))
    assert min(outcomes[f"{kind} {end}"] for kind in ("metadata", "phrases") for end in ("taken", "refused")) > 0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 2**20
