"""Make clips of all recordings: read, find speech, cut, and write wav files and a record of each recording.

WORK/recordings/ID.json is written after the clips of its recording, so an interrupted run goes on with the next one.
A recording that has changed is cut again. Clips of recordings that are gone are removed.

Shapes: T samples.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common.audio_files import find_peak, save_wav
from common.audio_input.folders import walk_files
from common.errors import InputError, by_remark, first_three, others_go_on
from common.files.atomic import write_whole
from common.files.fingerprints import ends_digest
from common.files.json_files import read_json
from common.machine.processes import describe_lost, map_in_processes
from voice.recordings.audio.cues import cut_cues
from voice.recordings.audio.cutting import SHORT, SpeechPiece, cut_at_pauses, extract, whole_piece
from voice.recordings.audio.levels import measure_levels
from voice.recordings.audio.quality import RecordingQuality
from voice.recordings.audio.reading import RATE_HZ, read_recording
from voice.recordings.audio.speech_activity import Span, find_speech
from voice.recordings.files import name_recordings
from voice.recordings.segment import GIVEN, LONGEST_GIVEN_SEC, MIN_SEC, Recording, Segment, Transcript

log = logging.getLogger(__name__)
METHOD = 1  # in the records; a change makes all recordings be cut again
SILENT_PEAK = 1e-3
CHANCE_SHARE = 0.02  # of a recording, in which the model may take other sounds for speech


@dataclasses.dataclass(frozen=True)
class Segmentation:
    """Result of all recordings.

    Attributes:
        segments: in the order of the recordings.
        qualities: of each usable recording, by `Recording.name`.
        problems: one line for each recording that cannot be used.
    """

    segments: list[Segment]
    qualities: dict[str, RecordingQuality]
    problems: list[str]


@dataclasses.dataclass(frozen=True)
class _Task:
    recording: Recording
    name: str  # id of the recording
    transcript: Transcript | None


def segment_recordings(
    recordings: Sequence[Recording], work: str | Path, transcripts: Mapping[str, Transcript], jobs: int = 1
) -> Segmentation:
    """Cut recordings into clips, or read the records of an earlier run.

    Args:
        recordings: of `find_recordings`.
        work: gets data/wavs/ and recordings/, both entirely its own.
        transcripts: known texts by `Recording.name`.
        jobs: number of processes.

    Raises:
        InputError: none of the recordings has speech, or a package is missing.
    """
    work = Path(work)
    names = name_recordings(recordings)
    tasks = [_Task(item, names[item.name], transcripts.get(item.name)) for item in recordings]
    todo = [task for task in tasks if _read_record(work, task) is None]
    if len(todo) < len(tasks):
        log.info("%d of %d recordings are cut already", len(tasks) - len(todo), len(tasks))
    outcomes = map_in_processes(functools.partial(_process, work), todo, jobs, "recordings", lost=_describe_lost)
    problems = [line for line in outcomes if line]
    found = [(task, record) for task in tasks if (record := _read_record(work, task)) is not None]
    problems = [f"{task.recording.path}: {record['problem']}" for task, record in found if record["problem"]] + problems
    records = [record for _, record in found]
    segments = [_to_segment(values) for record in records for values in record["segments"]]
    _remove_others(work, {task.name for task in tasks}, {segment.clip for segment in segments})
    if not segments:
        raise InputError(f"no usable recording: {first_three(problems)}")
    for problem in problems:
        log.warning("not used: %s", problem)
    qualities = {record["recording"]: RecordingQuality(**record["quality"]) for record in records if record["quality"]}
    _log_remarks(qualities)
    return Segmentation(segments, qualities, problems)


def _log_remarks(qualities: Mapping[str, RecordingQuality]) -> None:
    for line in by_remark((name, remark) for name, quality in qualities.items() for remark in quality.remarks()):
        log.warning("%s", line)


def _process(work: Path, task: _Task) -> str:
    """Make the clips and the record of one recording. Return its problem, or '' if the record holds the outcome."""
    problems: list[str] = []
    with others_go_on(task.recording.path, problems):
        _record_path(work, task.name).unlink(missing_ok=True)
        record = _segment(work, task)
        content = json.dumps(record, ensure_ascii=False, indent=1)
        write_whole(_record_path(work, task.name), content.encode("utf-8", "surrogateescape"), one_of_many=True)
    return problems[0] if problems else ""


def _describe_lost(task: _Task) -> str:
    return describe_lost(task.recording.path)


def _segment(work: Path, task: _Task) -> dict[str, Any]:
    identity = _identify(task)  # before reading: a file that changes meanwhile is read again the next time
    wav, quality = read_recording(task.recording.path)
    spans = find_speech(wav)
    record: dict[str, Any] = {**identity, "quality": None, "segments": [], "problem": ""}
    spoken_sec = sum(span.end - span.start for span in spans)
    if spoken_sec < min(MIN_SEC, CHANCE_SHARE * quality.seconds):
        record["problem"] = f"no speech found in {quality.seconds:.0f} s ({_guess(wav)}); remove it"
        return record
    quality = measure_levels(quality, wav, spans)
    gain = 10 ** (quality.gain_db / 20)
    segments = []
    for number, (piece, text) in enumerate(_cut(wav, spans, task.transcript), 1):
        clip = f"{task.name}_{number:04d}"
        save_wav(work / "data" / "wavs" / f"{clip}.wav", extract(wav, piece, gain), RATE_HZ)
        segments.append(_describe(task.recording, clip, piece, text))
    record["quality"] = quality.to_json()
    record["segments"] = [dataclasses.asdict(segment) for segment in segments]
    return record


def _guess(wav: np.ndarray) -> str:
    return "silence" if find_peak(wav) < SILENT_PEAK else "perhaps music or noise"


def _cut(wav: np.ndarray, spans: Sequence[Span], transcript: Transcript | None) -> list[tuple[SpeechPiece, str]]:
    """Return the pieces with their texts, '' where the text is not known."""
    if transcript is not None and transcript.cues:
        return cut_cues(wav, spans, transcript.cues)
    if transcript is not None and transcript.text and spans[-1].end - spans[0].start <= LONGEST_GIVEN_SEC:
        return [(whole_piece(wav, spans), transcript.text)]
    return [(piece, "") for piece in cut_at_pauses(wav, spans)]


def _describe(recording: Recording, clip: str, piece: SpeechPiece, text: str) -> Segment:
    return Segment(
        clip,
        recording.name,
        round(piece.start, 3),
        round(piece.end, 3),
        recording.speaker,
        text,
        GIVEN if text else "",
        use=SHORT not in piece.remarks,
        remarks=piece.remarks,
    )


def _identify(task: _Task) -> dict[str, Any]:
    """Return what decides the result: the method, the file and its text."""
    path = task.recording.path
    status = path.stat()
    text = repr(task.transcript).encode("utf-8", "surrogateescape")
    return {
        "method": METHOD,
        "recording": task.recording.name,
        "speaker": task.recording.speaker,
        "source": f"{status.st_size} bytes, {status.st_mtime_ns}, {ends_digest(path)}",
        "transcript": hashlib.sha256(text).hexdigest()[:12] if task.transcript else "",
    }


def _record_path(work: Path, name: str) -> Path:
    return work / "recordings" / f"{name}.json"


def _read_record(work: Path, task: _Task) -> dict[str, Any] | None:
    """Return the record of a recording if it is still true, and its clips are there."""
    path = _record_path(work, task.name)
    if not path.is_file():
        return None
    try:
        record = read_json(path)
        same = all(record[key] == value for key, value in _identify(task).items())
        clips = [work / "data" / "wavs" / f"{segment['clip']}.wav" for segment in record["segments"]]
    except (InputError, KeyError, TypeError, OSError):  # damaged, or of another version
        return None
    return record if same and all(clip.is_file() for clip in clips) else None


def _to_segment(values: Mapping[str, Any]) -> Segment:
    return Segment(**{**values, "remarks": tuple(values["remarks"])})


def _remove_temporary(work: Path) -> None:
    for folder in (work / "recordings", work / "data" / "wavs"):
        for path in folder.rglob(".*.tmp"):
            path.unlink()


def _remove_others(work: Path, names: set[str], clips: set[str]) -> None:
    """Remove the records of recordings that are gone, wavs that no record names, and what killed processes left."""
    _remove_temporary(work)
    records, wavs = work / "recordings", work / "data" / "wavs"
    for path in walk_files(records, lambda path: path.suffix == ".json"):
        if path.relative_to(records).with_suffix("").as_posix() not in names:
            path.unlink()
    for path in walk_files(wavs, lambda path: path.suffix == ".wav"):
        if path.relative_to(wavs).with_suffix("").as_posix() not in clips:
            path.unlink()
