"""Extract FastPitch's teacher-forced mels of recordings, to fine-tune a vocoder on. See --help.

Run as `python -m fastpitch.extract_mels`, or under torchrun, which divides the recordings among processes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import logging
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from common.cli import check_command_line, from_flags, is_started
from common.cli import run as run_program
from fastpitch.training.extract_flags import ExtractConfig, make_parser

if is_started(__name__):  # before PyTorch is imported, which takes seconds
    check_command_line(make_parser().parse_args, "fastpitch.extract_mels")

import torch
from torch.utils.data import DataLoader
from tqdm import tqdm

from common import distributed
from common.audio_config import MEL_CONFIG_FILE
from common.data.filelists import find_unusable_wavs
from common.data.mel_files import distinct_targets, feature_name, record_config
from common.distributed import Distributed
from common.errors import InputError, first_three
from common.files.arrays import save_array
from common.files.atomic import write_whole
from common.files.fingerprints import expire_if_changed, file_digest, is_newer, times_ns
from common.files.json_files import read_json
from common.files.locks import alone_in
from common.machine.hardware import half_precision
from common.machine.loader_processes import leave_signals_to_the_parent, lost_loaders_named, stop_loader_processes
from common.machine.precision import DTYPES, mixed_precision
from common.machine.progress import watched
from common.training.sampling import ClipKey
from fastpitch.checkpoint import FastPitchInfo, load_fastpitch
from fastpitch.model import FastPitch
from fastpitch.speakers import stored_names
from fastpitch.synthesis.text_flags import text_config, text_processor
from fastpitch.training.recordings import Batch, SpeechDataset, collate, read_recordings

log = logging.getLogger(__name__)

SYMBOLS_FILE = "symbols.json"  # in the folder of the mels: a digest of each mel's symbols
LJSPEECH_MEAN_HZ, LJSPEECH_STD_HZ = 214.72203, 65.72038  # statistics of published models' training data


@lost_loaders_named()
@distributed.lost_peers_named()
def main(argv: Sequence[str] | None = None) -> int:
    cfg = from_flags(ExtractConfig, vars(make_parser().parse_args(argv)))
    place = distributed.init(cfg.cuda)
    resources = contextlib.ExitStack()
    try:
        model, info = load_teacher(cfg, place)
        dataset, contract = open_dataset(model, info, cfg, place)
        targets = mel_files(dataset, cfg)

        problems: dict[int, str] = {}

        def prepare() -> None:
            output = Path(cfg.output)
            written = [*targets, output / MEL_CONFIG_FILE, output / SYMBOLS_FILE]
            resources.enter_context(alone_in(output, "give another -o", written))
            problems.update(find_unusable(dataset))
            contract["fastpitch_sha256"] = file_digest(cfg.fastpitch)
            record_config(Path(cfg.output) / MEL_CONFIG_FILE, contract, targets, "mels")
            usable = [clip for clip in range(len(dataset)) if clip not in problems]
            forget_other_texts(dataset, usable, targets, Path(cfg.output))

        distributed.first_on_main(prepare, place)
        problems = distributed.gather(problems)[0]
        clips = [clip for clip in range(len(dataset)) if clip not in problems]
        not_finite = extract(model, dataset, clips, targets, cfg, place)
        for found in distributed.gather(not_finite):
            problems |= found
    finally:
        stop_loader_processes()
        resources.close()
        distributed.shutdown()
    if problems and place.is_main:
        rest = "; the mels of all others are there" if len(problems) < len(dataset) else ""
        listed = first_three([*problems.values()])
        raise InputError(f"{len(problems)} of {len(dataset)} recordings cannot be used{rest}: {listed}")
    return 0


def find_unusable(dataset: SpeechDataset) -> dict[int, str]:
    """Check audio, texts and pitch. Return the problems of unusable clips."""
    bad_audio = find_unusable_wavs(dataset.paths, dataset.audio.sampling_rate, progress=watched(), decode=True)
    problems = {clip: bad_audio[path] for clip, path in enumerate(dataset.paths) if path in bad_audio}
    return problems | dataset.find_unusable([clip for clip in range(len(dataset)) if clip not in problems], watched())


def load_teacher(cfg: ExtractConfig, place: Distributed) -> tuple[FastPitch, FastPitchInfo]:
    """Load the model. Raise `InputError` if it has no aligner."""
    model, info = load_fastpitch(cfg.fastpitch, place.device, cfg.ema)
    if not info.has_aligner:
        raise InputError(
            f"{cfg.fastpitch}: this FastPitch has no aligner (attention.*), which teacher forcing needs; "
            "use the checkpoint that training wrote"
        )
    return model, info


def open_dataset(
    model: FastPitch, info: FastPitchInfo, cfg: ExtractConfig, place: Distributed
) -> tuple[SpeechDataset, dict[str, Any]]:
    """Open the recordings as in the model's training, and describe the mels that the model makes of them."""
    text = text_config(cfg, info)
    mean_hz, std_hz = pitch_statistics(model, cfg, place)
    recordings = read_recordings(
        cfg.filelists, Path(cfg.dataset_path), info.config.n_speakers, stored_names(info.train_setup)
    )
    dataset = SpeechDataset(recordings, info.audio, text_processor(cfg, info), mean_hz, std_hz)
    dtype = DTYPES[half_precision(place.device) if cfg.amp else "fp32"]
    contract = {
        **dataclasses.asdict(info.audio),
        "peak_normalised": False,
        **text.to_dict(),
        "text_cleaners": list(text.text_cleaners),  # as JSON returns it
        "ema": cfg.ema,
        "pitch_mean_hz": mean_hz,
        "pitch_std_hz": std_hz,
        "precision": str(dtype).removeprefix("torch."),
    }
    return dataset, contract


