"""The training steps against published numbers; training as users run it: resumed, distributed, misused."""

import dataclasses
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch.utils.data import DataLoader

import train
from common import distributed
from common.audio import AudioConfig, MelSpectrogram
from common.cli import run as run_program
from common.errors import InputError
from common.mel_contract import MelContract, read_contract
from common.training.checkpoint_store import CheckpointStore
from common.training.log import RunLog
from common.training.sampling import MicroBatchSampler
from hifigan import Generator, discriminators, load_generator
from hifigan.config import GeneratorConfig
from hifigan.training.config import DataConfig, OptimConfig, RunConfig, TrainConfig, parse_train_config
from hifigan.training.state import CHECKPOINT_FILES, TrainState
from tests.support.data_sets import speechlike, write_data_set
from tests.support.models import TINY, thin_layers
from tests.support.paths import PARITY, REPOSITORY, real_speech
from tests.support.programs import train_arguments
from tests.support.weights import rule_weights

LISTS = DataConfig(training_files=("train.txt",), validation_files=("val.txt",))
LINE = re.compile(
    r"DLL \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6} - epoch +\d+ \| iter +\d+/\d+ "
    r"\| d loss +\d+\.\d{3} \| g loss +\d+\.\d{3} \| mel loss +\d+\.\d{3} \| +\d+\.\d\d frames/s \| took \d+\.\d\d s "
    r"\| g lr \d\.\d\de-\d\d \| d lr \d\.\d\de-\d\d"
)


@pytest.mark.slow
@pytest.mark.parametrize("fast", ["off", "on"])
@pytest.mark.parametrize("accumulation", [1, 2])
def test_training_steps_match_published_numbers(accumulation, fast):
    expected = np.load(PARITY / "train_steps.npz")
    audio = torch.from_numpy(expected["audio"])
    optim = OptimConfig(batch_size=2, grad_accumulation=accumulation)
    generator = GeneratorConfig(upsample_initial_channel=32)
    cfg = TrainConfig(RunConfig(fast=fast), optim, LISTS, AudioConfig(), generator)
    state = TrainState(cfg, distributed.init(cuda=False))
    for module in state.modules():
        module.load_state_dict(rule_weights(module.state_dict()))
    # Adam's first steps turn the sign of a gradient near zero into a full step: with fp32 rounding in the input mel two
    # biases differ by 1.2e-5 instead of 3e-7. So the input mel is computed in fp64 here.
    exact_mel = state.mel.double()
    losses = []
    for step in range(len(expected[f"accum{accumulation}/losses_disc_gen_mel"])):
        wavs = audio.split(2)[step * accumulation : (step + 1) * accumulation]
        batches = [(state.as_rows(wav.unsqueeze(1)), state.as_rows(exact_mel(wav).float())) for wav in wavs]
        d_loss, fake = train.discriminator_step(state, batches)
        losses.append([d_loss.item(), *(loss.item() for loss in train.generator_step(state, batches, fake))])
    np.testing.assert_allclose(losses, expected[f"accum{accumulation}/losses_disc_gen_mel"], rtol=1e-5)
    weights = state.generator.state_dict()
    norms = [weights[key].norm().item() for key in expected["generator_keys"]]
    np.testing.assert_allclose(norms, expected[f"accum{accumulation}/generator_norms"], rtol=1e-5)


@pytest.fixture(scope="module")
def data_set(tmp_path_factory):
    """Nine clips, one shorter than a segment and one exactly as long, seven of them for training."""
    return write_data_set(
        tmp_path_factory.mktemp("data") / "set", [0.5, 0.06, 2048 / 22050, 0.4, 0.3, 0.5, 0.4, 0.3, 0.4]
    )


@pytest.fixture
def thin_discriminators(monkeypatch):
    """For tests of the loop: steps and checkpoints of a fraction of the size."""
    for name, layer in thin_layers().items():
        monkeypatch.setattr(discriminators, name, layer)


def train_process(*args, **kwargs):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.Popen(
        [sys.executable, *args],
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **kwargs,
    )


def finished(process):
    stdout, stderr = process.communicate(timeout=500)
    return process.returncode, stdout, stderr


def weights(output, epoch):
    gen = torch.load(output / f"hifigan_gen_checkpoint_{epoch}.pt", weights_only=True)
    discrim = torch.load(output / f"hifigan_discrim_checkpoint_{epoch}.pt", weights_only=True)
    return {**gen["generator"], **discrim["mpd"], **{f"msd.{k}": v for k, v in discrim["msd"].items()}}, gen, discrim


def train_losses(output):
    records = [json.loads(line.removeprefix("DLLL ")) for line in (output / "nvlog.json").read_text().splitlines()]
    return [
        [record["data"][f"train_{name}"] for name in ("d_loss", "g_loss", "mel_loss")]
        for record in records
        if "train_d_loss" in record["data"]
    ]


@pytest.fixture(scope="module")
def undisturbed(data_set, tmp_path_factory):
    """Two epochs of three steps in one go, in a process of its own."""
    output = tmp_path_factory.mktemp("undisturbed")
    status, stdout, stderr = finished(
        train_process("train.py", *train_arguments(data_set, output, batch_size=2, epochs=2))
    )
    assert status == 0, stderr
    return output, stdout


