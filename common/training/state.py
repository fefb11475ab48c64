"""State of a training run, shared by all models: position, identity, precision and checkpoints."""

from __future__ import annotations

import abc
import dataclasses
import logging
from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from common import distributed
from common.distributed import Distributed
from common.errors import InputError, first_line
from common.machine.precision import DTYPES, amp_format, make_gradient_scaler, mixed_precision, needs_loss_scaling
from common.training.best import Best
from common.training.checkpoint_store import CheckpointStore, Contents
from common.training.flags import BaseDataConfig, BaseOptimConfig, BaseRunConfig
from common.training.loss_meter import LossMeter
from common.training.moving_average import EMA

log = logging.getLogger(__name__)

# Settings that a resumed run may change. `train_setup` compares the learning rates.
_MAY_CHANGE = {
    "batch_size",
    "grad_accumulation",
    "global_batch_size",
    "learning_rate",
    "learning_rate_decay",
    "ema",
}
# Older checkpoints lack these keys. The fingerprint of the data also tells mels of different framings apart.
_NEWER = {"framing", "log_base", "discriminator_width", "precision"}


class BaseTrainConfig(Protocol):
    """Configuration of a training run of any model, a frozen dataclass."""

    @property
    def run(self) -> BaseRunConfig: ...

    @property
    def optim(self) -> BaseOptimConfig: ...

    @property
    def data(self) -> BaseDataConfig: ...

    def architecture(self) -> dict[str, Any]:
        """Return the `config` of a checkpoint, which describes the model."""

    def train_setup(self) -> dict[str, Any]:
        """Return the `train_setup` of a checkpoint: plain values under their public names."""


