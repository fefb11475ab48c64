"""Train HiFi-GAN on wav files, on one process or, started by torchrun, on several. See --help.

`hifigan/training/flags.py` declares the flags.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NoReturn

from common.cli import check_command_line, is_started
from common.cli import run as run_program
from hifigan.training.flags import VocoderTrainConfig, make_parser, parse_train_config

if is_started(__name__):  # before PyTorch is imported, which takes seconds
    check_command_line(make_parser().parse_args, "train.py")

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from common import distributed
from common.distributed import Distributed
from common.training.checkpoint_store import CheckpointStore
from common.training.cuda_graphs import MADE
from common.training.log import RunLog
from common.training.loop import TrainingLoop, run_training
from common.training.loss_meter import ValidationMeter, accumulate
from common.training.sampling import MicroBatchSampler
from common.training.stop_signals import StopSignals
from hifigan.discriminators import Judgement, judge_both
from hifigan.losses import discriminator_losses
from hifigan.training.loaders import (
    data_fingerprint,
    learned_framing,
    open_datasets,
    training_loader,
    validation_loader,
)
from hifigan.training.segments import Segment, SegmentDataset
from hifigan.training.state import VocoderTrainState

WavMel = tuple[Tensor, Tensor]  # wav [B, 1, T] and its mel [B, M, L]
NUM_SAMPLES = 4  # validation clips that TensorBoard plays


def main(argv: Sequence[str] | None = None) -> int:
    return run_training(parse_train_config(argv), open_datasets, build_state, build_loop)


def build_state(cfg: VocoderTrainConfig, place: Distributed, train_set: SegmentDataset) -> VocoderTrainState:
    cfg = dataclasses.replace(cfg, learned_framing=learned_framing(train_set, cfg))
    return VocoderTrainState(cfg, place, data_fingerprint(train_set, cfg))


def build_loop(
    state: VocoderTrainState,
    store: CheckpointStore,
    sampler: MicroBatchSampler,
    datasets: tuple[SegmentDataset, SegmentDataset],
) -> VocoderLoop:
    train_loader = training_loader(datasets[0], sampler, state.cfg, state.place)
    return VocoderLoop(
        state, store, sampler, datasets[1], train_loader, validation_loader(datasets[1], state.cfg, state.place)
    )


class VocoderLoop(TrainingLoop):
    """Generator against discriminators (paper algorithm and equations 1 to 6)."""

    def __init__(
        self,
        state: VocoderTrainState,
        store: CheckpointStore,
        sampler: MicroBatchSampler,
        val_set: SegmentDataset,
        train_loader: DataLoader[Segment],
        val_loader: DataLoader[Segment],
    ) -> None:
        super().__init__(state, store, sampler, train_loader, val_loader)
        self.state: VocoderTrainState = state
        self.val_set = val_set
        state.choose_convolutions()
        self.both_steps = state.computation.accelerated(functools.partial(both_steps, state), state.changing())

    def step(self, group: list[Segment]) -> None:
        losses = dict(self.both_steps(group))
        self.state.made = losses.pop(MADE)
        self.state.meter.add(losses, made=self.state.made)

    def frames_per_step(self, means: Mapping[str, float]) -> float:
        return self.sampler.clips_per_step * self.state.cfg.segment_frames

    def validate(self) -> dict[str, float] | None:
        return validate(self.state, self.val_loader, self.stop)

    @torch.no_grad()
    def log_samples(self, log: RunLog) -> None:
        """Log whole validation clips, real and generated."""
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
                picture = state.losses.mel(wav)[0].cpu().numpy()
                name = f"{self.val_set.paths[clip].stem}/{kind}"
                log.sample(name, state.steps, wav[0].cpu().numpy(), state.cfg.audio.sampling_rate, picture)
        state.generator.train()


def both_steps(state: VocoderTrainState, group: Sequence[Segment]) -> dict[str, Tensor]:
    """Make one optimiser step of the discriminators and one of the generator over the same micro-batches.

    Returns:
        All losses by name, and under `MADE` 1 if both steps were made, else 0.
    """
    batches = [to_batch(segments, state) for segments in group]
    d_losses, fake = discriminator_step(state, batches)
    g_losses = generator_step(state, batches, fake)
    return {**d_losses, **g_losses, MADE: state.made}


def discriminator_step(state: VocoderTrainState, batches: Sequence[WavMel]) -> tuple[dict[str, Tensor], Tensor]:
    """Make one optimiser step of all discriminators over all micro-batches (paper equations 1 and 6).

    Returns:
        The mean losses, and the fake of the last micro-batch with its graph. `generator_step` starts with this fake,
        which saves a second run of the generator.
    """
    state.optim_d.zero_grad()
    totals: dict[str, Tensor] = {}
    fake = torch.zeros((), device=state.place.device)
    for i, (real, mel) in enumerate(batches):
        is_last = i == len(batches) - 1
        # The generator's gradients are averaged in its last backward pass, which uses this fake only if there is one
        # micro-batch.
        alone = len(batches) == 1
        with (
            distributed.no_sync(state.generator_sync, when=not alone),
            torch.set_grad_enabled(is_last),
            state.autocast(),
        ):
            fake = generate(state, mel)
        with distributed.no_sync(*state.discriminators_sync.values(), when=not is_last):
            with (
                state.autocast(),
                state.spectral_turn(state.place.rank),
                state.computation.shared_weights(state.discriminators),
            ):
                judgements = (
                    judge_both(discriminator, real, fake.detach(), state.in_one_call[name])
                    for name, discriminator in state.discriminators_sync.items()
                )
                losses = discriminator_losses(judgements, state.losses.at_once)
            state.scaler_d.scale(losses["d_loss"] / len(batches)).backward()
        accumulate(totals, losses, len(batches))
    state.average_gradients(state.optim_d)
    state.made = state.step_optimiser(state.optim_d, state.scaler_d)
    return totals, fake


def generator_step(state: VocoderTrainState, batches: Sequence[WavMel], last_fake: Tensor) -> dict[str, Tensor]:
    """Make one optimiser step of the generator over all micro-batches, in reverse order (paper equations 2 to 5).

    Returns:
        The mean losses.
    """
    state.optim_g.zero_grad()
    totals: dict[str, Tensor] = {}
    # Serial training walks the micro-batches backwards here, so the last process comes first.
    turn = state.place.world_size - 1 - state.place.rank
    with state.frozen_discriminators(), state.computation.shared_weights(state.discriminators):
        for i in reversed(range(len(batches))):
            real, mel = batches[i]
            with distributed.no_sync(state.generator_sync, when=i > 0):
                with state.autocast():
                    is_last = i == len(batches) - 1
                    fake = last_fake if is_last else generate(state, mel)
                    with state.spectral_turn(turn):
                        losses = state.losses(real, fake, judge_frozen(state, real, fake))
                state.scaler_g.scale(losses["g_loss"] / len(batches)).backward()
            accumulate(totals, losses, len(batches))
    state.average_gradients(state.optim_g)
    made = state.step_optimiser(state.optim_g, state.scaler_g)
    if state.ema:
        state.ema.update(state.generator, made)
    state.made = state.made * made
    return totals


def generate(state: VocoderTrainState, mel: Tensor) -> Tensor:
    """Return the generator's wav [B, 1, T]."""
    with state.computation.shared_weights(state.generator):
        return state.computation.lay_out(state.generator_sync(mel))


