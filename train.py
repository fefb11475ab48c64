"""Trains HiFi-GAN on wav files, on one process or, started by torchrun, on many. See --help."""

from __future__ import annotations

import dataclasses
import signal
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from common import distributed
from common.audio import load_wav_at, normalise_peak
from common.config import run
from common.distributed import Distributed
from common.errors import InputError
from common.filelists import check_wavs, fingerprint, read_paths
from common.run_log import RunLog, watched
from common.stop import StopSignals
from hifigan import losses
from hifigan.checkpoint_store import CheckpointStore
from hifigan.dataset import MicroBatchSampler, SegmentDataset, training_loader, validation_loader
from hifigan.discriminators import judge_both
from hifigan.train_config import TrainConfig, parse_train_config
from hifigan.training import TrainState

Batch = tuple[Tensor, Tensor]  # wav [B, 1, T] and the mel [B, M, L] of it
NUM_SAMPLES = 4  # validation clips that TensorBoard plays


def main(argv: Sequence[str] | None = None) -> int:
    cfg = parse_train_config(argv)
    place = distributed.init(cfg.run.cuda)
    cfg = dataclasses.replace(cfg, optim=cfg.optim.shared_by(place.world_size))
    train_paths = read_paths(cfg.data.training_files, cfg.data.dataset_path)
    val_paths = read_paths(cfg.data.validation_files, cfg.data.dataset_path)
    check_on_main(place, [*train_paths, *val_paths], cfg.audio.sampling_rate)
    dataset = SegmentDataset(train_paths, cfg.audio.sampling_rate, cfg.data.segment_size, cfg.run.seed)
    sampler = MicroBatchSampler(
        len(dataset), cfg.optim.batch_size, cfg.optim.grad_accumulation, place.rank, place.world_size, cfg.run.seed
    )
    train_loader = training_loader(dataset, sampler, cfg.data.num_workers, cfg.run.cuda)
    val_loader = validation_loader(
        val_paths, cfg.audio.sampling_rate, cfg.data.segment_size, cfg.optim.batch_size, place.rank, place.world_size
    )
    state = TrainState(cfg, place, fingerprint(train_paths, cfg.data.dataset_path))
    store = CheckpointStore(cfg.run.output)
    resumed = state.resume(cfg, store)
    if not resumed:
        state.load_base(cfg)
    try:
        with RunLog(cfg.run.output, cfg.run.log_file, enabled=place.is_main) as log:
            log.parameters({**cfg.generator.to_dict(), **cfg.train_setup(), "clips_per_step": sampler.clips_per_step})
            if resumed:
                log.message(f"resumed after epoch {state.epoch}, optimiser step {state.steps}")
            else:  # what the training starts from; it also finds faults of the validation data before any is spent
                log.val(0, 0, validate(state, val_loader))
            return run_epochs(state, (train_loader, val_loader), sampler, cfg, log, store, val_paths[:NUM_SAMPLES])
    finally:
        distributed.shutdown()


def run_epochs(
    state: TrainState,
    loaders: tuple[DataLoader[Tensor], DataLoader[Tensor]],
    sampler: MicroBatchSampler,
    cfg: TrainConfig,
    log: RunLog,
    store: CheckpointStore,
    sample_paths: Sequence[Path],
) -> int:
    """Trains, validates and saves from where `state` stands; returns the exit status."""
    stop = StopSignals()
    train_loader, val_loader = loaders
    first = state.epoch + 1
    last = min(cfg.run.epochs, state.epoch + (cfg.run.epochs_this_job or cfg.run.epochs))
    for epoch in range(first, last + 1):
        sampler.epoch = epoch
        stopped_by_signal = train_epoch(state, train_loader, sampler, cfg, log, stop)
        if state.epoch < epoch:
            save(state, cfg, store, log)
            if not stopped_by_signal:
                raise InputError(
                    f"the losses of {cfg.run.nonfinite_limit} steps in a row were not finite numbers (step "
                    f"{state.steps}, saved); start again from an older checkpoint or with a lower --learning-rate"
                )
            log.message(f"stopped by signal {stop.received or 'on another process'}; start again to go on")
            return 128 + (stop.received or signal.SIGTERM)
        is_last = epoch == last
        if epoch % cfg.run.validation_interval == 0 or is_last:
            log.val(epoch, state.steps, validate(state, val_loader))
        if epoch % cfg.run.samples_interval == 0 or is_last:
            log_samples(state, sample_paths, cfg, log)
        if epoch % cfg.run.checkpoint_interval == 0 or is_last:
            save(state, cfg, store, log)
    if cfg.run.benchmark_epochs_num and state.throughputs:
        measured = state.throughputs[-cfg.run.benchmark_epochs_num :]
        log.benchmark(state.steps, {"frames/s": sum(measured) / len(measured), "epochs": len(measured)})
    if first > last:
        log.message(f"nothing to do: all {cfg.run.epochs} epochs are trained (--epochs)")
    return 0


