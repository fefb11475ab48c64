"""The state of a training run: models, optimisers, position; how it is built, saved and restored."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from common import distributed
from common.audio import MelSpectrogram
from common.checkpoint import read_file
from common.distributed import Distributed
from common.ema import EMA
from common.errors import InputError
from common.filelists import file_digest
from common.metrics import Meter
from hifigan.checkpoint import load_public_state, load_trainable_generator
from hifigan.checkpoint_store import CheckpointStore
from hifigan.discriminators import MultiPeriodDiscriminator, MultiScaleDiscriminator
from hifigan.generator import Generator
from hifigan.train_config import OptimConfig, TrainConfig

log = logging.getLogger(__name__)

_DISCRIM_KEYS = {
    "mpd",
    "msd",
    "optim_g",
    "optim_d",
    "scaler_g",
    "scaler_d",
    "rng",
    "written",
    "identity",
    "clips_per_step",
    "train_state",
}
# How the global batch is shared out may change, and an average may begin; train_setup compares the rates.
_MAY_CHANGE = {
    "batch_size",
    "grad_accumulation",
    "global_batch_size",
    "learning_rate",
    "learning_rate_decay",
    "ema",
}


class TrainState:
    """Everything that changes while training, and the transforms that belong to it.

    `generator`, `mpd`, `msd` are the modules; `*_sync` are the same, wrapped so that their gradients are averaged
    over processes. `epoch` counts finished epochs, `epoch_clips` the clips used of the next one (over all
    processes), `steps` all optimiser steps, `written` the epochs whose checkpoints this run made and kept. `ema` is the
    moving average of the generator, made when the first weights are there. `training_clips` and the settings of the
    optimiser are the run's `identity`: a run with another one may not continue it.
    """

    def __init__(self, cfg: TrainConfig, place: Distributed, training_clips: str = "") -> None:
        torch.manual_seed(cfg.run.seed)
        self.place = place
        self.generator = Generator(cfg.generator)
        self.mpd = MultiPeriodDiscriminator()
        self.msd = MultiScaleDiscriminator(amp_grouped_conv=not cfg.run.no_amp_grouped_conv)
        self.epoch = self.epoch_clips = self.steps = 0
        self.written: list[int] = []
        self.identity = {
            **_optimiser_identity(cfg.optim),
            "training_clips": training_clips,
            "fine_tuning": bool(cfg.data.input_mels_dir),
        }
        if cfg.run.checkpoint_path_gen:
            self.identity["base_model"] = file_digest(cfg.run.checkpoint_path_gen)
        self.clips_per_step = cfg.optim.batch_size * cfg.optim.grad_accumulation * place.world_size
        self.throughputs: list[float] = []  # mel frames per second of this process's epochs
        self.ema: EMA | None = None
        self.meter = Meter(("d_loss", "g_loss", "mel_loss"), place.device)
        self.concat_fwd = cfg.run.concat_fwd
        self.made = torch.ones((), device=place.device)  # 0 if an optimiser left the last step out
        self._optim = cfg.optim
        for module in self.modules():
            module.to(place.device).train()
        self.generator_sync, self.mpd_sync, self.msd_sync = (distributed.wrap(m, place) for m in self.modules())
        self.mel = MelSpectrogram(cfg.audio).to(place.device)
        self.loss_mel = MelSpectrogram(cfg.loss_audio).to(place.device)
        self.optim_g = _adamw(cfg, self.generator)
        self.optim_d = _adamw(cfg, self.mpd, self.msd)
        self._amp_dtype = _amp_dtype(cfg, place)
        self.scaler_g, self.scaler_d = (_scaler(self._amp_dtype, place) for _ in range(2))

    def modules(self) -> tuple[Generator, MultiPeriodDiscriminator, MultiScaleDiscriminator]:
        return self.generator, self.mpd, self.msd

    def autocast(self) -> torch.autocast:
        """Mixed precision where `--amp` asks for it."""
        return torch.autocast(self.place.device.type, self._amp_dtype, enabled=self._amp_dtype is not None)

    @contextlib.contextmanager
    def frozen_discriminators(self) -> Iterator[None]:
        """The discriminators judge without collecting gradients of their own weights."""
        parameters = [*self.mpd.parameters(), *self.msd.parameters()]
        for parameter in parameters:
            parameter.requires_grad_(False)
        try:
            yield
        finally:
            for parameter in parameters:
                parameter.requires_grad_(True)

    @contextlib.contextmanager
    def spectral_turn(self, turn: int, calls: int = 2) -> Iterator[None]:
        """Keeps spectral norm independent of the number of processes.

        Each discriminator call advances the power iteration by one. A single process makes the calls of all
        micro-batches one after the other; of several, each also makes up for the calls of those before (`turn`) and
        after it, so that every micro-batch meets the same vectors as in a single process.
        """
        self.msd.power_iterations(calls * turn)
        yield
        self.msd.power_iterations(calls * (self.place.world_size - 1 - turn))

    def set_learning_rate(self) -> None:
        """The rate of the step that comes next: a function of the position alone, so that resuming cannot shift it."""
        rate = self._optim.learning_rate_at(self.epoch, self.steps)
        for optimiser in (self.optim_g, self.optim_d):
            for group in optimiser.param_groups:
                group["lr"] = rate

    def step_optimiser(self, optimiser: torch.optim.Optimizer, scaler: torch.amp.GradScaler) -> Tensor:
        """Clips and applies the gradients, unless some are not finite.

        Returns:
            1 if the step was made and 0 if it was left out, on the device: reading it would wait for the step.
        """
        if self._optim.grad_clip_thresh > 0:
            scaler.unscale_(optimiser)
            parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
            nn.utils.clip_grad_norm_(parameters, self._optim.grad_clip_thresh)
        before = _steps_made(optimiser)
        scaler.step(optimiser)
        # Each step that is left out lowers the scale: right for fp16 alone.
        scaler.update(None if self._amp_dtype is torch.float16 else 1.0)
        return _steps_made(optimiser) - before

    def start_ema(self, stored: dict[str, Any] | None = None) -> None:
        """Starts the moving average, if one is wanted, at the current weights or goes on with a stored one."""
        if not self._optim.ema:
            return
        self.ema = EMA(self.generator, self._optim.ema)
        if stored is not None:
            load_public_state(self.ema.module, stored)

    def end_epoch(self) -> None:
        self.epoch, self.epoch_clips = self.epoch + 1, 0

    def learning_rates(self) -> dict[str, float]:
        return {
            "lrate_gen": self.optim_g.param_groups[0]["lr"],
            "lrate_discrim": self.optim_d.param_groups[0]["lr"],
        }

    def save(self, cfg: TrainConfig, store: CheckpointStore) -> None:
        """Writes the checkpoint pair of the epoch that is finished or under way, and removes old pairs of this run."""
        name = self.epoch + (self.epoch_clips > 0)
        self.written = [*(epoch for epoch in self.written if epoch != name), name]
        train_state = {"epoch": self.epoch, "epoch_clips": self.epoch_clips, "steps": self.steps}
        gen = {
            "generator": self.generator.state_dict(),
            "gen_ema": self.ema.module.state_dict() if self.ema else None,
            "config": cfg.generator.to_dict(),
            "train_setup": cfg.train_setup(),
            "train_state": train_state,
        }
        discrim = {
            "mpd": self.mpd.state_dict(),
            "msd": self.msd.state_dict(),
            "optim_g": self.optim_g.state_dict(),
            "optim_d": self.optim_d.state_dict(),
            "scaler_g": self.scaler_g.state_dict(),
            "scaler_d": self.scaler_d.state_dict(),
            "schedulers": [{"last_epoch": self.epoch, "last_lr": lr} for lr in self.learning_rates().values()],
            "rng": torch.get_rng_state(),
            "written": self.written,
            "identity": self.identity,
            "clips_per_step": self.clips_per_step,
            "train_setup": cfg.train_setup(),
            "train_state": train_state,
            "steps": self.steps,
            "epoch": self.epoch,
        }
        store.save(name, gen, discrim)
        if not self.meter.left_out_in_a_row:  # a run that diverges must not delete what it could start again from
            self.written = store.prune(self.written, cfg.run.keep_milestones)

    def restore(self, gen: dict[str, Any], discrim: dict[str, Any]) -> None:
        """Takes over a checkpoint pair of this run."""
        load_public_state(self.generator, gen["generator"])
        load_public_state(self.mpd, discrim["mpd"])
        load_public_state(self.msd, discrim["msd"])
        self.optim_g.load_state_dict(discrim["optim_g"])
        self.optim_d.load_state_dict(discrim["optim_d"])
        for scaler, name in ((self.scaler_g, "scaler_g"), (self.scaler_d, "scaler_d")):
            # The interval tells a scaler of fp16 from one of the other precisions, if --amp-dtype changed.
            if discrim[name]["growth_interval"] == scaler.get_growth_interval():
                scaler.load_state_dict(discrim[name])
        torch.set_rng_state(discrim["rng"])
        if self._optim.ema and gen["gen_ema"] is None:
            log.warning("--ema: the checkpoint has no moving average; it starts from the present weights")
        self.start_ema(gen["gen_ema"])
        self.written = list(discrim["written"])
        self.epoch, self.epoch_clips, self.steps = (gen["train_state"][k] for k in ("epoch", "epoch_clips", "steps"))

    def resume(self, cfg: TrainConfig, store: CheckpointStore) -> bool:
        """Goes on from the newest pair in the output directory; False where there is none.

        Raises:
            InputError: the directory holds another run, or checkpoints although `--no-resume` was given.
        """
        if not cfg.run.resume:
            if store.epochs() or store.halves():
                raise InputError(f"--no-resume: {store.directory} holds checkpoints; give another --output")
            return False
        if self.place.is_main:
            store.finish_interrupted_save()
        distributed.barrier()
        pair = store.newest()
        if pair is None:
            if store.halves():
                raise InputError(
                    f"{store.directory} holds a checkpoint file without its other half, to be overwritten; "
                    "move it away, or give another --output"
                )
            return False
        epoch, gen, discrim = pair
        missing = _DISCRIM_KEYS - discrim.keys()
        if missing:
            raise InputError(
                f"{store.paths(epoch)[1]}: not written by this program, it lacks {', '.join(sorted(missing))}; "
                "give another --output, and this pair to --checkpoint-path-gen and --checkpoint-path-discrim"
            )
        self._refuse_another_run(cfg, gen, discrim, store)
        self.restore(gen, discrim)
        if self.place.is_main:  # a save that was killed did not come to it, and perhaps none follows
            store.remove_leftovers()
            self.written = store.prune(self.written, cfg.run.keep_milestones)
        return True

    def _refuse_another_run(
        self, cfg: TrainConfig, gen: dict[str, Any], discrim: dict[str, Any], store: CheckpointStore
    ) -> None:
        """`--resume` is the default, so that another experiment's directory must not be continued by accident."""
        stored = {**gen.get("config", {}), **gen.get("train_setup", {}), **discrim["identity"]}
        wanted = {**cfg.generator.to_dict(), **cfg.train_setup(), **self.identity}
        del wanted["epochs_all"]  # a run may be made longer
        differing = [f"{key} was {stored.get(key)}, now {v}" for key, v in wanted.items() if stored.get(key) != v]
        if differing:
            raise InputError(
                f"{store.directory} holds another run's checkpoints ({'; '.join(differing)}); "
                "give another --output, or that run's settings"
            )
        if gen["gen_ema"] is not None and not self._optim.ema:
            raise InputError(f"--ema: the moving average in {store.directory} would be lost; give its decay again")
        if discrim["clips_per_step"] != self.clips_per_step and self.place.is_main:
            log.warning(
                "an optimiser step took %d segments so far and takes %d from now on; --global-batch-size keeps it",
                discrim["clips_per_step"],
                self.clips_per_step,
            )

    def load_base(self, cfg: TrainConfig) -> None:
        """Starts from given weights, where there are some, with fresh optimisers; fine-tuning counts epochs on."""
        if cfg.run.checkpoint_path_gen:
            generator, info = load_trainable_generator(cfg.run.checkpoint_path_gen, cfg.generator)
            self.generator.load_state_dict(generator.state_dict())
            if cfg.data.input_mels_dir:  # the published schedule counts on from the base model's epochs
                self.epoch = info.epoch or 0
                if self.epoch >= cfg.run.epochs:
                    raise InputError(
                        f"--epochs: {cfg.run.epochs}, but fine-tuning counts on from the base model's {self.epoch}"
                    )
        if cfg.run.checkpoint_path_discrim:
            path = cfg.run.checkpoint_path_discrim
            content = read_file(path)
            for name, module in (("mpd", self.mpd), ("msd", self.msd)):
                if name not in content:
                    raise InputError(f"{path}: not a discriminator checkpoint, it has no '{name}'")
                try:
                    load_public_state(module, content[name])
                except InputError as error:
                    raise InputError(f"{path}: {error}") from error
        self.start_ema()


