"""Training from a configuration to the exit status (`run_training`), shared by all models, and its loop."""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import datetime
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from common import distributed
from common.distributed import Distributed
from common.errors import InputError
from common.files.locks import lock_folder
from common.machine.loader_processes import lost_loaders_named, stop_loader_processes
from common.machine.pytorch.determinism import be_deterministic, nondeterminism_named
from common.machine.timing import TimeLeft, in_words
from common.training.checkpoint_store import CheckpointStore
from common.training.loaders import ClipDataset, ReadAhead, UntilError, check_datasets, groups
from common.training.log import RunLog
from common.training.sampling import MicroBatchSampler
from common.training.state import BaseTrainConfig, BaseTrainState
from common.training.stop_signals import StopSignals

Config = TypeVar("Config", bound=BaseTrainConfig)
Clips = TypeVar("Clips", bound=ClipDataset)
State = TypeVar("State", bound=BaseTrainState)


class TrainingLoop(abc.ABC):
    """A training run. Each model implements the step, the validation and the samples.

    Args:
        state: the restored or initialised state.
        store: checkpoints of the run.
        sampler: order of the clips.
        loader: micro-batches in that order.
        val_loader: validation batches of this process.
    """

    def __init__(
        self,
        state: BaseTrainState,
        store: CheckpointStore,
        sampler: MicroBatchSampler,
        loader: Iterable[Any],
        val_loader: Iterable[Any],
    ) -> None:
        self.cfg = state.cfg.run
        self.state = state
        self.store = store
        self.sampler = sampler
        self.loader = loader
        self.val_loader = UntilError(val_loader)
        self.stop = StopSignals()
        self.unreadable: Exception | None = None  # raised by the loader of this process

    @abc.abstractmethod
    def step(self, group: list[Any]) -> None:
        """Make one optimiser step over these micro-batches, and add its losses to the meter."""

    @abc.abstractmethod
    def frames_per_step(self, means: Mapping[str, float]) -> float:
        """Return the mel frames of an average step with these metrics, over all processes."""

    @abc.abstractmethod
    def validate(self) -> dict[str, float] | None:
        """Return means over the validation data of all processes, or None if any process was stopped by a signal."""

    def held_out(self, metrics: Mapping[str, float]) -> tuple[str, float]:
        """Return name and value of the validation loss that tells which epoch is the best."""
        name = "ema_mel_loss" if "ema_mel_loss" in metrics else "mel_loss"
        return name, metrics[name]

    @abc.abstractmethod
    def log_samples(self, log: RunLog) -> None:
        """Log the model's output for some validation clips to TensorBoard."""

    def run_logged(self, resumed: bool) -> int:
        """Open the log and `run`. Afterwards end all loader processes and leave the process group."""
        cfg, place = self.state.cfg, self.state.place
        try:
            with RunLog(cfg.run.output, cfg.run.log_file, enabled=place.is_main) as log:
                settings = {**cfg.architecture(), **cfg.train_setup()}
                log.parameters({**settings, "clips_per_step": self.sampler.clips_per_step})
                return self.run(log, resumed)
        finally:
            stop_loader_processes()
            distributed.shutdown()

    def run(self, log: RunLog, resumed: bool) -> int:
        """Train, validate and save from the current position. Return the exit status."""
        cfg, state = self.cfg, self.state
        if resumed:
            log.message(f"resumed after epoch {state.epoch}, optimiser step {state.steps}")
        else:  # a baseline, which also reveals faulty validation data before time is spent on training
            metrics = self._validate()
            if self.unreadable:
                raise self.unreadable
            if metrics is None:
                log.message("stopped before the first step: there is nothing to save")
                return self.stop.status
            log.val(state.epoch, state.steps, metrics)
        first = state.epoch + 1
        last = min(cfg.epochs, state.epoch + (cfg.epochs_this_job or cfg.epochs))
        if ended := state.best.exhausts(cfg.patience):
            last = state.epoch
        time_left = TimeLeft(self._position(), last)
        for epoch in range(first, last + 1):
            if not (self.train_epoch(log) and self.finish_epoch(log, is_last=epoch == last)):
                self.save(log)
                if self.unreadable:
                    raise self.unreadable
                if state.meter.skipped_in_a_row >= cfg.nonfinite_limit:
                    raise InputError(
                        f"the losses or gradients of {cfg.nonfinite_limit} steps in a row were not finite numbers "
                        f"(step {state.steps}, saved); start again from an older checkpoint or with a lower "
                        "--learning-rate, into another --output"
                    )
                reason = f"signal {self.stop.received}" if self.stop.received else "another process"
                log.message(f"stopped by {reason}; start again to resume")
                return self.stop.status
            if state.best.exhausts(cfg.patience):
                log.message(f"stopped early after epoch {epoch} of {cfg.epochs} (--patience {cfg.patience})")
                break
            if epoch < last:
                at_most = "at most " if cfg.patience else ""
                left = in_words(time_left.seconds(self._position()))
                log.message(f"epoch {epoch} of {last} is finished, {at_most}about {left} left")
        if cfg.benchmark_epochs_num and not state.throughputs:
            raise InputError(
                f"--benchmark-epochs-num: all {cfg.epochs} epochs in {self.store.directory} are trained, so nothing "
                "was measured; give another --output, or more --epochs"
            )
        if cfg.benchmark_epochs_num:
            measured = state.throughputs[-cfg.benchmark_epochs_num :]
            log.benchmark(state.steps, {"frames/s": sum(measured) / len(measured), "epochs": len(measured)})
        if ended:
            log.message(f"nothing to do: stopped early after epoch {state.epoch} (--patience {cfg.patience})")
        elif first > last:
            log.message(f"nothing to do: all {cfg.epochs} epochs are trained (--epochs)")
        return 0

    def train_epoch(self, log: RunLog) -> bool:
        """Train the rest of one epoch. Return False if a signal or non-finite losses interrupted it."""
        state, sampler, meter = self.state, self.sampler, self.state.meter
        epoch = sampler.epoch = state.epoch + 1
        sampler.first_step = state.epoch_clips // sampler.clips_per_step
        state.epoch_clips = sampler.first_step * sampler.clips_per_step  # changes with the global batch
        if sampler.first_step >= sampler.steps_per_epoch:  # resumed after the last step
            return True
        batches = ReadAhead(groups(self.loader, sampler.grad_accumulation))
        self.unreadable = batches.error
        if distributed.any_rank(batches.error is not None):
            return False
        poll = distributed.Poll()
        meter.start_epoch()
        began = last_logged = time.perf_counter()
        for step, group in enumerate(batches, sampler.first_step + 1):
            state.set_learning_rate()
            self.step(group)
            state.steps += 1
            state.epoch_clips += sampler.clips_per_step
            if step % self.cfg.step_logs_interval == 0 or step == sampler.steps_per_epoch:
                means = meter.since_last_log()
                now = time.perf_counter()
                took = (now - last_logged) / meter.logged_steps
                last_logged = now
                metrics = {**means, "frames/s": self.frames_per_step(means) / took, "took": took}
                log.train(epoch, step, sampler.steps_per_epoch, state.steps, {**metrics, **state.learning_rates()})
                if meter.skipped_in_a_row >= self.cfg.nonfinite_limit:
                    return False
            self.unreadable = batches.error
            if poll.any_rank(self.stop.received != 0 or batches.error is not None) and step < sampler.steps_per_epoch:
                return False
        means = meter.epoch_means()
        took = time.perf_counter() - began
        throughput = self.frames_per_step(means) * meter.epoch_steps / took
        metrics = {**means, "frames/s": throughput, "took": took, **state.learning_rates()}
        log.epoch(epoch, state.steps, {**metrics, "skipped_steps": meter.skipped})
        state.throughputs.append(throughput)
        return True

    def finish_epoch(self, log: RunLog, is_last: bool) -> bool:
        """Validate and save when due. Return False if a signal came before the epoch was finished."""
        cfg, state = self.cfg, self.state
        epoch, best = state.epoch + 1, state.best
        # The end of a process that `--epochs-this-job` limits does not count, so that resumed runs end alike.
        counts = epoch % cfg.validation_interval == 0 or epoch == cfg.epochs
        if counts or is_last:
            metrics = self._validate()
            if metrics is None:
                return False
            log.val(epoch, state.steps, metrics)
            if counts and not state.meter.skipped_in_a_row:
                best = best.after(epoch, *distributed.gather(self.held_out(metrics))[0])
        if epoch % cfg.samples_interval == 0 or is_last:
            try:
                self.log_samples(log)
            except (InputError, OSError, StopIteration) as error:  # the last if there is no validation batch to show
                self.unreadable = self.val_loader.error or error
        if distributed.any_rank(self.stop.received != 0 or self.unreadable is not None):
            return False
        state.end_epoch()
        if best is not state.best:
            state.best = best
            log.message(best.describe(cfg.patience))
        # While steps are being skipped, the older checkpoints are better.
        is_due = epoch % cfg.checkpoint_interval == 0 and not state.meter.skipped_in_a_row
        if is_due or is_last or best.epoch == epoch or best.exhausts(cfg.patience):
            self.save(log)
        return True

    def _position(self) -> float:
        """Return the epochs of the run that are done, with the fraction of the current one."""
        per_epoch = self.sampler.steps_per_epoch * self.sampler.clips_per_step
        return self.state.epoch + self.state.epoch_clips / max(1, per_epoch)

    def _validate(self) -> dict[str, float] | None:
        """Return the means of `validate`, or None if any process was stopped or could not read its data."""
        metrics = self.validate()
        self.unreadable = self.val_loader.error
        return None if distributed.any_rank(self.unreadable is not None) else metrics

    def save(self, log: RunLog) -> None:
        """Save on the main process while the others wait."""
        if self.state.place.is_main:
            self.state.save(self.store)
            log.message(f"saved {self.store.paths(self.state.written[-1])[0]}")
        distributed.barrier()


