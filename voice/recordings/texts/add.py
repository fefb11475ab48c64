"""Give each segment its text: from the user's transcripts where there are some, else from a recogniser."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from common.errors import InputError, first_three
from common.recognition.whisper import Heard
from common.resources import available_cores
from voice.recordings.flags import DEFAULT_TRANSCRIBER, RecordingsConfig
from voice.recordings.segment import GIVEN, RECOGNISED, Segment, Transcript
from voice.recordings.texts.cleaning import clean_recognised
from voice.recordings.texts.judgement import LOW_CONFIDENCE, NO_WORDS, REPEATS, confidence, find_faults
from voice.recordings.texts.recognition import LANGUAGE_SEC, Transcriber, detect_languages, recognise_clips

log = logging.getLogger(__name__)
OTHER_LANGUAGE = "another language"
LANGUAGE_SURE = 0.5  # probability of another language above which a recording is not used
_UNUSABLE = (NO_WORDS, REPEATS)


def add_texts(
    segments: Sequence[Segment],
    transcripts: Mapping[str, Transcript],
    work: Path,
    cfg: RecordingsConfig,
    jobs: int = 0,
) -> list[Segment]:
    """Return the segments with their texts, in the same order. Segments that have a text stay as they are.

    Args:
        segments: their clips lie in `work/data/wavs`.
        transcripts: of whole recordings, by name.
        work: working folder of the voice. `work/texts` keeps what was recognised.
        cfg: language and recogniser.
        jobs: number of threads (0: one per core).

    Raises:
        InputError: texts are missing and there is no recogniser, or all recordings are in another language.
    """
    done = {segment.clip: segment for segment in segments if segment.text}
    for segment in _take_whole_texts(segments, transcripts):
        done.setdefault(segment.clip, segment)
    missing = [segment for segment in segments if segment.clip not in done]
    if missing:
        transcriber = Transcriber.open(choose_model(cfg), cfg.language, work, jobs or available_cores())
        done |= {segment.clip: segment for segment in _write_down(missing, transcriber)}
    return [done[segment.clip] for segment in segments]


def choose_model(cfg: RecordingsConfig) -> str:
    """Return the recogniser that was asked for, or the default one for the language."""
    return cfg.transcriber or (DEFAULT_TRANSCRIBER if cfg.language == "en" else DEFAULT_TRANSCRIBER.partition(".")[0])


def _by_recording(segments: Sequence[Segment]) -> dict[str, list[Segment]]:
    groups: dict[str, list[Segment]] = {}
    for segment in segments:
        groups.setdefault(segment.recording, []).append(segment)
    return groups


def _take_whole_texts(segments: Sequence[Segment], transcripts: Mapping[str, Transcript]) -> list[Segment]:
    """Return the segments that are the only one of their recording, with the recording's text."""
    groups = [(group, transcripts.get(name)) for name, group in _by_recording(segments).items()]
    return [
        dataclasses.replace(group[0], text=transcript.text, source=GIVEN)
        for group, transcript in groups
        if transcript and transcript.text and len(group) == 1 and not group[0].text
    ]


def _write_down(segments: Sequence[Segment], transcriber: Transcriber) -> list[Segment]:
    foreign = _find_foreign(segments, transcriber)
    understood = [segment for segment in segments if segment.recording not in foreign]
    heard = recognise_clips([segment.clip for segment in understood], transcriber)
    unsure = {
        segment.clip
        for segment in understood
        if LOW_CONFIDENCE in _faults(heard.get(segment.clip, Heard("")), segment.seconds)
    }
    languages = _ask_language([segment.clip for segment in understood if segment.clip in unsure], transcriber)
    found = []
    for segment in segments:
        if language := foreign.get(segment.recording, ""):
            remarks = (*segment.remarks, f"{OTHER_LANGUAGE}: {language}")
            found.append(dataclasses.replace(segment, remarks=remarks, use=False))
        else:
            clip = segment.clip
            found.append(_with_recognised(segment, heard.get(clip, Heard("")), languages.get(clip, "")))
    return found


def _find_foreign(segments: Sequence[Segment], transcriber: Transcriber) -> dict[str, str]:
    """Return the language of each long recording that is in another one than asked for, with one line in the log each.

    Raises:
        InputError: all recordings are.
    """
    groups = {
        name: group
        for name, group in _by_recording(segments).items()
        if sum(segment.seconds for segment in group) >= LANGUAGE_SEC
    }
    clips = [[segment.clip for segment in group] for group in groups.values()]
    foreign = {}
    for name, answer in zip(groups, detect_languages(clips, transcriber), strict=True):
        if answer and answer[0] != transcriber.language and answer[1] > LANGUAGE_SURE:
            foreign[name] = answer[0]
            log.warning(
                "%s: sounds like language '%s' (%.0f %% sure), not '%s': not used; give --language or remove it",
                *(name, answer[0], 100 * answer[1], transcriber.language),
            )
    if foreign and not {segment.recording for segment in segments} - set(foreign):
        languages = sorted(set(foreign.values()))
        raise InputError(
            f"{first_three(list(foreign))}: all recordings sound like language {' or '.join(languages)}, not "
            f"{transcriber.language}; give --language {languages[0]}, or other recordings"
        )
    return foreign


def _ask_language(clips: Sequence[str], transcriber: Transcriber) -> dict[str, str]:
    """Return the language of each clip that is surely in another one than asked for."""
    answers = zip(clips, detect_languages([[clip] for clip in clips], transcriber), strict=True)
    return {
        clip: answer[0]
        for clip, answer in answers
        if answer and answer[0] != transcriber.language and answer[1] > LANGUAGE_SURE
    }


def _faults(heard: Heard, seconds: float) -> tuple[str, ...]:
    return find_faults(heard, clean_recognised(heard.text), seconds)


def _with_recognised(segment: Segment, heard: Heard, language: str) -> Segment:
    """Return a segment with the text that was heard, and what to look at."""
    faults = _faults(heard, segment.seconds)
    if language:
        faults = (f"{OTHER_LANGUAGE}: {language}", *faults)
    return dataclasses.replace(
        segment,
        text="" if NO_WORDS in faults else clean_recognised(heard.text),
        source="" if NO_WORDS in faults else RECOGNISED,
        confidence=confidence(heard),
        use=segment.use and not language and not any(fault in _UNUSABLE for fault in faults),
        remarks=(*segment.remarks, *faults),
    )