def _optimiser_identity(optim: OptimConfig) -> dict[str, Any]:
    """What must not change within a run."""
    return {key: value for key, value in dataclasses.asdict(optim).items() if key not in _MAY_CHANGE}


def _adamw(cfg: TrainConfig, *modules: nn.Module) -> torch.optim.AdamW:
    parameters: list[Tensor] = [parameter for module in modules for parameter in module.parameters()]
    betas = (cfg.optim.adam_beta1, cfg.optim.adam_beta2)
    return torch.optim.AdamW(
        parameters, cfg.optim.learning_rate, betas, weight_decay=cfg.optim.weight_decay, fused=True
    )


def _steps_made(optimiser: torch.optim.Optimizer) -> Tensor:
    """AdamW's own count on the device, in which a step that was left out does not count."""
    first = optimiser.param_groups[0]["params"][0]
    return optimiser.state[first]["step"].clone() if first in optimiser.state else torch.zeros((), device=first.device)


def _amp_dtype(cfg: TrainConfig, place: Distributed) -> torch.dtype | None:
    if not cfg.run.amp:
        return None
    auto = "fp16" if place.device.type == "cuda" else "bf16"
    name = auto if cfg.run.amp_dtype == "auto" else cfg.run.amp_dtype
    if name == "fp16" and place.device.type == "cpu":
        log.warning("--amp-dtype fp16: many times slower than fp32 on a CPU; bf16 is made for it")
    return {"fp16": torch.float16, "bf16": torch.bfloat16}[name]


def _scaler(amp_dtype: torch.dtype | None, place: Distributed) -> torch.amp.GradScaler:
    """Loss scaling for fp16, and for every precision the guard that leaves out steps with non-finite gradients.

    It works on the device, without waiting for it. In fp32 and bf16 that is its only use, and the scale stays 1.
    """
    if amp_dtype is torch.float16:
        return torch.amp.GradScaler(place.device.type)
    return torch.amp.GradScaler(place.device.type, init_scale=1.0, growth_interval=2**31 - 1)