@pytest.mark.slow
@pytest.mark.alone
def test_logs_and_checkpoints(undisturbed):
    output, stdout = undisturbed
    lines = [line for line in stdout.splitlines() if " | iter " in line]
    assert len(lines) == 6
    assert all(LINE.fullmatch(line) for line in lines), lines
    records = [json.loads(line.removeprefix("DLLL ")) for line in (output / "nvlog.json").read_text().splitlines()]
    assert records[0]["step"] == "PARAMETER"
    steps = [record for record in records if "train_d_loss" in record["data"]]
    assert [record["step"] for record in steps] == [[epoch, step, 3] for epoch in (1, 2) for step in (1, 2, 3)]
    first = steps[0]["data"]
    assert first["train_frames/s"] * first["train_took"] == pytest.approx(2 * 2048 / 256)  # frames, not mel bands
    assert steps[3]["data"]["train_lrate_gen"] == pytest.approx(3e-4 * 0.9998)
    averages = [record["data"] for record in records if "avg_train_mel_loss" in record["data"]]
    assert averages[0]["avg_train_mel_loss"] == pytest.approx(np.mean([r["data"]["train_mel_loss"] for r in steps[:3]]))
    assert [record["step"] for record in records if "val_mel_loss" in record["data"]] == [[0], [2]]
    assert {path.name for path in output.iterdir() if path.is_dir()} == {"train", "val", "test"}
    _, gen, discrim = weights(output, 2)
    assert gen["config"] == TINY.to_dict()
    assert gen["train_state"] == discrim["train_state"] == {"epoch": 2, "epoch_clips": 0, "steps": 6}
    assert {"segment_size", "max_wav_value", "seed", "base_lr", "lr_decay", "epochs_all", "mel_fmax_loss"} < set(
        gen["train_setup"]
    )


@pytest.mark.slow
@pytest.mark.alone
def test_stopped_in_mid_epoch_and_resumed_is_bit_for_bit_the_same(undisturbed, data_set, tmp_path):
    argv = train_arguments(data_set, tmp_path, batch_size=2, epochs=2, num_workers=2)
    process = train_process("train.py", *argv, start_new_session=True)
    for line in process.stdout:
        if "iter   1/3" in line:
            os.killpg(process.pid, signal.SIGTERM)  # the loader's processes too, as torchrun and Slurm do
            break
    status, stdout, stderr = finished(process)
    assert (status, stderr) == (128 + signal.SIGTERM, "")
    assert "stopped by signal 15" in stdout
    _, gen, _ = weights(tmp_path, 1)
    assert 0 < gen["train_state"]["steps"] < 3
    assert gen["train_state"]["epoch"] == 0
    status, stdout, stderr = finished(
        train_process("train.py", *train_arguments(data_set, tmp_path, batch_size=2, epochs=2))
    )
    assert status == 0, stderr
    ours, gen, discrim = weights(tmp_path, 2)
    theirs, _, other = weights(undisturbed[0], 2)
    assert all(torch.equal(value, theirs[key]) for key, value in ours.items())
    for name in ("optim_g", "optim_d"):
        for key, moments in discrim[name]["state"].items():
            assert all(torch.equal(value, other[name]["state"][key][what]) for what, value in moments.items())
    assert train_losses(tmp_path) == train_losses(undisturbed[0])


@pytest.mark.slow
@pytest.mark.alone
def test_training_is_the_same_for_all_shares_of_the_work(tmp_path):
    """1 x 8, 2 x 4 and 4 x 2 processes x accumulation; how the audio is read does not matter either."""
    folder = write_data_set(tmp_path / "set", [0.12] * 10)
    (folder / "val.txt").write_text("wavs/clip008.wav\n")
    runs = {
        1: {"grad_accumulation": 8},
        2: {"grad_accumulation": 4, "num_workers": 2},
        4: {"global_batch_size": 8, "dataset_cache": "ram"},
    }
    outputs = {}
    for processes, changes in runs.items():
        outputs[processes] = tmp_path / str(processes)
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
        argv = ["train.py", *train_arguments(folder, outputs[processes], epochs=2, validation_interval=2, **changes)]
        status, stdout, stderr = finished(train_process(*(launcher if processes > 1 else []), *argv))
        assert status == 0, stderr
        assert len([line for line in stdout.splitlines() if " | iter " in line]) == 2  # the main process's alone
    expected, expected_losses = weights(outputs[1], 2)[0], train_losses(outputs[1])
    for processes in (2, 4):
        np.testing.assert_allclose(train_losses(outputs[processes]), expected_losses, rtol=1e-4)
        for key, value in weights(outputs[processes], 2)[0].items():
            # Where rounding moves a signal over the kink of a leaky ReLU, a gradient changes by 1e-4, and the vectors
            # of spectral norm (unit vectors, not trained) by more than the weights; a missed iteration is 0.02.
            is_vector = "msd.discriminators.0" in key and key.endswith(("weight_u", "weight_v"))
            tolerance = 1e-3 if is_vector else 1e-4
            assert (value - expected[key]).norm() <= tolerance * expected[key].norm() + 1e-12, (processes, key)


