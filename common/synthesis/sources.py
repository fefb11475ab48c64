"""Mels to vocode: from audio files (copy synthesis), or mel files of a data set."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from common.audio import MelSpectrogram
from common.audio_config import MEL_CONFIG_FILE
from common.audio_files import (
    PEAK,
    as_float,
    find_peak,
    list_audio_files,
    load_wav,
    resample,
    wav_info,
    within_full_scale,
)
from common.audio_input.names import is_wav_name
from common.data.filelists import listed_path
from common.data.mel_files import describe_other_scale, mel_contracts, read_mel
from common.errors import InputError, first_three, others_go_on
from common.mel_contract import MelContract
from common.project import command
from common.synthesis.outputs import Part
from common.synthesis.phrases import Phrase, read_phrases, safe_name
from common.synthesis.resume import SynthesisJob, file_version

log = logging.getLogger(__name__)
BLOCK_SAMPLES = 1 << 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Utterance(Part):
    """A mel [M, L] and the name of its wav file."""

    mel: Tensor

    @property
    def length(self) -> int:
        return self.mel.size(1)


def find_audio(source: Path, output: Path | None) -> dict[str, Path]:
    """Map output names to the audio files below `source` (or `source` itself), checked before anything is written.

    Args:
        source: file or folder.
        output: the output directory or wav file. No original may be overwritten. None if no files are written.

    Raises:
        FileNotFoundError: no such file or folder.
        InputError: no audio files, two for one output, or an output that would overwrite an original.
    """
    if not source.exists():
        raise FileNotFoundError(f"{source}: no such file or folder (-i)")
    if output and source.is_dir() and output.resolve().is_relative_to(source.resolve()):
        raise InputError(f"-o: {output} lies in the folder of the originals (-i); give another folder")
    files = [source] if source.is_file() else list_audio_files(source)
    written = output if output and is_wav_name(output) else None
    root = source.parent if source.is_file() else source
    named: dict[str, Path] = {}
    for path in files:
        name = safe_name(str(path.relative_to(root).with_suffix(".wav")))
        if name in named:
            raise InputError(f"{path} and {named[name]}: both would be written to {name}")
        if output and (written or output / name).resolve() == path.resolve():
            is_where = "is the original" if written else f"is where {path.name} lies"
            other = "name" if written else "folder"
            raise InputError(f"-o: {output} {is_where}, which would be overwritten; give another {other}")
        named[name] = path
    return named


@dataclasses.dataclass(frozen=True)
class Target:
    """What the vocoder of a job takes and makes.

    Attributes:
        mels: the mels that it takes.
        sampling_rate: of its audio, in Hz.
        peak_normalised: it was trained on clips with a peak of 0.95, as this project's and the paper authors' are.
    """

    mels: MelContract
    sampling_rate: int
    peak_normalised: bool = True

    def samples(self, count: int) -> int:
        """Convert a number of samples at the rate of the mels to the rate of the audio."""
        return count * self.sampling_rate // self.mels.audio.sampling_rate


def copy_synthesis_job(source: Path, output: Path | None, target: Target) -> SynthesisJob:
    """Return the job of resynthesising audio files.

    Args:
        source, output: see `find_audio`.
        target: the generator.

    Raises:
        InputError: also if the generator's mels cannot be made here.
    """
    mel = MelSpectrogram(target.mels.audio, target.mels.convention)
    files = find_audio(source, output)
    sources = {name: _version(path) for name, path in files.items()}
    return _job(files, sources, partial(utterance_from_audio, mel=mel, target=target))


def _version(path: Path) -> str:
    try:
        return file_version(path)
    except OSError:  # such as a broken link, which is named when it is read
        return str(path)


def prepared_mels_job(source: Path, dataset: Path, target: Target, framing: str, log_base: str) -> SynthesisJob:
    """Return the job of vocoding the mel files of a phrase file.

    Args:
        source: the phrase file.
        dataset: folder that its mel column is relative to.
        target: the generator.
        framing, log_base: see `choose_contracts`.
    """
    problems: list[str] = []
    files = find_mel_files(read_phrases(source), source, dataset, problems)
    contracts = choose_contracts(files.values(), dataset, target.mels, framing, log_base)
    read_as = {path: f"{contract.audio.framing} {contract.log_base}" for path, contract in contracts.items()}
    sources = {name: f"{_version(path)} {read_as[path]}" for name, path in files.items()}
    return _job(files, sources, partial(utterance_from_mel, contracts=contracts, target=target), problems)


def _job(
    files: Mapping[str, Path],
    sources: Mapping[str, str],
    read: Callable[[str, Path], Utterance],
    problems: list[str] | None = None,
) -> SynthesisJob:
    """Return the job of files. `problems` has a message for each one that was refused before."""
    problems = problems or []
    refused = len(problems)

    def parts(names: Collection[str]) -> Iterator[Utterance]:
        return _read_usable({name: path for name, path in files.items() if name in names}, read, problems)

    def mels(batch: Sequence[Utterance]) -> list[Tensor]:
        return [utterance.mel for utterance in batch]

    return SynthesisJob(sources, parts, mels, speaks=False, problems=problems, refused=refused)


def _read_usable(
    files: Mapping[str, Path], read: Callable[[str, Path], Utterance], problems: list[str]
) -> Iterator[Utterance]:
    """Yield the utterance of each readable file, reading one file at a time.

    Unreadable files are logged as they are met, and added to `problems`: one bad file among thousands must neither end
    the work nor go unnoticed.

    Args:
        files: output name -> file.
        read: reads the utterance of an output name and its file.
        problems: gets a message for each unreadable file.
    """
    for name, path in files.items():
        utterance = None
        with others_go_on(path, problems):
            utterance = read(name, path)
        if utterance is not None:
            yield utterance
        elif len(files) > 1:  # for a single file, the error at the end is enough
            log.warning("skipped: %s", problems[-1])


def utterance_from_audio(name: str, path: Path, mel: MelSpectrogram, target: Target | None = None) -> Utterance:
    """Compute the mel of an audio file, see `utterance_from_wav`.

    Raises:
        FileNotFoundError: no such file.
        InputError: unreadable, truncated, without samples, or with samples that are not finite.
    """
    channels = wav_info(path).channels
    wav, sampling_rate = load_wav(path)
    if channels > 1:
        log.info("%s: mean of %d channels", path, channels)
    if sampling_rate != mel.config.sampling_rate:
        log.info("%s: resampled from %d to %d Hz", path, sampling_rate, mel.config.sampling_rate)
    return utterance_from_wav(name, wav, sampling_rate, mel, target)


def utterance_from_wav(
    name: str, wav: np.ndarray, sampling_rate: int, mel: MelSpectrogram, target: Target | None = None
) -> Utterance:
    """Compute the mel of audio [T], floats in [-1, 1] or int16. Other sampling rates are converted.

    Generators are trained on clips with a peak of 0.95 and are worse at lower levels. So the mel is computed at this
    peak, and `gain` restores the level. Other programs' generators get the audio as it is.
    """
    audio = mel.config
    target = target or Target(MelContract(audio, mel.convention), audio.sampling_rate)
    wav = within_full_scale(resample(as_float(wav), sampling_rate, audio.sampling_rate), name)
    peak = find_peak(wav) if target.peak_normalised else PEAK
    # Whole frames, and enough samples for the mel spectrogram to reflect. `num_samples` restores the length.
    padded = max(-(-len(wav) // audio.hop_length), audio.padding // audio.hop_length + 1) * audio.hop_length
    samples = torch.zeros(padded)
    for start in range(0, len(wav), BLOCK_SAMPLES):  # in float64 as in training, but without a second whole copy
        block = wav[start : start + BLOCK_SAMPLES]
        samples[start : start + len(block)] = torch.from_numpy(block / (peak or 1.0) * PEAK)
    num_samples, gain = target.samples(len(wav)), peak / PEAK if peak else 1.0
    return Utterance(name=name, mel=mel(samples[None])[0], num_samples=num_samples, gain=gain)


def find_mel_files(phrases: Sequence[Phrase], source: Path, dataset: Path, problems: list[str]) -> dict[str, Path]:
    """Map output names to mel files. Missing ones are named when they are read, unless all are missing.

    Args:
        phrases: the lines of the phrase file.
        source: the phrase file.
        dataset: folder that its mels are in.
        problems: gets a message for each mel outside the data set, which is skipped.

    Raises:
        FileNotFoundError: none of them is there.
        InputError: a phrase without a mel, or all mels are outside the data set.
    """
    files: dict[str, Path] = {}
    for phrase in phrases:
        if phrase.mel is None:
            raise InputError(
                f"{source}: {phrase.output} has no mel; a TSV needs a header with a 'mel' column "
                "(to speak texts, give --fastpitch)"
            )
        try:
            files[phrase.output] = listed_path(phrase.mel, dataset, f"{source}: line {phrase.line}")
        except InputError as error:
            problems.append(str(error))
    if problems and not files:
        raise InputError(problems[0])
    for problem in problems:
        log.warning("skipped: %s", problem)
    missing = [path for path in files.values() if not path.is_file()]
    if len(missing) == len(files):
        raise FileNotFoundError(
            f"{missing[0]}: no such mel ({len(missing)} of {len(files)} are missing); "
            f"make them with {command('bash scripts/prepare_dataset.sh')}, or point --dataset-path to the data set"
        )
    return files


def choose_contracts(
    paths: Iterable[Path], root: Path, wanted: MelContract, framing: str = "auto", log_base: str = "auto"
) -> dict[Path, MelContract]:
    """Decide how to read each mel file below `root`. Audio of "tacotron" framing is shifted, of "vocoder" framing not.

    Args:
        paths: mel files.
        root: the data set.
        wanted: the mels that the generator takes, as which mels without a description are read. One that takes
            "tacotron" framing needs no shift.
        framing, log_base: override the descriptions of all mels, unless "auto".

    Raises:
        InputError: descriptions that do not fit the generator, or the first mel without a description has the range
            of values of another scale. Then probably all have it.
    """
    audio = wanted.audio
    chosen: dict[Path, MelContract] = {}
    problems = []
    learned_tacotron = audio.framing == "tacotron"  # by fine-tuning half a hop apart
    for path, found in mel_contracts(paths, root, audio).items():
        contract = found or dataclasses.replace(wanted, origin="")
        found_framing = contract.audio.framing if framing == "auto" else framing
        chosen[path] = dataclasses.replace(
            contract,
            audio=dataclasses.replace(contract.audio, framing="vocoder" if learned_tacotron else found_framing),
            convention=dataclasses.replace(
                contract.convention, log_base=contract.log_base if log_base == "auto" else log_base
            ),
            origin=contract.origin if log_base == "auto" else "--mel-log",
        )
        if learned_tacotron and framing == "auto" and found_framing == "vocoder":
            problems.append(
                f"{path}: vocoder-framed ({contract.origin}), and this generator was fine-tuned to take tacotron "
                f"framing; make the mels again ({command('python prepare_dataset.py')} --extract-mels --framing "
                "tacotron), or give --mel-framing vocoder and have the audio half a hop early"
            )
    if problems:
        count = f"{len(problems)} of {len(chosen)} mels cannot be used: " if len(problems) > 1 else ""
        raise InputError(count + first_three(problems))
    undescribed = next((path for path, contract in chosen.items() if not contract.origin), None)
    if undescribed:
        try:
            mel = read_mel(undescribed, audio.num_mels)
        except (InputError, OSError):  # a problem of this file only, which is skipped later
            return chosen
        _refuse_other_scale(undescribed, mel, chosen[undescribed])
    return chosen


def utterance_from_mel(name: str, path: Path, contracts: Mapping[Path, MelContract], target: Target) -> Utterance:
    """Read a `.pt` or `.npy` mel file for the generator, and note which part of its audio to keep.

    Frame k of a "tacotron"-framed mel is centred on sample hop * k, but the generator centres its audio on
    hop * k + hop / 2. The mel is used as it is, and the audio is moved back by half a hop. This is exact: the log-mel
    L1 on LJSpeech is 2e-5, against 0.25 without the shift and 0.10 with the mean of neighbouring frames. The audio is
    then as long as with the "vocoder"-framed mel of the same clip.

    Raises:
        InputError: unreadable, of another shape, with values that are not finite, or with the range of another
            scale but no description.
    """
    contract = contracts[path]
    mel = read_mel(path, contract.audio.num_mels, contract.convention, target.mels.convention)
    if not contract.origin:
        _refuse_other_scale(path, mel, contract)
    if contract.audio.framing != "tacotron":
        return Utterance(name=name, mel=mel)
    hop = target.samples(contract.audio.hop_length)
    return Utterance(name=name, mel=mel, skip_samples=hop // 2, num_samples=max(mel.size(1) - 1, 1) * hop)


def _refuse_other_scale(path: Path, mel: Tensor, contract: MelContract) -> None:
    """Raise `InputError` for a mel without description that cannot be of the generator's kind."""
    if found := describe_other_scale(mel, contract.convention):
        scale, remedy = found
        base = contract.log_base
        name = "natural logarithms (-11.5 to 2)" if base == "ln" else f"log10 ({contract.convention.silence:.0f} to 1)"
        raise InputError(
            f"{path}: no {MEL_CONFIG_FILE} describes this mel, and its values ({mel.min():.1f} to {mel.max():.1f}) "
            f"look like {scale}, not {name}; {remedy}, or give --mel-log {base} if they are"
        )
