"""Prepare a data set: check its audio, write file lists, convert, extract mel spectrograms and pitch. See --help."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn

from common.cli import check_command_line, is_started, refuse_contradictions, run
from common.data.flags import PrepareConfig, SignalFlags, parse

if is_started(__name__):  # before PyTorch is imported, which takes seconds
    check_command_line(parse, "prepare_dataset.py")

import numpy as np
import torch

from common.audio import AudioConfig, MelSpectrogram
from common.audio_config import MEL_CONFIG_FILE
from common.audio_files import (
    WavInfo,
    describe_wrong_rate,
    find_peak,
    list_audio_files,
    load_wav,
    load_wav_at,
    resample,
    save_wav,
    wav_info,
    within_full_scale,
)
from common.data.filelists import read_paths, write_lines
from common.data.list_writer import write_filelists
from common.data.mel_files import distinct_targets, feature_name, read_features, record_config
from common.data.pitch import PITCH_STATISTICS_FILE, PitchConfig, compute_statistics, extract_pitch
from common.errors import InputError, first_three, others_go_on
from common.files.arrays import save_tensor
from common.files.fingerprints import expire_if_changed, is_newer, times_ns
from common.files.locks import alone_in
from common.files.text_files import read_lines
from common.machine.processes import Report, run_over_files
from common.mel_contract import MelContract
from common.project import command
from hifigan.config import read_config_file

log = logging.getLogger(__name__)

PITCH_CONFIG_FILE = "pitch_config.json"  # beside pitch files
IN_TURN = "prepare one thing after the other"  # remedy for two processes in one folder
QUIET_PEAK = 1e-3  # below this peak a clip is reported as silent


def main(argv: Sequence[str] | None = None) -> int:
    cfg, given = parse(argv)
    from_file = read_config_file(cfg.hifigan_config)[1] if cfg.hifigan_config else {}
    refuse_contradictions(given, from_file, cfg.hifigan_config)
    signal = {**dataclasses.asdict(SignalFlags()), **from_file, **given}
    audio = AudioConfig.from_dict(signal, framing=cfg.framing)
    root = Path(cfg.dataset_path)
    if not root.is_dir():
        raise FileNotFoundError(
            f"{root}: no such data set (--dataset-path); for LJSpeech: {command('bash scripts/download_dataset.sh')}"
        )
    if cfg.write_filelists:
        write_filelists(root, cfg, audio.filter_length // 2 + 1)
    if cfg.convert_to or cfg.extract_mels or cfg.extract_pitch:
        paths = find_wavs(root, cfg)
        problems: dict[str, None] = {}  # each once, though several steps may meet it
        if cfg.convert_to:
            problems |= dict.fromkeys(convert(root, Path(cfg.convert_to), paths, audio, cfg))
        if cfg.extract_mels:
            problems |= dict.fromkeys(extract_mels(root, paths, audio, cfg))
        if cfg.extract_pitch:
            problems |= dict.fromkeys(extract_pitches(root, paths, audio, cfg))
        if problems:
            rest = "; all others are done" if len(problems) < len(paths) else ""
            found = first_three(list(problems))
            raise InputError(f"{len(problems)} of {len(paths)} files could not be used{rest}: {found}")
    return 0


def find_wavs(root: Path, cfg: PrepareConfig) -> list[Path]:
    """Find audio files, relative to the data set, in the file lists or in `wavs/`."""
    if cfg.wav_text_filelists:
        paths = dict.fromkeys(read_paths(cfg.wav_text_filelists, root))
        return [path.relative_to(root) if path.is_relative_to(root) else path for path in paths]
    return [path.relative_to(root) for path in list_audio_files(root / "wavs")]


def extract_mels(root: Path, paths: Sequence[Path], audio: AudioConfig, cfg: PrepareConfig) -> list[str]:
    """Write a mel for each wav, and record their settings beside them. Return the problems of unusable files."""
    targets = distinct_targets(paths, lambda path: Path("mels") / feature_name(path))
    contract = MelContract(audio, peak_normalised=False).to_dict()
    files = [root / target for target in targets.values()]
    with alone_in(root / "mels", IN_TURN, files):
        record_config(root / "mels" / MEL_CONFIG_FILE, contract, files, "mels")
        work = partial(extract_mel, root, audio)
        return run_over_files(work, root, list(targets.items()), cfg.n_workers, "mels")


def extract_pitches(root: Path, paths: Sequence[Path], audio: AudioConfig, cfg: PrepareConfig) -> list[str]:
    """Write the pitch of each wav, [1, frames] in Hz, and the statistics of the voice. Newer files are skipped.

    Returns:
        The problems of unusable files.
    """
    targets = distinct_targets(paths, lambda path: Path("pitch") / feature_name(path))
    config = PitchConfig(audio.sampling_rate, audio.hop_length, cfg.f0_min, cfg.f0_max)
    files = [root / target for target in targets.values()]
    with alone_in(root / "pitch", IN_TURN, files):
        record_config(root / "pitch" / PITCH_CONFIG_FILE, config.to_dict(), files, "pitch")
        return extract_missing_pitches(root, targets, config, audio.filter_length // 2, cfg.n_workers)


def extract_missing_pitches(
    root: Path, targets: Mapping[Path, Path], config: PitchConfig, shortest: int, num_workers: int
) -> list[str]:
    """Write the pitch of files without a newer one, then the statistics. Return the problems of unusable files."""
    items = [(path, target) for path, target in targets.items() if not _is_made(root / target, root / path)]
    if len(items) < len(targets):
        log.info("pitch: %d of %d files exist already", len(targets) - len(items), len(targets))
    work = partial(extract_pitch_file, root, config, shortest)
    problems = run_over_files(work, root, items, num_workers, "pitch") if items else []
    # The statistics describe the voice, so they include all files, not only those in the file lists.
    all_files = sorted((root / "pitch").rglob("*.pt"))
    found = compute_statistics(_read_pitches(all_files, problems))
    if found is None:
        log.warning("pitch: no frame is voiced; %s was not written", PITCH_STATISTICS_FILE)
        return problems
    write_lines(root / "pitch" / PITCH_STATISTICS_FILE, [json.dumps(dataclasses.asdict(found), indent=1)])
    log.info("pitch: mean %.2f Hz, standard deviation %.2f Hz", found.mean_hz, found.std_hz)
    return problems


def _read_pitches(files: Sequence[Path], problems: list[str]) -> Iterator[np.ndarray]:
    for path in files:
        with others_go_on(path, problems):
            yield read_features(path, 1).numpy()


def _is_made(target: Path, source: Path) -> bool:
    try:
        return is_newer(target, source)
    except OSError:  # reading the source names the problem
        return False


def name_copy(path: Path) -> Path:
    return path.with_suffix(".wav")


def extract_mel(root: Path, audio: AudioConfig, item: tuple[Path, Path]) -> Report:
    """Extract one mel, in a worker process."""
    source, target = item
    channels = _check_header(root / source, audio.sampling_rate).channels
    wav = load_wav_at(root / source, audio.sampling_rate)
    mel = _get_mel_transform(audio)(torch.from_numpy(wav.astype(np.float32))[None])[0]
    save_tensor(root / target, mel)
    return Report(source, remark=_describe(wav, channels))


def extract_pitch_file(root: Path, config: PitchConfig, shortest: int, item: tuple[Path, Path]) -> Report:
    """Extract the pitch of one file, in a worker process. FastPitch's mels need more than `shortest` samples."""
    source, target = item
    before_ns = times_ns(root / source)
    _check_header(root / source, config.sampling_rate)
    wav = load_wav_at(root / source, config.sampling_rate)
    if len(wav) <= shortest:
        raise InputError(f"{len(wav)} samples are too few, need more than {shortest}")
    pitch = extract_pitch(wav, config)
    save_tensor(root / target, torch.from_numpy(pitch)[None])
    expire_if_changed(root / target, before_ns, root / source)
    return Report(source, remark="" if pitch.any() else "no frame is voiced")