@pytest.mark.slow
@pytest.mark.alone
def test_processes_under_torchrun_are_stopped_together(data_set, tmp_path):
    argv = train_arguments(data_set, tmp_path, epochs=2)
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    process = train_process(*launcher, "train.py", *argv)
    for line in process.stdout:
        if "iter   1/3" in line:
            process.terminate()  # torchrun alone, which passes the signal on
            break
    _, stdout, stderr = finished(process)
    assert "stopped by signal 15" in stdout, stderr
    _, gen, _ = weights(tmp_path, 1)
    assert 0 < gen["train_state"]["steps"] <= 3  # the processes agree one step later
    # One process goes on with the same global batch.
    argv = train_arguments(data_set, tmp_path, epochs=2, global_batch_size=2)
    status, _, stderr = finished(train_process("train.py", *argv))
    assert (status, stderr) == (0, "")
    assert weights(tmp_path, 2)[1]["train_state"] == {"epoch": 2, "epoch_clips": 0, "steps": 6}
    assert len(train_losses(tmp_path)) == 6


@pytest.mark.slow
@pytest.mark.alone
def test_a_signal_during_validation_saves_and_the_validation_is_made_up_for(
    undisturbed, one_thread, data_set, tmp_path, monkeypatch, capsys
):
    whole_batch, validated = train.to_batch, []

    def interrupted(segments, state):
        if not state.generator.training:
            validated.append(state.steps)
            if validated.count(6) == 2:
                os.kill(os.getpid(), signal.SIGTERM)
        return whole_batch(segments, state)

    monkeypatch.setattr(train, "to_batch", interrupted)
    argv = train_arguments(data_set, tmp_path, batch_size=2, epochs=2)
    assert train.main(argv) == 128 + signal.SIGTERM
    assert "stopped by signal 15" in capsys.readouterr().out
    assert validated.count(6) == 2  # no further batch
    assert weights(tmp_path, 2)[1]["train_state"] == {"epoch": 1, "epoch_clips": 6, "steps": 6}
    monkeypatch.setattr(train, "to_batch", whole_batch)
    assert train.main(argv) == 0
    ours, gen, _ = weights(tmp_path, 2)
    assert gen["train_state"] == {"epoch": 2, "epoch_clips": 0, "steps": 6}
    theirs = weights(undisturbed[0], 2)[0]
    for key, value in ours.items():
        assert (value - theirs[key]).norm() <= 1e-4 * theirs[key].norm() + 1e-12, key
    records = [json.loads(line[5:]) for line in (tmp_path / "nvlog.json").read_text().splitlines()]
    assert [record["step"] for record in records if "val_mel_loss" in record["data"]] == [[0], [2]]


# On a GPU some kernels add in an order of their own, so that even two equal runs differ in the last digits.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("dtype", "cuda", "tolerance"),
    [
        ("bf16", False, 0.0),
        pytest.param("bf16", True, 1e-3, marks=pytest.mark.gpu),
        pytest.param("fp16", True, 1e-3, marks=pytest.mark.gpu),  # on CPUs a step in fp16 takes minutes
    ],
)
@pytest.mark.usefixtures("thin_discriminators")
def test_mixed_precision_resumes(dtype, cuda, tolerance, own_copy, tmp_path):
    """With a moving average, with one call for real and fake, and with cached clips."""
    (own_copy / "train.txt").write_text("wavs/clip000.wav\nwavs/clip003.wav\n")
    options = {"batch_size": 2, "amp": True, "amp_dtype": dtype, "ema": 0.9, "concat_fwd": True}
    options |= {"cuda": True, "dataset_cache": "device"} if cuda else {"dataset_cache": "ram"}
    argv = {name: train_arguments(own_copy, tmp_path / name, epochs=2, **options) for name in ("whole", "parts")}
    assert train.main(argv["whole"]) == 0
    for _ in range(2):
        assert train.main([*argv["parts"], "--epochs-this-job", "1"]) == 0
    ours, theirs = (weights(tmp_path / name, 2) for name in ("parts", "whole"))
    for (key, value), other in zip(
        [*ours[0].items(), *ours[1]["gen_ema"].items()],
        [*theirs[0].values(), *theirs[1]["gen_ema"].values()],
        strict=True,
    ):
        assert (value - other).norm() <= tolerance * other.norm(), key
    assert (ours[2]["scaler_g"], ours[2]["scaler_d"]) == (theirs[2]["scaler_g"], theirs[2]["scaler_d"])


def test_loss_scales_are_saved_and_restored(data_set, tmp_path):
    cfg = parse_train_config(train_arguments(data_set, tmp_path, amp=True, amp_dtype="fp16"))
    store = CheckpointStore(tmp_path, CHECKPOINT_FILES)
    states = [TrainState(cfg, distributed.init(cuda=False)) for _ in range(2)]
    for scaler, scale in ((states[0].scaler_g, 512.0), (states[0].scaler_d, 64.0)):
        scaler.scale(torch.zeros(()))
        scaler.update(scale)
    states[0].end_epoch()
    states[0].save(store)
    assert states[1].resume(store)
    assert (states[1].scaler_g.get_scale(), states[1].scaler_d.get_scale()) == (512.0, 64.0)
    assert states[1].epoch == 1