def judge_frozen(state: VocoderTrainState, real: Tensor, fake: Tensor) -> Iterator[tuple[Judgement, Judgement]]:
    """Yield each discriminator's judgements of real, without a graph, and of fake."""
    for discriminator in state.discriminators.values():
        with torch.no_grad():
            of_real = discriminator(real)
        yield of_real, discriminator(fake)


@torch.no_grad()
def validate(state: VocoderTrainState, loader: Iterable[Segment], stop: StopSignals) -> dict[str, float] | None:
    """Return mean losses over the validation segments of all processes, with all models in evaluation mode.

    The reconstruction losses of the moving average follow under names that begin with "ema_".

    Returns:
        None if any process was stopped by a signal.
    """
    for module in state.modules():
        module.eval()
    meter = ValidationMeter(state.place.device)
    stopped = False
    for segments in loader:
        real, mel = to_batch(segments, state)
        with state.autocast():
            fake = state.computation.lay_out(state.generator(mel))
            judgements = [(judge(real), judge(fake)) for judge in state.discriminators.values()]
            losses = {**discriminator_losses(judgements), **state.losses(real, fake, judgements)}
            if state.ema:
                averaged = state.losses.reconstruction(real, state.ema.module(mel))
                losses |= {f"ema_{name}": loss for name, loss in averaged.items()}
        meter.add({name: len(real) * loss for name, loss in losses.items()}, len(real))
        if stopped := stop.received != 0:
            break
    for module in state.modules():
        module.train()
    return meter.means(stopped)


def to_batch(segments: Sequence[Tensor], state: VocoderTrainState) -> WavMel:
    """Move segments wav [B, T], and mel [B, M, L] if an acoustic model made it, to the device as wav [B, 1, T], mel."""
    wav, *mels = (part.to(state.place.device, non_blocking=True) for part in segments)
    lay_out = state.computation.lay_out
    # A frame of "tacotron" framing is centred on the end of the segment, beyond the last hop.
    mel = mels[0] if mels else state.mel(wav)[:, :, : wav.size(1) // state.cfg.audio.hop_length]
    return lay_out(wav.unsqueeze(1)), lay_out(mel)


def console() -> NoReturn:
    run_program(main, "train.py")


if __name__ == "__main__":
    console()
