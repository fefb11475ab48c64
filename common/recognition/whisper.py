"""A speech recogniser: Whisper, run by the optional package faster-whisper.

It decodes without randomness: beam search at temperature 0, each window on its own. The same audio and the same files
of the model give the same words.

Shapes: T samples.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common.audio_files import resample
from common.errors import InputError, first_line

log = logging.getLogger(__name__)
Recogniser = Callable[[np.ndarray], str]  # wav [T] at RECOGNISER_RATE_HZ, full scale 1.0 -> what was understood
RECOGNISER_RATE_HZ = 16000
BEAM_SIZE = 5
COMPUTE_TYPE = "int8"  # weights and matrix products, about twice as fast as fp32 on a CPU
# Without a tokenizer the package would look for one on the network.
MODEL_FILES = ("model.bin", "config.json", "tokenizer.json")


@dataclasses.dataclass(frozen=True)
class HeardWord:
    """A word with its place in the audio.

    Attributes:
        text: the word with its punctuation.
        start_sec: where it begins.
        end_sec: where it ends.
        probability: of the word, 0 to 1.
    """

    text: str
    start_sec: float
    end_sec: float
    probability: float


@dataclasses.dataclass(frozen=True)
class Heard:
    """The words that a recogniser understood in a stretch of audio.

    Attributes:
        text: natural text with punctuation, "" if nothing was understood.
        words: the same as words.
        log_probability: mean natural logarithm of the tokens' probabilities, 0 without a text.
        no_speech: probability that nobody speaks, 0 to 1; the highest of the windows.
        compression: size of the text by its compressed size. Texts that repeat themselves exceed 2.4.
    """

    text: str
    words: tuple[HeardWord, ...] = ()
    log_probability: float = 0.0
    no_speech: float = 0.0
    compression: float = 0.0


def is_installed() -> bool:
    """Return whether the package faster-whisper is there."""
    return importlib.util.find_spec("faster_whisper") is not None


def find_model(name: str, flag: str = "--recogniser", instead: str = "") -> Path:
    """Return the folder of a model. A name that is not in the download cache yet is downloaded.

    Args:
        name: a folder with a CTranslate2 conversion of Whisper, or the name of a published one, such as `base`.
        flag: the flag that gave the name, for messages.
        instead: what else a user can do without the model, for messages.

    Raises:
        InputError: neither a folder nor a known name, missing files, or no download. The message says what to do.
    """
    folder = Path(name)
    if folder.is_dir():
        if missing := [file for file in MODEL_FILES if not (folder / file).is_file()]:
            raise InputError(
                f"{flag}: {folder} has no {', '.join(missing)}; give a Whisper model in CTranslate2 format"
            )
        return folder
    from faster_whisper import available_models, download_model

    if name not in available_models():
        raise InputError(f"{flag}: {name} is neither a folder nor one of {', '.join(available_models())}")
    try:
        return Path(download_model(name, local_files_only=True))
    except Exception:  # whatever the package raises for a model that is not in its cache
        log.info("downloading the recogniser %s", name)
    try:
        return Path(download_model(name))
    except Exception as error:  # of several libraries
        raise InputError(
            f"{flag}: {name} cannot be downloaded ({first_line(error)}); give the folder of a Whisper model in "
            f"CTranslate2 format{f', or {instead}' if instead else ''}"
        ) from error


def load_model(folder: Path, flag: str = "--recogniser", workers: int = 1) -> Any:
    """Load the model of a folder, to run on the CPU.

    It must not be loaded in a process that then forks and uses it: the library's threads do not survive a fork.

    Args:
        folder: see `find_model`.
        flag: the flag that gave the model, for messages.
        workers: number of threads from which it may be called at the same time. Each call runs on one core.

    Raises:
        InputError: the files are damaged, or not a Whisper model.
    """
    from faster_whisper import WhisperModel

    logging.getLogger("faster_whisper").setLevel(logging.WARNING)  # it reports every file
    settings = {"device": "cpu", "compute_type": COMPUTE_TYPE, "cpu_threads": 1, "num_workers": workers}
    try:
        return WhisperModel(str(folder), **settings, local_files_only=True)
    except Exception as error:  # of the library's own, by the damage
        raise InputError(f"{flag}: {folder} cannot be loaded: {first_line(error)}") from error


@functools.cache
def load_recogniser(folder: Path) -> Recogniser:
    """Return a function that writes down English speech, with the model of a folder. It is loaded once per process.

    Raises:
        InputError: the files are damaged, or not a Whisper model.
    """
    model = load_model(folder)
    return lambda wav: " ".join(segment.text.strip() for segment in _decode(model, wav, "en"))


def transcribe(wav: np.ndarray, sampling_rate: int, folder: Path) -> str:
    """Return what the model of a folder understands of [T] samples of English, full scale 1.0."""
    return load_recogniser(folder)(resample(wav, sampling_rate, RECOGNISER_RATE_HZ))


def recognise(model: Any, wav: np.ndarray, language: str) -> Heard:
    """Return what a model understands, word by word.

    Args:
        model: of `load_model`.
        wav: [T] at `RECOGNISER_RATE_HZ`, full scale 1.0.
        language: code of Whisper, such as "en".
    """
    return _join(_decode(model, wav, language, word_timestamps=True))


def detect_language(model: Any, wav: np.ndarray) -> tuple[str, float] | None:
    """Return the code of the language in the first 30 seconds, and its probability.

    Args:
        model: of `load_model`.
        wav: [T] at `RECOGNISER_RATE_HZ`, full scale 1.0.

    Returns:
        None if the model knows English only.
    """
    if not model.model.is_multilingual:
        return None
    language, probability, _ = model.detect_language(wav.astype(np.float32))
    return language, float(probability)


def _decode(model: Any, wav: np.ndarray, language: str, *, word_timestamps: bool = False) -> list[Any]:
    segments, _ = model.transcribe(
        wav.astype(np.float32),
        language=language,
        beam_size=BEAM_SIZE,
        temperature=0.0,
        condition_on_previous_text=False,
        word_timestamps=word_timestamps,
    )
    return list(segments)  # the package decodes while it is asked for the next one


def _join(segments: Sequence[Any]) -> Heard:
    if not segments:
        return Heard("")
    words = tuple(
        HeardWord(word.word.strip(), float(word.start), float(word.end), float(word.probability))
        for segment in segments
        for word in segment.words or ()
    )
    lengths = [max(1, len(segment.tokens)) for segment in segments]
    return Heard(
        " ".join(" ".join(segment.text for segment in segments).split()),
        words,
        float(np.average([segment.avg_logprob for segment in segments], weights=lengths)),
        float(max(segment.no_speech_prob for segment in segments)),
        float(max(segment.compression_ratio for segment in segments)),
    )