def convert(root: Path, target: Path, paths: Sequence[Path], audio: AudioConfig, cfg: PrepareConfig) -> list[str]:
    """Copy the data set, with `metadata.csv`, in the format that training needs. Return the problems of files."""
    targets = distinct_targets(paths, name_copy)
    originals = {(root / path).resolve() for path in paths}
    if overwritten := [copy for copy in targets.values() if (target / copy).resolve() in originals]:
        raise InputError(f"--convert-to: {target / overwritten[0]} is a file of the data set; give another directory")
    with alone_in(target, IN_TURN, [target / copy for copy in targets.values()]):
        copied = target / "metadata.csv"
        transcripts = _read_transcripts(root / "metadata.csv")
        if copied.is_file() and _read_transcripts(copied) != transcripts:
            raise InputError(f"--convert-to: {copied} belongs to another data set; give another directory")
        if transcripts:
            write_lines(copied, transcripts)
        work = partial(convert_file, root, target, audio.sampling_rate)
        return run_over_files(work, root, list(targets.items()), cfg.n_workers, "converting")


def _read_transcripts(metadata: Path) -> list[str]:
    return [line for line in read_lines(metadata) if line.strip()] if metadata.is_file() else []


def convert_file(root: Path, target: Path, sampling_rate: int, item: tuple[Path, Path]) -> Report:
    """Convert one file, in a worker process, unless its copy is newer and has this rate."""
    path, copy = item
    if is_newer(target / copy, root / path) and wav_info(target / copy).sampling_rate == sampling_rate:
        return Report(path)
    before_ns = times_ns(root / path)
    channels = wav_info(root / path).channels
    wav, source_rate = load_wav(root / path)
    converted = within_full_scale(resample(wav, source_rate, sampling_rate), root / path)
    save_wav(target / copy, converted, sampling_rate)
    expire_if_changed(target / copy, before_ns, root / path)
    return Report(path, remark=_describe(wav, channels))


def _check_header(path: Path, sampling_rate: int) -> WavInfo:
    """Return a file's header, or raise `InputError` for another sampling rate before anything is decoded."""
    info = wav_info(path)
    if info.sampling_rate != sampling_rate:
        raise InputError(describe_wrong_rate(path, info.sampling_rate, sampling_rate))
    return info


_transforms: dict[AudioConfig, MelSpectrogram] = {}


def _get_mel_transform(audio: AudioConfig) -> MelSpectrogram:
    """Return the transform of this worker process for a configuration."""
    if audio not in _transforms:
        _transforms[audio] = MelSpectrogram(audio)
    return _transforms[audio]


def _describe(wav: np.ndarray, channels: int) -> str:
    peak = find_peak(wav)
    if peak < QUIET_PEAK:
        return f"silent (peak {peak:.1e})"
    return f"{channels} channels, which are averaged" if channels > 1 else ""


def console() -> NoReturn:
    run(main, "prepare_dataset.py")


if __name__ == "__main__":
    console()
