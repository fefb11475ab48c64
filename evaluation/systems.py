"""The systems to compare: checkpoints, exported models, folders of audio files, Griffin-Lim, and the recordings."""

from __future__ import annotations

import abc
import dataclasses
import functools
import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from common.audio import AudioConfig, MelSpectrogram
from common.audio_files import resample
from common.audio_input.names import is_audio_file
from common.download.hub import find_generator, is_model
from common.errors import InputError
from common.files.exports import is_export
from common.mel_contract import MelContract
from evaluation.griffin_lim import GRIFFIN_LIM_ITERATIONS, GriffinLim
from hifigan.checkpoint import load_generator
from hifigan.engine.precisions import ALL_PRECISIONS
from hifigan.engine.select import engine_backend
from hifigan.export.files import load_export
from hifigan.synthesis.vocoder import Vocoder
from voice.folder import HIFIGAN_FILE

GROUND_TRUTH, GRIFFIN_LIM = "ground-truth", "griffin-lim"
REFERENCES = (GROUND_TRUTH, GRIFFIN_LIM)  # they frame the systems of an evaluation, and do not compete
VOICE = "voice"  # a source of --texts
Resynthesiser = Callable[[np.ndarray], np.ndarray]  # [T] -> [T], full scale 1.0


@dataclasses.dataclass(frozen=True)
class BaseSystem(abc.ABC):
    """A source of audio.

    Attributes:
        name: in tables and folders.
    """

    name: str

    @abc.abstractmethod
    def describe(self) -> str:
        """Return one line for the tables."""


@dataclasses.dataclass(frozen=True)
class System(BaseSystem):
    """A source of resynthesised audio.

    Attributes:
        source: checkpoint, exported model or folder. Empty for the recordings and Griffin-Lim.
        ema: use the moving average of the weights.
        precision: of the engine, see `hifigan.engine`.
        denoise: strength of the denoiser, 0 for none.
        config: v1, v2, v3 or a JSON file, for checkpoints without a generator configuration.
        export: the user trusts the source, a model of export.py, which can run any code.
    """

    source: str = ""
    ema: bool = False
    precision: str = "fp32"
    denoise: float = 0.0
    config: str = ""
    export: bool = False

    @property
    def is_folder(self) -> bool:
        return bool(self.source) and Path(self.source).is_dir()

    @property
    def is_model(self) -> bool:
        return bool(self.source) and not self.is_folder

    def describe(self) -> str:
        if self.name == GROUND_TRUTH:
            return "the recordings"
        if self.name == GRIFFIN_LIM:
            return f"{GRIFFIN_LIM_ITERATIONS} iterations of the Griffin-Lim algorithm on the mel spectrogram"
        if self.is_folder:
            return f"audio files of {self.source}"
        flags = [word for word in ("ema", "export") if getattr(self, word)]
        flags += [self.precision] if self.precision != "fp32" else []
        flags += [f"denoiser {self.denoise:g}"] if self.denoise else []
        return f"{self.source}{' (' + ', '.join(flags) + ')' if flags else ''}"


def parse_systems(words: Sequence[str]) -> list[System]:
    """Parse `NAME=SOURCE[:OPTION...]` and `griffin-lim` into systems, with the recordings first.

    Raises:
        InputError: malformed, an unknown option, or a name given twice.
        FileNotFoundError: a source does not exist.
    """
    named = [System(word) if word == GRIFFIN_LIM else _parse(word) for word in words if word != GROUND_TRUTH]
    refuse_repeated([system.name for system in named])
    return [System(GROUND_TRUTH), *named]


def refuse_repeated(names: Sequence[str]) -> None:
    """Raise `InputError` if a system is named twice."""
    name, count = Counter(names).most_common(1)[0] if names else ("", 0)
    if count > 1:
        raise InputError(f"--system: {name} is given twice")


def _parse(word: str) -> System:
    name, equals, rest = word.partition("=")
    if not equals or not rest:
        raise InputError(f"--system: {word} is neither NAME=CHECKPOINT nor NAME=DIR, nor {GRIFFIN_LIM}")
    check_system_name(name)
    source, *options = [rest] if Path(rest).exists() else rest.split(":")
    if _is_voice(source):
        raise InputError(
            f"--system {name}: a voice speaks texts (--texts); for copy synthesis, name DIR/{HIFIGAN_FILE}"
        )
    try:
        source = find_generator(source) if is_model(source) else source
    except (InputError, OSError) as error:
        raise InputError(f"--system {name}: {error}") from error
    if not Path(source).exists():
        raise FileNotFoundError(f"--system {name}: {source}: no such checkpoint or folder")
    system = System(name, source)
    for option in options:
        key, _, value = option.partition("=")
        try:
            if option == "ema":
                system = dataclasses.replace(system, ema=True)
            elif option == "export":
                system = dataclasses.replace(system, export=True)
            elif key == "denoise" and 0 <= float(value) < math.inf:
                system = dataclasses.replace(system, denoise=float(value))
            elif key == "precision" and value in ALL_PRECISIONS:
                system = dataclasses.replace(system, precision=value)
            elif key == "config" and value:
                system = dataclasses.replace(system, config=value)
            else:
                raise ValueError
        except ValueError:
            raise InputError(
                f"--system {name}: {option} is none of ema, export, denoise=STRENGTH, config=FILE, precision=PRECISION"
            ) from None
    if options and system.is_folder:
        raise InputError(f"--system {name}: {source} is a folder, on which :{options[0]} has no effect")
    return system


