"""Damaged and hostile phrase files, file lists, metadata, transcripts, tables and dictionaries.

Each is taken, or refused in one line, and none makes a program read outside the data set, or write outside the output.
"""

from __future__ import annotations

import contextlib
import functools
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

import prepare_dataset
from common.audio_config import AudioConfig
from common.audio_input.names import AUDIO_SUFFIXES
from common.data.filelists import read_filelist, read_paths
from common.data.mel_files import distinct_targets, feature_name
from common.errors import InputError, one_line
from common.mel_contract import MelContract
from common.synthesis.phrases import Phrase, read_phrases, safe_name
from common.synthesis.sources import Target, prepared_mels_job
from common.text.processor import TextProcessor
from evaluation.clips import find_clips
from evaluation.spoken.texts import read_texts
from fastpitch.synthesis.flags import SpeechConfig
from fastpitch.synthesis.pieces import read_pieces
from fastpitch.training.recordings import read_recordings
from tests.support.fuzzing.bounded import check_message, run_bounded
from tests.support.fuzzing.mutations import PIECES, mutate_text
from tests.support.models import fastpitch_info
from tests.support.stress import cases, record
from voice.recordings.segment import Recording
from voice.recordings.spreadsheet import read_rows
from voice.recordings.texts.transcripts import find_transcripts

CLIPS = [f"c{i}" for i in range(8)]
TEXTS = [
    "The birch canoe slid on the planks.",
    "It is 12:30 p.m. on May 3rd, 1999.",
    "Größe – “naïve”",
    "Dr. X paid $5.",
]
METADATA = [
    "".join(f"{clip}|{TEXTS[i % 4]}\n" for i, clip in enumerate(CLIPS)),
    "".join(f"{clip}|{TEXTS[i % 4]}|{TEXTS[i % 4]}\n" for i, clip in enumerate(CLIPS)),
    "".join(f"wavs/{clip}.wav|{TEXTS[i % 4]} {i}|s{i % 2}\n" for i, clip in enumerate(CLIPS)),
    "".join(f'"{clip}"|s{i % 2}|{TEXTS[i % 4]} {i}\r\n' for i, clip in enumerate(CLIPS)),
    "id|text|speaker\n" + "".join(f"{clip}|{TEXTS[i % 4]}|s{i}\n" for i, clip in enumerate(CLIPS)),
    "id|text|speaker\n" + "".join(f"{clip}|{TEXTS[i % 4]}|{i}\n" for i, clip in enumerate(CLIPS)),
]
LISTS = [
    "".join(f"wavs/{clip}.wav|pitch/{clip}.pt|{TEXTS[i % 4]}|{i % 2}\n" for i, clip in enumerate(CLIPS)),
    "".join(f"wavs/{clip}.wav|{TEXTS[i % 4]}\n" for i, clip in enumerate(CLIPS)),
    "".join(f"wavs/{clip}.wav\n" for clip in CLIPS),
]
PHRASES = [
    "\n".join(TEXTS),
    "".join(f"{clip}.wav|{text}\n" for clip, text in zip(CLIPS, TEXTS, strict=False)),
    "text\toutput\tspeaker\n" + "".join(f"{text}\tx/{i}\t{i % 2}\n" for i, text in enumerate(TEXTS)),
    "text\tpitch\n" + "".join(f"{text}\tpitch/{CLIPS[i]}.pt\n" for i, text in enumerate(TEXTS)),
]
MEL_PHRASES = [
    "mel\n" + "".join(f"mels/{clip}.npy\n" for clip in CLIPS),
    "mel\toutput\n" + "".join(f"mels/{clip}.npy\t{clip}\n" for clip in CLIPS),
]
SUBTITLES = "".join(f"{i + 1}\n00:00:0{i},500 --> 00:00:0{i + 1},250\n{text}\n\n" for i, text in enumerate(TEXTS))
WHISPER = (
    '{"segments": [{"start": 0.5, "end": 1.5, "text": "The birch canoe."}, {"start": 2, "end": 3, "text": "Two."}]}'
)
TABLE = "clip,use,text,confidence,source,speaker\n" + "".join(
    f'{clip},yes,"{TEXTS[i % 4]}",0.9,given,s{i % 2}\n' for i, clip in enumerate(CLIPS)
)
WORDS = ";;; own words\nKUBERNETES  K UW2 B ER0 N EH1 T IY0 Z\nSQL  S IY1 K W AH0 L # comment\nHELLO(1)  HH AH0 L OW1\n"
NUMBERS = ("00:00:01,500 --> ", "9" * 20 + ":00:00,0 --> 1", "1" * 5000 + "\t2\tx", "1e400", "NaN", "HH AH0", "XX YY")


def check_inside(folder: Path, path: Path) -> None:
    """Raise AssertionError unless a path lies in a folder by its name. Links are the folder's owner's."""
    assert path.is_relative_to(folder)
    assert ".." not in path.relative_to(folder).parts