class BaseTrainState(abc.ABC):
    """Everything that changes while training. Each model adds its modules, optimisers and checkpoint contents.

    Attributes:
        epoch: finished epochs.
        epoch_clips: clips used of the next epoch, over all processes.
        steps: optimiser steps since the beginning.
        written: epochs of this run's checkpoints that were not deleted.
        best: the best validated epoch.
        identity: data, base model, precision and optimiser settings. Another run must not resume this run.
        ema: moving average of the module `averaged`, created once the initial weights are loaded.
        made: 1, or 0 if an optimiser skipped the last step, on the device.
        throughputs: mel frames per second in each epoch of this process.
    """

    checkpoint_files: tuple[str, ...]  # names, with {} for the epoch
    ema_key: str  # key of the moving average in the first file of a checkpoint
    how_to_start: str  # advice for starting from a checkpoint's weights, part of an error message

    def __init__(self, cfg: BaseTrainConfig, place: Distributed, **identity: Any) -> None:
        torch.manual_seed(cfg.run.seed)
        self.cfg = cfg
        self.place = place
        self.epoch = self.epoch_clips = self.steps = 0
        self.written: list[int] = []
        self.best = Best()
        settings = dataclasses.asdict(cfg.optim)
        self.identity = {**{key: value for key, value in settings.items() if key not in _MAY_CHANGE}, **identity}
        self.clips_per_step = cfg.optim.batch_size * cfg.optim.grad_accumulation * place.world_size
        self.throughputs: list[float] = []
        self.ema: EMA | None = None
        self.meter = LossMeter(place.device)
        self.made = torch.ones((), device=place.device)
        self._amp_dtype = _amp_dtype(cfg.run, place) if cfg.run.amp else None
        self.identity["precision"] = str(self._amp_dtype or torch.float32).removeprefix("torch.")

    @property
    @abc.abstractmethod
    def own_keys(self) -> frozenset[str]:
        """Keys that the last file of a checkpoint must have besides the bookkeeping."""

    @property
    @abc.abstractmethod
    def averaged(self) -> nn.Module:
        """The module that a moving average can follow."""

    @abc.abstractmethod
    def optimisers(self) -> tuple[torch.optim.Optimizer, ...]:
        """Return all optimisers. They share one learning rate."""

    @abc.abstractmethod
    def load_base(self) -> None:
        """Start from given weights, if any, with fresh optimisers."""

    @abc.abstractmethod
    def load_weights(self, module: nn.Module, stored: Mapping[str, Tensor]) -> None:
        """Load weights under their public names. Raise `InputError` if they do not fit."""

    @abc.abstractmethod
    def contents(self, bookkeeping: dict[str, Any]) -> Contents:
        """Return the contents of a checkpoint's files. `bookkeeping` belongs in the last one."""

    @abc.abstractmethod
    def restore_own(self, contents: Contents) -> None:
        """Restore modules and optimisers from a checkpoint of this run."""

    def learning_rates(self) -> dict[str, float]:
        """Return the current rate under its names in logs."""
        return {"lrate": self.optimisers()[0].param_groups[0]["lr"]}

    def autocast(self, cached: bool = True) -> torch.autocast:
        """Return mixed precision if `--amp` is given. `cached` is PyTorch's `cache_enabled`."""
        return mixed_precision(self.place.device, self._amp_dtype is not None, cached, self._amp_dtype)

    def make_scaler(self) -> torch.amp.GradScaler:
        """Return the loss scaling of one optimiser, which also skips steps with non-finite gradients."""
        return make_gradient_scaler(self.place.device, self._amp_dtype)

    def set_learning_rate(self) -> None:
        """Set the rate of the next step. It depends on the position alone, so that resuming cannot shift it."""
        rate = self.cfg.optim.learning_rate_at(self.epoch, self.steps)
        for optimiser in self.optimisers():
            for group in optimiser.param_groups:
                group["lr"] = rate

    def step_optimiser(self, optimiser: torch.optim.Optimizer, scaler: torch.amp.GradScaler) -> Tensor:
        """Clip and apply the gradients, unless some are not finite.

        Returns:
            1 if the step was made or 0 if it was skipped, on the device. Reading it would wait for the step.
        """
        if self.cfg.optim.grad_clip_thresh > 0:
            scaler.unscale_(optimiser)
            parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
            nn.utils.clip_grad_norm_(parameters, self.cfg.optim.grad_clip_thresh)
        before = _count_steps(optimiser)
        scaler.step(optimiser)
        # Each skipped step lowers the scale, which is wrong without loss scaling.
        scaler.update(None if needs_loss_scaling(self._amp_dtype) else 1.0)
        return _count_steps(optimiser) - before

    def start_ema(self, stored: Mapping[str, Tensor] | None = None) -> None:
        """Start the moving average, if `--ema` asks for one, from the current weights or from a stored average."""
        if not self.cfg.optim.ema:
            return
        self.ema = EMA(self.averaged, self.cfg.optim.ema)
        if stored is not None:
            self.load_weights(self.ema.module, stored)

    def end_epoch(self) -> None:
        self.epoch, self.epoch_clips = self.epoch + 1, 0

    def train_setup(self) -> dict[str, Any]:
        """Return the `train_setup` of a checkpoint."""
        return self.cfg.train_setup()

    def save(self, store: CheckpointStore) -> None:
        """Write the checkpoint of the last finished or current epoch, and delete old checkpoints of this run."""
        name = self.epoch + (self.epoch_clips > 0)
        self.written = [*(epoch for epoch in self.written if epoch != name), name]
        bookkeeping = {
            "rng": torch.get_rng_state(),
            "written": self.written,
            "best": self.best.to_dict(),
            "identity": self.identity,
            "clips_per_step": self.clips_per_step,
        }
        train_state = {"epoch": self.epoch, "epoch_clips": self.epoch_clips, "steps": self.steps}
        both = {"train_setup": self.train_setup(), "train_state": train_state}
        store.save(name, *({**content, **both} for content in self.contents(bookkeeping)))
        self._record_best(store)
        if not self.meter.skipped_in_a_row:  # a diverging run must not delete the checkpoints to restart from
            self._prune(store)

    def _record_best(self, store: CheckpointStore) -> None:
        """Write where the best checkpoint lies, before the one that was the best so far is deleted."""
        if self.best.epoch:
            self.best.write(store.paths(self.best.epoch)[0])

    def _prune(self, store: CheckpointStore) -> None:
        self.written = store.prune(self.written, {*self.cfg.run.keep_milestones, self.best.epoch})

    def restore(self, contents: Contents) -> None:
        """Restore everything from a checkpoint of this run."""
        first, last = contents[0], contents[-1]
        self.restore_own(contents)
        torch.set_rng_state(last["rng"])
        if self.cfg.optim.ema and first[self.ema_key] is None:
            log.warning("--ema: the checkpoint has no moving average; it starts from the current weights")
        self.start_ema(first[self.ema_key])
        self.written = list(last["written"])
        self.best = Best(**last.get("best", {}))  # older checkpoints lack it
        self.epoch, self.epoch_clips, self.steps = (last["train_state"][k] for k in ("epoch", "epoch_clips", "steps"))
        counts = (*self.written, self.best.epoch, self.best.waited, self.epoch, self.epoch_clips, self.steps)
        if not all(type(count) is int and count >= 0 for count in counts):
            raise ValueError("an epoch or a number of steps is not a number")

    def resume(self, store: CheckpointStore) -> bool:
        """Resume from the newest checkpoint in the output directory. Return False if there is none.

        Raises:
            InputError: the directory holds another run, or checkpoints despite `--no-resume`, or processes find
                different checkpoints.
        """
        resumed = self._resume(store)
        if distributed.differs(self.steps):
            raise InputError(
                f"--output: processes find different checkpoints in {store.directory}; "
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
        self._restore_or_refuse(contents, store, epoch)
        if self.place.is_main:  # a killed save skipped this, and no further save may follow
            store.remove_leftovers()
            self._record_best(store)
            self._prune(store)
        return True

    def _restore_or_refuse(self, contents: Contents, store: CheckpointStore, epoch: int) -> None:
        """Restore a checkpoint, or raise `InputError` if it is of another run or has values of other kinds."""
        names = " and ".join(str(path) for path in store.paths(epoch))
        try:
            if type(contents[-1]["clips_per_step"]) is not int:
                raise ValueError("clips_per_step is not a number")
            self._refuse_another_run(contents, store)
            self.restore(contents)
        except InputError as error:
            raise error if str(store.directory) in str(error) else InputError(f"{names}: {error}") from error
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            raise InputError(
                f"{names}: not as training writes it ({type(error).__name__}: {first_line(error)}); move the files "
                "away, and training resumes from the checkpoint before"
            ) from error

    def _refuse_another_run(self, contents: Contents, store: CheckpointStore) -> None:
        """Raise `InputError` if the checkpoint is of another run, since `--resume` is the default."""
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
                + (" (--amp or not, --amp-dtype)" if any(text.startswith("precision") for text in differing) else "")
            )
        if first[self.ema_key] is not None and not self.cfg.optim.ema:
            raise InputError(f"--ema: the moving average in {store.directory} would be lost; give its decay again")
        if last["clips_per_step"] != self.clips_per_step and self.place.is_main:
            log.warning(
                "an optimiser step took %d clips so far and now takes %d; --global-batch-size keeps it constant",
                last["clips_per_step"],
                self.clips_per_step,
            )