def _is_voice(source: str) -> bool:
    """Return whether a source is a voice, by its folder or as --texts names it, and not a folder of audio files."""
    if (Path(source) / HIFIGAN_FILE).is_file():
        return True
    return source == VOICE and not any(map(is_audio_file, Path(source).rglob("*")))


def check_system_name(name: str) -> None:
    """Raise InputError unless a name can stand in tables and be a folder."""
    if not re.fullmatch(r"\w[\w .+-]*", name) or name in REFERENCES:
        raise InputError(f"--system: {name!r} cannot be a name; use letters, digits, spaces and . + - _")


def load_audio_config(system: System, device: torch.device) -> AudioConfig:
    """Return the signal contract of a model."""
    return _load(system, device)[1].audio


def generator_config(system: System, device: torch.device) -> dict[str, object]:
    """Return the generator's configuration as in checkpoints, empty for a system without a model."""
    return _load(system, device)[0].config.to_dict() if system.is_model else {}


def make_resynthesiser(system: System, audio: AudioConfig, device: torch.device, seed: int) -> Resynthesiser:
    """Return copy synthesis with a model, or with Griffin-Lim on mels as in `audio`."""
    if system.is_model:
        vocoder, contract, rate = _load(system, device)
        return functools.partial(_vocode, vocoder=vocoder, contract=contract, rate=rate)
    return functools.partial(_griffin_lim, audio=audio, seed=seed)


@functools.cache
def _load(system: System, device: torch.device) -> tuple[Vocoder, MelContract, int]:
    """Return a model's vocoder, the mels that it takes, and the sampling rate of its audio in Hz."""
    path = Path(system.source)
    if is_export(path):
        if not system.export:
            raise InputError(
                f"--system {system.name}: {path} is an exported model, which can run any code; if you trust it, give "
                f"{system.name}={path}:export"
            )
        if system.ema or system.precision != "fp32" or system.config:
            raise InputError(f"--system {system.name}: ema, precision and config have no effect on an exported model")
        backend, contract = load_export(path, device, "auto")
        vocoder = Vocoder(backend, system.denoise, filter_length=contract.audio.filter_length)
        rate = contract.output_rate or contract.audio.sampling_rate
        return vocoder, MelContract(contract.audio, contract.convention), rate
    generator, info = load_generator(path, system.config or None, device, system.ema)
    engine = engine_backend(generator, system.precision)
    return Vocoder(engine, system.denoise, info.audio.filter_length), info.contract, info.sampling_rate


def _vocode(wav: np.ndarray, vocoder: Vocoder, contract: MelContract, rate: int) -> np.ndarray:
    (vocoded,) = vocoder([_mel(wav, contract)])
    return resample(vocoded.double().numpy(), rate, contract.audio.sampling_rate)[: len(wav)]


def _griffin_lim(wav: np.ndarray, audio: AudioConfig, seed: int) -> np.ndarray:
    """Estimate the linear spectrogram by least squares, then its phases (Griffin and Lim 1984)."""
    import librosa

    magnitude = librosa.feature.inverse.mel_to_stft(
        _mel(wav, MelContract(audio)).exp().numpy(),
        sr=audio.sampling_rate,
        n_fft=audio.filter_length,
        power=1.0,
        fmin=audio.mel_fmin,
        fmax=audio.fmax_hz,
    )
    vocoded = GriffinLim(audio)(torch.from_numpy(magnitude.T), seed).numpy()
    return vocoded[audio.padding :][: len(wav)]


def _mel(wav: np.ndarray, contract: MelContract) -> torch.Tensor:
    """Return the mel [M, L] of [T] samples, padded with silence to whole frames."""
    samples = torch.from_numpy(np.pad(wav, (0, -len(wav) % contract.audio.hop_length))).float()
    with torch.inference_mode():
        return MelSpectrogram(contract.audio, contract.convention)(samples[None])[0]
