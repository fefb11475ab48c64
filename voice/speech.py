"""A voice for Python: text, audio or mels -> speech, as `inference.py` makes it.

Shapes: T samples, M mel bands, L frames.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from common.audio import AudioConfig, MelSpectrogram
from common.audio_files import describe_clipping, save_wav
from common.audio_input.names import is_wav_name
from common.download.hub import HubOptions, upload_folder
from common.errors import InputError
from common.files.atomic import replacing
from common.synthesis.outputs import batches, join_pieces
from common.synthesis.phrases import Phrase
from common.synthesis.resume import SynthesisJob
from common.synthesis.sources import utterance_from_audio, utterance_from_wav
from fastpitch.checkpoint import load_fastpitch
from fastpitch.synthesis.flags import SpeechConfig
from fastpitch.synthesis.job import check_models_fit, speech_job
from fastpitch.synthesis.synthesiser import Synthesiser
from hifigan.checkpoint import load_generator
from hifigan.engine.select import engine_backend
from hifigan.synthesis.flags import DEFAULT_BATCH_SIZE
from hifigan.synthesis.run import bound_kernel_cache
from hifigan.synthesis.vocoder import Vocoder
from voice.consent import require_consent
from voice.folder import CARD_FILE, DEFAULT_VOICE, VOICE_FILES, VoiceFiles, find_voice

log = logging.getLogger(__name__)


def load_voice(
    name_or_dir: str | Path = DEFAULT_VOICE,
    device: str | torch.device = "cpu",
    precision: str = "fp32",
    denoising_strength: float = 0.0,
) -> Voice:
    """Load a voice by its name in `pretrained/`, its folder, or its name on the Hugging Face hub (org/name).

    See `Voice` for the arguments, and `Voice.from_pretrained` for more about the hub.

    Raises:
        FileNotFoundError: no such voice.
        InputError: see `Voice`. Also huggingface_hub is not installed.
        OSError: the hub has no such voice, or does not answer.

    Example:
        >>> voice = load_voice()
        >>> voice.save("Hello world.", "hello.wav")
    """
    return Voice(find_voice(name_or_dir), device, precision, denoising_strength)


class Voice:
    """A FastPitch model and a generator in the engine. It serves one thread at a time.

    Args:
        files: the voice.
        device: where the models run: "cpu", or "cuda" for a GPU.
        precision: of the vocoder: fp32, tf32 (GPUs, and CPUs with AMX), fp16 (GPUs), bf16, or auto.
        denoising_strength: share of the generator's hum that is subtracted; 0.005 to 0.1 is usual.

    Raises:
        InputError: a damaged file, models that do not fit together, no GPU, or a precision that the device lacks.

    Attributes:
        name: name of the voice.
        files: its files.
        vocoder: mels [M, L_i] -> audio [T_i] of several utterances.
    """

    def __init__(
        self,
        files: VoiceFiles,
        device: str | torch.device = "cpu",
        precision: str = "fp32",
        denoising_strength: float = 0.0,
    ) -> None:
        place = torch.device(device)
        if place.type == "cuda" and not torch.cuda.is_available():
            raise InputError(f"device {device}: PyTorch finds no GPU on this machine")
        bound_kernel_cache()  # a server speaks texts of all lengths
        self.name, self.files = files.name, files
        generator, self._generator_info = load_generator(files.hifigan, device=place)
        self._model, self._fastpitch_info = load_fastpitch(files.fastpitch, place)
        check_models_fit(self._fastpitch_info, self._generator_info.path, self._generator_info.contract)
        self._mel = MelSpectrogram(self.audio, self._generator_info.convention)
        self.vocoder = Vocoder(engine_backend(generator, precision), denoising_strength, self.audio.filter_length)

    @classmethod
    def from_pretrained(
        cls,
        name_or_folder: str | Path = DEFAULT_VOICE,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        device: str | torch.device = "cpu",
        precision: str = "fp32",
        denoising_strength: float = 0.0,
    ) -> Voice:
        """Load a voice from `pretrained/`, a folder, or the Hugging Face hub (needs the package huggingface_hub).

        Args:
            name_or_folder: a name in `pretrained/`, a folder, or org/name on the hub. What is local always wins.
            revision: branch, tag or commit on the hub. None is the newest version.
            cache_dir: folder for downloads. None is the hub's own.
            local_files_only: take what was downloaded before, without the network.
            device, precision, denoising_strength: as for `Voice`.

        Raises:
            FileNotFoundError: no such voice.
            InputError: see `Voice`. Also huggingface_hub is not installed.
            OSError: the hub has no such voice, or does not answer.
        """
        files = find_voice(name_or_folder, HubOptions(revision, cache_dir, local_files_only))
        return cls(files, device, precision, denoising_strength)

    def save_pretrained(self, folder: str | Path) -> Path:
        """Copy the files of the voice to a folder, and return it.

        Files of the same names are replaced, all of them or, after an error, none.
        """
        with contextlib.ExitStack() as copies:
            for name in VOICE_FILES:
                source, target = self.files.folder / name, Path(folder) / name
                if source.is_file() and not (target.exists() and target.samefile(source)):
                    shutil.copyfile(source, copies.enter_context(replacing(target)))
        return Path(folder)

    def push_to_hub(self, name: str, private: bool | None = None) -> str:
        """Upload the voice to the Hugging Face hub. Needs the package huggingface_hub and a login (`hf auth login`).

        Args:
            name: org/name. A missing repository is created.
            private: whether a new repository is private. None is the hub's default.

        Returns:
            The address of the repository.

        Raises:
            InputError: not a name, huggingface_hub is not installed, or the card does not say whose voice it is.
            OSError: the hub refuses, or does not answer.
        """
        require_consent(self.files)
        return upload_folder(self.files.folder, name, VOICE_FILES, kept=(CARD_FILE,), private=private)

    @property
    def audio(self) -> AudioConfig:
        """Signal settings of the audio and of the vocoder's mels."""
        return self._generator_info.audio

    @property
    def sampling_rate(self) -> int:
        """Samples per second, in Hz."""
        return self.audio.sampling_rate

    @property
    def n_speakers(self) -> int:
        """Number of speakers."""
        return self._model.n_speakers

    def speak(self, text: str, pace: float = 1.0, speaker: int | str = 0, **manner: Any) -> np.ndarray:
        """Speak a text of any length.

        Args:
            text: the text. A long one is spoken in pieces, with pauses between them.
            pace: 2 is twice as fast.
            speaker: number or name of the speaker, if the model has several.
            manner: other fields of `SpeechConfig`, such as `pitch_transform_shift` in Hz.

        Returns:
            float32 audio [T] in [-1, 1].

        Raises:
            InputError: nothing in the text can be spoken, or a bad value.
        """
        cfg = SpeechConfig(fastpitch=str(self._fastpitch_info.path), pace=pace, speaker=str(speaker), **manner)
        synthesiser = Synthesiser(self._model, cfg.pace, cfg.pitch_transform())
        return self._run(speech_job([Phrase("", text=text)], "text", Path(), cfg, synthesiser, self._fastpitch_info))

    def save(self, text: str, path: str | Path, pace: float = 1.0, speaker: int | str = 0, **manner: Any) -> None:
        """Speak a text into a wav file of 16 bits. See `speak` for the other arguments.

        Raises:
            InputError: see `speak`, or a name that does not end in .wav.
        """
        if not is_wav_name(Path(path)):
            raise InputError(f"{path}: only wav files are written; end its name in .wav")
        if clipped := save_wav(path, self.speak(text, pace, speaker, **manner), self.sampling_rate):
            log.warning("%s", describe_clipping({str(path): clipped}))

    def resynthesise(self, source: str | Path | np.ndarray | Tensor, sampling_rate: int | None = None) -> np.ndarray:
        """Turn audio into a mel and back (copy synthesis).

        Args:
            source: an audio file, or audio [T] in [-1, 1].
            sampling_rate: of audio [T], in Hz. None is the voice's. Other rates are converted.

        Returns:
            float32 audio [T] at the voice's rate, as long as the original.

        Raises:
            FileNotFoundError: no such file.
            InputError: audio that cannot be read, or is not of shape [T], T > 0, with finite samples.
        """
        if isinstance(source, str | Path):
            utterance = utterance_from_audio("", Path(source), self._mel)
        else:
            wav = np.asarray(source, dtype=np.float64)
            if wav.ndim != 1 or not wav.size or not np.isfinite(wav).all():
                raise InputError(f"audio: expected finite samples of shape [T], T > 0; got shape {list(wav.shape)}")
            utterance = utterance_from_wav("", wav, sampling_rate or self.sampling_rate, self._mel)
        return utterance.finished(torch.from_numpy(self.vocode(utterance.mel)))

    def vocode(self, mel: np.ndarray | Tensor) -> np.ndarray:
        """Turn a mel [M, L] in natural logarithms and the vocoder's framing into float32 audio [L * hop].

        Raises:
            InputError: a mel of another shape, or with values that are not finite.
        """
        (wav,) = self.vocoder([torch.as_tensor(mel, dtype=torch.float32)])
        return wav.numpy()

    def _run(self, job: SynthesisJob) -> np.ndarray:
        """Make the only output of a job, in the same batches as `inference.py`."""
        wavs: dict[int, np.ndarray] = {}
        for batch in batches(job.parts(job.sources), DEFAULT_BATCH_SIZE):
            for part, wav in zip(batch, self.vocoder(job.mels(batch)), strict=True):
                wavs[part.index] = wav.numpy()
        return join_pieces([wavs[index] for index in sorted(wavs)], self.audio)