def load_scaler(scaler: torch.amp.GradScaler, stored: dict[str, Any]) -> None:
    """Restore a stored loss scale, unless the precision has changed."""
    # The interval distinguishes fp16 scalers from the others.
    if stored["growth_interval"] == scaler.get_growth_interval():
        scaler.load_state_dict(stored)


_OF_THE_DEVICE = ("fused", "foreach", "capturable")  # settings of an optimiser that do not change its mathematics


def load_optimiser(optimiser: torch.optim.Optimizer, stored: Any) -> None:
    """Restore an optimiser.

    Raises:
        InputError: a state that does not fit the parameters, or other settings than the run's.
    """
    options = [{name: value for name, value in group.items() if name != "params"} for group in optimiser.param_groups]
    optimiser.load_state_dict(stored)
    for group, wanted in zip(optimiser.param_groups, options, strict=True):
        for name, value in wanted.items():
            found = group.setdefault(name, value)  # older versions of PyTorch have fewer settings
            if name in _OF_THE_DEVICE:
                fits = found is None or isinstance(found, bool)
            elif name == "lr":  # set before each step
                fits = isinstance(found, float)
            else:
                fits = type(found) is type(value) and found == value
            if not fits:
                shown = found if isinstance(found, str | int | float | None) else type(found).__name__
                raise InputError(f"its optimiser has {name} {shown} instead of {value!r}")
        for parameter in group["params"]:
            state = optimiser.state.get(parameter, {})
            if state and not state.keys() >= {"step", "exp_avg", "exp_avg_sq"}:
                raise InputError(f"its optimiser has only {', '.join(map(str, state))} of a parameter")
            for name, value in state.items():
                shape = torch.Size() if name == "step" else parameter.shape
                if not isinstance(value, Tensor) or value.shape != shape or not value.is_floating_point():
                    raise InputError(f"its optimiser has a {name} that does not fit its parameter {list(shape)}")


def _count_steps(optimiser: torch.optim.Optimizer) -> Tensor:
    """Return the optimiser's own count of steps, which excludes skipped ones, on the device."""
    first = optimiser.param_groups[0]["params"][0]
    return optimiser.state[first]["step"].clone() if first in optimiser.state else torch.zeros((), device=first.device)


def _amp_dtype(run: BaseRunConfig, place: Distributed) -> torch.dtype:
    return DTYPES[amp_format(run.amp_dtype, place.device)]
