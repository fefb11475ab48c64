"""Trains FastPitch, on one process or, started by torchrun, on many. See `python -m fastpitch.train --help`."""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from common import distributed
from common.cli import run as run_program
from common.training.checkpoint_store import CheckpointStore
from common.training.loader_processes import lost_loaders_named
from common.training.log import RunLog
from common.training.loop import TrainingLoop
from common.training.sampling import MicroBatchSampler
from fastpitch.losses import fastpitch_losses
from fastpitch.model import FastPitch, TeacherForced
from fastpitch.training.config import parse_train_config
from fastpitch.training.loaders import (
    check_datasets,
    fingerprint_of,
    open_datasets,
    training_loader,
    validation_loader,
    voice_pitch,
)
from fastpitch.training.recordings import Batch, Example
from fastpitch.training.state import CHECKPOINT_FILES, TrainState

NUM_SAMPLES = 4  # validation clips that TensorBoard shows


@lost_loaders_named()
@distributed.lost_peers_named()
def main(argv: Sequence[str] | None = None) -> int:
    cfg = parse_train_config(argv)
    place = distributed.init(cfg.run.cuda)
    cfg = dataclasses.replace(cfg, optim=cfg.optim.shared_by(place.world_size))
    pitch_hz = voice_pitch(cfg)
    train_set, val_set = open_datasets(cfg, pitch_hz)
    check_datasets((train_set, val_set), place)
    sampler = MicroBatchSampler(
        len(train_set), cfg.optim.batch_size, cfg.optim.grad_accumulation, place.rank, place.world_size, cfg.run.seed
    )
    state = TrainState(cfg, place, pitch_hz, fingerprint_of(train_set, Path(cfg.data.dataset_path)))
    store = CheckpointStore(cfg.run.output, CHECKPOINT_FILES)
    resumed = state.resume(store)
    if not resumed:
        state.load_base()
    loaders = training_loader(train_set, sampler, cfg, place), validation_loader(val_set, cfg, place)
    return FastPitchLoop(state, store, sampler, *loaders).run_logged(resumed)


class FastPitchLoop(TrainingLoop):
    """FastPitch learns mels, and its aligner which frames belong to which symbol, at the same time."""

    def __init__(
        self,
        state: TrainState,
        store: CheckpointStore,
        sampler: MicroBatchSampler,
        train_loader: DataLoader[Example],
        val_loader: DataLoader[Example],
    ) -> None:
        super().__init__(state, store, sampler, train_loader)
        self.state: TrainState = state
        self.val_loader = val_loader

    def step(self, group: list[Batch]) -> None:
        state = self.state
        parts = optimiser_step(state, [batch.to(state.place.device) for batch in group])
        frames = torch.stack([batch.mel_lens.sum() for batch in group]).sum()
        state.meter.add(*parts.values(), frames.to(state.place.device, torch.float32), made=state.made)

    def frames_per_step(self, means: Mapping[str, float]) -> float:
        # No mean where all steps were left out as not finite.
        return means["frames"] * self.state.place.world_size if math.isfinite(means["frames"]) else 0.0

    @torch.no_grad()
    def validate(self) -> dict[str, float] | None:
        """Means over utterances, so that neither batches nor processes matter; with the average's mel loss."""
        state = self.state
        names = [*state.losses, *(["ema_mel_loss"] if state.ema else [])]
        sums = torch.zeros(len(names) + 2, device=state.place.device)  # and the clips, and the processes that stop
        state.model.eval()
        for cpu_batch in self.val_loader:
            batch = cpu_batch.to(state.place.device)
            rows = losses_of_items(state, state.model, batch)
            if state.ema:
                column = state.losses.index("mel_loss")
                rows = torch.cat([rows, losses_of_items(state, state.ema.module, batch)[:, [column]]], dim=1)
            sums[:-2] += rows.sum(0)
            sums[-2] += len(rows)
            if self.stop.received:
                sums[-1] = 1
                break
        state.model.train()
        *totals, clips, stopped = distributed.sum_over_ranks(sums).tolist()
        if stopped:
            return None
        return {name: total / clips for name, total in zip(names, totals, strict=True)}

    @torch.no_grad()
    def log_samples(self, log: RunLog) -> None:
        """Mels of validation clips, real, with the recording's durations and pitch, and free; and their alignment."""
        state = self.state
        if not state.place.is_main:
            return
        state.model.eval()
        batch = Batch(*(part[:NUM_SAMPLES] for part in next(iter(self.val_loader)))).to(state.place.device)
        forced, free = state.model.teacher_forced(*batch), state.model(batch.ids, 1.0, batch.speaker)
        for i in range(len(batch.ids)):
            frames, symbols = int(batch.mel_lens[i]), int(forced.text_lens[i])
            mels = {"real": batch.mel[i, :, :frames], "teacher_forced": forced.mel[i, :, :frames]}
            mels["free"] = free.mel[i, :, : max(1, int(free.mel_lens[i]))]  # untrained, it may say nothing
            for kind, mel in mels.items():
                log.spectrogram(f"{i}/{kind}", state.steps, mel.cpu().numpy())
            log.picture(f"alignment/{i}", state.steps, forced.log_soft[i, :frames, :symbols].exp().T.cpu().numpy())
        state.model.train()


def optimiser_step(state: TrainState, batches: Sequence[Batch]) -> dict[str, Tensor]:
    """One optimiser step over all micro-batches; returns the mean losses."""
    state.optim.zero_grad()
    totals = dict.fromkeys(state.losses, torch.zeros((), device=state.place.device))
    for i, batch in enumerate(batches):
        with distributed.no_sync(state.model_sync, when=i < len(batches) - 1):
            state.seed_dropout(i)
            with state.autocast():
                losses = training_losses(state, state.model_sync(batch), batch.mel)
            state.scaler.scale(losses["loss"] / len(batches)).backward()
        totals = {name: total + losses[name].detach() / len(batches) for name, total in totals.items()}
    state.made = state.step_optimiser(state.optim, state.scaler)
    if state.ema:
        state.ema.update(state.model, state.made)
    return totals


def training_losses(state: TrainState, output: TeacherForced, mel: Tensor) -> dict[str, Tensor]:
    """All parts, and their weighted sum `loss`, to which the binarisation comes little by little."""
    losses = fastpitch_losses(output, mel)
    weight = state.cfg.optim.binarization_weight(state.epoch)
    losses["loss"] = losses["loss"] + weight * losses["binarization_loss"]
    return {name: losses[name] for name in state.losses}


def losses_of_items(state: TrainState, model: nn.Module, batch: Batch) -> Tensor:
    """The losses of each utterance of a batch: [B, losses], in the order of their names."""
    with state.autocast():
        output = typing.cast(FastPitch, model).teacher_forced(*batch)
        items = []
        for i in range(len(batch.ids)):
            own = TeacherForced(*(part if part is None else part[i : i + 1] for part in output))  # type: ignore[arg-type]
            items.append(torch.stack([*training_losses(state, own, batch.mel[i : i + 1]).values()]))
    return torch.stack(items)


if __name__ == "__main__":
    run_program(main, "fastpitch.train")
