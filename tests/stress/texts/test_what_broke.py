"""Input that once ended a program with a traceback, made it hang, took gigabytes, or led it out of its folders."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from common.audio_config import AudioConfig, MelConvention
from common.cli import ArgumentParser, run
from common.data.filelists import listed_path, read_paths
from common.data.flags import parse as parse_prepare
from common.data.metadata import number_speakers
from common.data.pitch import read_statistics
from common.errors import InputError
from common.files.json_files import read_json
from common.files.model_folders import CONFIG_FILE, read_config
from common.files.text_files import read_lines
from common.files.yaml_files import parse_yaml
from common.synthesis.phrases import Phrase
from common.synthesis.resume import JOB_FILE, start_job
from common.synthesis.sources import find_mel_files
from common.text.any_language.alphabet import Alphabet
from common.text.any_language.own_words import MOST_WORDS
from common.text.processor import TextProcessor
from evaluation.clips import find_clips
from fastpitch.config import FastPitchConfig
from fastpitch.speakers import find_speaker, stored_pitch
from fastpitch.training.recordings import read_recordings
from hifigan.config import GeneratorConfig
from tests.support.fuzzing.bounded import check_message, run_bounded
from tests.support.paths import written
from voice.recordings.texts.subtitles import read_subtitles

MANY_DIGITS = "1" * 5000  # Python refuses to convert them: ValueError
HUGE = 10**400  # no float can hold it: OverflowError


def laughs(item: str, names: Callable[[str], str]) -> str:
    """Return YAML of a few lines that stands for ten million values."""
    lines = [f"a0: &a0 {item}"]
    lines += [f"a{i}: &a{i}\n  {names(','.join([f'*a{i - 1}'] * 10))}" for i in range(1, 8)]
    return "\n".join(lines)


SETTINGS: dict[str, Callable[[], Any]] = {
    # hung: gigabytes of weights, paddings or frames
    "gigabytes of weights": lambda: GeneratorConfig(upsample_initial_channel=2**20),
    "a kernel of a billion": lambda: GeneratorConfig(resblock_kernel_sizes=(10**9 + 1, 7, 11)),
    "a dilation of a billion": lambda: GeneratorConfig(resblock_dilation_sizes=((1, 10**9),) * 3),
    "a hop of a million": lambda: GeneratorConfig(upsample_rates=(1000, 1000), upsample_kernel_sizes=(1000, 1000)),
    "gigabytes of FastPitch": lambda: FastPitchConfig(in_fft_conv1d_filter_size=2**20),
    "a mel matrix of gigabytes": lambda: AudioConfig(filter_length=2**20, num_mels=2**13),
    # wrong results: 8.5 became 8, and "8822" the rates 8, 8, 2, 2
    "half a sample": lambda: GeneratorConfig(upsample_rates=(8.5, 8, 2, 2)),  # type: ignore[arg-type]
    "a text for a list": lambda: GeneratorConfig(upsample_rates="8822"),  # type: ignore[arg-type]
    # tracebacks
    "an infinite width": lambda: FastPitchConfig(n_speakers=float("inf")),  # type: ignore[arg-type]
    "a rate beyond floats": lambda: AudioConfig(sampling_rate=HUGE),
    "a gain beyond floats": lambda: MelConvention(gain=HUGE),
    "no mean": lambda: MelConvention(mel_mean=()),
    "a text for epsilon": lambda: MelConvention(epsilon="x"),  # type: ignore[arg-type]
    "symbols that no file can hold": lambda: Alphabet({"symbols": "ab\ud800"}),
    "replacements that no file can hold": lambda: Alphabet({"symbols": "ab", "replace": {"a": "\udfff"}}),
    "replacements of gigabytes": lambda: Alphabet({"symbols": "ab", "replace": {"a": "b" * 10**6}}),
    # YAML: tracebacks, then minutes and gigabytes
    "an empty integer": lambda: parse_yaml("a: !!int ''", "a.yaml"),
    "a truth value that is none": lambda: parse_yaml("a: !!bool x", "a.yaml"),
    "a time that is none": lambda: parse_yaml("a: !!timestamp x", "a.yaml"),
    "itself": lambda: parse_yaml("a: &a [*a]", "a.yaml"),
    "a billion laughs": lambda: parse_yaml(laughs("[x]", lambda names: f"- [{names}]"), "a.yaml"),
    "brackets": lambda: parse_yaml("[" * 10_000, "a.yaml"),
    "an hour with seconds without end": lambda: parse_yaml("a: 1" + ":1" * 20_000, "a.yaml"),
    "a large file": lambda: parse_yaml("- a\n" * 100_000, "a.yaml"),
    # command lines
    "lists outside their folder": lambda: parse_prepare(["--write-filelists", "out", "--name", "../x"]),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_settings(name: str) -> None:
    with pytest.raises(InputError) as caught:
        SETTINGS[name]()
    check_message(str(caught.value))


def test_merged_keys() -> None:
    """Older versions of PyYAML multiplied them."""
    with contextlib.suppress(InputError):
        values = parse_yaml(laughs("{x: 1, y: 2}", lambda names: f"<<: [{names}]"), "a.yaml")
        assert values["a7"] == {"x": 1, "y": 2}


def test_numbers_of_speakers() -> None:
    assert find_speaker(MANY_DIGITS, 2, {}) is None
    assert stored_pitch({"speaker_pitch_hz": [[HUGE, 1]]}, 1) == [(0.0, 0.0)]
    assert number_speakers({"a": MANY_DIGITS, "b": "7"}) == {MANY_DIGITS: 0, "7": 1}


FILES: dict[str, tuple[str, str | bytes, Callable[[Path], Any]]] = {
    # each of the quotes and comments without an end was searched to the end of the file: 38 s for 40 KB
    "quotes": ("a.json", "{ " + '\\"' * 20_000 + "\\", read_json),
    "comments": ("a.json", "{ " + "/*" * 20_000, read_json),
    "statistics that are infinite": (
        "a.json",
        '{"mean_hz": Infinity, "std_hz": 1, "voiced_frames": 1, "frames": 1}',
        read_statistics,
    ),
    "hours": ("a.srt", f"{MANY_DIGITS}:00:00,0 --> {MANY_DIGITS}:00:01,0\nText\n", read_subtitles),
    "milliseconds": ("a.tsv", f"0\t{HUGE}\tText\n", read_subtitles),
    "seconds": ("a.json", f'{{"segments": [{{"start": 0, "end": {HUGE}, "text": "a"}}]}}', read_subtitles),
    "unknown phonemes": ("cmudict", "HELLO  HH XX\n", lambda path: TextProcessor(cmudict_path=path)),
    "heteronyms": ("words", b"\xff\xff\xff", lambda path: TextProcessor(heteronyms_path=path)),
    "own words": (
        "words",
        "".join(
            f"W{'A' * (i % 7)}{chr(65 + i % 26)}{i:b}  HH\n".replace("0", "O").replace("1", "I") for i in range(2**16)
        ),
        lambda path: TextProcessor(pronunciations=path),
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_files(name: str, tmp_path: Path) -> None:
    file, content, read = FILES[name]
    with pytest.raises(InputError) as caught:
        read(written(tmp_path / file, content))
    check_message(str(caught.value))


def test_the_list_of_own_words_is_too_long() -> None:
    """Else the test above would show another fault of its file."""
    words = {f"W{'A' * (i % 50)}{'B' * (i // 50 % 50)}{'C' * (i // 2500)}": "HH" for i in range(MOST_WORDS + 1)}
    with pytest.raises(InputError, match="20,001 own words, at most 20,000"):
        TextProcessor(pronunciations=words)


PIPES: dict[str, Callable[[Path], Any]] = {
    "own words": lambda path: TextProcessor(pronunciations=path),
    "a list": read_lines,
    "JSON": read_json,
}


@pytest.mark.parametrize("name", PIPES)
def test_pipes_and_devices_are_not_waited_for(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")

    def read(number: int) -> str:
        with pytest.raises(InputError, match="a device or a pipe"):
            PIPES[name](tmp_path / ("pipe", "zero")[number])
        return "refused"

    run_bounded(read, 2, tmp_path).check()


def test_a_model_whose_state_is_a_list(tmp_path: Path) -> None:
    written(tmp_path / CONFIG_FILE, '{"format": "hifigan-recipe", "state": []}')
    with pytest.raises(InputError, match="state is"):
        read_config(tmp_path)


@pytest.mark.parametrize("name", ["/etc/passwd", "../secret.wav", "wavs/../../secret.wav"])
def test_lists_that_leave_the_data_set(name: str, tmp_path: Path) -> None:
    path = written(tmp_path / "l.txt", f"{name}|pitch/a.pt|Text.\nwavs/b.wav|{name}|Text.\n")
    root = tmp_path / "set"
    for read in (
        lambda: read_paths([path], root),
        lambda: find_clips(path, root),  # ValueError
        lambda: read_recordings([path], root, 1),
        lambda: find_mel_files([Phrase("a.wav", mel=name)], path, root, []),
    ):
        with pytest.raises(InputError, match="file lists name paths inside the data set"):
            read()


def test_lists_inside_the_data_set(tmp_path: Path) -> None:
    root = tmp_path / "set"
    assert listed_path(f"{root}/wavs/a.wav", root, "l.txt") == listed_path("wavs/a.wav", root, "l.txt")
    with pytest.raises(InputError, match="is the data set itself"):  # ValueError in evaluate.py
        listed_path(".", root, "l.txt")
    with pytest.raises(InputError, match="longer than 255 bytes"):  # OSError
        listed_path("ü" * 128, root, "l.txt")


@pytest.mark.parametrize("name", ["../../x.wav", "/x.wav", "a\0.wav"])
def test_a_record_of_outputs_elsewhere(name: str, tmp_path: Path) -> None:
    """Leftovers beside the outputs that synthesis.json names are removed."""
    record = {"kind": "speech synthesis of inference.py", "settings": {}, "made_of": {name: "1"}, "outdated": {}}
    written(tmp_path / JOB_FILE, json.dumps(record))
    with pytest.raises(InputError, match="not the record of a synthesis"):
        start_job(tmp_path, {}, {"b.wav": "1"}, redo=False)


@pytest.mark.parametrize(
    "error", [InputError("-o: a\nb\x1b[2J.wav"), OSError("a\nb\x1b[2J"), FileNotFoundError("x" * 10_000)], ids=str
)
def test_names_with_line_ends_stay_one_line(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    """Only the part behind the last line end was shown, and control characters reached the terminal."""

    def main() -> int:
        raise error

    with pytest.raises(SystemExit):
        run(main, "prog")
    message = capsys.readouterr().err
    check_message(message[:-1])
    assert message.startswith("prog: error: -o: a\\nb" if isinstance(error, InputError) else "prog: error: ")


def test_unknown_arguments_with_line_ends(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        ArgumentParser("prog").parse_args(["--a\nb", "x" * 100_000])
    check_message(capsys.readouterr().err[:-1])


def test_log_lines_have_no_control_characters() -> None:
    from common.cli import _LogFormatter

    line = _LogFormatter("%(message)s").format(logging.LogRecord("a", 30, "a", 1, "a\x1b[2Jb\udcff", (), None))
    check_message(line)
