"""Settings that suit the amount of data, the machine and the wanted time."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from common.errors import InputError
from voice.training.estimate import Estimate, Measured
from voice.training.flags import AUTO, VoiceTrainingConfig
from voice.training.settings import CPU, GPU, MOST_AMOUNT, choose, fit_hours

FOUND = Estimate(
    {"train": 180, "val": 5, "test": 20},
    {"train": 0.3, "val": 0.01, "test": 0.03},
    60.0,
    90.0,
    Measured(2.0, 20.0, 28_000_000),
    Measured(4.0, 5.0, 49_000_000),
    False,
)


def config(**changes: Any) -> VoiceTrainingConfig:
    return VoiceTrainingConfig(output="ann", **changes)


@pytest.mark.parametrize("clips", [1, 3, 45, 180, 1376])
def test_any_amount_of_data_gets_the_usual_steps(clips: int) -> None:
    """Little data gets smaller batches and more epochs. A step never needs more clips than there are."""
    chosen = choose(config(), clips)
    assert AUTO not in dataclasses.astuple(chosen)
    speech_steps = clips // chosen.fastpitch_batch_size
    pair_steps = 2 * clips // chosen.vocoder_batch_size
    assert speech_steps >= (2 if clips > 1 else 1)
    assert chosen.fastpitch_epochs * speech_steps == pytest.approx(CPU.fastpitch_steps, abs=speech_steps)
    assert chosen.fine_tuning_epochs * pair_steps == pytest.approx(CPU.vocoder_steps, abs=pair_steps)
    assert chosen.vocoder_warmup_steps <= CPU.vocoder_steps / 2
    # The averages forget the base: of 600 and 2000 steps they keep less than 1 in 10,000.
    assert chosen.fastpitch_ema**CPU.fastpitch_steps < 1e-4
    assert chosen.vocoder_ema**CPU.vocoder_steps < 1e-4
    # By hand for 45 clips: 2 steps of 16 and 22 steps of 4 pairs in an epoch.
    if clips == 45:
        assert (chosen.fastpitch_epochs, chosen.fine_tuning_epochs) == (300, 90)
        assert (chosen.fastpitch_validation_epochs, chosen.fine_tuning_validation_epochs) == (10, 6)
        # The rate falls as much in the steps of the shipped voice's epoch as it did in one of its epochs.
        assert chosen.vocoder_learning_rate_decay ** (344 / 22) == pytest.approx(0.93, rel=1e-4)


def test_values_that_are_given_stay() -> None:
    given = {
        "fastpitch_epochs": 3, "fastpitch_batch_size": 5, "fastpitch_learning_rate": 0.5, "fastpitch_warmup_steps": 7,
        "fastpitch_ema": 0.0, "vocoder_ema": 0.0, "binarization_warmup_epochs": 0, "fine_tuning_epochs": 0,
        "vocoder_batch_size": 2,
        "fine_tuning_learning_rate": 0.1, "vocoder_learning_rate_decay": 0.5, "vocoder_warmup_steps": 0,
        "discriminator_width": 0.5, "patience": 0,
    }  # fmt: skip
    chosen = choose(config(**given), 45)
    assert {name: getattr(chosen, name) for name in given} == given


def test_machines() -> None:
    cpu, gpu = choose(config(), 1376), choose(config(num_gpus=4), 1376)
    assert (cpu.vocoder_batch_size, cpu.discriminator_width) == (4, 0.125)
    assert (gpu.vocoder_batch_size, gpu.discriminator_width) == (16, 1.0)
    assert gpu.fastpitch_epochs == GPU.fastpitch_steps // (1376 // 64)


def test_from_scratch() -> None:
    chosen = choose(config(fastpitch_base="scratch"), 1376)
    assert (chosen.fastpitch_epochs, chosen.fastpitch_learning_rate, chosen.fastpitch_warmup_steps) == (80, 0.03, 400)
    assert chosen.fastpitch_ema == 0.998


@pytest.mark.parametrize(("changes", "clips", "message"), [
    ({"num_gpus": 4}, 3, "3 clips for training are too few for 4 processes; record more, or give a smaller --num-gpus"),
    ({"fastpitch_batch_size": 16}, 15, "15 clips for training are too few for a step of 16; record more, or omit"),
    ({"vocoder_batch_size": 16}, 15, "15 clips for training are too few for a step of 16; record more, or omit"),
])  # fmt: skip
def test_too_few_clips(changes: dict[str, Any], clips: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        choose(config(**changes), clips)


@pytest.mark.parametrize("hours", [0.2, 1.0, 3.0, 10.0])
def test_the_estimate_fits_the_wanted_hours(hours: float) -> None:
    """And is not far below: the next epoch of one of the trainings would not fit."""
    chosen = fit_hours(config(hours=hours), FOUND)
    seconds = FOUND.seconds(chosen)
    more = max(seconds["fastpitch"] / chosen.fastpitch_epochs, seconds["fine-tuning"] / chosen.fine_tuning_epochs)
    assert hours * 3600 - 2 * more < FOUND.total_sec(chosen) <= hours * 3600
    usual = fit_hours(config(), FOUND)
    assert usual == choose(config(), 180)
    # Both get the same factor, but for whole epochs.
    factor = chosen.fine_tuning_epochs / usual.fine_tuning_epochs
    assert chosen.fastpitch_epochs == pytest.approx(factor * usual.fastpitch_epochs, abs=1 + 600 / 11 / 22)


def test_hours_leave_given_epochs_alone() -> None:
    chosen = fit_hours(config(hours=3.0, fastpitch_epochs=5), FOUND)
    assert chosen.fastpitch_epochs == 5
    assert FOUND.total_sec(chosen) > 2.5 * 3600


def test_too_little_time_and_too_much() -> None:
    with pytest.raises(
        InputError, match=r"--hours: 0\.05 is too little here: one epoch of each training, pitch and mels t"
    ):
        fit_hours(config(hours=0.05), FOUND)
    epochs = fit_hours(config(hours=1e6), FOUND).fastpitch_epochs
    assert epochs == pytest.approx(MOST_AMOUNT * CPU.fastpitch_steps / 11, rel=0.01)
