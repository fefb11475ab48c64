"""Train FastPitch, on one process or, started by torchrun, on several. See `python -m fastpitch.train --help`."""

from __future__ import annotations

import math
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path

from common.cli import check_command_line, is_started
from common.cli import run as run_program
from fastpitch.training.flags import FastPitchTrainConfig, make_parser, parse_train_config

if is_started(__name__):  # before PyTorch is imported, which takes seconds
    check_command_line(make_parser().parse_args, "fastpitch.train")

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from common import distributed
from common.distributed import Distributed
from common.training.checkpoint_store import CheckpointStore
from common.training.log import RunLog
from common.training.loop import TrainingLoop, run_training
from common.training.loss_meter import ValidationMeter, accumulate
from common.training.sampling import MicroBatchSampler
from fastpitch.losses import fastpitch_losses
from fastpitch.model import FastPitch, TeacherForced
from fastpitch.training.loaders import data_fingerprint, open_datasets, training_loader, validation_loader
from fastpitch.training.recordings import Batch, Example, SpeechDataset
from fastpitch.training.state import FastPitchTrainState

NUM_SAMPLES = 4  # validation clips that TensorBoard shows


def main(argv: Sequence[str] | None = None) -> int:
    return run_training(parse_train_config(argv), open_datasets, build_state, build_loop)


def build_state(cfg: FastPitchTrainConfig, place: Distributed, train_set: SpeechDataset) -> FastPitchTrainState:
    fingerprint = data_fingerprint(train_set, Path(cfg.data.dataset_path))
    longest = max(len(recording.text) for recording in train_set.recordings)
    several = cfg.model.n_speakers > 1 and place.is_main  # which writes the checkpoints
    pitch_hz = train_set.speaker_pitch_hz(cfg.model.n_speakers) if several else []
    return FastPitchTrainState(cfg, place, train_set.pitch_hz, fingerprint, longest, pitch_hz, train_set.reading)


def build_loop(
    state: FastPitchTrainState,
    store: CheckpointStore,
    sampler: MicroBatchSampler,
    datasets: tuple[SpeechDataset, SpeechDataset],
) -> FastPitchLoop:
    train_loader = training_loader(datasets[0], sampler, state.cfg, state.place)
    return FastPitchLoop(state, store, sampler, train_loader, validation_loader(datasets[1], state.cfg, state.place))


class FastPitchLoop(TrainingLoop):
    """FastPitch learns mels while its aligner learns which frames belong to which symbol."""

    def __init__(
        self,
        state: FastPitchTrainState,
        store: CheckpointStore,
        sampler: MicroBatchSampler,
        train_loader: DataLoader[Example],
        val_loader: DataLoader[Example],
    ) -> None:
        super().__init__(state, store, sampler, train_loader, val_loader)
        self.state: FastPitchTrainState = state

    def step(self, group: list[Batch]) -> None:
        state = self.state
        losses = optimiser_step(state, [to_device(state, batch) for batch in group])
        frames = sum(int(batch.mel_lens.sum()) for batch in group)
        # Filled, since a copy from the CPU would wait for the GPU.
        frames_on_device = torch.full((), float(frames), device=state.place.device)
        state.meter.add({**losses, "frames": frames_on_device}, made=state.made)

    def frames_per_step(self, means: Mapping[str, float]) -> float:
        # The mean is NaN if all steps were skipped.
        return means["frames"] * self.state.place.world_size if math.isfinite(means["frames"]) else 0.0

    @torch.no_grad()
    def validate(self) -> dict[str, float] | None:
        """Return means over utterances, so that neither batches nor processes matter, with the average's mel loss."""
        state = self.state
        meter = ValidationMeter(state.place.device)
        stopped = False
        state.model.eval()
        for cpu_batch in self.val_loader:
            batch = to_device(state, cpu_batch)
            sums = sum_over_items(state, state.model, batch)
            if state.ema:
                sums["ema_mel_loss"] = sum_over_items(state, state.ema.module, batch)["mel_loss"]
            meter.add(sums, len(batch.ids))
            if stopped := self.stop.received != 0:
                break
        state.model.train()
        return meter.means(stopped)

    @torch.no_grad()
    def log_samples(self, log: RunLog) -> None:
        """Log mels of validation clips (real, teacher-forced and free) and their alignment."""
        state = self.state
        if not state.place.is_main:
            return
        state.model.eval()
        batch = to_device(state, Batch(*(part[:NUM_SAMPLES] for part in next(iter(self.val_loader)))))
        forced, free = state.model.teacher_forced(*batch), state.model(batch.ids, 1.0, batch.speaker)
        for i in range(len(batch.ids)):
            frames, symbols = int(batch.mel_lens[i]), int(forced.text_lens[i])
            mels = {"real": batch.mel[i, :, :frames], "teacher_forced": forced.mel[i, :, :frames]}
            mels["free"] = free.mel[i, :, : max(1, int(free.mel_lens[i]))]  # an untrained model may predict no frames
            for kind, mel in mels.items():
                log.spectrogram(f"{i}/{kind}", state.steps, mel.cpu().numpy())
            log.picture(f"alignment/{i}", state.steps, forced.log_soft[i, :frames, :symbols].exp().T.cpu().numpy())
        state.model.train()


def to_device(state: FastPitchTrainState, batch: Batch) -> Batch:
    """Check a batch while the CPU can read it without waiting, and move it to the device."""
    state.model.check_recordings(*batch)
    return batch.to(state.place.device)


def optimiser_step(state: FastPitchTrainState, batches: Sequence[Batch]) -> dict[str, Tensor]:
    """Make one optimiser step over all micro-batches. Return the mean losses."""
    state.optim.zero_grad()
    totals: dict[str, Tensor] = {}
    for i, batch in enumerate(batches):
        with distributed.no_sync(state.model_sync, when=i < len(batches) - 1):
            state.seed_dropout(i)
            with state.autocast():
                losses = training_losses(state, state.model_sync(batch), batch.mel)
            state.scaler.scale(losses["loss"] / len(batches)).backward()
        accumulate(totals, losses, len(batches))
    state.made = state.step_optimiser(state.optim, state.scaler)
    if state.ema:
        state.ema.update(state.model, state.made)
    return totals


def training_losses(state: FastPitchTrainState, output: TeacherForced, mel: Tensor) -> dict[str, Tensor]:
    """Return all losses with the binarisation weight of the current epoch."""
    return fastpitch_losses(output, mel, state.cfg.optim.binarization_weight(state.epoch))


def sum_over_items(state: FastPitchTrainState, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """Return each loss, computed for every utterance of a batch on its own, as a sum over utterances."""
    with state.autocast():
        output = typing.cast(FastPitch, model).teacher_forced(*batch)
        items = []
        for i in range(len(batch.ids)):
            own = TeacherForced(*(part if part is None else part[i : i + 1] for part in output))  # type: ignore[arg-type]
            items.append(training_losses(state, own, batch.mel[i : i + 1]))
    return {name: torch.stack([losses[name] for losses in items]).sum() for name in items[0]}


if __name__ == "__main__":
    run_program(main, "fastpitch.train")
