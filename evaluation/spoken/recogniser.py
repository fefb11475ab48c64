"""A speech recogniser, which stands for a listener: Whisper, run by the optional package faster-whisper.

It decodes without randomness: beam search at temperature 0, in English, each window on its own. The same audio and the
same files of the model give the same words.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np

from common.audio_files import resample
from common.errors import InputError

log = logging.getLogger(__name__)
Recogniser = Callable[[np.ndarray], str]  # wav [T] at RECOGNISER_RATE_HZ, full scale 1.0 -> what was understood
RECOGNISER_RATE_HZ = 16000
BEAM_SIZE = 5
COMPUTE_TYPE = "int8"  # weights and matrix products, about twice as fast as fp32 on a CPU
# Without a tokenizer the package would look for one on the network.
MODEL_FILES = ("model.bin", "config.json", "tokenizer.json")


def find_model(name: str) -> Path:
    """Return the folder of a model. A name that is not in the download cache yet is downloaded.

    Args:
        name: a folder with a CTranslate2 conversion of Whisper, or the name of a published one, such as `base`.

    Raises:
        InputError: neither a folder nor a known name, missing files, or no download. The message says what to do.
    """
    folder = Path(name)
    if folder.is_dir():
        if missing := [file for file in MODEL_FILES if not (folder / file).is_file()]:
            raise InputError(
                f"--recogniser: {folder} has no {', '.join(missing)}; give a Whisper model in CTranslate2 format"
            )
        return folder
    from faster_whisper import available_models, download_model

    if name not in available_models():
        raise InputError(f"--recogniser: {name} is neither a folder nor one of {', '.join(available_models())}")
    try:
        return Path(download_model(name, local_files_only=True))
    except Exception:  # whatever the package raises for a model that is not in its cache
        log.info("downloading the recogniser %s", name)
    try:
        return Path(download_model(name))
    except Exception as error:  # of several libraries
        raise InputError(
            f"--recogniser: {name} cannot be downloaded ({str(error).splitlines()[0]}); give the folder of a Whisper "
            "model in CTranslate2 format, or leave out wer with --metrics"
        ) from error


@functools.cache
def load_recogniser(folder: Path) -> Recogniser:
    """Load the model of a folder, once per process, to run on one thread of the CPU.

    Raises:
        InputError: the files are damaged, or not a Whisper model.
    """
    from faster_whisper import WhisperModel

    try:
        model = WhisperModel(str(folder), device="cpu", compute_type=COMPUTE_TYPE, cpu_threads=1, local_files_only=True)
    except Exception as error:  # of the library's own, by the damage
        raise InputError(f"--recogniser: {folder} cannot be loaded: {str(error).splitlines()[0]}") from error

    logging.getLogger("faster_whisper").setLevel(logging.WARNING)  # it reports every file

    def recognise(wav: np.ndarray) -> str:
        segments, _ = model.transcribe(
            wav.astype(np.float32),
            language="en",
            beam_size=BEAM_SIZE,
            temperature=0.0,
            condition_on_previous_text=False,
        )
        return " ".join(segment.text.strip() for segment in segments)

    return recognise


def transcribe(wav: np.ndarray, sampling_rate: int, folder: Path) -> str:
    """Return what the model of a folder understands of [T] samples, full scale 1.0."""
    return load_recogniser(folder)(resample(wav, sampling_rate, RECOGNISER_RATE_HZ))
