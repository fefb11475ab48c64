"""The training steps: published numbers, the fast formulation against the plain one, and skipped steps."""

import itertools
import json

import numpy as np
import pytest
import torch

import train
from common import distributed
from common.audio import AudioConfig
from common.data.metadata import read_metadata
from hifigan.config import GeneratorConfig
from hifigan.training.flags import VocoderOptimConfig, VocoderRunConfig, VocoderTrainConfig
from hifigan.training.state import VocoderTrainState
from tests.support.data_sets import speechlike
from tests.support.models import TINY
from tests.support.paths import DEMO_DATA, PARITY
from tests.support.programs import train_arguments
from tests.support.training import LISTS, run_main
from tests.support.weights import rule_weights


@pytest.mark.slow
@pytest.mark.parametrize("fast", ["off", "on"])
@pytest.mark.parametrize("accumulation", [1, 2])
def test_training_steps_match_published_numbers(accumulation, fast):
    expected = np.load(PARITY / "train_steps.npz")
    audio = torch.from_numpy(expected["audio"])
    optim = VocoderOptimConfig(batch_size=2, grad_accumulation=accumulation)
    generator = GeneratorConfig(upsample_initial_channel=32)
    cfg = VocoderTrainConfig(VocoderRunConfig(fast=fast), optim, LISTS, AudioConfig(), generator)
    state = VocoderTrainState(cfg, distributed.init(cuda=False))
    for module in state.modules():
        module.load_state_dict(rule_weights(module.state_dict()))
    # The input mel is computed in fp64, because Adam's first steps turn the sign of a gradient near zero into a full
    # step. With fp32 rounding in the input mel, two biases differ by 1.2e-5 instead of 3e-7.
    exact_mel = state.mel.double()
    losses = []
    for step in range(len(expected[f"accum{accumulation}/losses_disc_gen_mel"])):
        wavs = audio.split(2)[step * accumulation : (step + 1) * accumulation]
        batches = [
            (state.computation.lay_out(wav.unsqueeze(1)), state.computation.lay_out(exact_mel(wav).float()))
            for wav in wavs
        ]
        d_losses, fake = train.discriminator_step(state, batches)
        g_losses = train.generator_step(state, batches, fake)
        losses.append([loss.item() for loss in (*d_losses.values(), *g_losses.values())])
    np.testing.assert_allclose(losses, expected[f"accum{accumulation}/losses_disc_gen_mel"], rtol=1e-5)
    weights = state.generator.state_dict()
    norms = [weights[key].norm().item() for key in expected["generator_keys"]]
    np.testing.assert_allclose(norms, expected[f"accum{accumulation}/generator_norms"], rtol=1e-5)


def one_discriminator_step(**changes):
    """Return the loss of a second discriminator step and the weights after both."""
    cfg = VocoderTrainConfig(VocoderRunConfig(**changes), VocoderOptimConfig(), LISTS, AudioConfig(), TINY)
    state = VocoderTrainState(cfg, distributed.init(cuda=False))
    wav = torch.from_numpy(np.stack([speechlike(0.2, seed=i)[:2048] for i in range(2)])).float()
    for _ in range(2):
        losses, _ = train.discriminator_step(state, [train.to_batch([wav], state)])
    return losses["d_loss"].item(), {
        **state.discriminators["mpd"].state_dict(),
        **{f"msd.{key}": value for key, value in state.discriminators["msd"].state_dict().items()},
    }


