"""Check the clips and texts of a voice before hours are spent on training it."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from common.data.report import find_far_rates
from common.errors import InputError
from common.project import command
from common.text.processor import TextProcessor
from common.text.settings import TextConfig
from voice.recordings.findings.amount import describe_amount, describe_speakers, require_enough
from voice.recordings.findings.duplicates import find_same_audio, group_by_text
from voice.recordings.findings.languages import find_other_scripts, guess_language
from voice.recordings.flags import RecordingsConfig
from voice.recordings.segment import RECOGNISED, Segment, by_recording
from voice.recordings.texts.judgement import SURE

# Confidence below which a text may well have a wrong word. On the demo clips, clean and in noise, Whisper's tiny.en and
# base had errors in 3 to 7 % of the texts above it, in 23 to 33 % of those between it and SURE, and in most below.
MIDDLING = 0.7
MANY_UNSURE = 0.1  # share of texts with low confidence that calls for a review
NAMED = 5  # examples in a line
UNKNOWN = "not in the dictionary"  # as the dictionary says


@dataclasses.dataclass(frozen=True)
class Checks:
    """The findings of all checks.

    Attributes:
        segments: all segments, with remarks. Those that cannot be used are excluded.
        lines: to print.
        minutes: usable speech.
        num_texts: number of different texts in it.
    """

    segments: list[Segment]
    lines: list[str]
    minutes: float
    num_texts: int

    def require_enough(self) -> None:
        """Raise `InputError` if the speech is too little to train a voice at all."""
        require_enough(self.minutes, self.num_texts, sum(not item.use for item in self.segments))


class _Findings:
    """Collects remarks and lines about the segments that training would use."""

    def __init__(self, segments: Sequence[Segment]) -> None:
        self.segments = [item for item in segments if item.use and item.text.strip()]
        self.remarks: dict[str, list[str]] = defaultdict(list)
        self.excluded: set[str] = set()
        self.lines: list[str] = []

    @property
    def used(self) -> list[Segment]:
        """The segments that are not excluded yet."""
        return [item for item in self.segments if item.clip not in self.excluded]

    def remark(self, clip: str, remark: str, exclude: bool = False) -> None:
        self.remarks[clip].append(remark)
        if exclude:
            self.excluded.add(clip)

    def say(self, number: int, one: str, many: str, examples: Iterable[str]) -> None:
        """Add a line, unless the number is 0."""
        names = list(examples)
        more = ", ..." if len(names) > NAMED else ""
        if number:
            self.lines.append(f"{number} {one if number == 1 else many}: {', '.join(names[:NAMED])}{more}")

    def apply(self, segments: Iterable[Segment]) -> list[Segment]:
        """Return the segments with what was found. Remarks that they have already are not repeated."""
        result = []
        for item in segments:
            remarks = tuple(dict.fromkeys((*item.remarks, *self.remarks[item.clip])))
            # A clip without a text cannot be used, whoever decided so.
            use = item.use and item.clip not in self.excluded and bool(item.text.strip())
            result.append(dataclasses.replace(item, remarks=remarks, use=use))
        return result


def check_segments(
    segments: Sequence[Segment], cfg: RecordingsConfig, work: Path, processor: TextProcessor | None = None
) -> Checks:
    """Check the segments that training would use.

    Args:
        segments: with their texts, and the user's corrections.
        cfg: the language.
        work: working folder, with the clips in `data/wavs`.
        processor: how texts are read. By default English's, and for other languages this is not checked.
    """
    if processor is None and cfg.language == "en":
        processor = TextConfig().processor()
    findings = _Findings(segments)
    _check_duplicates(findings, work)
    _check_languages(findings, cfg.language)
    if processor:
        _check_reading(findings, processor)
    _check_rates(findings)
    _count_remarks(findings)
    result = findings.apply(segments)
    used = [item for item in result if item.use]
    minutes = sum(item.seconds for item in used) / 60
    amount = [*describe_amount(minutes, len(used)), *describe_speakers(_by_speaker(used))]
    lines = [*amount, *_describe_confidence(used, work), *findings.lines]
    return Checks(result, lines, minutes, len(group_by_text(used)))


def _check_rates(findings: _Findings) -> None:
    """Compare the characters per second of each speaker."""
    far: dict[str, tuple[float, float]] = {}
    for group in _by_speaker(findings.used).values():
        far |= find_far_rates({item.clip: item.text for item in group}, {item.clip: item.seconds for item in group})
    for clip, (rate, median) in far.items():
        findings.remark(clip, f"{rate:.1f} characters a second instead of about {median:.1f}")
    findings.say(len(far), "text hardly fits its audio", "texts hardly fit their audio", far)


def _by_speaker(segments: Iterable[Segment]) -> dict[str, list[Segment]]:
    speakers: dict[str, list[Segment]] = defaultdict(list)
    for item in segments:
        speakers[item.speaker].append(item)
    return speakers


def _check_reading(findings: _Findings, processor: TextProcessor) -> None:
    """Find texts that cannot be encoded, characters that are skipped, and words that the dictionary lacks."""
    unknown: dict[str, list[str]] = defaultdict(list)
    silent: list[str] = []
    used = findings.used
    with processor.count_skipped() as skipped:
        for item in used:
            try:
                cleaned = processor.clean(item.text)
                fault = "" if processor.has_sound(processor.encode(item.text)) else "nothing to speak: only signs"
            except InputError as error:
                fault = str(error)
            if fault:
                findings.remark(item.clip, fault, exclude=True)
                silent.append(item.clip)
                continue
            words = [word for word, why in processor.letter_words(cleaned).items() if why == UNKNOWN]
            for word in words:
                unknown[word].append(item.clip)
            if words and item.source == RECOGNISED:  # often a word that was misheard
                findings.remark(item.clip, f"unknown {'word' if len(words) == 1 else 'words'}: {', '.join(words)}")
    findings.say(len(silent), "text cannot be spoken", "texts cannot be spoken", silent)
    if line := skipped.describe(len(used)):
        findings.lines.append(line)
    often = sorted(unknown, key=lambda word: (-len(unknown[word]), word))
    counts = [f"{word} ({len(unknown[word])})" if len(unknown[word]) > 1 else word for word in often]
    what = "in the dictionary, so that the voice reads from its letters"
    findings.say(len(often), f"word is not {what}", f"words are not {what.replace('its', 'their')}", counts)
    if often:
        show = command("python -m common.text")
        findings.lines.append(f'  {show} "TEXT" shows how a text is read; misspelt or misheard words: see review.html')


def _check_duplicates(findings: _Findings, work: Path) -> None:
    # Of two copies, the one with the user's text is used.
    given_first = sorted(findings.used, key=lambda item: item.source == RECOGNISED)
    same = find_same_audio(given_first, work / "data" / "wavs")
    origin = {item.clip: item.recording for item in findings.used}
    for clip, other in same.items():
        findings.remark(clip, f"same audio as {other}", exclude=True)
    pairs = Counter((origin[clip], origin[other]) for clip, other in same.items())
    findings.say(
        len(same),
        "clip repeats the audio of another and is skipped",
        "clips repeat others' audio and are skipped",
        [f"{count} of {name} from {other}" for (name, other), count in pairs.most_common()],
    )
    repeated = {words: group for words, group in group_by_text(findings.used).items() if words and len(group) > 1}
    most = sorted(repeated.values(), key=lambda group: -len(group))
    examples = [f"{group[0].text!r} ({len(group)} times)" for group in most]
    findings.say(
        len(repeated),
        "text occurs more than once, which is fine",
        "texts occur more than once, which is fine",
        examples,
    )


def _check_languages(findings: _Findings, language: str) -> None:
    other = {}
    for name, group in by_recording(findings.used).items():
        if found := guess_language((item.text for item in group), language):
            other[name] = found
            for item in group:
                findings.remark(item.clip, f"another language: {found}")
    findings.say(
        len(other),
        f"recording has a text that is not in language '{language}'",
        f"recordings have texts that are not in language '{language}'",
        [f"{name} ({found})" for name, found in other.items()],
    )
    scripts = find_other_scripts({item.clip: item.text for item in findings.used}, language)
    for clip, script in scripts.items():
        findings.remark(clip, f"letters of another script: {script}")
    names = [f"{clip} ({script})" for clip, script in scripts.items()]
    findings.say(len(scripts), "text is in another script", "texts are in another script", names)


def _count_remarks(findings: _Findings) -> None:
    """Count what earlier steps remarked on the recordings' quality and the recognised texts, by kind."""
    kinds = Counter(
        kind for item in findings.used for kind in {re.split(r"[:\d]", text)[0].strip() for text in item.remarks}
    )
    kinds.pop("", None)
    if kinds:
        findings.lines.append(
            "remarks on clips: " + ", ".join(f"{kind} ({count})" for kind, count in kinds.most_common())
        )


def _describe_confidence(used: Sequence[Segment], work: Path) -> list[str]:
    """Return lines about the texts of a recogniser, and whether to review them."""
    found = [item.confidence for item in used if item.source == RECOGNISED and item.confidence is not None]
    if not found:
        return []
    unsure = sum(confidence < SURE for confidence in found)
    middling = sum(confidence < MIDDLING for confidence in found) - unsure
    sure = len(found) - unsure - middling
    line = (
        f"{len(found)} text{'s' * (len(found) > 1)} by a recogniser: it is sure of {sure}, unsure of {middling}, and "
        f"doubts {unsure} ({100 * unsure / len(found):.0f} %)"
    )
    if unsure <= MANY_UNSURE * len(found):
        return [f"{line}; to listen and correct: {work / 'review.html'}"]
    return [line, f"  correct these first: open {work / 'review.html'}, export, and give --review the exported file"]
