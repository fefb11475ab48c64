"""Damaged checkpoints of training runs that are resumed: restored, or refused in one line that names the files."""

from __future__ import annotations

import logging
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from common import distributed
from common.audio import AudioConfig
from common.errors import InputError
from common.training.best import find_best
from common.training.checkpoint_store import CheckpointStore
from hifigan import discriminators
from hifigan.training.flags import VocoderOptimConfig, VocoderRunConfig, VocoderTrainConfig
from hifigan.training.state import CHECKPOINT_FILES, VocoderTrainState
from tests.support.hostile.confined import all_plain, confined, linux_only, outcome
from tests.support.hostile.damage import damaged_values, tensors
from tests.support.models import TINY
from tests.support.stress import cases
from tests.support.training import LISTS

pytestmark = [linux_only, pytest.mark.medium]
Contents = tuple[dict[str, Any], ...]


class MemoryStore(CheckpointStore):
    """Keeps the contents of the last save instead of writing them."""

    contents: Contents = ()

    def save(self, epoch: int, *contents: dict[str, Any]) -> Path:
        self.contents = contents
        return self.paths(epoch)[0]


@pytest.fixture
def saved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[VocoderTrainState, MemoryStore]:
    """Return a state after one step of both optimisers, with discriminators of a few channels, and its checkpoint."""

    def thin(layer: Any) -> Any:
        class Thin(layer):
            def __init__(self, inputs: int, outputs: int, *args: Any, **kwargs: Any) -> None:
                kwargs.pop("groups", None)
                super().__init__(max(1, inputs // 64), max(1, outputs // 64), *args, **kwargs)

        return Thin

    for name in ("WeightNormConv1d", "WeightNormConv2d", "SpectralNormConv1d"):
        monkeypatch.setattr(discriminators, name, thin(getattr(discriminators, name)))
    cfg = VocoderTrainConfig(VocoderRunConfig(), VocoderOptimConfig(batch_size=4), LISTS, AudioConfig(), TINY)
    state = VocoderTrainState(cfg, distributed.init(cuda=False))
    step(state)
    store = MemoryStore(tmp_path, CHECKPOINT_FILES)
    state.end_epoch()
    state.save(store)
    return state, store


def step(state: VocoderTrainState) -> None:
    for optimiser in state.optimisers():
        for group in optimiser.param_groups:
            for parameter in group["params"]:
                parameter.grad = torch.zeros_like(parameter)
        optimiser.step()


def restore(state: VocoderTrainState, store: MemoryStore, contents: Contents) -> str:
    def work() -> None:
        state._restore_or_refuse(contents, store, 1)
        step(state)

    return outcome(work)


def test_damaged_checkpoints_of_a_run(saved: tuple[VocoderTrainState, MemoryStore]) -> None:
    state, store = saved
    logging.raiseExceptions = True

    def case(number: int) -> str:
        random_ = random.Random(number)
        contents = list(store.contents)
        part = random_.randrange(len(contents))
        contents[part] = damaged_values(contents[part], random_, lambda: tensors(random_))
        return restore(state, store, tuple(contents))

    assert restore(state, store, store.contents) == "success"
    all_plain("damaged checkpoints of a training run", confined(case, cases(30, 20_000)))


# What ended in a traceback, at once or in the first step.
BROKE: dict[str, tuple[str, Any]] = {
    "choice of convolutions without a setting": ("computation", {"ways": {}}),
    "choice of convolutions is a list": ("computation", [1]),
    "unknown way": ("computation", {"setting": "x", "ways": {"mpd": ["a", "b", "c"]}}),
    "no train_state": ("train_state", {}),
    "epochs are texts": ("written", ["../x"]),
    "best is a list": ("best", [1]),
    "optimiser without groups": ("optim_d", {"state": {}, "param_groups": []}),
    "generator of random numbers": ("rng", torch.zeros(3)),
    "loss scaling": ("scaler_g", 5),
    "clips per step": ("clips_per_step", "x"),
    "identity": ("identity", [5]),
}


@pytest.mark.parametrize("name", BROKE)
def test_what_broke_resuming_once(name: str, saved: tuple[VocoderTrainState, MemoryStore]) -> None:
    state, store = saved
    key, value = BROKE[name]
    gen, discrim = store.contents
    with pytest.raises(InputError, match=r"hifigan_discrim_checkpoint_1\.pt: |holds another run") as caught:
        state._restore_or_refuse((gen, {**discrim, key: value}), store, 1)
    assert "\n" not in str(caught.value)


def test_moments_of_another_shape(saved: tuple[VocoderTrainState, MemoryStore]) -> None:
    state, store = saved
    gen, discrim = store.contents
    optimiser = discrim["optim_g"]
    moments = {**optimiser["state"][0], "exp_avg": torch.zeros(7)}
    wrong = {**discrim, "optim_g": {**optimiser, "state": {**optimiser["state"], 0: moments}}}
    with pytest.raises(InputError, match="its optimiser has a exp_avg that does not fit its parameter"):
        state._restore_or_refuse((gen, wrong), store, 1)


@pytest.mark.parametrize("file", ["../a.pt", "/etc/passwd", "b/c.pt", ""])
def test_the_best_checkpoint_lies_in_the_output(file: str, tmp_path: Path) -> None:
    (tmp_path / "best.json").write_text(f'{{"epoch": 1, "file": "{file}"}}')
    with pytest.raises(InputError, match=r"best\.json: names"):
        find_best(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"), [("maximize", torch.zeros(5)), ("maximize", True), ("lr", torch.zeros(3)), ("fused", 1)]
)
def test_settings_of_an_optimiser(name: str, value: Any, saved: tuple[VocoderTrainState, MemoryStore]) -> None:
    """A setting of another kind ended in a traceback in the first step, and another one would change the training."""
    state, store = saved
    gen, discrim = store.contents
    optimiser = discrim["optim_g"]
    groups = [{**optimiser["param_groups"][0], name: value}]
    with pytest.raises(InputError, match=f"its optimiser has {name}"):
        state._restore_or_refuse((gen, {**discrim, "optim_g": {**optimiser, "param_groups": groups}}), store, 1)