def pitch_statistics(model: FastPitch, cfg: ExtractConfig, place: Distributed) -> tuple[float, float]:
    """Return mean and standard deviation of the voice's pitch in Hz: the model's, the user's or LJSpeech's."""
    if model.pitch_std > 0:
        if cfg.pitch_mean is not None:
            raise InputError(f"--pitch-mean: {cfg.fastpitch} has its own, {model.pitch_mean.item():.2f} Hz")
        return model.pitch_mean.item(), model.pitch_std.item()
    if cfg.pitch_mean is not None and cfg.pitch_std is not None:
        return cfg.pitch_mean, cfg.pitch_std
    if place.is_main:
        log.info(
            "%s has no pitch statistics: using LJSpeech's, mean %.2f Hz, standard deviation %.2f Hz; "
            "for another voice give the --pitch-mean and --pitch-std of its training",
            cfg.fastpitch,
            LJSPEECH_MEAN_HZ,
            LJSPEECH_STD_HZ,
        )
    return LJSPEECH_MEAN_HZ, LJSPEECH_STD_HZ


def mel_files(dataset: SpeechDataset, cfg: ExtractConfig) -> list[Path]:
    """Return the mel file of each recording. Raise `InputError` if two recordings share a file."""
    inner = [path.relative_to(cfg.dataset_path) for path in dataset.paths]
    targets = distinct_targets(inner, lambda path: feature_name(path).with_suffix(".npy"))
    return [Path(cfg.output) / target for target in targets.values()]


def forget_other_texts(dataset: SpeechDataset, clips: Sequence[int], targets: Sequence[Path], folder: Path) -> None:
    """Delete the mels of these clips that are of other symbols, after a change of the text or the dictionary."""
    digests = {}
    for clip in clips:
        target = targets[clip]
        symbols = f"{dataset.ids(ClipKey(clip, 0)).tolist()} {dataset.recordings[clip].speaker}"
        digests[target.relative_to(folder).as_posix()] = hashlib.sha256(symbols.encode()).hexdigest()[:12]
    known_file = folder / SYMBOLS_FILE
    known = read_json(known_file) if known_file.is_file() else {}
    for name, digest in digests.items():
        if known.get(name) != digest:
            (folder / name).unlink(missing_ok=True)
    write_whole(known_file, json.dumps({**known, **digests}, indent=0).encode())


@torch.inference_mode()
def extract(
    model: FastPitch,
    dataset: SpeechDataset,
    clips: Sequence[int],
    targets: Sequence[Path],
    cfg: ExtractConfig,
    place: Distributed,
) -> dict[int, str]:
    """Write the missing mels of this process's share of the clips. Return the problems of clips without one."""
    problems: dict[int, str] = {}
    share = clips[place.rank :: place.world_size]
    missing = [clip for clip in share if not _is_current(dataset, clip, targets[clip])]
    before_ns = {clip: times_ns(*_sources(dataset, clip)) for clip in missing}
    # Longest first: batches need little padding, and a lack of memory shows at once.
    missing.sort(key=lambda clip: dataset.paths[clip].stat().st_size, reverse=True)
    batches = [missing[i : i + cfg.batch_size] for i in range(0, len(missing), cfg.batch_size)]
    began = time.perf_counter()
    frames = 0
    shown = tqdm(total=len(missing), desc="mels", disable=not (watched() and place.is_main))
    with shown as bar:
        for numbers, batch in zip(batches, load(dataset, batches, cfg), strict=True):
            model.check_recordings(*batch)  # while it is on the CPU, where no check waits
            with mixed_precision(place.device, cfg.amp):
                output = model.teacher_forced(*batch.to(place.device))
            mels = output.mel.float().cpu()
            for clip, mel, length in zip(numbers, mels, batch.mel_lens.tolist(), strict=True):
                if not mel.isfinite().all():
                    hint = "; try without --amp" if cfg.amp else ""
                    problems[clip] = f"{dataset.paths[clip]}: FastPitch's mel has values that are not finite{hint}"
                    continue
                save_array(targets[clip], mel[:, :length].numpy())
                expire_if_changed(targets[clip], before_ns[clip], *_sources(dataset, clip))
                frames += length
            bar.update(len(numbers))
    seconds = time.perf_counter() - began
    speed = frames / seconds if frames else 0.0
    written, skipped, speed = distributed.sum_over_ranks(
        torch.tensor([len(missing) - len(problems), len(share) - len(missing), speed], dtype=torch.float64)
    ).tolist()
    if place.is_main:
        log.info("%s: %d mels written, %d there already, %.0f frames/s", cfg.output, written, skipped, speed)
    return problems


def _is_current(dataset: SpeechDataset, clip: int, target: Path) -> bool:
    return is_newer(target, *_sources(dataset, clip))


def _sources(dataset: SpeechDataset, clip: int) -> tuple[Path, Path]:
    recording = dataset.recordings[clip]
    return recording.wav, recording.pitch


def load(dataset: SpeechDataset, batches: Sequence[Sequence[int]], cfg: ExtractConfig) -> Iterator[Batch]:
    """Load batches of clips in order."""
    num_workers = min(cfg.num_workers, len(batches))
    loader: DataLoader[Any] = DataLoader(
        dataset,
        batch_sampler=[[ClipKey(clip, 0) for clip in clips] for clips in batches],
        collate_fn=partial(collate, padding_id=dataset.padding_id),
        num_workers=num_workers,
        pin_memory=cfg.cuda,
        worker_init_fn=leave_signals_to_the_parent if num_workers else None,
    )
    return iter(loader)


if __name__ == "__main__":
    run_program(main, "fastpitch.extract_mels")
