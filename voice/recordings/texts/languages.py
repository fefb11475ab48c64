"""Find recordings and segments in another language than asked for."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from common.errors import InputError, first_three
from voice.recordings.segment import Segment, by_recording
from voice.recordings.texts.recognition import LANGUAGE_SEC, Transcriber, detect_languages

log = logging.getLogger(__name__)
OTHER_LANGUAGE = "another language"
SURELY_ANOTHER = 0.5  # probability of another language above which a recording is not used


def find_foreign_recordings(segments: Sequence[Segment], transcriber: Transcriber) -> dict[str, str]:
    """Return the language of each long recording that is in another one than asked for, with one line in the log each.

    Shorter recordings than half a minute are not checked here.

    Raises:
        InputError: all recordings are in other languages.
    """
    groups = {
        name: group
        for name, group in by_recording(segments).items()
        if sum(segment.seconds for segment in group) >= LANGUAGE_SEC
    }
    clips = [[segment.clip for segment in group] for group in groups.values()]
    foreign = {}
    for name, answer in zip(groups, detect_languages(clips, transcriber), strict=True):
        if answer and _is_foreign(answer, transcriber):
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


def find_foreign_clips(clips: Sequence[str], transcriber: Transcriber) -> dict[str, str]:
    """Return the language of each clip that is in another one than asked for."""
    answers = zip(clips, detect_languages([[clip] for clip in clips], transcriber), strict=True)
    return {clip: answer[0] for clip, answer in answers if answer and _is_foreign(answer, transcriber)}


def _is_foreign(answer: tuple[str, float], transcriber: Transcriber) -> bool:
    return answer[0] != transcriber.language and answer[1] > SURELY_ANOTHER
