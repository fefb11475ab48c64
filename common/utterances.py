"""Mels to vocode: of audio files (copy synthesis), or prepared ones of a data set."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from common.audio import AUDIO_SUFFIXES, MEL_CONFIG_FILE, AudioConfig, MelSpectrogram, load_wav, resample
from common.errors import InputError, first_three
from common.filelists import check_wavs
from common.mel_contract import MelContract
from common.mels import looks_like_log10, mel_contracts, read_mel
from common.phrases import Phrase, safe_name
from common.run_log import watched
from common.speech_files import Part

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
    return source.is_dir() or source.suffix.lower() in AUDIO_SUFFIXES


def find_audio(source: Path, output: Path | None) -> dict[str, Path]:
    """Output name -> audio file below `source` (or `source` itself), checked before anything is written.

    Args:
        output: the output directory, in which nothing may be overwritten; None for audio that goes to no files.
    """
    if not source.exists():
        raise FileNotFoundError(f"{source}: no such file or folder (-i)")
    if output and source.is_dir() and output.resolve().is_relative_to(source.resolve()):
        raise InputError(f"-o: {output} lies in the folder of the originals (-i); give another folder")
    found = (path for path in source.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file())
    files = [source] if source.is_file() else sorted(found)
    if not files:
        raise InputError(f"{source}: no audio files ({', '.join(AUDIO_SUFFIXES)}) in this folder (-i)")
    root = source.parent if source.is_file() else source
    named: dict[str, Path] = {}
    for path in files:
        name = safe_name(str(path.relative_to(root).with_suffix(".wav")))
        if name in named:
            raise InputError(f"{path} and {named[name]}: both would be written to {name}")
        if output and (output / name).resolve() == path.resolve():
            raise InputError(f"-o: {output} is where {path.name} lies, which would be overwritten; give another folder")
        named[name] = path
    check_wavs(files, None, progress=watched())
    return named


def copied_utterances(paths: dict[str, Path], audio: AudioConfig) -> Iterator[Utterance]:
    """Mels of audio files; other sampling rates are converted, the level is kept."""
    mel = MelSpectrogram(audio)
    for name, path in paths.items():
        wav, sampling_rate = load_wav(path)
        if sampling_rate != audio.sampling_rate:
            log.info("%s: resampled from %d to %d Hz", path, sampling_rate, audio.sampling_rate)
            wav = resample(wav, sampling_rate, audio.sampling_rate)
        # Whole frames, and enough samples for the mel spectrogram to reflect; the copy is as long as the original.
        padded = max(-(-len(wav) // audio.hop_length), audio.padding // audio.hop_length + 1) * audio.hop_length
        samples = torch.from_numpy(np.pad(wav, (0, padded - len(wav))).astype(np.float32))
        yield Utterance(name=name, mel=mel(samples[None])[0], num_samples=len(wav))


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
        InputError: mels that do not fit the generator, that cannot be read, or that nothing describes and whose
            values are those of log10 mels. All files are read, so that nothing is written before.
    """
    chosen, problems = {}, []
    described = mel_contracts(paths, root, audio)
    learned = audio.framing == "tacotron"  # by fine-tuning half a hop apart
    for path, found in tqdm(described.items(), "checking mels", disable=not watched(), leave=False):
        contract = found or MelContract(audio)
        told = contract.audio.framing if framing == "auto" else framing
        chosen[path] = dataclasses.replace(
            contract,
            audio=dataclasses.replace(contract.audio, framing="vocoder" if learned else told),
            log_base=contract.log_base if log_base == "auto" else log_base,
        )
        if learned and framing == "auto" and told == "vocoder":
            problems.append(
                f"{path}: vocoder-framed ({contract.origin}), and this generator was fine-tuned to take tacotron "
                "framing; make the mels again (prepare_dataset.py --extract-mels --framing tacotron), or give "
                "--mel-framing vocoder and have the audio half a hop early"
            )
            continue
        try:
            mel = read_mel(path, audio.num_mels, chosen[path].log_base)
        except InputError as error:
            problems.append(str(error))
            continue
        if found is None and log_base == "auto" and looks_like_log10(mel):
            problems.append(
                f"{path}: no {MEL_CONFIG_FILE} describes this mel, and its values ({mel.min():.1f} to {mel.max():.1f}) "
                "are those of a log10 mel; give --mel-log log10, or --mel-log ln if it is in natural logarithms"
            )
    if problems:
        count = f"{len(problems)} of {len(chosen)} mels cannot be used: " if len(problems) > 1 else ""
        raise InputError(count + first_three(problems))
    return chosen


def prepared_utterances(files: Mapping[str, Path], contracts: Mapping[Path, MelContract]) -> Iterator[Utterance]:
    """Mels from `.pt` or `.npy` files, in natural logarithms, and which part of their audio is wanted.

    Frame k of a "tacotron"-framed mel is centred on sample hop * k, what the generator makes of it on
    hop * k + hop / 2. The mel stays as it is and the audio is moved back by half a hop: this is exact, whereas the mean
    of neighbouring frames is a mel of the other framing with an error of 0.10 (log-mel L1 on LJSpeech; 0.25 unmoved,
    2e-5 moved). The audio is then as long as that of the "vocoder"-framed mel of the same clip.
    """
    for name, path in files.items():
        contract = contracts[path]
        mel = read_mel(path, contract.audio.num_mels, contract.log_base)
        if contract.audio.framing == "tacotron":
            hop = contract.audio.hop_length
            yield Utterance(name=name, mel=mel, skip_samples=hop // 2, num_samples=max(mel.size(1) - 1, 1) * hop)
        else:
            yield Utterance(name=name, mel=mel)
