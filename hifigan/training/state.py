"""State of a vocoder's training run: models, optimisers, and how they are built, saved and restored."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from common import distributed
from common.audio import MelSpectrogram
from common.distributed import Distributed
from common.errors import InputError
from common.files.fingerprints import file_digest
from common.machine.gradient_buffer import GradientBuffer
from common.training.checkpoint_store import Contents
from common.training.cuda_graphs import Changing
from common.training.state import BaseTrainState, load_optimiser, load_scaler
from hifigan.checkpoint import load_public_state, load_trainable_generator
from hifigan.discriminators import build_discriminators
from hifigan.generator import Generator
from hifigan.losses import GeneratorLosses
from hifigan.training.discriminator_files import CONFIG, read_discriminators
from hifigan.training.flags import VocoderTrainConfig
from hifigan.training.step_computation import StepComputation

COMPUTATION = "computation"  # key of `StepComputation.state_dict` in checkpoints
CHECKPOINT_FILES = ("hifigan_gen_checkpoint_{}.pt", "hifigan_discrim_checkpoint_{}.pt")


class VocoderTrainState(BaseTrainState):
    """Generator, discriminators, their optimisers, and the transforms of their input and loss.

    Attributes:
        generator: the generator.
        discriminators: by public name, which is also the checkpoint key.
        generator_sync: the generator, wrapped to average its gradients over processes in the backward pass, unless
            `average_gradients` does it afterwards.
        discriminators_sync: the discriminators, likewise.
        computation: how steps are computed.
        in_one_call: for each discriminator, whether its step judges real and fake together.
        mel: transform of the generator's input.
        losses: the generator's losses.

    Args:
        cfg: the configuration.
        place: of this process.
        training_clips: fingerprint of the training data.
    """

    checkpoint_files = CHECKPOINT_FILES
    ema_key = "gen_ema"
    how_to_start = "and this pair to --checkpoint-path-gen and --checkpoint-path-discrim"
    cfg: VocoderTrainConfig

    def __init__(self, cfg: VocoderTrainConfig, place: Distributed, training_clips: str = "") -> None:
        identity: dict[str, Any] = {
            "training_clips": training_clips,
            "fine_tuning": bool(cfg.data.input_mels_dir),
            "discriminator_width": cfg.run.discriminator_width,
        }
        if described := cfg.discriminators.to_dict():
            identity[CONFIG] = described
        if cfg.run.checkpoint_path_gen:
            identity["base_model"] = file_digest(cfg.run.checkpoint_path_gen)
        super().__init__(cfg, place, **identity)
        self.computation = StepComputation(cfg.run, place, self._amp_dtype)
        self.generator = Generator(cfg.generator)
        self.discriminators = build_discriminators(
            not cfg.run.no_amp_grouped_conv, cfg.run.discriminator_width, cfg.discriminators
        )
        for module in self.modules():
            module.to(place.device).train()
        self.computation.fuse_activations(self.generator, self.discriminators)
        apart = self.computation.graphed and place.world_size > 1  # gradients are averaged after the backward pass
        wrap = (lambda module, place: module) if apart else distributed.wrap
        self.generator_sync = wrap(self.generator, place)
        self.discriminators_sync = {name: wrap(module, place) for name, module in self.discriminators.items()}
        self.in_one_call = {name: self.computation.in_one_call(m) for name, m in self.discriminators.items()}
        self.mel = MelSpectrogram(cfg.audio, cfg.convention).to(place.device)
        self.losses = GeneratorLosses(cfg.loss_audio, self.computation.losses_at_once()).to(place.device)
        self.optim_g = _adamw(cfg, self.generator)
        self.optim_d = _adamw(cfg, *self.discriminators.values())
        self.scaler_g, self.scaler_d = self.make_scaler(), self.make_scaler()
        self._gradients: dict[torch.optim.Optimizer, GradientBuffer] = {}
        if apart:
            self._gradients[self.optim_g] = GradientBuffer(self.generator.parameters())
            self._gradients[self.optim_d] = GradientBuffer(self.discriminators.parameters())

    def modules(self) -> tuple[nn.Module, ...]:
        """Return the generator and all discriminators."""
        return self.generator, *self.discriminators.values()

    @property
    def own_keys(self) -> frozenset[str]:
        return frozenset({*self.discriminators, "optim_g", "optim_d", "scaler_g", "scaler_d"})

    @property
    def averaged(self) -> nn.Module:
        return self.generator

    def autocast(self, cached: bool = True) -> torch.autocast:
        return super().autocast(cached and not self.computation.graphed)

    def choose_convolutions(self) -> None:
        """Choose how convolutions are computed. Call this on all processes when the state is restored, if it is."""
        with self.autocast():
            self.computation.choose_convolutions(
                self.discriminators, self.cfg.optim.batch_size, self.cfg.data.segment_size
            )

    def changing(self) -> Changing:
        """Return everything that an optimiser step changes."""
        modules: dict[str, nn.Module] = {"generator": self.generator, **self.discriminators}
        if self.ema:
            modules["moving average"] = self.ema.module
        optimisers = {"generator's optimiser": self.optim_g, "discriminators' optimiser": self.optim_d}
        return Changing(modules, optimisers, (self.scaler_g, self.scaler_d))

    def optimisers(self) -> tuple[torch.optim.Optimizer, ...]:
        return self.optim_g, self.optim_d

    def load_weights(self, module: nn.Module, stored: Mapping[str, Tensor]) -> None:
        load_public_state(module, stored)

    @contextlib.contextmanager
    def frozen_discriminators(self) -> Iterator[None]:
        """Let the discriminators judge without computing gradients of their own weights."""
        parameters = list(self.discriminators.parameters())
        for parameter in parameters:
            parameter.requires_grad_(False)
        try:
            yield
        finally:
            for parameter in parameters:
                parameter.requires_grad_(True)

    @contextlib.contextmanager
    def spectral_turn(self, turn: int, calls: int = 2) -> Iterator[None]:
        """Keep spectral norm independent of the number of processes.

        Each discriminator call advances the power iteration by one. A single process calls all micro-batches one after
        the other. With several processes, each also advances the vectors for the calls before its `turn` and after it,
        so that every micro-batch meets the same vectors as in a single process.
        """
        self.computation.advance_spectral_norm(self.discriminators, calls * turn, calls)
        yield
        self.computation.advance_spectral_norm(self.discriminators, calls * (self.place.world_size - 1 - turn))

    def average_gradients(self, optimiser: torch.optim.Optimizer) -> None:
        """Average an optimiser's gradients over processes, unless the backward pass has done it."""
        if optimiser in self._gradients:
            self._gradients[optimiser].collect()
            self.computation.exchanges(self._gradients[optimiser].average)

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
            **{name: module.state_dict() for name, module in self.discriminators.items()},
            "optim_g": self.optim_g.state_dict(),
            "optim_d": self.optim_d.state_dict(),
            "scaler_g": self.scaler_g.state_dict(),
            "scaler_d": self.scaler_d.state_dict(),
            "schedulers": [{"last_epoch": self.epoch, "last_lr": lr} for lr in self.learning_rates().values()],
            **({CONFIG: described} if (described := self.cfg.discriminators.to_dict()) else {}),
            **({COMPUTATION: chosen} if (chosen := self.computation.state_dict()) else {}),
            **bookkeeping,
            "steps": self.steps,
            "epoch": self.epoch,
        }
        return gen, discrim

    def restore_own(self, contents: Contents) -> None:
        gen, discrim = contents
        load_public_state(self.generator, gen["generator"])
        for name, module in self.discriminators.items():
            load_public_state(module, discrim[name])
        load_optimiser(self.optim_g, discrim["optim_g"])
        load_optimiser(self.optim_d, discrim["optim_d"])
        load_scaler(self.scaler_g, discrim["scaler_g"])
        load_scaler(self.scaler_d, discrim["scaler_d"])
        self.computation.load_state_dict(discrim.get(COMPUTATION, {}))

    def load_base(self) -> None:
        """Start from given weights, if any, with fresh optimisers. Fine-tuning continues the count of epochs."""
        cfg = self.cfg
        if cfg.run.checkpoint_path_gen:
            generator, info = load_trainable_generator(cfg.run.checkpoint_path_gen, cfg.generator)
            self.generator.load_state_dict(generator.state_dict())
            if cfg.data.input_mels_dir:  # the published schedule continues the base model's epochs
                self.epoch = info.epoch or 0
                if self.epoch >= cfg.run.epochs:
                    raise InputError(
                        f"--epochs: {cfg.run.epochs}, but fine-tuning counts on from the base model's {self.epoch}"
                    )
        if cfg.run.checkpoint_path_discrim:
            path = cfg.run.checkpoint_path_discrim
            states = read_discriminators(path).states
            for name, module in self.discriminators.items():
                try:
                    load_public_state(module, states[name])
                except InputError as error:
                    raise InputError(f"{path}: {error}") from error
        self.start_ema()


def _adamw(cfg: VocoderTrainConfig, *modules: nn.Module) -> torch.optim.AdamW:
    parameters: list[Tensor] = [parameter for module in modules for parameter in module.parameters()]
    betas = (cfg.optim.adam_beta1, cfg.optim.adam_beta2)
    return torch.optim.AdamW(
        parameters, cfg.optim.learning_rate, betas, weight_decay=cfg.optim.weight_decay, fused=True
    )
