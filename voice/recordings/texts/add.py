"""Give each segment its text: from the user's transcripts where there are some, else from a recogniser.

Subtitles whose times fit the segments, and the texts of recordings with one segment, need no recogniser. All other
texts of recordings are aligned with what a recogniser understands.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from common.errors import InputError, first_three
from common.recognition import whisper
from common.recognition.whisper import Heard
from common.resources import available_cores
from voice.recordings.flags import DEFAULT_TRANSCRIBER, RecordingsConfig
from voice.recordings.segment import GIVEN, RECOGNISED, Segment, Transcript, by_recording
from voice.recordings.texts.cleaning import clean_recognised
from voice.recordings.texts.given import NO_FITTING_SUBTITLES, align_text, find_rest, take_fitting
from voice.recordings.texts.judgement import (
    LOW_CONFIDENCE,
    NO_WORDS,
    NOT_UNDERSTOOD,
    REPEATS,
    confidence,
    cut_invented_end,
    find_faults,
)
from voice.recordings.texts.languages import OTHER_LANGUAGE, find_foreign_clips, find_foreign_recordings
from voice.recordings.texts.recognition import Transcriber, recognise_clips

log = logging.getLogger(__name__)
_UNUSABLE = (NO_WORDS, NOT_UNDERSTOOD, REPEATS)
_ENOUGH = 5  # segments of a recording, to say that it is not understood


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
        InputError: texts are missing and there is no recogniser, or no text can be used: all recordings are in another
            language, or hold no speech.
    """
    done = {segment.clip: segment for segment in segments}
    missing: list[Segment] = []
    texts: dict[str, str] = {}  # of recordings, to be aligned
    for name, group in by_recording(segments).items():
        if all(segment.text for segment in group):
            continue
        if transcript := transcripts.get(name):
            found = take_fitting(group, transcript)
            done |= {segment.clip: segment for segment in found}
            without, texts[name] = find_rest(found, transcript)
            missing += without
        else:
            missing += [segment for segment in group if not segment.text]
    if missing and not _go_on_without(done):
        transcriber = Transcriber.open(choose_model(cfg), cfg.language, work, jobs or available_cores())
        written = _write_down(missing, transcriber, texts)
        _report_unusable(written, cfg.language)
        done |= {segment.clip: segment for segment in written if not done[segment.clip].text}
    return [done[segment.clip] for segment in segments]


def choose_model(cfg: RecordingsConfig) -> str:
    """Return the recogniser that was asked for, or the default one for the language."""
    return cfg.transcriber or (DEFAULT_TRANSCRIBER if cfg.language == "en" else DEFAULT_TRANSCRIBER.partition(".")[0])


def _go_on_without(done: dict[str, Segment]) -> bool:
    """Return whether to go on without a recogniser: it is not installed, and most segments have texts.

    The others are not used, which a remark and one line in the log say.
    """
    without = [segment for segment in done.values() if not segment.text]
    if whisper.is_installed() or 2 * len(without) > len(done):
        return False
    for segment in without:
        remarks = (*segment.remarks, NO_FITTING_SUBTITLES)
        done[segment.clip] = dataclasses.replace(segment, use=False, remarks=remarks)
    log.warning(
        "%d of %d segments have no text, or subtitles that do not fit, and are not used: faster-whisper, which would "
        "write them down, is not installed (pip install faster-whisper)",
        *(len(without), len(done)),
    )
    return True


def _write_down(segments: Sequence[Segment], transcriber: Transcriber, texts: Mapping[str, str]) -> list[Segment]:
    """Return segments with what a recogniser understood, or with their stretch of their recording's text."""
    foreign = find_foreign_recordings(segments, transcriber)
    remarks = {name: f"{OTHER_LANGUAGE}: {language}" for name, language in foreign.items()}
    found = [
        dataclasses.replace(segment, use=False, remarks=(*segment.remarks, remarks[segment.recording]))
        for segment in segments
        if segment.recording in foreign
    ]
    understood = [segment for segment in segments if segment.recording not in foreign]
    heard = recognise_clips([segment.clip for segment in understood], transcriber)
    heard = {clip: cut_invented_end(one) for clip, one in heard.items()}
    faults = {segment.clip: _faults(heard.get(segment.clip, Heard("")), segment.seconds) for segment in understood}
    unsure = [clip for clip, remarks_of_clip in faults.items() if {LOW_CONFIDENCE, NOT_UNDERSTOOD} & {*remarks_of_clip}]
    for clip, language in find_foreign_clips(unsure, transcriber).items():
        faults[clip] = (f"{OTHER_LANGUAGE}: {language}", *faults[clip])
    for name, group in by_recording(understood).items():
        written = [_with_recognised(one, heard.get(one.clip, Heard("")), faults[one.clip]) for one in group]
        if texts.get(name):
            originals = {one.clip: one for one in group}
            written = [_restore(one, originals[one.clip]) for one in align_text(name, written, texts[name])]
        found += written
    return found


def _restore(segment: Segment, original: Segment) -> Segment:
    """Drop what speaks against a recognised text, if the segment has a given one now."""
    if segment.source != GIVEN:
        return segment
    return dataclasses.replace(segment, use=original.use, remarks=(*original.remarks, *segment.remarks))


def _report_unusable(segments: Sequence[Segment], language: str) -> None:
    """Name recordings of which little was understood, one line each.

    Raises:
        InputError: nothing was.
    """
    if not any(segment.use and segment.text for segment in segments):
        names = first_three(list(by_recording(segments)))
        raise InputError(
            f"{names}: nothing was understood as language {language}: perhaps another language (--language), music or "
            "noise; give recordings of speech, or their texts"
        )
    for name, group in by_recording(segments).items():
        lost = [segment for segment in group if not (segment.use and segment.text)]
        if len(group) >= _ENOUGH and 2 * len(lost) > len(group) and not _is_foreign(group):
            log.warning(
                "%s: %d of %d segments were not understood and are not used: perhaps another language, music or noise",
                *(name, len(lost), len(group)),
            )


def _is_foreign(segments: Sequence[Segment]) -> bool:
    """Return whether the whole recording is in another language, which a line has said already."""
    return all(any(remark.startswith(OTHER_LANGUAGE) for remark in segment.remarks) for segment in segments)


def _faults(heard: Heard, seconds: float) -> tuple[str, ...]:
    return find_faults(heard, clean_recognised(heard.text), seconds)


def _with_recognised(segment: Segment, heard: Heard, faults: tuple[str, ...]) -> Segment:
    unusable = any(fault in _UNUSABLE or fault.startswith(OTHER_LANGUAGE) for fault in faults)
    return dataclasses.replace(
        segment,
        text="" if NO_WORDS in faults else clean_recognised(heard.text),
        source="" if NO_WORDS in faults else RECOGNISED,
        confidence=confidence(heard),
        use=segment.use and not unusable,
        remarks=(*segment.remarks, *faults),
    )