def one_discriminator_step(**changes):
    """Loss of a second discriminator step, and the weights after both, from a state made by rule."""
    cfg = TrainConfig(RunConfig(**changes), OptimConfig(), LISTS, AudioConfig(), TINY)
    state = TrainState(cfg, distributed.init(cuda=False))
    wav = torch.from_numpy(np.stack([speechlike(0.2, seed=i)[:2048] for i in range(2)])).float()
    for _ in range(2):
        loss, _ = train.discriminator_step(state, [train.to_batch([wav], state)])
    return loss.item(), {
        **state.mpd.state_dict(),
        **{f"msd.{key}": value for key, value in state.msd.state_dict().items()},
    }


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
    """Losses over steps in fp32, with a generator that has every kind of layer."""
    courses = {}
    generator = GeneratorConfig(upsample_initial_channel=32)
    wavs = torch.from_numpy(np.stack([speechlike(0.4, seed=i)[:4096] for i in range(6)])).float()
    for fast in ("off", "on"):
        optim = OptimConfig(batch_size=2, grad_accumulation=accumulation)
        cfg = TrainConfig(RunConfig(fast=fast, cuda=cuda), optim, LISTS, AudioConfig(), generator)
        state = TrainState(cfg, distributed.init(cuda))
        assert state.fast == (fast == "on")
        courses[fast] = []
        for step in range(3):
            batches = [train.to_batch([wavs[2 * (step + i) % 6 :][:2]], state) for i in range(accumulation)]
            d_loss, fake = train.discriminator_step(state, batches)
            losses = d_loss, *train.generator_step(state, batches, fake)
            courses[fast].append([loss.item() for loss in losses])
    np.testing.assert_allclose(courses["on"], courses["off"], rtol=1e-3)
    assert courses["on"] != courses["off"], "the same formulations"


@pytest.mark.slow
@pytest.mark.usefixtures("thin_discriminators")
def test_losses_of_fast_and_plain_agree_over_fifty_steps():
    """In fp32, to 1e-3; with thin discriminators, whose formulations are the same."""
    wavs = torch.from_numpy(np.stack([speechlike(0.2, seed=i)[:1024] for i in range(16)])).float()
    courses = {}
    for fast in ("off", "on"):
        state = TrainState(
            TrainConfig(RunConfig(fast=fast), OptimConfig(batch_size=1), LISTS, AudioConfig(), TINY),
            distributed.init(cuda=False),
        )
        courses[fast] = []
        for state.steps in range(50):
            state.set_learning_rate()
            *losses, _ = train.both_steps(state, [[wavs[state.steps % 16][None]]])
            courses[fast].append([loss.item() for loss in losses])
    np.testing.assert_allclose(courses["on"], courses["off"], rtol=1e-3)
    assert courses["on"][-1][2] < 0.5 * courses["on"][0][2], "nothing is learned"
    assert courses["on"] != courses["off"], "the same formulations"


def test_the_plain_recipe_is_plain():
    """Separate calls, PyTorch's own convolutions and a weight norm for each; by default one for all calls of a step."""
    computed = {}
    for fast in ("off", "on"):
        cfg = TrainConfig(RunConfig(fast=fast), OptimConfig(), LISTS, AudioConfig(), TINY)
        state = TrainState(cfg, distributed.init(cuda=False))
        wav = torch.from_numpy(speechlike(0.2)[:2048]).float()[None]
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            batches = [train.to_batch([wav], state)]
            _, fake = train.discriminator_step(state, batches)
            train.generator_step(state, batches, fake)
        counts = {event.key: event.count for event in profile.key_averages()}
        computed[fast] = counts["aten::_weight_norm_interface"], counts.get("_ColumnConvolution", 0)
    generator_layers = sum(name.endswith("weight_g") for name in state.generator.state_dict())
    judge_layers = sum(name.endswith("weight_g") for judge in (state.mpd, state.msd) for name in judge.state_dict())
    assert computed["off"] == (generator_layers + 4 * judge_layers, 0)
    assert computed["on"][0] == generator_layers + 2 * judge_layers
    assert computed["on"][1] > 0


def run_main(argv, capsys):
    """Exit status and stderr of the program."""
    with pytest.raises(SystemExit) as stopped:
        run_program(lambda: train.main(argv), "train.py")
    return stopped.value.code, capsys.readouterr().err.strip()


@pytest.fixture
def own_copy(data_set, tmp_path):
    return Path(shutil.copytree(data_set, tmp_path / "set"))


def damage(path, kind):
    wav = speechlike(0.4)
    if kind == "missing":
        path.unlink()
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "no samples":
        soundfile.write(path, wav[:0], 22050)
    elif kind == "text":
        path.write_text("no audio")
    elif kind == "not finite":
        soundfile.write(path, np.append(wav, np.nan), 22050, subtype="FLOAT")
    elif kind == "rate":
        soundfile.write(path, wav, 16000)


@pytest.mark.parametrize("kind", ["missing", "empty", "no samples", "text", "rate", "not finite"])
def test_bad_audio_is_named_before_training(kind, own_copy, tmp_path, capsys):
    damage(own_copy / "wavs" / "clip003.wav", kind)
    status, message = run_main(train_arguments(own_copy, tmp_path / "out"), capsys)
    assert status == 1
    assert len(message.splitlines()) == 1
    assert "clip003.wav" in message
    assert "1 of 9 audio files cannot be used" in message
    assert not list((tmp_path / "out").glob("*.pt"))