def train_epoch(
    state: TrainState,
    loader: DataLoader[Tensor],
    sampler: MicroBatchSampler,
    cfg: TrainConfig,
    log: RunLog,
    stop: StopSignals,
) -> bool:
    """Trains the rest of one epoch; True when a signal asked to stop.

    `state.epoch` stays as it is when training stops before the end, by a signal or because losses are not finite.
    """
    sampler.first_step = state.epoch_clips // sampler.clips_per_step
    frames_per_step = sampler.clips_per_step * cfg.segment_frames
    epoch = state.epoch + 1
    if sampler.first_step >= sampler.steps_per_epoch:  # resumed in mid-epoch with a larger global batch
        state.epoch, state.epoch_clips = epoch, 0
        return False
    meter = state.meter
    meter.start_epoch()
    began = last_logged = time.perf_counter()
    for step, group in enumerate(groups(loader, cfg.optim.grad_accumulation), sampler.first_step + 1):
        state.set_learning_rate()
        batches = [to_batch(wav, state) for wav in group]
        d_loss, fake = discriminator_step(state, batches)
        g_loss, mel_loss = generator_step(state, batches, fake)
        meter.add(d_loss, g_loss, mel_loss)
        state.steps += 1
        state.epoch_clips += sampler.clips_per_step
        if step % cfg.run.step_logs_interval == 0 or step == sampler.steps_per_epoch:
            means = meter.since_last_log()
            now = time.perf_counter()
            took = (now - last_logged) / meter.logged_steps
            last_logged = now
            metrics = {**means, "frames/s": frames_per_step / took, "took": took, **state.learning_rates()}
            log.train(epoch, step, sampler.steps_per_epoch, state.steps, metrics)
            if meter.nonfinite_in_a_row >= cfg.run.nonfinite_limit:
                return False
        if distributed.any_rank(stop.received != 0, state.place) and step < sampler.steps_per_epoch:
            return True
    means = meter.epoch_means()
    took = time.perf_counter() - began
    throughput = frames_per_step * meter.epoch_steps / took
    metrics = {**means, "frames/s": throughput, "took": took, **state.learning_rates(), "skipped_steps": meter.skipped}
    log.epoch(epoch, state.steps, metrics)
    state.throughputs.append(throughput)
    state.epoch, state.epoch_clips = epoch, 0
    return False


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
    state.step_optimiser(state.optim_d, state.scaler_d)
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
    if state.step_optimiser(state.optim_g, state.scaler_g) and state.ema:
        state.ema.update(state.generator)
    return total, total_mel


@torch.no_grad()
def validate(state: TrainState, loader: DataLoader[Tensor]) -> dict[str, float]:
    """Means over the validation segments of all processes, models in evaluation mode; with the average's mel loss."""
    for module in state.modules():
        module.eval()
    names = ["d_loss", "g_loss", "mel_loss", *(["ema_mel_loss"] if state.ema else [])]
    sums = torch.zeros(len(names) + 1, device=state.place.device)  # and the number of segments
    for wav in loader:
        real, mel = to_batch(wav, state)
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
        sums += len(wav) * torch.stack([*means, torch.ones_like(mel_loss)])
    for module in state.modules():
        module.train()
    *totals, segments = distributed.sum_over_ranks(sums).tolist()
    return {name: total / segments for name, total in zip(names, totals, strict=True)}


def weighted_mel_loss(state: TrainState, real: Tensor, fake: Tensor) -> Tensor:
    """The mel loss of wavs [B, 1, T], weighted by 45."""
    return losses.MEL_WEIGHT * losses.mel_loss(state.loss_mel(real.squeeze(1)), state.loss_mel(fake.squeeze(1)))


@torch.no_grad()
def log_samples(state: TrainState, paths: Sequence[Path], cfg: TrainConfig, log: RunLog) -> None:
    """Whole validation clips, real and generated, for TensorBoard."""
    if not state.place.is_main:
        return
    state.generator.eval()
    for path in paths:
        wav = torch.from_numpy(normalise_peak(load_wav_at(path, cfg.audio.sampling_rate))).float()
        if len(wav) <= cfg.audio.padding:
            continue
        mel = state.mel(wav[None].to(state.place.device))
        fake = state.generator(mel).squeeze(1)
        for kind, signal_ in (("real", wav[None]), ("generated", fake)):
            picture = state.loss_mel(signal_.to(state.place.device))[0].cpu().numpy()
            log.sample(f"{path.stem}/{kind}", state.steps, signal_[0].cpu().numpy(), cfg.audio.sampling_rate, picture)
    state.generator.train()


def to_batch(wav: Tensor, state: TrainState) -> Batch:
    """Segments [B, T] from the loader -> wav [B, 1, T] and mel [B, M, L] on the training device."""
    wav = wav.to(state.place.device, non_blocking=True)
    return wav.unsqueeze(1), state.mel(wav)


def check_on_main(place: Distributed, paths: Sequence[Path], sampling_rate: int) -> None:
    """Checks all audio on the main process; if some cannot be used, the others end quietly."""
    problem: InputError | None = None
    if place.is_main:
        try:
            check_wavs(paths, sampling_rate, progress=watched(), decode=True)
        except InputError as error:
            problem = error
    if distributed.any_rank(problem is not None, place):
        raise problem or SystemExit(1)


def groups(loader: DataLoader[Tensor], size: int) -> Iterator[list[Tensor]]:
    """The micro-batches of one optimiser step after the other."""
    batches = iter(loader)
    while group := list(islice(batches, size)):
        yield group


def save(state: TrainState, cfg: TrainConfig, store: CheckpointStore, log: RunLog) -> None:
    """Saves on the main process while the others wait."""
    if state.place.is_main:
        state.save(cfg, store)
        log.message(f"saved {store.paths(state.written[-1])[0]}")
    distributed.barrier()


if __name__ == "__main__":
    run(main, "train.py")