class DataSet:
    """A data set with a hostile list in it, and files that no list may reach.

    Attributes:
        root: with wavs, mels, pitch; a pipe, a link to /dev/zero, and one to a folder outside.
        output: where programs may write.
        hostile: what is put into lists.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.root, self.output = folder, folder / "set", folder / "set" / "out"
        secret = folder / "secret"
        for path in (*(self.root / name for name in ("wavs", "mels", "pitch", "out")), secret):
            path.mkdir(parents=True)
        mel = np.linspace(-11, 1, 80 * 30, dtype=np.float32).reshape(80, 30)
        for place in (self.root / "mels", secret):
            for clip in CLIPS:
                np.save(place / f"{clip}.npy", mel)
        for place in (self.root / "pitch", secret):
            for clip in CLIPS:
                torch.save(torch.full((36,), 200.0), place / f"{clip}.pt")
        for place in (self.root / "wavs", secret):
            for clip in CLIPS:
                soundfile.write(place / f"{clip}.wav", np.zeros(2000), 22050)
        os.mkfifo(self.root / "pipe")
        os.mkfifo(self.root / "mels" / "pipe.npy")
        os.mkfifo(self.root / "wavs" / "pipe.wav")
        (self.root / "mels" / "zero.npy").symlink_to("/dev/zero")
        (self.root / "wavs" / "zero.wav").symlink_to("/dev/zero")
        self.hostile = (
            *PIECES,
            *NUMBERS,
            *(f"{start}c1{suffix}" for start in ("../secret/", f"{secret}/") for suffix in (".wav", ".npy", ".pt")),
            *("mels/pipe.npy", "mels/zero.npy", "wavs/pipe.wav", "wavs/zero.wav", "pipe", "..", ".", "/", "//"),
            *("mels/../../secret/c1.npy", "wavs/c1.wav/../../../secret/c1.wav", f"{self.root}/wavs/c1.wav", "~/x.wav"),
        )
        self.before = set(folder.rglob("*"))

    def check_untouched(self) -> None:
        """Raise AssertionError if something was written outside the output."""
        added = set(self.folder.rglob("*")) - self.before
        outside = {path for path in added if not path.is_relative_to(self.output)}
        assert not outside, f"it wrote {outside}"

    def watch(self) -> None:
        """From now on, end this process if it opens a file outside the data set, or a device."""

        def check(event: str, arguments: tuple[Any, ...]) -> None:
            if event == "open" and isinstance(arguments[0], str | bytes):
                name = os.fsdecode(arguments[0])
                path = os.path.realpath(name)
                if path.startswith((f"{self.folder}/secret", "/etc/passwd", "/dev/zero")):
                    sys.stderr.write(f"opened {name}\n")
                    sys.stderr.flush()
                    os._exit(3)

        sys.addaudithook(check)


@functools.lru_cache(maxsize=1)
def processor() -> TextProcessor:
    return TextProcessor(p_arpabet=0)


def write(path: Path, rng: random.Random, seeds: list[str], data: DataSet) -> Path:
    path.write_bytes(mutate_text(rng, rng.choice(seeds), data.hostile))
    return path


def speak_phrases(data: DataSet, rng: random.Random) -> None:
    """Read phrases and their pieces as inference.py does."""
    path = write(data.root / "mutated.txt", rng, PHRASES, data)
    phrases = read_phrases(path)
    check_outputs(data, phrases)
    problems: list[str] = []
    cfg = SpeechConfig(fastpitch="f.pt", p_arpabet=0.0)
    info = fastpitch_info({}, n_speakers=2)
    pieces = read_pieces(phrases, path, data.root, cfg, info, processor(), problems)
    assert {piece.name for piece in pieces} <= {phrase.output for phrase in phrases}
    assert len({piece.name for piece in pieces}) + len(problems) == len(phrases)
    for problem in problems:
        check_message(InputError(problem).args[0])


def vocode_phrases(data: DataSet, rng: random.Random) -> None:
    """Read the mels that phrases name, as inference.py does."""
    path = write(data.root / "mutated.txt", rng, MEL_PHRASES, data)
    check_outputs(data, read_phrases(path))
    job = prepared_mels_job(path, data.root, Target(MelContract(AudioConfig()), 22050), "auto", "auto")
    made = {part.name for part in job.parts(set(job.sources))}
    assert len(made) + len(job.problems) == len(job.sources) + job.refused


def check_outputs(data: DataSet, phrases: list[Phrase]) -> None:
    for phrase in phrases:
        assert safe_name(phrase.output) == phrase.output
        check_inside(data.output, data.output / phrase.output)


def write_lists(data: DataSet, rng: random.Random) -> None:
    """Make file lists of metadata."""
    write(data.root / "metadata.csv", rng, METADATA, data)
    words = ["-d", str(data.root), "--write-filelists", str(data.output), "--name", "v"]
    prepare_dataset.main(words + (["--skip-missing"] if rng.random() < 0.7 else []))
    for path in data.output.glob("*_audio_*.txt"):
        if not path.read_bytes():
            continue
        for row in read_filelist(path):
            assert Path(row[0]).suffix.lower() in AUDIO_SUFFIXES
            assert (data.root / row[0]).resolve().is_relative_to(data.root.resolve())
            if "pitch_text" in path.name:
                assert len(row) in (3, 4)
                assert row[2]
            elif not path.name.endswith("_text.txt"):
                assert len(row) == 1


def read_lists(data: DataSet, rng: random.Random) -> None:
    """Read a list as the programs that train, prepare and evaluate do."""
    path = write(data.root / "mutated.txt", rng, LISTS, data)
    assert all(row and row[0] for row in read_filelist(path))
    kind = rng.randrange(4)
    if kind == 0:
        paths = read_paths([path], data.root)
        with contextlib.suppress(InputError):
            distinct_targets([found.relative_to(data.root) for found in paths], feature_name)
    elif kind == 1:
        clips = read_recordings([path], data.root, 2)
        paths = [*(clip.wav for clip in clips), *(clip.pitch for clip in clips)]
    elif kind == 2:
        paths = [clip.path for clip in find_clips(path, data.root)]
    else:
        paths = [text.recording for text in read_texts(path, None, data.root) if text.recording]
    for found in paths:
        check_inside(data.root, found)


def read_transcripts(data: DataSet, rng: random.Random) -> None:
    """Read the texts beside recordings, as scripts/train_voice.sh does."""
    name, seed = rng.choice(
        (("c1.srt", SUBTITLES), ("c1.json", WHISPER), ("c1.txt", TEXTS[1]), ("c1.tsv", "0\t900\tA b\n"))
    )
    path = data.output / name
    try:
        write(path, rng, [seed], data)
        find_transcripts(data.output, [Recording(data.output / "c1.wav", "c1.wav")])
    finally:
        path.unlink()


def read_table(data: DataSet, rng: random.Random) -> None:
    problems: list[str] = []
    read_rows(write(data.root / "mutated.txt", rng, [TABLE], data), problems)


def read_dictionaries(data: DataSet, rng: random.Random) -> None:
    """Read own words, a dictionary, and a list of heteronyms."""
    path = write(data.root / "mutated.txt", rng, [WORDS], data)
    given: dict[str, Any] = {rng.choice(("pronunciations", "cmudict_path", "heteronyms_path")): path}
    text = TextProcessor(**given)
    with contextlib.suppress(InputError):
        text.decode(text.encode("Hello SQL, kubernetes and read."))


LIST_KINDS: tuple[Callable[[DataSet, random.Random], None], ...] = (
    *(write_lists, write_lists, read_lists, read_lists, read_lists, read_transcripts, read_table, read_dictionaries),
)


def run_one(number: int, data: DataSet, kinds: tuple[Callable[[DataSet, random.Random], None], ...]) -> str:
    use = kinds[number % len(kinds)]
    try:
        use(data, random.Random(number))
        outcome = "taken"
    except (InputError, OSError) as error:
        # Programs print one line of a system's error, which may quote a whole line of the file.
        check_message(str(error) if isinstance(error, InputError) else one_line(str(error)))
        outcome = "refused"
    data.check_untouched()
    return f"{use.__name__} {outcome}"


def run_kinds(kinds: tuple[Callable[[DataSet, random.Random], None], ...], count: int, folder: Path) -> str:
    data = DataSet(folder)
    for name in ("metadata.csv", "mutated.txt"):
        data.before.add(data.root / name)
    logs = folder.with_name("logs")
    logs.mkdir()
    watched: list[bool] = []

    def case(number: int) -> str:
        if not watched:  # in the process of the cases only
            watched.append(True)
            data.watch()
        return run_one(number, data, kinds)

    processor()
    found = run_bounded(case, count, logs)
    found.check()
    for use in kinds:
        assert found.outcomes[f"{use.__name__} taken"]
        assert found.outcomes[f"{use.__name__} refused"] or use is read_transcripts  # where the others go on
    return found.describe()


@pytest.mark.medium
@pytest.mark.timeout(14_400)
def test_damaged_phrase_files(tmp_path: Path) -> None:
    count = cases(120, 20_000)
    figures = run_kinds((speak_phrases, vocode_phrases), count, tmp_path / "data")
    record(
        "Damaged phrase files are taken or refused in one line, and read nothing outside the data set", count, figures
    )


@pytest.mark.medium
@pytest.mark.timeout(14_400)
def test_damaged_lists(tmp_path: Path) -> None:
    count = cases(160, 20_000)
    figures = run_kinds(LIST_KINDS, count, tmp_path / "data")
    record(
        "Damaged file lists, metadata, transcripts and dictionaries are taken or refused in one line, and read "
        "nothing outside the data set",
        count,
        figures,
    )