@pytest.mark.parametrize(("change", "words"), [
    ({"segment_size": 2000}, "--segment-size: 2000 is not a multiple of the hop length 256"),
    ({"hop_length": 512}, "--hop-length: 512, but the upsampling rates"),
    ({"batch_size": 0}, "--batch-size: 0 is not above 0"),
    ({"batch_size": 8}, "--batch-size: one optimiser step takes 8 clips"),
    ({"learning_rate": "-1"}, "--learning-rate: -1.0 is not above 0"),
    ({"mel_fmax": 12000}, "half the sampling rate"),
    ({"cuda": True}, "--cuda: PyTorch finds no GPU"),
    ({"training_files": "nowhere.txt"}, "nowhere.txt: no such file list"),
    ({"hifigan_config": "nowhere.json"}, "nowhere.json: no such configuration file"),
    ({"checkpoint_path_gen": "nowhere.pt"}, "nowhere.pt: no such checkpoint"),
    ({"checkpoint_path_discrim": "nowhere.pt"}, "needs --checkpoint-path-gen"),
    ({"adam_beta1": 2}, "--adam-beta1: 2.0 is not between 0 and 1"),
    ({"weight_decay": -1}, "--weight-decay: -1.0 is below 0"),
    ({"learning_rate": "inf"}, "--learning-rate: inf is not above 0"),
    ({"seed": 10**20}, "--seed: 100000000000000000000 is not between 0 and 2^63"),
    ({"ema": 1.5}, "--ema: 1.5 is not between 0 and 1"),
    ({"warmup_steps": -1}, "--warmup-steps: -1 is below 0"),
    ({"no_amp_grouped_conv": True}, "--no-amp-grouped-conv: has no effect without --amp"),
    ({"amp_dtype": "bf16"}, "--amp-dtype: has no effect without --amp"),
    ({"global_batch_size": 3, "batch_size": 2}, "--global-batch-size: 3 is not a multiple of --batch-size 2 x 1 proc"),
    ({"global_batch_size": 4, "grad_accumulation": 2}, "--global-batch-size: sets --grad-accumulation"),
    ({"fine_tune_lr_factor": 3}, "--fine-tune-lr-factor: has no effect without --input-mels-dir"),
    ({"input_mels_framing": "vocoder"}, "--input-mels-framing: has no effect without --input-mels-dir"),
    ({"input_mels_dir": "mels"}, "--input-mels-dir: fine-tuning starts from a trained generator"),
])  # fmt: skip
def test_impossible_settings(change, words, data_set, tmp_path, capsys):
    if "cuda" in change and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    status, message = run_main(train_arguments(data_set, tmp_path / "out", **change), capsys)
    assert status == 1
    assert len(message.splitlines()) == 1
    assert words in message


@pytest.mark.parametrize(
    "argv", [["--no-such-flag"], ["--epochs", "many"], ["--epo", "3"], ["--dataset-cache", "disk"]]
)
def test_unknown_flags_are_errors(argv, capsys):
    status, message = run_main(argv, capsys)
    assert status == 2
    assert len(message.splitlines()) == 1
    assert argv[0] in message


def test_flags_take_dashes_and_underscores(data_set, tmp_path):
    argv = train_arguments(data_set, tmp_path, learning_rate=1e-3)
    dashed = parse_train_config(argv)
    underscored = ["--" + word[2:].replace("-", "_") if word.startswith("--") else word for word in argv]
    assert underscored != argv
    assert parse_train_config(underscored) == dashed
    assert dashed.optim.learning_rate == 1e-3


@pytest.mark.slow
@pytest.mark.usefixtures("thin_discriminators")
def test_every_usable_kind_of_audio_trains(tmp_path):
    """Stereo, float, 24 bit, silent, shorter than a segment, exactly a segment."""
    folder = write_data_set(tmp_path / "set", [0.4] * 3)
    wav = speechlike(0.4)
    kinds = {
        "stereo": (np.stack([wav, wav], 1), "PCM_16"), "float": (wav, "FLOAT"), "24bit": (wav, "PCM_24"),
        "silent": (wav * 0, "PCM_16"), "short": (wav[:900], "PCM_16"), "segment": (wav[:2048], "PCM_16"),
    }  # fmt: skip
    for name, (samples, subtype) in kinds.items():
        soundfile.write(folder / "wavs" / f"{name}.wav", samples, 22050, subtype=subtype)
    (folder / "train.txt").write_text("".join(f"wavs/{name}.wav\n" for name in kinds))
    out = tmp_path / "out"
    assert train.main(train_arguments(folder, out, batch_size=2, amp=True)) == 0
    assert np.isfinite(train_losses(out)).all()


@pytest.mark.slow
@pytest.mark.alone
def test_another_run_is_not_continued_by_accident(data_set, own_copy, undisturbed, tmp_path, capsys):
    output = Path(shutil.copytree(undisturbed[0], tmp_path / "run"))
    before = {path.name: path.stat().st_mtime_ns for path in output.iterdir()}
    status, message = run_main(train_arguments(data_set, output, batch_size=2, learning_rate=1e-3), capsys)
    assert status == 1
    assert "base_lr was 0.0003, now 0.001" in message
    (own_copy / "train.txt").write_text("wavs/clip000.wav\nwavs/clip001.wav\n")
    status, message = run_main(train_arguments(own_copy, output, batch_size=2, weight_decay=0.5), capsys)
    assert status == 1
    assert "weight_decay was 0.01, now 0.5" in message
    assert re.search(r"training_clips was 7 clips, \w{12}, now 2 clips, \w{12}", message)
    status, message = run_main([*train_arguments(data_set, output, batch_size=2), "--no-resume"], capsys)
    assert status == 1
    assert "holds checkpoints" in message
    assert {path.name: path.stat().st_mtime_ns for path in output.iterdir()} == before


