"""Trains HiFi-GAN on wav files, on one process or, started by torchrun, on many. See --help."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from common import distributed
from common.cli import run as run_program
from common.training.checkpoint_store import CheckpointStore
from common.training.loader_processes import lost_loaders_named
from common.training.log import RunLog
from common.training.loop import TrainingLoop
from common.training.sampling import MicroBatchSampler
from common.training.stop_signals import StopSignals
from hifigan import losses
from hifigan.discriminators import judge_both
from hifigan.layers import weights_kept
from hifigan.training.config import parse_train_config
from hifigan.training.loaders import (
    check_datasets,
    fingerprint_of,
    learned_framing,
    open_datasets,
    training_loader,
    validation_loader,
)
from hifigan.training.segments import Segment, SegmentDataset
from hifigan.training.state import CHECKPOINT_FILES, TrainState

Batch = tuple[Tensor, Tensor]  # wav [B, 1, T] and the mel [B, M, L] of it
NUM_SAMPLES = 4  # validation clips that TensorBoard plays


@lost_loaders_named()
@distributed.lost_peers_named()
def main(argv: Sequence[str] | None = None) -> int:
    cfg = parse_train_config(argv)
    place = distributed.init(cfg.run.cuda)
    cfg = dataclasses.replace(cfg, optim=cfg.optim.shared_by(place.world_size))
    train_set, val_set = open_datasets(cfg)
    check_datasets((train_set, val_set), place)
    cfg = dataclasses.replace(cfg, learned_framing=learned_framing(train_set, cfg))
    sampler = MicroBatchSampler(
        len(train_set), cfg.optim.batch_size, cfg.optim.grad_accumulation, place.rank, place.world_size, cfg.run.seed
    )
    state = TrainState(cfg, place, fingerprint_of(train_set, cfg))
    store = CheckpointStore(cfg.run.output, CHECKPOINT_FILES)
    resumed = state.resume(store)
    if not resumed:
        state.load_base()
    loaders = training_loader(train_set, sampler, cfg, place), validation_loader(val_set, cfg, place)
    return VocoderLoop(state, store, sampler, val_set, *loaders).run_logged(resumed)


class VocoderLoop(TrainingLoop):
    """Generator against discriminators (paper algorithm and equations 1 to 6)."""

    def __init__(
        self,
        state: TrainState,
        store: CheckpointStore,
        sampler: MicroBatchSampler,
        val_set: SegmentDataset,
        train_loader: DataLoader[Segment],
        val_loader: DataLoader[Segment],
    ) -> None:
        super().__init__(state, store, sampler, train_loader)
        self.state: TrainState = state
        self.val_set = val_set
        self.val_loader = val_loader
        self.both_steps = state.accelerated(functools.partial(both_steps, state))

    def step(self, group: list[Segment]) -> None:
        *step_losses, self.state.made = self.both_steps(group)
        self.state.meter.add(*step_losses, made=self.state.made)

    def frames_per_step(self, means: Mapping[str, float]) -> float:
        return self.sampler.clips_per_step * self.state.cfg.segment_frames

    def validate(self) -> dict[str, float] | None:
        return validate(self.state, self.val_loader, self.stop)

    @torch.no_grad()
    def log_samples(self, log: RunLog) -> None:
        """Whole validation clips, real and generated."""
        state = self.state
        if not state.place.is_main:
            return
        state.generator.eval()
        for clip in range(min(NUM_SAMPLES, len(self.val_set))):
            if self.stop.received:
                break
            real, mel = to_batch([part[None] for part in self.val_set.load(clip)], state)
            fake = state.generator(mel)
            for kind, wav in (("real", real[:, 0]), ("generated", fake[:, 0])):
                picture = state.loss_mel(wav)[0].cpu().numpy()
                name = f"{self.val_set.paths[clip].stem}/{kind}"
                log.sample(name, state.steps, wav[0].cpu().numpy(), state.cfg.audio.sampling_rate, picture)
        state.generator.train()


def both_steps(state: TrainState, group: Sequence[Segment]) -> tuple[Tensor, ...]:
    """One optimiser step of the discriminators and one of the generator over the same micro-batches.

    Returns:
        the discriminators' loss, the generator's and its mel part, and 1 if both steps were made, else 0.
    """
    batches = [to_batch(segments, state) for segments in group]
    d_loss, fake = discriminator_step(state, batches)
    g_loss, mel_loss = generator_step(state, batches, fake)
    return d_loss, g_loss, mel_loss, state.made


def discriminator_step(state: TrainState, batches: Sequence[Batch]) -> tuple[Tensor, Tensor]:
    """One optimiser step of both discriminators over all micro-batches (paper equations 1 and 6).

    Returns:
        the mean loss, and the fake of the last micro-batch with its graph: `generator_step` starts with it, so that
        the generator need not run twice on it.
    """
    state.optim_d.zero_grad()
    total = torch.zeros((), device=state.place.device)
    fake = total
    for i, (real, mel) in enumerate(batches):
        is_last = i == len(batches) - 1
        # The generator's gradients are averaged in its last backward pass, which is this fake's only if it is alone.
        alone = len(batches) == 1
        with (
            distributed.no_sync(state.generator_sync, when=not alone),
            torch.set_grad_enabled(is_last),
            state.autocast(),
        ):
            fake = state.as_rows(state.generator_sync(mel))
        with distributed.no_sync(state.mpd_sync, state.msd_sync, when=not is_last):
            with (
                state.autocast(),
                state.spectral_turn(state.place.rank),
                weights_kept(state.mpd, state.msd, when=state.fast),
            ):
                loss = torch.zeros((), device=state.place.device)
                for judge, at_once in zip((state.mpd_sync, state.msd_sync), state.in_one_call, strict=True):
                    (real_scores, _), (fake_scores, _) = judge_both(judge, real, fake.detach(), at_once)
                    loss = loss + losses.discriminator_loss(real_scores, fake_scores)
            state.scaler_d.scale(loss / len(batches)).backward()
        total += loss.detach() / len(batches)
    state.made = state.step_optimiser(state.optim_d, state.scaler_d)
    return total, fake


def generator_step(state: TrainState, batches: Sequence[Batch], kept_fake: Tensor) -> tuple[Tensor, Tensor]:
    """One optimiser step of the generator over all micro-batches, last first (paper equations 2 to 5).

    Returns:
        the mean of the whole loss, and the mean of its mel part (weighted by 45).
    """
    state.optim_g.zero_grad()
    total = torch.zeros((), device=state.place.device)
    total_mel = torch.zeros_like(total)
    # Serial training walks the micro-batches backwards here, so the last process's come first.
    turn = state.place.world_size - 1 - state.place.rank
    with state.frozen_discriminators(), weights_kept(state.mpd, state.msd, when=state.fast):
        for i in reversed(range(len(batches))):
            real, mel = batches[i]
            with distributed.no_sync(state.generator_sync, when=i > 0):
                with state.autocast():
                    fake = kept_fake if i == len(batches) - 1 else state.as_rows(state.generator_sync(mel))
                    mel_loss = weighted_mel_loss(state, real, fake)
                    loss = mel_loss
                    with state.spectral_turn(turn):
                        for judge in (state.mpd, state.msd):
                            with torch.no_grad():
                                _, real_fmaps = judge(real)
                            fake_scores, fake_fmaps = judge(fake)
                            loss = loss + losses.generator_loss(fake_scores)
                            loss = loss + losses.FEATURE_WEIGHT * losses.feature_matching_loss(real_fmaps, fake_fmaps)
                state.scaler_g.scale(loss / len(batches)).backward()
            total += loss.detach() / len(batches)
            total_mel += mel_loss.detach() / len(batches)
    made = state.step_optimiser(state.optim_g, state.scaler_g)
    if state.ema:
        state.ema.update(state.generator, made)
    state.made = state.made * made
    return total, total_mel


@torch.no_grad()
def validate(state: TrainState, loader: DataLoader[Segment], stop: StopSignals) -> dict[str, float] | None:
    """Means over the validation segments of all processes, models in evaluation mode; with the average's mel loss.

    Returns:
        None if a signal came, on any process.
    """
    for module in state.modules():
        module.eval()
    names = ["d_loss", "g_loss", "mel_loss", *(["ema_mel_loss"] if state.ema else [])]
    sums = torch.zeros(len(names) + 2, device=state.place.device)  # and the segments, and the processes that stop
    for segments in loader:
        real, mel = to_batch(segments, state)
        with state.autocast():
            fake = state.as_rows(state.generator(mel))
            mel_loss = weighted_mel_loss(state, real, fake)
            d_loss = torch.zeros_like(mel_loss)
            g_loss = mel_loss
            for judge in (state.mpd, state.msd):
                (real_scores, real_fmaps), (fake_scores, fake_fmaps) = judge(real), judge(fake)
                d_loss = d_loss + losses.discriminator_loss(real_scores, fake_scores)
                g_loss = g_loss + losses.generator_loss(fake_scores)
                g_loss = g_loss + losses.FEATURE_WEIGHT * losses.feature_matching_loss(real_fmaps, fake_fmaps)
            means = [d_loss, g_loss, mel_loss]
            if state.ema:
                means.append(weighted_mel_loss(state, real, state.ema.module(mel)))
        sums[:-1] += len(real) * torch.stack([*means, torch.ones_like(mel_loss)])
        if stop.received:
            sums[-1] = 1
            break
    for module in state.modules():
        module.train()
    *totals, segments_seen, stopped = distributed.sum_over_ranks(sums).tolist()
    if stopped:
        return None
    return {name: total / segments_seen for name, total in zip(names, totals, strict=True)}


def weighted_mel_loss(state: TrainState, real: Tensor, fake: Tensor) -> Tensor:
    """The mel loss of wavs [B, 1, T], weighted by 45."""
    return losses.MEL_WEIGHT * losses.mel_loss(state.loss_mel(real.squeeze(1)), state.loss_mel(fake.squeeze(1)))


def to_batch(segments: Sequence[Tensor], state: TrainState) -> Batch:
    """Segments wav [B, T], and mel [B, M, F] where an acoustic model made it -> wav [B, 1, T] and mel on the device."""
    wav, *mels = (part.to(state.place.device, non_blocking=True) for part in segments)
    return state.as_rows(wav.unsqueeze(1)), state.as_rows(mels[0] if mels else state.mel(wav))


if __name__ == "__main__":
    run_program(main, "train.py")
