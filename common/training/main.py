"""`main` of every training program: from a configuration to the exit status."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

from common import distributed
from common.distributed import Distributed
from common.training.checkpoint_store import CheckpointStore
from common.training.loader_processes import lost_loaders_named
from common.training.loaders import ClipDataset, check_datasets
from common.training.loop import TrainingLoop
from common.training.sampling import MicroBatchSampler
from common.training.state import BaseTrainConfig, BaseTrainState

Config = TypeVar("Config", bound=BaseTrainConfig)
Clips = TypeVar("Clips", bound=ClipDataset)
State = TypeVar("State", bound=BaseTrainState)


@lost_loaders_named()
@distributed.lost_peers_named()
def run_training(
    cfg: Config,
    open_datasets: Callable[[Config], tuple[Clips, Clips]],
    build_state: Callable[[Config, Distributed, Clips], State],
    build_loop: Callable[[State, CheckpointStore, MicroBatchSampler, tuple[Clips, Clips]], TrainingLoop],
) -> int:
    """Train a model on this process and those that torchrun started; return the exit status.

    Args:
        cfg: the configuration.
        open_datasets: opens the training and the validation data.
        build_state: builds the initial state for the training data.
        build_loop: builds the loop around a state that is restored or has its initial weights.
    """
    place = distributed.init(cfg.run.cuda)
    shared: Any = cfg
    cfg = dataclasses.replace(shared, optim=cfg.optim.shared_by(place.world_size))
    datasets = open_datasets(cfg)
    check_datasets(datasets, place)
    optim = cfg.optim
    sampler = MicroBatchSampler(
        len(datasets[0]), optim.batch_size, optim.grad_accumulation, place.rank, place.world_size, cfg.run.seed
    )
    state = build_state(cfg, place, datasets[0])
    store = CheckpointStore(cfg.run.output, state.checkpoint_files)
    resumed = state.resume(store)
    if not resumed:
        state.load_base()
    return build_loop(state, store, sampler, datasets).run_logged(resumed)
