"""Trains HiFi-GAN on wav files, on one process or, started by torchrun, on many. See --help."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from itertools import islice

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from common import distributed
from common.config import run as run_program
from common.errors import InputError
from common.loading import MicroBatchSampler, lost_loaders_named, stop_loader_processes
from common.run_log import RunLog
from common.stop import StopSignals
from hifigan import losses
from hifigan.checkpoint_store import CheckpointStore
from hifigan.dataset import Segment, SegmentDataset
from hifigan.discriminators import judge_both
from hifigan.loading import check_datasets, fingerprint_of, open_datasets, training_loader, validation_loader
from hifigan.train_config import TrainConfig, parse_train_config
from hifigan.training import TrainState

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
    sampler = MicroBatchSampler(
        len(train_set), cfg.optim.batch_size, cfg.optim.grad_accumulation, place.rank, place.world_size, cfg.run.seed
    )
    state = TrainState(cfg, place, fingerprint_of(train_set, cfg))
    store = CheckpointStore(cfg.run.output)
    resumed = state.resume(cfg, store)
    if distributed.differs(state.steps):
        raise InputError(
            f"--output: in {cfg.run.output} not all processes find the same checkpoint; "
            "it must be one directory that all machines share"
        )
    if not resumed:
        state.load_base(cfg)
    train_loader = training_loader(train_set, sampler, cfg, place)
    val_loader = validation_loader(val_set, cfg, place)
    run = Run(cfg, state, store, sampler, train_loader, val_loader, val_set)
    try:
        with RunLog(cfg.run.output, cfg.run.log_file, enabled=place.is_main) as log:
            log.parameters({**cfg.generator.to_dict(), **cfg.train_setup(), "clips_per_step": sampler.clips_per_step})
            return run_epochs(run, log, resumed)
    finally:
        stop_loader_processes()
        distributed.shutdown()


@dataclasses.dataclass
class Run:
    """What a training run consists of."""

    cfg: TrainConfig
    state: TrainState
    store: CheckpointStore
    sampler: MicroBatchSampler
    train_loader: DataLoader[Segment]
    val_loader: DataLoader[Segment]
    val_set: SegmentDataset
    stop: StopSignals = dataclasses.field(default_factory=StopSignals)


def run_epochs(run: Run, log: RunLog, resumed: bool) -> int:
    """Trains, validates and saves from where the state stands; returns the exit status."""
    cfg, state = run.cfg, run.state
    if resumed:
        log.message(f"resumed after epoch {state.epoch}, optimiser step {state.steps}")
    else:  # what the training starts from; it also finds faults of the validation data before any is spent
        metrics = validate(state, run.val_loader, run.stop)
        if metrics is None:
            log.message("stopped before the first step: there is nothing to save")
            return run.stop.status
        log.val(state.epoch, state.steps, metrics)
    first = state.epoch + 1
    last = min(cfg.run.epochs, state.epoch + (cfg.run.epochs_this_job or cfg.run.epochs))
    for epoch in range(first, last + 1):
        if not (train_epoch(run, log) and finish_epoch(run, log, is_last=epoch == last)):
            save(run, log)
            if state.meter.left_out_in_a_row >= cfg.run.nonfinite_limit:
                raise InputError(
                    f"the losses or gradients of {cfg.run.nonfinite_limit} steps in a row were not finite numbers "
                    f"(step {state.steps}, saved); start again from an older checkpoint or with a lower --learning-rate"
                )
            log.message(f"stopped by signal {run.stop.received or 'on another process'}; start again to go on")
            return run.stop.status
    if cfg.run.benchmark_epochs_num and state.throughputs:
        measured = state.throughputs[-cfg.run.benchmark_epochs_num :]
        log.benchmark(state.steps, {"frames/s": sum(measured) / len(measured), "epochs": len(measured)})
    if first > last:
        log.message(f"nothing to do: all {cfg.run.epochs} epochs are trained (--epochs)")
    return 0


def train_epoch(run: Run, log: RunLog) -> bool:
    """Trains the rest of one epoch; False when a signal or losses that are not finite ended it before."""
    cfg, state, sampler = run.cfg, run.state, run.sampler
    epoch = sampler.epoch = state.epoch + 1
    sampler.first_step = state.epoch_clips // sampler.clips_per_step
    state.epoch_clips = sampler.first_step * sampler.clips_per_step  # another one, if the global batch has changed
    if sampler.first_step >= sampler.steps_per_epoch:  # resumed after the last step
        return True
    frames_per_step = sampler.clips_per_step * cfg.segment_frames
    meter, poll = state.meter, distributed.Poll()
    meter.start_epoch()
    began = last_logged = time.perf_counter()
    for step, group in enumerate(groups(run.train_loader, cfg.optim.grad_accumulation), sampler.first_step + 1):
        state.set_learning_rate()
        batches = [to_batch(segments, state) for segments in group]
        d_loss, fake = discriminator_step(state, batches)
        g_loss, mel_loss = generator_step(state, batches, fake)
        meter.add(d_loss, g_loss, mel_loss, made=state.made)
        state.steps += 1
        state.epoch_clips += sampler.clips_per_step
        if step % cfg.run.step_logs_interval == 0 or step == sampler.steps_per_epoch:
            means = meter.since_last_log()
            now = time.perf_counter()
            took = (now - last_logged) / meter.logged_steps
            last_logged = now
            metrics = {**means, "frames/s": frames_per_step / took, "took": took, **state.learning_rates()}
            log.train(epoch, step, sampler.steps_per_epoch, state.steps, metrics)
            if meter.left_out_in_a_row >= cfg.run.nonfinite_limit:
                return False
        if poll.any_rank(run.stop.received != 0) and step < sampler.steps_per_epoch:
            return False
    means = meter.epoch_means()
    took = time.perf_counter() - began
    throughput = frames_per_step * meter.epoch_steps / took
    metrics = {**means, "frames/s": throughput, "took": took, **state.learning_rates(), "skipped_steps": meter.skipped}
    log.epoch(epoch, state.steps, metrics)
    state.throughputs.append(throughput)
    return True


def finish_epoch(run: Run, log: RunLog, is_last: bool) -> bool:
    """Validates and saves, where it is time to; False when a signal came before the epoch was finished."""
    cfg, state = run.cfg, run.state
    epoch = state.epoch + 1
    if epoch % cfg.run.validation_interval == 0 or is_last:
        metrics = validate(state, run.val_loader, run.stop)
        if metrics is None:
            return False
        log.val(epoch, state.steps, metrics)
    if epoch % cfg.run.samples_interval == 0 or is_last:
        log_samples(run, log)
    if distributed.any_rank(run.stop.received != 0):
        return False
    state.end_epoch()
    # While steps are left out, the older checkpoints are the better ones.
    if (epoch % cfg.run.checkpoint_interval == 0 and not state.meter.left_out_in_a_row) or is_last:
        save(run, log)
    return True


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
            fake = state.generator_sync(mel)
        with distributed.no_sync(state.mpd_sync, state.msd_sync, when=not is_last):
            with state.autocast(), state.spectral_turn(state.place.rank):
                loss = torch.zeros((), device=state.place.device)
                for judge in (state.mpd_sync, state.msd_sync):
                    (real_scores, _), (fake_scores, _) = judge_both(judge, real, fake.detach(), state.concat_fwd)
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
    with state.frozen_discriminators():
        for i in reversed(range(len(batches))):
            real, mel = batches[i]
            with distributed.no_sync(state.generator_sync, when=i > 0):
                with state.autocast():
                    fake = kept_fake if i == len(batches) - 1 else state.generator_sync(mel)
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
            fake = state.generator(mel)
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


@torch.no_grad()
def log_samples(run: Run, log: RunLog) -> None:
    """Whole validation clips, real and generated, for TensorBoard."""
    state = run.state
    if not state.place.is_main:
        return
    state.generator.eval()
    for clip in range(min(NUM_SAMPLES, len(run.val_set))):
        if run.stop.received:
            break
        real, mel = to_batch([part[None] for part in run.val_set.load(clip)], state)
        fake = state.generator(mel)
        for kind, wav in (("real", real[:, 0]), ("generated", fake[:, 0])):
            picture = state.loss_mel(wav)[0].cpu().numpy()
            name = f"{run.val_set.paths[clip].stem}/{kind}"
            log.sample(name, state.steps, wav[0].cpu().numpy(), run.cfg.audio.sampling_rate, picture)
    state.generator.train()


def to_batch(segments: Sequence[Tensor], state: TrainState) -> Batch:
    """Segments wav [B, T], and mel [B, M, F] where an acoustic model made it -> wav [B, 1, T] and mel on the device."""
    wav, *mels = (part.to(state.place.device, non_blocking=True) for part in segments)
    return wav.unsqueeze(1), mels[0] if mels else state.mel(wav)


def groups(loader: DataLoader[Segment], size: int) -> Iterator[list[Segment]]:
    """The micro-batches of one optimiser step after the other."""
    batches = iter(loader)
    while group := list(islice(batches, size)):
        yield group


def save(run: Run, log: RunLog) -> None:
    """Saves on the main process while the others wait."""
    if run.state.place.is_main:
        run.state.save(run.cfg, run.store)
        log.message(f"saved {run.store.paths(run.state.written[-1])[0]}")
    distributed.barrier()


if __name__ == "__main__":
    run_program(main, "train.py")
