"""Write down what is said in clips, with a recogniser. Results are kept, so that no clip is recognised twice.

The model runs in threads, which share its weights: a large one fits into memory only once.

Shapes: T samples.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from tqdm import tqdm

from common.audio_files import load_wav, resample
from common.errors import InputError, first_three, others_go_on
from common.files.atomic import remove_leftovers, write_whole
from common.files.fingerprints import ends_digest, file_digest
from common.files.json_files import read_json
from common.machine.progress import watched
from common.recognition import whisper
from common.recognition.whisper import RECOGNISER_RATE_HZ, Heard, HeardWord

Item = TypeVar("Item")
Result = TypeVar("Result")
log = logging.getLogger(__name__)
FLAG = "--transcriber"
WITHOUT = "give the texts, such as a .txt file beside each recording"
LANGUAGE_SEC = 30.0  # of speech, in which the language is recognised


@dataclasses.dataclass(frozen=True)
class Transcriber:
    """A recogniser that writes down recordings.

    Attributes:
        folder: of the model.
        language: code of Whisper, such as "en".
        work: working folder of the voice, with the clips in `data/wavs`.
        edition: tells the model from others.
        model: the loaded model.
        jobs: number of threads.
    """

    folder: Path
    language: str
    work: Path
    edition: str
    model: Any
    jobs: int

    @staticmethod
    def open(name: str, language: str, work: Path, jobs: int) -> Transcriber:
        """Find a model, which is downloaded if need be.

        Raises:
            InputError: the package or the model is missing, or it does not know the language. The message says what
                to do.
        """
        if not whisper.is_installed():
            raise InputError(
                "some recordings have no texts, and faster-whisper, which writes them down, is not installed: "
                f"pip install faster-whisper; or {WITHOUT}"
            )
        folder = whisper.find_model(name, FLAG, WITHOUT)
        model = whisper.load_model(folder, FLAG, workers=jobs)
        known = model.supported_languages
        if language not in known:
            only = "understands English only" if len(known) == 1 else f"knows no language {language!r}"
            raise InputError(f"{FLAG}: {name} {only}; give a model of many languages, such as small, or --language")
        return Transcriber(folder, language, work, _identify(folder), model, jobs)

    def wav(self, clip: str) -> Path:
        return self.work / "data" / "wavs" / f"{clip}.wav"

    def result(self, clip: str) -> Path:
        """Return the file that keeps what was heard in a clip."""
        return self.work / "texts" / f"{clip}.json"


def recognise_clips(clips: Sequence[str], transcriber: Transcriber) -> dict[str, Heard]:
    """Write down clips. If interrupted, what is finished is not recognised again.

    Args:
        clips: ids of segments.
        transcriber: of `Transcriber.open`.

    Returns:
        What was heard in each clip. Clips that cannot be read are missing, and one line in the log names them.
    """
    remove_leftovers([transcriber.result(clip) for clip in clips])
    heard = {clip: found for clip in clips if (found := _read_result(clip, transcriber))}
    missing = [clip for clip in clips if clip not in heard]
    if heard and missing:
        log.info("%d of %d clips are written down already", len(heard), len(clips))
    problems: list[str] = []
    work = functools.partial(_recognise_clip, transcriber=transcriber)
    for clip, (found, problem) in zip(missing, _map(work, missing, transcriber.jobs, "writing down"), strict=True):
        if found is None:
            problems.append(problem)
        else:
            heard[clip] = found
    if problems:
        log.warning("clips without a text: %s", first_three(problems))
    return heard


def detect_languages(groups: Sequence[Sequence[str]], transcriber: Transcriber) -> list[tuple[str, float] | None]:
    """Return the language of each group of clips, such as a recording's, and its probability.

    Up to 30 seconds of a group are heard, evenly spread over its clips. None: the model knows English only, or the
    clips cannot be read.
    """
    work = functools.partial(_detect_language, transcriber=transcriber)
    return list(_map(work, groups, transcriber.jobs, "checking the language"))


def _map(work: Callable[[Item], Result], items: Sequence[Item], jobs: int, what: str) -> Iterator[Result]:
    """Yield the results in order, and show progress."""
    if items and not watched():
        log.info("%s: %d clips", what, len(items))
    pool = ThreadPoolExecutor(jobs)
    try:
        yield from tqdm(pool.map(work, items), what, total=len(items), disable=not (items and watched()))
    finally:  # Ctrl-C does not wait for the rest
        pool.shutdown(cancel_futures=True)


def _recognise_clip(clip: str, transcriber: Transcriber) -> tuple[Heard | None, str]:
    """Return what is heard, or None and the problem."""
    problems: list[str] = []
    with others_go_on(transcriber.wav(clip), problems):
        heard = whisper.recognise(transcriber.model, _load(transcriber.wav(clip)), transcriber.language)
        content = {**_origin(clip, transcriber), **dataclasses.asdict(heard)}
        write_whole(transcriber.result(clip), json.dumps(content, ensure_ascii=False).encode(), one_of_many=True)
        return heard, ""
    return None, problems[0]


def _detect_language(clips: Sequence[str], transcriber: Transcriber) -> tuple[str, float] | None:
    problems: list[str] = []
    with others_go_on("", problems):
        spread = [clips[index] for index in _spread(len(clips))]
        wavs: list[np.ndarray] = []
        heard = []
        for clip in spread:
            wavs.append(_load(transcriber.wav(clip)))
            heard.append(_origin(clip, transcriber))
            if sum(map(len, wavs)) >= LANGUAGE_SEC * RECOGNISER_RATE_HZ:
                break
        key = hashlib.sha256(json.dumps(heard).encode()).hexdigest()[:16]
        path = transcriber.work / "languages" / f"{key}.json"
        with contextlib.suppress(FileNotFoundError, InputError, TypeError, ValueError):  # else it is asked again
            language, probability = read_json(path)
            return str(language), float(probability)
        answer = whisper.detect_language(transcriber.model, np.concatenate(wavs))
        if answer:
            write_whole(path, json.dumps(answer).encode())
        return answer
    return None


def _spread(count: int) -> Iterable[int]:
    """Return all numbers below `count`, so that the first of them are spread evenly: 0, then the middle, and so on."""
    bits = max(1, (count - 1).bit_length())
    numbers = (int(format(number, f"0{bits}b")[::-1], 2) for number in range(1 << bits))
    return (number for number in numbers if number < count)


def _load(path: Path) -> np.ndarray:
    wav, rate = load_wav(path)
    return resample(wav, rate, RECOGNISER_RATE_HZ)


def _origin(clip: str, transcriber: Transcriber) -> dict[str, str]:
    """Return what the words of a clip depend on."""
    audio = file_digest(transcriber.wav(clip))
    return {"audio": audio, "model": transcriber.edition, "language": transcriber.language}


def _read_result(clip: str, transcriber: Transcriber) -> Heard | None:
    """Return what was heard earlier in the same audio by the same model, or None."""
    path = transcriber.result(clip)
    if not path.is_file() or not transcriber.wav(clip).is_file():
        return None
    try:
        content: dict[str, Any] = read_json(path)
        if any(content.pop(name) != value for name, value in _origin(clip, transcriber).items()):
            return None
        words = tuple(HeardWord(**word) for word in content.pop("words"))
        return Heard(**content, words=words)
    except (InputError, KeyError, TypeError, AttributeError):  # edited, or of another version: recognised again
        return None


def _identify(folder: Path) -> str:
    weights = folder / "model.bin"
    digests = f"{ends_digest(weights)}-{file_digest(folder / 'tokenizer.json')}"
    return f"{weights.stat().st_size}-{digests}-beam{whisper.BEAM_SIZE}"