@pytest.mark.medium
def test_concatenated_forward_is_the_same_training():
    apart, together = one_discriminator_step(fast="off"), one_discriminator_step(fast="off", concat_fwd=True)
    assert together[0] == pytest.approx(apart[0], rel=1e-5)
    for key, value in together[1].items():
        assert (value - apart[1][key]).norm() <= 1e-4 * apart[1][key].norm() + 1e-12, key


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cuda", "accumulation"), [(False, 1), (False, 2), pytest.param(True, 1, marks=pytest.mark.gpu)]
)
def test_fast_and_plain_are_the_same_training(cuda, accumulation):
    """Compare losses over steps in fp32, with a generator that has every kind of layer."""
    courses = {}
    generator = GeneratorConfig(upsample_initial_channel=32)
    wavs = torch.from_numpy(np.stack([speechlike(0.4, seed=i)[:4096] for i in range(6)])).float()
    for fast in ("off", "on"):
        optim = VocoderOptimConfig(batch_size=2, grad_accumulation=accumulation)
        cfg = VocoderTrainConfig(VocoderRunConfig(fast=fast, cuda=cuda), optim, LISTS, AudioConfig(), generator)
        state = VocoderTrainState(cfg, distributed.init(cuda))
        assert state.computation.fast == (fast == "on")
        courses[fast] = []
        for step in range(3):
            batches = [train.to_batch([wavs[2 * (step + i) % 6 :][:2]], state) for i in range(accumulation)]
            d_losses, fake = train.discriminator_step(state, batches)
            losses = {**d_losses, **train.generator_step(state, batches, fake)}
            courses[fast].append([loss.item() for loss in losses.values()])
    np.testing.assert_allclose(courses["on"], courses["off"], rtol=1e-3)
    assert courses["on"] != courses["off"], "the same formulations"


@pytest.mark.slow
@pytest.mark.usefixtures("thin_discriminators")
def test_losses_of_fast_and_plain_agree_over_fifty_steps():
    """In fp32, to 1e-3, with thin discriminators."""
    wavs = torch.from_numpy(np.stack([speechlike(0.2, seed=i)[:1024] for i in range(16)])).float()
    courses = {}
    for fast in ("off", "on"):
        state = VocoderTrainState(
            VocoderTrainConfig(
                VocoderRunConfig(fast=fast), VocoderOptimConfig(batch_size=1), LISTS, AudioConfig(), TINY
            ),
            distributed.init(cuda=False),
        )
        courses[fast] = []
        for state.steps in range(50):
            state.set_learning_rate()
            *losses, _ = train.both_steps(state, [[wavs[state.steps % 16][None]]]).values()
            courses[fast].append([loss.item() for loss in losses])
    np.testing.assert_allclose(courses["on"], courses["off"], rtol=1e-3)
    assert courses["on"][-1][2] < 0.5 * courses["on"][0][2], "nothing is learned"
    assert courses["on"] != courses["off"], "the same formulations"


@pytest.mark.medium
def test_the_plain_recipe_is_plain():
    """It has separate calls, PyTorch's own convolutions, and a weight norm per call instead of one per step."""
    computed = {}
    for fast in ("off", "on"):
        cfg = VocoderTrainConfig(VocoderRunConfig(fast=fast), VocoderOptimConfig(), LISTS, AudioConfig(), TINY)
        state = VocoderTrainState(cfg, distributed.init(cuda=False))
        wav = torch.from_numpy(speechlike(0.2)[:2048]).float()[None]
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            batches = [train.to_batch([wav], state)]
            _, fake = train.discriminator_step(state, batches)
            train.generator_step(state, batches, fake)
        counts = {event.key: event.count for event in profile.key_averages()}
        computed[fast] = counts["aten::_weight_norm_interface"], counts.get("_ColumnConvolution", 0)
    generator_layers = sum(name.endswith("weight_g") for name in state.generator.state_dict())
    judge_layers = sum(
        name.endswith("weight_g") for judge in state.discriminators.values() for name in judge.state_dict()
    )
    assert computed["off"] == (generator_layers + 4 * judge_layers, 0)
    assert computed["on"][0] == generator_layers + 2 * judge_layers
    assert computed["on"][1] > 0


