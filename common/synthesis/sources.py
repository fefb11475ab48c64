"""Mels to vocode: of audio files (copy synthesis), or prepared ones of a data set."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from common.audio import MEL_CONFIG_FILE, AudioConfig, MelSpectrogram
from common.audio_files import is_audio_file, list_audio_files, load_wav, resample, wav_info
from common.data.mel_files import looks_like_log10, mel_contracts, read_mel
from common.errors import InputError, first_three
from common.mel_contract import MelContract
from common.synthesis.outputs import Part
from common.synthesis.phrases import Phrase, read_phrases, safe_name
from common.synthesis.resume import Job, stamp

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Utterance(Part):
    """A mel [M, L] and what its audio is called."""

    mel: Tensor

    @property
    def length(self) -> int:
        return self.mel.size(1)


def is_audio(source: Path) -> bool:
    """Whether -i names audio, a file or a folder, and not a phrase file."""
    return source.is_dir() or is_audio_file(source)


def find_audio(source: Path, output: Path | None) -> dict[str, Path]:
    """Output name -> audio file below `source` (or `source` itself), checked before anything is written.

    Args:
        output: the output directory, in which nothing may be overwritten; None for audio that goes to no files.
    """
    if not source.exists():
        raise FileNotFoundError(f"{source}: no such file or folder (-i)")
    if output and source.is_dir() and output.resolve().is_relative_to(source.resolve()):
        raise InputError(f"-o: {output} lies in the folder of the originals (-i); give another folder")
    files = [source] if source.is_file() else list_audio_files(source)
    root = source.parent if source.is_file() else source
    named: dict[str, Path] = {}
    for path in files:
        name = safe_name(str(path.relative_to(root).with_suffix(".wav")))
        if name in named:
            raise InputError(f"{path} and {named[name]}: both would be written to {name}")
        if output and (output / name).resolve() == path.resolve():
            raise InputError(f"-o: {output} is where {path.name} lies, which would be overwritten; give another folder")
        named[name] = path
    return named


def copying(source: Path, output: Path | None, audio: AudioConfig) -> Job:
    """The job of copying audio files; see `find_audio`.

    Args:
        audio: what the generator was trained on.
    """
    files = find_audio(source, output)
    made_of = {name: stamp(path) for name, path in files.items()}
    return _job(files, made_of, partial(copied_utterance, mel=MelSpectrogram(audio)))


def from_prepared_mels(source: Path, dataset: Path, audio: AudioConfig, framing: str, log_base: str) -> Job:
    """The job of vocoding the mels of a phrase file, relative to `dataset`; see `mel_files` and `chosen_contracts`."""
    files = mel_files(read_phrases(source), source, dataset)
    contracts = chosen_contracts(files.values(), dataset, audio, framing, log_base)
    read_as = {path: f"{contract.audio.framing} {contract.log_base}" for path, contract in contracts.items()}
    made_of = {name: f"{stamp(path)} {read_as[path]}" for name, path in files.items()}
    return _job(files, made_of, partial(prepared_utterance, contracts=contracts))


def _job(files: Mapping[str, Path], made_of: Mapping[str, str], read: Callable[[str, Path], Utterance]) -> Job:
    problems: list[str] = []

    def parts(names: Collection[str]) -> Iterator[Utterance]:
        return usable({name: path for name, path in files.items() if name in names}, read, problems)

    return Job(made_of, parts, lambda batch: [utterance.mel for utterance in batch], speaks=False, problems=problems)


def usable(
    files: Mapping[str, Path], read: Callable[[str, Path], Utterance], problems: list[str]
) -> Iterator[Utterance]:
    """The utterances of all files that can be read, one at a time.

    The others are named in the log as they are met, and added to `problems`: one bad file among thousands must neither
    end the work nor be overlooked.

    Args:
        files: output name -> file.
        read: what makes an utterance of both.
    """
    for name, path in files.items():
        try:
            utterance = read(name, path)
        except (InputError, OSError) as error:
            problems.append(str(error))
            if len(files) > 1:  # else the error at the end says it all
                log.warning("left out: %s", error)
            continue
        yield utterance


def copied_utterance(name: str, path: Path, mel: MelSpectrogram) -> Utterance:
    """The mel of an audio file; another sampling rate is converted, the level is kept.

    Raises:
        FileNotFoundError: no such file.
        InputError: unreadable, broken off, without samples, or with samples that are not finite.
    """
    audio = mel.config
    channels = wav_info(path).channels
    wav, sampling_rate = load_wav(path)
    if channels > 1:
        log.info("%s: mean of %d channels", path, channels)
    if sampling_rate != audio.sampling_rate:
        log.info("%s: resampled from %d to %d Hz", path, sampling_rate, audio.sampling_rate)
        wav = resample(wav, sampling_rate, audio.sampling_rate)
    # Whole frames, and enough samples for the mel spectrogram to reflect; the copy is as long as the original.
    padded = max(-(-len(wav) // audio.hop_length), audio.padding // audio.hop_length + 1) * audio.hop_length
    samples = torch.from_numpy(np.pad(wav, (0, padded - len(wav))).astype(np.float32))
    return Utterance(name=name, mel=mel(samples[None])[0], num_samples=len(wav))


def mel_files(phrases: Sequence[Phrase], source: Path, dataset: Path) -> dict[str, Path]:
    """Output name -> mel file of each phrase; all must exist before anything is synthesised."""
    files = {}
    for phrase in phrases:
        if phrase.mel is None:
            raise InputError(
                f"{source}: {phrase.output} has no mel; a TSV needs a header with a 'mel' column "
                "(to speak texts, give --fastpitch)"
            )
        files[phrase.output] = dataset / phrase.mel
    missing = [path for path in files.values() if not path.is_file()]
    if missing:
        raise FileNotFoundError(
            f"{missing[0]}: no such mel ({len(missing)} of {len(files)} are missing); "
            "make them with scripts/prepare_dataset.sh, or point --dataset-path to the data set"
        )
    return files


def chosen_contracts(
    paths: Iterable[Path], root: Path, audio: AudioConfig, framing: str = "auto", log_base: str = "auto"
) -> dict[Path, MelContract]:
    """How each mel file below `root` is to be read: "vocoder" framing fits the generator, "tacotron" is moved.

    Args:
        audio: what the generator was trained on; mels that nothing describes are like it, in natural logarithms. For
            one that takes "tacotron" framing, nothing is moved.
        framing, log_base: of all mels, whatever their descriptions say; "auto" is what these say.

    Raises:
        InputError: descriptions that do not fit the generator, or a first mel without one whose values are those of
            log10 mels: then this is no fault of one file.
    """
    chosen: dict[Path, MelContract] = {}
    problems = []
    learned = audio.framing == "tacotron"  # by fine-tuning half a hop apart
    for path, found in mel_contracts(paths, root, audio).items():
        contract = found or MelContract(audio)
        told = contract.audio.framing if framing == "auto" else framing
        chosen[path] = dataclasses.replace(
            contract,
            audio=dataclasses.replace(contract.audio, framing="vocoder" if learned else told),
            log_base=contract.log_base if log_base == "auto" else log_base,
            origin=contract.origin if log_base == "auto" else "--mel-log",
        )
        if learned and framing == "auto" and told == "vocoder":
            problems.append(
                f"{path}: vocoder-framed ({contract.origin}), and this generator was fine-tuned to take tacotron "
                "framing; make the mels again (prepare_dataset.py --extract-mels --framing tacotron), or give "
                "--mel-framing vocoder and have the audio half a hop early"
            )
    if problems:
        count = f"{len(problems)} of {len(chosen)} mels cannot be used: " if len(problems) > 1 else ""
        raise InputError(count + first_three(problems))
    undescribed = next((path for path, contract in chosen.items() if not contract.origin), None)
    if undescribed:
        try:
            mel = read_mel(undescribed, audio.num_mels)
        except InputError:  # no fault of all; it is left out when its turn comes
            return chosen
        _refuse_log10(undescribed, mel)
    return chosen


def prepared_utterance(name: str, path: Path, contracts: Mapping[Path, MelContract]) -> Utterance:
    """The mel of a `.pt` or `.npy` file, in natural logarithms, and which part of its audio is wanted.

    Frame k of a "tacotron"-framed mel is centred on sample hop * k, what the generator makes of it on
    hop * k + hop / 2. The mel stays as it is and the audio is moved back by half a hop: this is exact, whereas the mean
    of neighbouring frames is a mel of the other framing with an error of 0.10 (log-mel L1 on LJSpeech; 0.25 unmoved,
    2e-5 moved). The audio is then as long as that of the "vocoder"-framed mel of the same clip.

    Raises:
        InputError: unreadable, of another shape, with values that are not finite, or with those of a log10 mel where
            nothing says that it is one.
    """
    contract = contracts[path]
    mel = read_mel(path, contract.audio.num_mels, contract.log_base)
    if not contract.origin:
        _refuse_log10(path, mel)
    if contract.audio.framing != "tacotron":
        return Utterance(name=name, mel=mel)
    hop = contract.audio.hop_length
    return Utterance(name=name, mel=mel, skip_samples=hop // 2, num_samples=max(mel.size(1) - 1, 1) * hop)


def _refuse_log10(path: Path, mel: Tensor) -> None:
    """Raises `InputError` for a mel that nothing describes, if it cannot be one in natural logarithms."""
    if looks_like_log10(mel):
        raise InputError(
            f"{path}: no {MEL_CONFIG_FILE} describes this mel, and its values ({mel.min():.1f} to {mel.max():.1f}) "
            "are those of a log10 mel; give --mel-log log10, or --mel-log ln if it is in natural logarithms"
        )
