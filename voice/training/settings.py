"""Settings of a voice's training that suit the amount of data and the machine, all in one place.

Fine-tuning is measured in optimiser steps, so that little data gets more epochs than much. The figures come from runs
on LJSpeech and on the shipped voice (its model card).
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, TypeVar

from common.errors import InputError
from voice.training.estimate import Estimate
from voice.training.flags import AUTO, SCRATCH, VoiceTrainingConfig

N = TypeVar("N", int, float)


@dataclasses.dataclass(frozen=True)
class Usual:
    """The usual amount of training on a kind of machine.

    Attributes:
        fastpitch_steps: steps of FastPitch from a base.
        fastpitch_batch: clips in one pass of one process.
        vocoder_steps: steps of the vocoder's fine-tuning.
        vocoder_batch: segments in one pass of one process.
        discriminator_width: see train.py.
    """

    fastpitch_steps: int
    fastpitch_batch: int
    vocoder_steps: int
    vocoder_batch: int
    discriminator_width: float


CPU = Usual(600, 16, 2000, 4, 0.125)  # narrow discriminators take a tenth of the time
GPU = Usual(4000, 16, 20000, 16, 1.0)  # not yet run on a GPU

FASTPITCH_VALIDATIONS, VOCODER_VALIDATIONS = 30, 15  # in a training; a vocoder's takes longer
PATIENCE = 8  # validations
MOST_AMOUNT = 100.0  # times the usual training that --hours may allow
SCRATCH_EPOCHS = 80  # of FastPitch, as the shipped voice was begun
# FastPitch's flags: factor of the learning rate, warm-up steps, epochs of binarisation.
FROM_BASE = (0.02, 100, 1)
FROM_SCRATCH = (0.03, 400, 10)
# The moving average reaches back over this share of a training. A longer one keeps too much of the base: with 0.99 and
# 80 steps on 5 minutes of LJSpeech, its held-out mel loss was 1.03, and the newest weights' 0.77.
AVERAGED_SHARE = 0.1
FASTPITCH_EMA, VOCODER_EMA = 0.998, 0.999  # at most
# The vocoder's learning rate falls to this share in this number of steps, as in the shipped voice's training.
VOCODER_DECAY, VOCODER_DECAY_STEPS = 0.93, 344
VOCODER_RATE, VOCODER_RATE_LATER = 3e-4, 1e-4  # of fine-tuning from a base, and after epochs on recordings
MOST_WARMUP_STEPS, WARMUP_SHARE = 500, 0.2  # of the vocoder

# Settings that decide how long a training is, with values that mean nothing.
WITHOUT_LENGTH: dict[str, Any] = {
    "fastpitch_epochs": 1,
    "vocoder_epochs": 1,
    "fine_tuning_epochs": 1,
    "vocoder_warmup_steps": 0,
    "fastpitch_ema": 0.5,
    "vocoder_ema": 0.5,
    "patience": 0,
}


def choose(cfg: VoiceTrainingConfig, training_clips: int, amount: float = 1.0) -> VoiceTrainingConfig:
    """Replace all settings that are `AUTO`.

    Args:
        cfg: the user's settings.
        training_clips: clips of the training part.
        amount: factor of the usual amount of training.

    Raises:
        InputError: fewer clips than processes.
    """
    if training_clips < cfg.processes:
        raise InputError(
            f"{training_clips} clips for training are too few for {cfg.processes} processes; "
            "record more, or give a smaller --num-gpus"
        )
    usual = GPU if cfg.num_gpus else CPU
    most = training_clips // cfg.processes
    batch = _given(cfg.fastpitch_batch_size, min(usual.fastpitch_batch, max(1, most // 2)))
    segments = _given(cfg.vocoder_batch_size, min(usual.vocoder_batch, most))
    if max(batch, segments) > most:
        raise InputError(
            f"{training_clips} clips for training are too few for a step of {max(batch, segments) * cfg.processes}; "
            "record more, or omit --fastpitch-batch-size and --vocoder-batch-size"
        )
    return _choose_vocoder(_choose_fastpitch(cfg, training_clips, batch, amount), training_clips, segments, amount)


def _choose_fastpitch(cfg: VoiceTrainingConfig, clips: int, batch: int, amount: float) -> VoiceTrainingConfig:
    from_base = cfg.fastpitch_base != SCRATCH
    rate, warmup, binarization = FROM_BASE if from_base else FROM_SCRATCH
    epoch_steps = _steps(clips, batch, cfg)
    steps = (GPU if cfg.num_gpus else CPU).fastpitch_steps if from_base else SCRATCH_EPOCHS * epoch_steps
    epochs = _given(cfg.fastpitch_epochs, _epochs(amount * steps, epoch_steps))
    return dataclasses.replace(
        cfg,
        patience=_given(cfg.patience, PATIENCE),
        fastpitch_batch_size=batch,
        fastpitch_epochs=epochs,
        fastpitch_validation_epochs=_epochs(epochs / FASTPITCH_VALIDATIONS, 1),
        fastpitch_learning_rate=_given(cfg.fastpitch_learning_rate, rate),
        fastpitch_warmup_steps=_given(cfg.fastpitch_warmup_steps, warmup),
        fastpitch_ema=_given(cfg.fastpitch_ema, _decay(epochs * epoch_steps, FASTPITCH_EMA)),
        binarization_warmup_epochs=_given(cfg.binarization_warmup_epochs, binarization),
    )


def _choose_vocoder(cfg: VoiceTrainingConfig, clips: int, segments: int, amount: float) -> VoiceTrainingConfig:
    usual = GPU if cfg.num_gpus else CPU
    recordings, pairs = _steps(clips, segments, cfg), _steps(2 * clips, segments, cfg)
    epochs = _given(cfg.fine_tuning_epochs, _epochs(amount * usual.vocoder_steps, pairs))
    first_steps = cfg.vocoder_epochs * recordings or epochs * pairs
    decay = VOCODER_DECAY ** ((recordings if cfg.vocoder_epochs else pairs) / VOCODER_DECAY_STEPS)
    rate = VOCODER_RATE_LATER if cfg.vocoder_epochs else VOCODER_RATE
    warmup = min(MOST_WARMUP_STEPS, math.ceil(WARMUP_SHARE * first_steps))
    return dataclasses.replace(
        cfg,
        fine_tuning_epochs=epochs,
        fine_tuning_learning_rate=_given(cfg.fine_tuning_learning_rate, rate),
        vocoder_batch_size=segments,
        vocoder_validation_epochs=_epochs(cfg.vocoder_epochs / VOCODER_VALIDATIONS, 1),
        fine_tuning_validation_epochs=_epochs(epochs / VOCODER_VALIDATIONS, 1),
        vocoder_learning_rate_decay=_given(cfg.vocoder_learning_rate_decay, round(decay, 6)),
        vocoder_warmup_steps=_given(cfg.vocoder_warmup_steps, warmup),
        vocoder_ema=_given(cfg.vocoder_ema, _decay(first_steps, VOCODER_EMA)),
        discriminator_width=_given(cfg.discriminator_width, usual.discriminator_width),
    )


def fit_hours(cfg: VoiceTrainingConfig, estimate: Estimate) -> VoiceTrainingConfig:
    """Choose all settings so that the estimate fits `--hours`, or the usual ones without that flag.

    Args:
        cfg: the user's settings, before `choose`.
        estimate: measured with the usual settings.

    Raises:
        InputError: there is not even time for one epoch of each training.
    """
    clips = estimate.clips["train"]
    usual = choose(cfg, clips)
    if not cfg.hours:
        return usual
    wanted_sec = 3600 * cfg.hours
    least = choose(cfg, clips, amount=0.0)
    if (least_sec := estimate.total_sec(least)) > wanted_sec:
        raise InputError(
            f"--hours: {cfg.hours:g} is too little here: one epoch of each training, pitch and mels take "
            f"{least_sec / 3600:.2f} hours"
        )
    low, high = 0.0, MOST_AMOUNT
    for _ in range(40):  # bisection, because the estimate rises with the amount
        middle = (low + high) / 2
        fits = estimate.total_sec(choose(cfg, clips, middle)) <= wanted_sec
        low, high = (middle, high) if fits else (low, middle)
    return choose(cfg, clips, low)


def _given(value: N, chosen: N) -> N:
    return chosen if value == AUTO else value


def _decay(steps: int, most: float) -> float:
    """Return the decay of a moving average over the last part of a training of `steps` steps."""
    return min(most, round(1 - 1 / max(2.0, AVERAGED_SHARE * steps), 4))


def _steps(clips: int, batch: int, cfg: VoiceTrainingConfig) -> int:
    """Return the optimiser steps of an epoch."""
    return max(1, clips // (batch * cfg.processes))


def _epochs(steps: float, steps_per_epoch: int) -> int:
    return max(1, int(steps / steps_per_epoch))
