"""What the state of a training run consists of for every model: position, identity, precision, checkpoints."""

from __future__ import annotations

import abc
import dataclasses
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from common import distributed
from common.distributed import Distributed
from common.errors import InputError
from common.machine.precision import DTYPES, half_precision
from common.training.checkpoint_store import CheckpointStore, Contents
from common.training.flags import RunConfig, StepConfig
from common.training.loss_meter import Meter
from common.training.moving_average import EMA

log = logging.getLogger(__name__)

# How the global batch is shared out may change, and an average may begin; train_setup compares the rates.
_MAY_CHANGE = {
    "batch_size",
    "grad_accumulation",
    "global_batch_size",
    "learning_rate",
    "learning_rate_decay",
    "ema",
}
# Checkpoints did not always say these; the fingerprint of the data tells mels of one framing from those of another.
_NEWER = {"framing", "log_base"}


class TrainConfig(Protocol):
    """The configuration of a run of any model."""

    @property
    def run(self) -> RunConfig: ...

    @property
    def optim(self) -> StepConfig: ...

    def architecture(self) -> dict[str, Any]:
        """The `config` of a checkpoint: what the model is."""

    def train_setup(self) -> dict[str, Any]:
        """The `train_setup` of a checkpoint: plain values under their public names."""


class TrainState(abc.ABC):
    """Everything that changes while training; each model adds its modules, optimisers and the files they go to.

    Attributes:
        epoch: finished epochs.
        epoch_clips: clips used of the next epoch, over all processes.
        steps: all optimiser steps.
        written: the epochs whose checkpoints this run made and kept.
        identity: data, base model and settings of the optimiser; a run with another one may not continue this.
        ema: the moving average of `averaged`, made when the first weights are there.
        made: 0 if an optimiser left the last step out, else 1, on the device.
        throughputs: mel frames per second of this process's epochs.
    """

    ema_key: str  # under which the first file of a checkpoint has the moving average
    own_keys: frozenset[str]  # what the last file has to have beside the bookkeeping
    how_to_start: str  # from a checkpoint's weights, in the words of an error message

    def __init__(self, cfg: TrainConfig, place: Distributed, losses: Sequence[str], **identity: Any) -> None:
        torch.manual_seed(cfg.run.seed)
        self.cfg = cfg
        self.place = place
        self.epoch = self.epoch_clips = self.steps = 0
        self.written: list[int] = []
        settings = dataclasses.asdict(cfg.optim)
        self.identity = {**{key: value for key, value in settings.items() if key not in _MAY_CHANGE}, **identity}
        self.clips_per_step = cfg.optim.batch_size * cfg.optim.grad_accumulation * place.world_size
        self.throughputs: list[float] = []
        self.ema: EMA | None = None
        self.meter = Meter(losses, place.device)
        self.made = torch.ones((), device=place.device)
        self._amp_dtype = _amp_dtype(cfg.run, place)

    @property
    @abc.abstractmethod
    def averaged(self) -> nn.Module:
        """The module of which there can be a moving average."""

    @abc.abstractmethod
    def optimisers(self) -> tuple[torch.optim.Optimizer, ...]:
        """All optimisers; they share one learning rate."""

    @abc.abstractmethod
    def load_weights(self, module: nn.Module, stored: Mapping[str, Tensor]) -> None:
        """Weights under their public names; InputError if they do not fit."""

    @abc.abstractmethod
    def contents(self, bookkeeping: dict[str, Any]) -> Contents:
        """What the files of a checkpoint hold; `bookkeeping` belongs into the last of them."""

    @abc.abstractmethod
    def restore_own(self, contents: Contents) -> None:
        """Takes over modules and optimisers of a checkpoint of this run."""

    def learning_rates(self) -> dict[str, float]:
        """The present rate under the names that logs give it."""
        return {"lrate": self.optimisers()[0].param_groups[0]["lr"]}

    def autocast(self, cached: bool = True) -> torch.autocast:
        """Mixed precision where `--amp` asks for it; `cached` as PyTorch's `cache_enabled`."""
        enabled = self._amp_dtype is not None
        return torch.autocast(self.place.device.type, self._amp_dtype, enabled=enabled, cache_enabled=cached)

    def make_scaler(self) -> torch.amp.GradScaler:
        """Loss scaling for fp16, and for every precision the guard that leaves out steps with non-finite gradients.

        It works on the device, without waiting for it. In fp32 and bf16 that is its only use, and the scale stays 1.
        """
        if self._amp_dtype is torch.float16:
            return torch.amp.GradScaler(self.place.device.type)
        return torch.amp.GradScaler(self.place.device.type, init_scale=1.0, growth_interval=2**31 - 1)

    def set_learning_rate(self) -> None:
        """The rate of the step that comes next: a function of the position alone, so that resuming cannot shift it."""
        rate = self.cfg.optim.learning_rate_at(self.epoch, self.steps)
        for optimiser in self.optimisers():
            for group in optimiser.param_groups:
                group["lr"] = rate

    def step_optimiser(self, optimiser: torch.optim.Optimizer, scaler: torch.amp.GradScaler) -> Tensor:
        """Clips and applies the gradients, unless some are not finite.

        Returns:
            1 if the step was made and 0 if it was left out, on the device: reading it would wait for the step.
        """
        if self.cfg.optim.grad_clip_thresh > 0:
            scaler.unscale_(optimiser)
            parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
            nn.utils.clip_grad_norm_(parameters, self.cfg.optim.grad_clip_thresh)
        before = _steps_made(optimiser)
        scaler.step(optimiser)
        # Each step that is left out lowers the scale: right for fp16 alone.
        scaler.update(None if self._amp_dtype is torch.float16 else 1.0)
        return _steps_made(optimiser) - before

    def start_ema(self, stored: Mapping[str, Tensor] | None = None) -> None:
        """Starts the moving average, if one is wanted, at the current weights or goes on with a stored one."""
        if not self.cfg.optim.ema:
            return
        self.ema = EMA(self.averaged, self.cfg.optim.ema)
        if stored is not None:
            self.load_weights(self.ema.module, stored)

    def end_epoch(self) -> None:
        self.epoch, self.epoch_clips = self.epoch + 1, 0

    def save(self, store: CheckpointStore) -> None:
        """Writes the checkpoint of the epoch that is finished or under way, and removes old ones of this run."""
        name = self.epoch + (self.epoch_clips > 0)
        self.written = [*(epoch for epoch in self.written if epoch != name), name]
        bookkeeping = {
            "rng": torch.get_rng_state(),
            "written": self.written,
            "identity": self.identity,
            "clips_per_step": self.clips_per_step,
        }
        train_state = {"epoch": self.epoch, "epoch_clips": self.epoch_clips, "steps": self.steps}
        both = {"train_setup": self.cfg.train_setup(), "train_state": train_state}
        store.save(name, *({**content, **both} for content in self.contents(bookkeeping)))
        if not self.meter.left_out_in_a_row:  # a run that diverges must not delete what it could start again from
            self.written = store.prune(self.written, self.cfg.run.keep_milestones)

    def restore(self, contents: Contents) -> None:
        """Takes over a checkpoint of this run."""
        first, last = contents[0], contents[-1]
        self.restore_own(contents)
        torch.set_rng_state(last["rng"])
        if self.cfg.optim.ema and first[self.ema_key] is None:
            log.warning("--ema: the checkpoint has no moving average; it starts from the present weights")
        self.start_ema(first[self.ema_key])
        self.written = list(last["written"])
        self.epoch, self.epoch_clips, self.steps = (last["train_state"][k] for k in ("epoch", "epoch_clips", "steps"))

    def resume(self, store: CheckpointStore) -> bool:
        """Goes on from the newest checkpoint in the output directory; False where there is none.

        Raises:
            InputError: the directory holds another run, or checkpoints although `--no-resume` was given, or not all
                processes find the same.
        """
        resumed = self._resume(store)
        if distributed.differs(self.steps):
            raise InputError(
                f"--output: in {store.directory} not all processes find the same checkpoint; "
                "it must be one directory that all machines share"
            )
        return resumed

    def _resume(self, store: CheckpointStore) -> bool:
        if not self.cfg.run.resume:
            if store.epochs() or store.incomplete():
                raise InputError(f"--no-resume: {store.directory} holds checkpoints; give another --output")
            return False
        if self.place.is_main:
            store.finish_interrupted_save()
        distributed.barrier()
        newest = store.newest()
        if newest is None:
            if store.incomplete():
                raise InputError(
                    f"{store.directory} holds a checkpoint file without its other half, to be overwritten; "
                    "move it away, or give another --output"
                )
            return False
        epoch, contents = newest
        required = self.own_keys | {"rng", "written", "identity", "clips_per_step", "train_state"}
        if missing := required - contents[-1].keys():
            raise InputError(
                f"{store.paths(epoch)[-1]}: not written by this program, it lacks {', '.join(sorted(missing))}; "
                f"give another --output, {self.how_to_start}"
            )
        self._refuse_another_run(contents, store)
        self.restore(contents)
        if self.place.is_main:  # a save that was killed did not come to it, and perhaps none follows
            store.remove_leftovers()
            self.written = store.prune(self.written, self.cfg.run.keep_milestones)
        return True

    def _refuse_another_run(self, contents: Contents, store: CheckpointStore) -> None:
        """`--resume` is the default, so that another experiment's directory must not be continued by accident."""
        first, last = contents[0], contents[-1]
        stored = {**first.get("config", {}), **first.get("train_setup", {}), **last["identity"]}
        wanted = {**self.cfg.architecture(), **self.cfg.train_setup(), **self.identity}
        del wanted["epochs_all"]  # a run may be made longer
        for key in _NEWER - stored.keys():
            wanted.pop(key, None)
        differing = [f"{key} was {stored.get(key)}, now {v}" for key, v in wanted.items() if stored.get(key) != v]
        if differing:
            raise InputError(
                f"{store.directory} holds another run's checkpoints ({'; '.join(differing)}); "
                "give another --output, or that run's settings"
            )
        if first[self.ema_key] is not None and not self.cfg.optim.ema:
            raise InputError(f"--ema: the moving average in {store.directory} would be lost; give its decay again")
        if last["clips_per_step"] != self.clips_per_step and self.place.is_main:
            log.warning(
                "an optimiser step took %d clips so far and takes %d from now on; --global-batch-size keeps it",
                last["clips_per_step"],
                self.clips_per_step,
            )


def load_scaler(scaler: torch.amp.GradScaler, stored: dict[str, Any]) -> None:
    """Goes on with a stored loss scale, unless the precision has changed."""
    # The interval tells a scaler of fp16 from one of the other precisions.
    if stored["growth_interval"] == scaler.get_growth_interval():
        scaler.load_state_dict(stored)


def _steps_made(optimiser: torch.optim.Optimizer) -> Tensor:
    """The optimiser's own count on the device, in which a step that was left out does not count."""
    first = optimiser.param_groups[0]["params"][0]
    return optimiser.state[first]["step"].clone() if first in optimiser.state else torch.zeros((), device=first.device)


def _amp_dtype(run: RunConfig, place: Distributed) -> torch.dtype | None:
    if not run.amp:
        return None
    name = half_precision(place.device) if run.amp_dtype == "auto" else run.amp_dtype
    if name == "fp16" and place.device.type == "cpu":
        log.warning("--amp-dtype fp16: many times slower than fp32 on a CPU; bf16 is made for it")
    return DTYPES[name]