def test_an_epoch_without_a_further_step_is_finished(tmp_path):
    """Stopped after 6 of 7 clips, resumed with a global batch of 4: no second step of the epoch is left."""
    cfg = TrainConfig(RunConfig(), OptimConfig(batch_size=4), LISTS, AudioConfig(), TINY)
    state = TrainState(cfg, distributed.init(cuda=False))
    state.epoch, state.epoch_clips, state.steps = 2, 6, 20
    sampler = MicroBatchSampler(7, 4, 1, 0, 1, 1)
    store = CheckpointStore(tmp_path, CHECKPOINT_FILES)
    loop = train.VocoderLoop(state, store, sampler, None, DataLoader([]), DataLoader([]))
    log = RunLog(tmp_path, enabled=False)
    assert loop.train_epoch(log)
    assert loop.finish_epoch(log, is_last=False)
    assert (state.epoch, state.epoch_clips, state.steps) == (3, 0, 20)


@pytest.mark.slow
@pytest.mark.alone
def test_lost_audio_ends_training_in_one_line(own_copy, tmp_path):
    """With loader processes, which must not keep the program from ending."""
    argv = train_arguments(own_copy, tmp_path / "out", epochs=50, num_workers=2, checkpoint_interval=50)
    process = train_process("train.py", *argv)
    for line in process.stdout:
        if "iter   1/" in line:
            (own_copy / "wavs" / "clip003.wav").unlink()
            break
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert stderr.startswith("train.py: error: ")
    assert "clip003.wav" in stderr
    assert len(stderr.splitlines()) == 1


def saved_state(data_set, output, **changes):
    """A new run's first pair in `output`; its state and configuration."""
    cfg = parse_train_config(train_arguments(data_set, output, **changes))
    state = TrainState(cfg, distributed.init(cuda=False), "clips")
    state.start_ema()
    state.end_epoch()
    state.save(CheckpointStore(output, CHECKPOINT_FILES))
    return state, cfg


def test_a_moving_average_is_not_lost_by_accident(data_set, tmp_path):
    saved_state(data_set, tmp_path, ema=0.9)
    cfg = parse_train_config(train_arguments(data_set, tmp_path))
    with pytest.raises(InputError, match=r"--ema: the moving average in .* would be lost"):
        TrainState(cfg, distributed.init(cuda=False), "clips").resume(CheckpointStore(tmp_path, CHECKPOINT_FILES))


def test_while_steps_are_left_out_no_pair_is_deleted(data_set, tmp_path):
    state, _ = saved_state(data_set, tmp_path)
    state.meter.left_out_in_a_row = 5
    for _ in range(3):
        state.end_epoch()
        state.save(CheckpointStore(tmp_path, CHECKPOINT_FILES))
    assert CheckpointStore(tmp_path, CHECKPOINT_FILES).epochs() == [1, 2, 3, 4]
    state.meter.left_out_in_a_row = 0
    state.end_epoch()
    state.save(CheckpointStore(tmp_path, CHECKPOINT_FILES))
    assert CheckpointStore(tmp_path, CHECKPOINT_FILES).epochs() == [4, 5]


def test_another_base_model_is_another_run(data_set, tmp_path):
    torch.save({"generator": Generator(TINY).state_dict(), "config": TINY.to_dict()}, tmp_path / "base.pt")
    saved_state(data_set, tmp_path / "out")
    argv = train_arguments(data_set, tmp_path / "out", checkpoint_path_gen=tmp_path / "base.pt")
    cfg = parse_train_config(argv)
    with pytest.raises(InputError, match="base_model was None, now"):
        TrainState(cfg, distributed.init(cuda=False), "clips").resume(
            CheckpointStore(tmp_path / "out", CHECKPOINT_FILES)
        )


@pytest.mark.parametrize("resume", ["--resume", "--no-resume"])
def test_a_file_of_somebody_else_is_not_overwritten(resume, data_set, tmp_path):
    (tmp_path / "hifigan_gen_checkpoint_1.pt").write_bytes(b"somebody's")
    cfg = parse_train_config([*train_arguments(data_set, tmp_path), resume])
    with pytest.raises(InputError, match=r"holds (a checkpoint file without its other half|checkpoints)"):
        TrainState(cfg, distributed.init(cuda=False)).resume(CheckpointStore(tmp_path, CHECKPOINT_FILES))


def test_fine_tuning_beyond_the_last_epoch_is_refused(data_set, tmp_path):
    base = tmp_path / "base.pt"
    torch.save(
        {"generator": Generator(TINY).state_dict(), "config": TINY.to_dict(), "train_state": {"epoch": 6500}}, base
    )
    cfg = parse_train_config(train_arguments(data_set, tmp_path, checkpoint_path_gen=base, input_mels_dir=tmp_path))
    with pytest.raises(InputError, match="--epochs: 1, but fine-tuning counts on from the base model's 6500"):
        TrainState(cfg, distributed.init(cuda=False)).load_base()


