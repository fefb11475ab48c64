"""State of a FastPitch training run: model, optimiser, and how they are built, saved and restored."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from common import distributed
from common.distributed import Distributed
from common.files.checkpoints import check_tensors
from common.files.fingerprints import file_digest
from common.training.checkpoint_store import Contents
from common.training.sampling import DROPOUT, philox
from common.training.state import BaseTrainState, load_optimiser, load_scaler
from fastpitch.checkpoint import load_fastpitch
from fastpitch.model import FastPitch, TeacherForced
from fastpitch.speakers import PITCH_KEY
from fastpitch.training.flags import FastPitchTrainConfig
from fastpitch.training.lamb import Lamb
from fastpitch.training.recordings import Batch

log = logging.getLogger(__name__)

CHECKPOINT_FILES = ("FastPitch_checkpoint_{}.pt",)
SPEAKER_EMBEDDING = "speaker_emb.weight"


class FastPitchTrainState(BaseTrainState):
    """FastPitch with its aligner, and the optimiser.

    Attributes:
        model: the model.
        model_sync: calls `model.teacher_forced`, with gradients averaged over processes.

    Args:
        cfg: the configuration.
        place: of this process.
        pitch_hz: mean and standard deviation of the voice's pitch, which become part of the model.
        training_clips: fingerprint of the training data.
        longest_text: characters of the longest training text, recorded for synthesis.
        speaker_pitch_hz: mean and standard deviation of each speaker's pitch, likewise.
        reading: dictionary's edition and own words, likewise.
    """

    checkpoint_files = CHECKPOINT_FILES
    ema_key = "ema_state_dict"
    own_keys = frozenset({"state_dict", "optimizer", "scaler"})
    how_to_start = "and this file to --checkpoint-path"
    cfg: FastPitchTrainConfig

    def __init__(
        self,
        cfg: FastPitchTrainConfig,
        place: Distributed,
        pitch_hz: tuple[float, float],
        training_clips: str = "",
        longest_text: int = 0,
        speaker_pitch_hz: Sequence[Sequence[float]] = (),
        reading: Mapping[str, Any] | None = None,
    ) -> None:
        identity: dict[str, Any] = {"training_clips": training_clips, "pitch_hz": list(pitch_hz)}
        if cfg.run.checkpoint_path:
            identity["base_model"] = file_digest(cfg.run.checkpoint_path)
        super().__init__(cfg, place, **identity)
        self.longest_text = longest_text
        self.reading = dict(reading or {})
        self.speaker_pitch_hz = [list(pitch) for pitch in speaker_pitch_hz]
        self.model = FastPitch(cfg.model).to(place.device).train()
        assert self.model.attention is not None
        self.model.attention.attn_proj.requires_grad_(False)  # unused
        self.model.pitch_mean.fill_(pitch_hz[0])
        self.model.pitch_std.fill_(pitch_hz[1])
        self.model_sync = distributed.wrap(_TeacherForcing(self.model), place)
        self.optim = self._optimiser()
        self.scaler = self.make_scaler()

    def _optimiser(self) -> torch.optim.Optimizer:
        optim = self.cfg.optim
        parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        betas = (optim.adam_beta1, optim.adam_beta2)
        if optim.optimizer == "lamb":
            on_gpu = self.place.device.type == "cuda"
            return Lamb(parameters, optim.learning_rate, betas, optim.adam_eps, optim.weight_decay, fused=on_gpu)
        return torch.optim.AdamW(
            parameters, optim.learning_rate, betas, optim.adam_eps, weight_decay=optim.weight_decay, fused=True
        )

    @property
    def averaged(self) -> nn.Module:
        return self.model

    def optimisers(self) -> tuple[torch.optim.Optimizer, ...]:
        return (self.optim,)

    def load_weights(self, module: nn.Module, stored: Mapping[str, Tensor]) -> None:
        check_tensors(stored, module.state_dict(), "FastPitch")
        module.load_state_dict(stored)

    def seed_dropout(self, micro_batch: int) -> None:
        """Seed the dropout of a micro-batch of the next step by its place in the step alone.

        Neither resuming nor the number of processes changes the seed, and no two micro-batches drop alike.
        """
        place = micro_batch * self.place.world_size + self.place.rank
        torch.manual_seed(int(philox(self.cfg.run.seed, DROPOUT, self.steps, place).integers(2**63)))

    def train_setup(self) -> dict[str, Any]:
        pitch = {PITCH_KEY: self.speaker_pitch_hz} if self.speaker_pitch_hz else {}
        return {**super().train_setup(), "longest_text": self.longest_text, **self.reading, **pitch}

    def contents(self, bookkeeping: dict[str, Any]) -> Contents:
        return (
            {
                "state_dict": self.model.state_dict(),
                "ema_state_dict": self.ema.module.state_dict() if self.ema else None,
                "config": self.cfg.architecture(),
                "optimizer": self.optim.state_dict(),
                "scaler": self.scaler.state_dict(),
                **bookkeeping,
                "epoch": self.epoch,
                "iteration": self.steps,
            },
        )

    def restore_own(self, contents: Contents) -> None:
        (content,) = contents
        self.load_weights(self.model, content["state_dict"])
        load_optimiser(self.optim, content["optimizer"])
        load_scaler(self.scaler, content["scaler"])

    def load_base(self) -> None:
        """Start from given weights, if any, with a fresh optimiser. The data determines the pitch statistics."""
        if self.cfg.run.checkpoint_path:
            base, _ = load_fastpitch(self.cfg.run.checkpoint_path)
            given = base.state_dict()
            if base.n_speakers != self.model.n_speakers:
                self._replace_speakers(given)
            own = self.model.state_dict()
            # Files for synthesis lack the aligner, which is then learned from its initial weights.
            initial = {name: own[name] for name in own if name not in given or name in ("pitch_mean", "pitch_std")}
            self.load_weights(self.model, {**given, **initial})
        self.start_ema()

    def _replace_speakers(self, given: dict[str, Tensor]) -> None:
        """Replace the speakers of a base model. All speakers start as the mean of the base's, so with its voice."""
        before = given.pop(SPEAKER_EMBEDDING, None)
        count = self.model.n_speakers
        if self.place.is_main:
            log.info(
                "%s: %d speakers instead of %d: the speaker embedding is made anew, all other weights are taken over",
                self.cfg.run.checkpoint_path,
                count,
                1 if before is None else len(before),
            )
        if count > 1:
            width = self.model.config.symbols_embedding_dim
            mean = torch.zeros(width) if before is None else before.mean(dim=0)
            given[SPEAKER_EMBEDDING] = mean.repeat(count, 1)


class _TeacherForcing(nn.Module):
    """Teacher forcing as `forward`, the only method that DistributedDataParallel wraps."""

    def __init__(self, model: FastPitch) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch) -> TeacherForced:
        return self.model.teacher_forced(*batch)