@nondeterminism_named()
@lost_loaders_named()
@distributed.lost_peers_named()
def run_training(
    cfg: Config,
    open_datasets: Callable[[Config], tuple[Clips, Clips]],
    build_state: Callable[[Config, Distributed, Clips], State],
    build_loop: Callable[[State, CheckpointStore, MicroBatchSampler, tuple[Clips, Clips]], TrainingLoop],
) -> int:
    """Train a model on this process and those that torchrun started. Return the exit status.

    Args:
        cfg: the configuration.
        open_datasets: opens the training and the validation data.
        build_state: builds the initial state for the training data.
        build_loop: builds the loop around a state that is restored or has its initial weights.
    """
    if cfg.run.deterministic:
        be_deterministic()
    place = distributed.init(cfg.run.cuda, datetime.timedelta(seconds=cfg.run.peer_timeout_sec))
    shared: Any = cfg
    cfg = dataclasses.replace(shared, optim=cfg.optim.shared_by(place.world_size))
    datasets = open_datasets(cfg)
    with _only_run_in(Path(cfg.run.output), place):
        check_datasets(datasets, place)
        optim = cfg.optim
        sampler = MicroBatchSampler(
            len(datasets[0]), optim.batch_size, optim.grad_accumulation, place.rank, place.world_size, cfg.run.seed
        )
        state = build_state(cfg, place, datasets[0])
        store = CheckpointStore(cfg.run.output, state.checkpoint_files)
        resumed = state.resume(store)
        if not resumed:
            state.load_base()
        return build_loop(state, store, sampler, datasets).run_logged(resumed)


@contextlib.contextmanager
def _only_run_in(output: Path, place: Distributed) -> Iterator[None]:
    """Keep other runs out of the output directory. The main process holds the lock for all of this run.

    Raises:
        InputError: another run is at work there, or the directory cannot be written.
    """
    with contextlib.ExitStack() as held:

        def lock() -> None:
            held.enter_context(lock_folder(output, "give another --output"))

        distributed.first_on_main(lock, place)
        yield