def test_a_pair_of_another_program_is_named(data_set, tmp_path, capsys):
    for kind in ("gen", "discrim"):
        torch.save({"mpd": {}, "train_state": None}, tmp_path / f"hifigan_{kind}_checkpoint_5.pt")
    status, message = run_main(train_arguments(data_set, tmp_path), capsys)
    assert status == 1
    assert "hifigan_discrim_checkpoint_5.pt: not written by this program, it lacks clips_per_step, identity" in message
    assert len(message.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.usefixtures("thin_discriminators")
def test_a_damaged_newest_pair_falls_back_to_the_one_before(own_copy, tmp_path, caplog):
    (own_copy / "train.txt").write_text("\nwavs/clip000.wav\n\n")  # blank lines are no files
    output = tmp_path / "out"
    argv = train_arguments(own_copy, output, checkpoint_interval=1, epochs=2)
    assert train.main(argv) == 0
    expected = weights(output, 2)[0]
    newest = output / "hifigan_discrim_checkpoint_2.pt"
    newest.write_bytes(newest.read_bytes()[:1000])
    assert train.main(argv) == 0
    assert "trying the checkpoint before it" in caplog.text
    assert all(torch.equal(value, expected[key]) for key, value in weights(output, 2)[0].items())


@pytest.mark.slow
@pytest.mark.usefixtures("thin_discriminators")
def test_checkpoints_that_do_not_say_framing_and_logarithm_are_continued(own_copy, tmp_path, capsys):
    (own_copy / "train.txt").write_text("wavs/clip000.wav\n")
    output = tmp_path / "out"
    argv = train_arguments(own_copy, output)
    assert train.main(argv) == 0

    def rewrite(**changes):
        for path in output.glob("hifigan_*_checkpoint_1.pt"):
            content = torch.load(path, weights_only=True)
            setup = {key: value for key, value in content["train_setup"].items() if key not in ("framing", "log_base")}
            torch.save({**content, "train_setup": {**setup, **changes}}, path)

    assert weights(output, 1)[1]["train_setup"]["log_base"] == "ln"
    rewrite(framing="tacotron")
    status, message = run_main([*argv, "--epochs", "2"], capsys)
    assert status == 1
    assert "framing was tacotron, now vocoder" in message
    rewrite()
    assert train.main([*argv, "--epochs", "2"]) == 0
    assert weights(output, 2)[1]["train_setup"]["framing"] == "vocoder"


@pytest.mark.slow
@pytest.mark.usefixtures("thin_discriminators")
def test_moving_average_is_kept_restored_validated_and_usable(own_copy, tmp_path):
    (own_copy / "train.txt").write_text("wavs/clip000.wav\nwavs/clip003.wav\n")
    output = tmp_path / "out"
    argv = train_arguments(own_copy, output, ema=0.5, warmup_steps=3, grad_clip_thresh=1e-3, benchmark_epochs_num=1)
    assert train.main(argv) == 0
    first = torch.load(output / "hifigan_gen_checkpoint_1.pt", weights_only=True)
    assert train.main([*argv, "--epochs", "2"]) == 0
    second = torch.load(output / "hifigan_gen_checkpoint_2.pt", weights_only=True)
    initial = TrainState(parse_train_config(argv), distributed.init(cuda=False)).generator.state_dict()
    for key, average in first["gen_ema"].items():
        assert (average != first["generator"][key]).any(), key
        # Two steps from the initial weights, with decay 1/2: a quarter of these remains.
        others = (average - 0.25 * initial[key]) / 0.75
        assert (others - first["generator"][key]).abs().max() < 1e-2
    assert any((second["gen_ema"][key] != second["generator"][key]).any() for key in second["gen_ema"])
    records = [json.loads(line[5:])["data"] for line in (output / "nvlog.json").read_text().splitlines()]
    assert [r["train_lrate_gen"] for r in records if "train_lrate_gen" in r] == pytest.approx(
        [1e-4, 2e-4, 3e-4 * 0.9998, 3e-4 * 0.9998]
    )
    measured = [r["train_benchmark_frames/s"] for r in records if "train_benchmark_frames/s" in r]
    assert measured == [r["avg_train_frames/s"] for r in records if "avg_train_frames/s" in r]
    validated = [r for r in records if "val_ema_mel_loss" in r]
    assert len(validated) == 3
    assert validated[0]["val_ema_mel_loss"] == validated[0]["val_mel_loss"] != validated[-1]["val_mel_loss"]
    averaged, _ = load_generator(output / "hifigan_gen_checkpoint_2.pt", ema=True)
    expected = Generator(TINY)
    expected.load_state_dict(second["gen_ema"])
    expected.remove_weight_norm()
    assert all(torch.equal(value, averaged.state_dict()[key]) for key, value in expected.state_dict().items())


@pytest.mark.slow
@pytest.mark.usefixtures("thin_discriminators")
def test_steps_with_losses_that_are_not_finite_are_left_out(own_copy, tmp_path, monkeypatch, capsys):
    (own_copy / "train.txt").write_text("".join(f"wavs/clip{i:03d}.wav\n" for i in (0, 3, 4, 5)))
    output = tmp_path / "out"
    whole_batch, seen = train.to_batch, []

    def sometimes_broken(segments, state):
        """Notes the weights before each training step; NaN in four of them."""
        real, mel = whole_batch(segments, state)
        if not state.generator.training:
            return real, mel
        modules = (state.generator, state.msd, state.ema.module)
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
    optim = OptimConfig(grad_clip_thresh=0.5)
    state = TrainState(TrainConfig(RunConfig(), optim, LISTS, AudioConfig(), TINY), distributed.init(cuda=False))
    for parameter in state.generator.parameters():
        parameter.grad = torch.ones_like(parameter)
    state.scaler_g.scale(torch.zeros(()))  # as a backward pass does first
    assert state.step_optimiser(state.optim_g, state.scaler_g) == 1
    norm = torch.stack([parameter.grad.norm() for parameter in state.generator.parameters()]).norm()
    assert norm.item() == pytest.approx(0.5, rel=1e-4)


@pytest.mark.parametrize("clip", [0.0, 0.5])
def test_a_step_that_is_left_out_says_so_and_changes_nothing(clip):
    optim = OptimConfig(grad_clip_thresh=clip)
    state = TrainState(TrainConfig(RunConfig(), optim, LISTS, AudioConfig(), TINY), distributed.init(cuda=False))
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
    assert state.scaler_g.get_scale() == 1  # in fp32 nothing is scaled, however many steps were left out


@pytest.mark.slow
@pytest.mark.alone
def test_starting_from_given_weights(data_set, undisturbed, tmp_path):
    base = [undisturbed[0] / f"hifigan_{kind}_checkpoint_2.pt" for kind in ("gen", "discrim")]
    argv = train_arguments(data_set, tmp_path, checkpoint_path_gen=base[0], checkpoint_path_discrim=base[1])
    cfg = parse_train_config(argv)
    state = TrainState(cfg, distributed.init(cuda=False))
    state.load_base()
    saved, _, _ = weights(undisturbed[0], 2)
    loaded = {
        **state.generator.state_dict(),
        **state.mpd.state_dict(),
        **{f"msd.{k}": v for k, v in state.msd.state_dict().items()},
    }
    assert all(torch.equal(value, saved[key]) for key, value in loaded.items())
    with pytest.raises(InputError, match=r"--num-mels: 40 contradicts .*checkpoint_2\.pt, which has 80"):
        parse_train_config([*argv, "--num-mels", "40"])


@pytest.mark.slow
@pytest.mark.alone
def test_fine_tuning_goes_on_from_the_base_model(data_set, undisturbed, tmp_path, capsys, monkeypatch):
    base = undisturbed[0] / "hifigan_gen_checkpoint_2.pt"
    mels = tmp_path / "mels"
    mels.mkdir()
    transform = MelSpectrogram(AudioConfig(framing="tacotron"))
    for path in sorted((data_set / "wavs").iterdir()):
        wav, _ = soundfile.read(path, dtype="float32")
        np.save(mels / f"{path.stem}.npy", transform(torch.from_numpy(wav)[None])[0].numpy())
    options = {
        "input_mels_dir": mels,
        "checkpoint_path_gen": base,
        "fine_tune_lr_factor": 3,
        "batch_size": 2,
        "epochs": 3,
    }
    status, message = run_main(train_arguments(data_set, undisturbed[0], **options), capsys)
    assert status == 1
    assert "holds another run's checkpoints" in message
    assert "fine_tuning was False, now True" in message
    output = tmp_path / "tuned"
    assert train.main(train_arguments(data_set, output, dataset_cache="device", samples_interval=1, **options)) == 0
    records = [json.loads(line[5:]) for line in (output / "nvlog.json").read_text().splitlines()]
    steps = [record for record in records if "train_mel_loss" in record["data"]]
    assert [record["step"] for record in steps] == [[3, step, 3] for step in (1, 2, 3)]
    assert steps[0]["data"]["train_lrate_gen"] == pytest.approx(3 * 3e-4 * 0.9998**2)
    assert [record["step"] for record in records if "val_mel_loss" in record["data"]] == [[2], [3]]
    assert read_contract(output / "hifigan_gen_checkpoint_3.pt") == MelContract(
        AudioConfig(), origin=str(output / "hifigan_gen_checkpoint_3.pt")
    )
    built = []

    def build(cfg, *_):
        built.append(cfg)
        raise InputError("enough")

    monkeypatch.setattr(train, "TrainState", build)
    with pytest.raises(InputError, match="enough"):
        train.main(train_arguments(data_set, tmp_path / "other", input_mels_framing="vocoder", **options))
    assert built[0].train_setup()["framing"] == "tacotron"
    monkeypatch.undo()
    (mels / "clip003.npy").unlink()
    status, message = run_main(train_arguments(data_set, tmp_path / "other", **options), capsys)
    assert status == 1
    assert "clip003.npy: no such mel (1 of 7 are missing)" in message
    (mels / "audio_config.json").write_text(json.dumps({**dataclasses.asdict(AudioConfig()), "mel_fmax": 7600}))
    (mels / "clip003.npy").write_bytes((mels / "clip004.npy").read_bytes())
    status, message = run_main(train_arguments(data_set, tmp_path / "other", **options), capsys)
    assert status == 1
    assert "mel_fmax 7600 instead of 8000" in message


@pytest.mark.slow
def test_validation_loss_falls_on_real_speech(tmp_path):
    if real_speech() is None:
        pytest.skip("HIFIGAN_TEST_DATA is not set")
    mini = real_speech() / "data" / "ljspeech-mini"
    (tmp_path / "tiny.json").write_text(json.dumps({**TINY.to_dict(), "upsample_initial_channel": 64}))
    argv = train_arguments(mini, tmp_path, hifigan_config=tmp_path / "tiny.json", batch_size=8, learning_rate=1e-3)
    assert train.main(argv) == 0
    lines = [json.loads(line[5:])["data"] for line in (tmp_path / "nvlog.json").read_text().splitlines()]
    before, after = [data["val_mel_loss"] for data in lines if "val_mel_loss" in data]
    assert after < 0.85 * before