@pytest.mark.slow
@pytest.mark.usefixtures("thin_discriminators")
def test_steps_with_losses_that_are_not_finite_are_left_out(own_copy, tmp_path, monkeypatch, capsys):
    (own_copy / "train.txt").write_text("".join(f"wavs/clip{i:03d}.wav\n" for i in (0, 3, 4, 5)))
    output = tmp_path / "out"
    whole_batch, seen = train.to_batch, []

    def sometimes_broken(segments, state):
        """Record the weights before each training step, and return NaN in four of them."""
        real, mel = whole_batch(segments, state)
        if not state.generator.training:
            return real, mel
        modules = (state.generator, state.discriminators["msd"], state.ema.module)
        seen.append([parameter.detach().clone() for module in modules for parameter in module.parameters()])
        return real, mel * float("nan") if len(seen) in (2, 4, 5, 6) else mel

    monkeypatch.setattr(train, "to_batch", sometimes_broken)
    status, message = run_main(
        train_arguments(own_copy, output, epochs=3, ema=0.5, nonfinite_limit=3, validation_interval=9), capsys
    )
    assert status == 1
    assert "losses or gradients of 3 steps in a row were not finite numbers (step 6, saved)" in message
    same = [all(map(torch.equal, before, after)) for before, after in itertools.pairwise(seen)]
    assert same == [False, True, False, True, True]
    saved = torch.load(output / "hifigan_gen_checkpoint_2.pt", weights_only=True)
    assert saved["train_state"]["steps"] == 6
    assert all(value.isfinite().all() for value in saved["generator"].values())
    averages = [json.loads(line[5:])["data"] for line in (output / "nvlog.json").read_text().splitlines()]
    assert [data["avg_train_skipped_steps"] for data in averages if "avg_train_skipped_steps" in data] == [2]


def test_gradients_are_clipped_before_the_step():
    optim = VocoderOptimConfig(grad_clip_thresh=0.5)
    state = VocoderTrainState(
        VocoderTrainConfig(VocoderRunConfig(), optim, LISTS, AudioConfig(), TINY), distributed.init(cuda=False)
    )
    for parameter in state.generator.parameters():
        parameter.grad = torch.ones_like(parameter)
    state.scaler_g.scale(torch.zeros(()))  # as a backward pass does
    assert state.step_optimiser(state.optim_g, state.scaler_g) == 1
    norm = torch.stack([parameter.grad.norm() for parameter in state.generator.parameters()]).norm()
    assert norm.item() == pytest.approx(0.5, rel=1e-4)


@pytest.mark.parametrize("clip", [0.0, 0.5])
def test_a_step_that_is_left_out_says_so_and_changes_nothing(clip):
    optim = VocoderOptimConfig(grad_clip_thresh=clip)
    state = VocoderTrainState(
        VocoderTrainConfig(VocoderRunConfig(), optim, LISTS, AudioConfig(), TINY), distributed.init(cuda=False)
    )
    made = []
    for value in (float("nan"), 1.0, float("inf"), 1.0):
        before = [parameter.detach().clone() for parameter in state.generator.parameters()]
        for parameter in state.generator.parameters():
            parameter.grad = torch.full_like(parameter, value)
        state.scaler_g.scale(torch.zeros(()))
        made.append(state.step_optimiser(state.optim_g, state.scaler_g).item())
        unchanged = all(map(torch.equal, before, state.generator.parameters()))
        assert unchanged == (made[-1] == 0)
    assert made == [0, 1, 0, 1]
    assert state.scaler_g.get_scale() == 1  # fp32 has no loss scale to reduce


@pytest.mark.slow
@pytest.mark.usefixtures("thin_discriminators")
def test_validation_loss_falls_on_real_speech(tmp_path):
    clips = [f"wavs/{clip}.flac\n" for clip in read_metadata(DEMO_DATA / "metadata.csv").texts]
    lists = {"training_files": tmp_path / "train.txt", "validation_files": tmp_path / "val.txt"}
    for path, part in zip(lists.values(), (clips[8:] * 4, clips[:8]), strict=True):
        path.write_text("".join(part))
    (tmp_path / "tiny.json").write_text(json.dumps({**TINY.to_dict(), "upsample_initial_channel": 64}))
    changes = {"hifigan_config": tmp_path / "tiny.json", "batch_size": 8, "learning_rate": 1e-3}
    argv = train_arguments(DEMO_DATA, tmp_path, **lists, **changes)
    assert train.main(argv) == 0
    lines = [json.loads(line[5:])["data"] for line in (tmp_path / "nvlog.json").read_text().splitlines()]
    before, after = [data["val_mel_loss"] for data in lines if "val_mel_loss" in data]
    assert after < 0.85 * before
