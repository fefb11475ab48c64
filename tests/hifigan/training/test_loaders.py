"""The data of an optimiser step depends only on the seed and the step."""

import dataclasses
import json

import pytest
import soundfile
import torch

from common.audio import AudioConfig
from common.distributed import Distributed
from common.mel_contract import read_contract
from common.training.sampling import MicroBatchSampler
from hifigan.training.flags import (
    VocoderDataConfig,
    VocoderOptimConfig,
    VocoderRunConfig,
    VocoderTrainConfig,
    parse_train_config,
)
from hifigan.training.loaders import choose_cache, learned_framing, open_datasets, training_loader, validation_loader
from hifigan.training.segment_cache import needed_bytes
from hifigan.training.segments import SegmentDataset
from tests.support.data_sets import write_data_set
from tests.support.models import SETUP, TINY, make_checkpoint
from tests.support.programs import train_arguments

SEGMENT = 1024
CFG = VocoderTrainConfig(
    VocoderRunConfig(),
    VocoderOptimConfig(batch_size=4),
    VocoderDataConfig(training_files=("a",), validation_files=("b",), segment_size=SEGMENT, num_workers=0),
    AudioConfig(),
    TINY,
)


def place(rank=0, world_size=1):
    return Distributed(rank, rank, world_size, torch.device("cpu"))


@pytest.mark.parametrize(
    ("flag", "described", "learned"),
    [
        ("auto", None, "vocoder"),
        ("auto", "tacotron", "vocoder"),
        ("auto", "vocoder", "vocoder"),
        ("vocoder", None, "tacotron"),  # mels without a description are framed like FastPitch's
        ("vocoder", "tacotron", "tacotron"),
        ("vocoder", "vocoder", "vocoder"),
    ],
)
def test_checkpoints_say_which_framing_the_generator_learned(tmp_path, flag, described, learned):
    data_set = write_data_set(tmp_path, [0.3] * 3)
    base, mels = make_checkpoint(tmp_path / "base.pt"), tmp_path / "mels"
    mels.mkdir()
    for i in range(3):
        torch.save(torch.zeros(80, 5), mels / f"clip{i:03d}.pt")
    if described:
        (mels / "audio_config.json").write_text(json.dumps({**SETUP, "framing": described}))
    options = {"input_mels_dir": mels, "input_mels_framing": flag, "checkpoint_path_gen": base}
    cfg = parse_train_config(train_arguments(data_set, tmp_path / "out", **options))
    assert cfg.train_setup()["framing"] == "vocoder"
    cfg = dataclasses.replace(cfg, learned_framing=learned_framing(open_datasets(cfg)[0], cfg))
    contract = read_contract(make_checkpoint(tmp_path / "tuned.pt", **cfg.train_setup()))
    assert (contract.audio.framing, contract.log_base) == (learned, "ln")


@pytest.mark.parametrize(("workers", "cache"), [(2, "none"), (0, "ram"), (2, "device")])
def test_batches_do_not_depend_on_workers_and_cache(paths, workers, cache):
    batches = []
    for num_workers, dataset_cache in ((0, "none"), (workers, cache)):
        data = dataclasses.replace(CFG.data, num_workers=num_workers, dataset_cache=dataset_cache)
        sampler = MicroBatchSampler(len(paths), 3, 1, 0, 1, 5)
        loader = training_loader(
            SegmentDataset(paths, AudioConfig(), SEGMENT, 5), sampler, dataclasses.replace(CFG, data=data), place()
        )
        for sampler.epoch in (1, 2):
            batches.append(torch.cat([wav for (wav,) in loader]))
    assert torch.equal(batches[0], batches[2])
    assert torch.equal(batches[1], batches[3])
    assert not torch.equal(batches[0], batches[1])


@pytest.mark.parametrize(
    ("fast", "kind", "total", "free", "in_ram", "processes", "expected"),
    [
        ("on", "cuda", 4, 2, 0, 1, "device"),
        ("on", "cuda", 3.9, 3.9, 4, 1, "ram"),  # the GPU is too small
        ("on", "cuda", 8, 1.9, 4, 1, "ram"),  # or in use
        ("on", "cuda", 3.9, 3.9, 8, 2, "ram"),
        ("on", "cuda", 3.9, 3.9, 7.9, 2, "none"),
        ("on", "cuda", 3.9, 3.9, None, 1, "none"),  # the system does not report it
        ("off", "cuda", 9, 9, 9, 1, "none"),
        ("on", "cpu", 9, 9, 9, 1, "none"),
    ],
)
def test_clips_are_kept_where_there_is_room(fast, kind, total, free, in_ram, processes, expected, paths, monkeypatch):
    """The needed memory includes mels."""
    dataset = SegmentDataset(paths, AudioConfig(), SEGMENT, 5)
    needed = 4 * sum(len(soundfile.read(path)[0]) for path in paths)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free * needed, total * needed))
    monkeypatch.setattr("hifigan.training.loaders.free_bytes", lambda _: None if in_ram is None else in_ram * needed)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes))
    where = dataclasses.replace(place(), device=torch.device(kind, 0))
    cfg = dataclasses.replace(CFG, run=dataclasses.replace(CFG.run, fast=fast))
    assert choose_cache(dataset, cfg, where) == expected
    chosen = dataclasses.replace(cfg, data=dataclasses.replace(cfg.data, dataset_cache="none"))
    assert choose_cache(dataset, chosen, where) == "none"


def test_mels_count_in_what_clips_take(tmp_path):
    data_set = write_data_set(tmp_path, [0.3] * 3)
    (tmp_path / "mels").mkdir()
    for i in range(3):
        torch.save(torch.zeros(80, 26), tmp_path / "mels" / f"clip{i:03d}.pt")
    options = {"input_mels_dir": tmp_path / "mels", "checkpoint_path_gen": make_checkpoint(tmp_path / "base.pt")}
    dataset, _ = open_datasets(parse_train_config(train_arguments(data_set, tmp_path / "out", **options)))
    wav, mel = dataset.load(0)
    assert needed_bytes(dataset) == pytest.approx(4 * (wav.numel() + mel.numel()), rel=0.05)


def test_validation_segments_are_five_per_clip_shared_without_repetition(paths):
    dataset = SegmentDataset(paths, AudioConfig(), SEGMENT, 0)
    alone = torch.cat([wav for (wav,) in validation_loader(dataset, CFG, place())])
    assert len(alone) == 5 * len(paths)
    shared = [torch.cat([wav for (wav,) in validation_loader(dataset, CFG, place(rank, 2))]) for rank in range(2)]
    assert torch.equal(alone[0::2], shared[0])
    assert torch.equal(alone[1::2], shared[1])
    assert len(torch.unique(alone[:5], dim=0)) == 5
