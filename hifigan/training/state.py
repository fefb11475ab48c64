"""The state of a training run of the vocoder: models, optimisers; how they are built, saved and restored."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from common import distributed
from common.audio import MelSpectrogram
from common.distributed import Distributed
from common.errors import InputError
from common.files.checkpoints import read_file
from common.files.fingerprints import file_digest
from common.machine.malloc import keep_freed_memory
from common.training import state
from common.training.checkpoint_store import Contents
from common.training.cuda_graphs import Changing, CudaRecorder, GraphedStep, Step
from common.training.state import load_scaler
from hifigan.checkpoint import load_public_state, load_trainable_generator
from hifigan.convolutions.rows import to_rows
from hifigan.discriminators import MultiPeriodDiscriminator, MultiScaleDiscriminator
from hifigan.generator import Generator
from hifigan.training.config import TrainConfig

CHECKPOINT_FILES = ("hifigan_gen_checkpoint_{}.pt", "hifigan_discrim_checkpoint_{}.pt")


class TrainState(state.TrainState):
    """Generator, discriminators, their optimisers, and the transforms that belong to them.

    `generator`, `mpd`, `msd` are the modules; `*_sync` are the same, wrapped so that their gradients are averaged
    over processes. `training_clips` tells the data from other data. `fast` is --fast; `as_rows` puts a signal into the
    memory layout that the device computes fastest, `in_one_call` tells for MPD and MSD whether the discriminators'
    step judges real and fake together, and `graphed` whether steps become CUDA graphs.
    """

    ema_key = "gen_ema"
    own_keys = frozenset({"mpd", "msd", "optim_g", "optim_d", "scaler_g", "scaler_d"})
    how_to_start = "and this pair to --checkpoint-path-gen and --checkpoint-path-discrim"
    cfg: TrainConfig

    def __init__(self, cfg: TrainConfig, place: Distributed, training_clips: str = "") -> None:
        identity: dict[str, Any] = {"training_clips": training_clips, "fine_tuning": bool(cfg.data.input_mels_dir)}
        if cfg.run.checkpoint_path_gen:
            identity["base_model"] = file_digest(cfg.run.checkpoint_path_gen)
        super().__init__(cfg, place, ("d_loss", "g_loss", "mel_loss"), **identity)
        self.fast = cfg.run.fast == "on"
        rows = self.fast and place.device.type == "cpu"
        self.as_rows: Callable[[Tensor], Tensor] = to_rows if rows else _as_it_is
        # On a CPU one call is faster where the weights are larger than the signals; for spectral norm two are, since
        # one has to scale all signals of the first scale. On a GPU one call has fewer kernels to start.
        concatenates = cfg.run.concat_fwd or (self.fast and not rows)
        self.in_one_call = (concatenates or rows, concatenates)
        on_gpu = self.fast and place.device.type == "cuda"
        # Several processes stay eager, where the averaging of gradients overlaps with the backward pass: recorded, it
        # would have to follow more rules of NCCL, and a process whose recording fails would leave the others waiting.
        self.graphed = on_gpu and cfg.run.cuda_graphs and place.world_size == 1
        if on_gpu:
            torch.backends.cudnn.benchmark = True  # all steps have the same shapes: cuDNN tries its kernels once
        if rows:
            keep_freed_memory()
        self.generator = Generator(cfg.generator)
        self.mpd = MultiPeriodDiscriminator()
        self.msd = MultiScaleDiscriminator(amp_grouped_conv=not cfg.run.no_amp_grouped_conv)
        for module in self.modules():
            module.to(place.device).train()
        self.generator_sync, self.mpd_sync, self.msd_sync = (distributed.wrap(m, place) for m in self.modules())
        self.mel = MelSpectrogram(cfg.audio).to(place.device)
        self.loss_mel = MelSpectrogram(cfg.loss_audio).to(place.device)
        self.optim_g = _adamw(cfg, self.generator)
        self.optim_d = _adamw(cfg, self.mpd, self.msd)
        self.scaler_g, self.scaler_d = self.make_scaler(), self.make_scaler()

    def modules(self) -> tuple[Generator, MultiPeriodDiscriminator, MultiScaleDiscriminator]:
        return self.generator, self.mpd, self.msd

    @property
    def averaged(self) -> nn.Module:
        return self.generator

    def autocast(self, cached: bool = True) -> torch.autocast:
        return super().autocast(cached and not self.graphed)

    def changing(self) -> Changing:
        """What an optimiser step changes."""
        modules: dict[str, nn.Module] = {"generator": self.generator, "MPD": self.mpd, "MSD": self.msd}
        if self.ema:
            modules["moving average"] = self.ema.module
        optimisers = {"generator's optimiser": self.optim_g, "discriminators' optimiser": self.optim_d}
        return Changing(modules, optimisers, (self.scaler_g, self.scaler_d))

    def accelerated(self, step: Step) -> Step:
        """An optimiser step that becomes a CUDA graph where that is possible; call it when all weights are there."""
        if not self.graphed:
            return step
        return GraphedStep(step, self.changing(), self.place.device, CudaRecorder(self.place.device))

    def optimisers(self) -> tuple[torch.optim.Optimizer, ...]:
        return self.optim_g, self.optim_d

    def load_weights(self, module: nn.Module, stored: Mapping[str, Tensor]) -> None:
        load_public_state(module, stored)

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

    def learning_rates(self) -> dict[str, float]:
        return {
            "lrate_gen": self.optim_g.param_groups[0]["lr"],
            "lrate_discrim": self.optim_d.param_groups[0]["lr"],
        }

    def contents(self, bookkeeping: dict[str, Any]) -> Contents:
        gen = {
            "generator": self.generator.state_dict(),
            "gen_ema": self.ema.module.state_dict() if self.ema else None,
            "config": self.cfg.architecture(),
        }
        discrim = {
            "mpd": self.mpd.state_dict(),
            "msd": self.msd.state_dict(),
            "optim_g": self.optim_g.state_dict(),
            "optim_d": self.optim_d.state_dict(),
            "scaler_g": self.scaler_g.state_dict(),
            "scaler_d": self.scaler_d.state_dict(),
            "schedulers": [{"last_epoch": self.epoch, "last_lr": lr} for lr in self.learning_rates().values()],
            **bookkeeping,
            "steps": self.steps,
            "epoch": self.epoch,
        }
        return gen, discrim

    def restore_own(self, contents: Contents) -> None:
        gen, discrim = contents
        load_public_state(self.generator, gen["generator"])
        load_public_state(self.mpd, discrim["mpd"])
        load_public_state(self.msd, discrim["msd"])
        self.optim_g.load_state_dict(discrim["optim_g"])
        self.optim_d.load_state_dict(discrim["optim_d"])
        load_scaler(self.scaler_g, discrim["scaler_g"])
        load_scaler(self.scaler_d, discrim["scaler_d"])

    def load_base(self) -> None:
        """Starts from given weights, where there are some, with fresh optimisers; fine-tuning counts epochs on."""
        cfg = self.cfg
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


def _as_it_is(x: Tensor) -> Tensor:
    return x


def _adamw(cfg: TrainConfig, *modules: nn.Module) -> torch.optim.AdamW:
    parameters: list[Tensor] = [parameter for module in modules for parameter in module.parameters()]
    betas = (cfg.optim.adam_beta1, cfg.optim.adam_beta2)
    return torch.optim.AdamW(
        parameters, cfg.optim.learning_rate, betas, weight_decay=cfg.optim.weight_decay, fused=True
    )
