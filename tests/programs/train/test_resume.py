"""Training that stops and resumes."""

import json
import os
import signal

import pytest
import torch
from torch.utils.data import DataLoader

import train
from common import distributed
from common.audio import AudioConfig
from common.training.checkpoint_store import CheckpointStore
from common.training.log import RunLog
from common.training.sampling import MicroBatchSampler
from hifigan.convolutions.passes import CONVOLUTION, PRODUCTS, Ways
from hifigan.training import step_computation
from hifigan.training.flags import VocoderOptimConfig, VocoderRunConfig, VocoderTrainConfig, parse_train_config
from hifigan.training.state import CHECKPOINT_FILES, VocoderTrainState
from tests.support.data_sets import write_data_set
from tests.support.models import TINY
from tests.support.programs import train_arguments
from tests.support.training import LISTS, THIN, finished, run_main, saved_state, train_losses, train_process, weights


@pytest.mark.slow
def test_stopped_in_mid_epoch_and_resumed_is_bit_for_bit_the_same(undisturbed, data_set, tmp_path):
    argv = train_arguments(data_set, tmp_path, batch_size=2, epochs=2, num_workers=2)
    process = train_process(*THIN, *argv, start_new_session=True, variables={"STOP_AFTER_STEP": "1"})
    status, stdout, stderr = finished(process)
    assert (status, stderr) == (128 + signal.SIGTERM, "")
    assert "stopped by signal 15" in stdout
    _, gen, _ = weights(tmp_path, 1)
    assert 0 < gen["train_state"]["steps"] < 3
    assert gen["train_state"]["epoch"] == 0
    status, stdout, stderr = finished(
        train_process(*THIN, *train_arguments(data_set, tmp_path, batch_size=2, epochs=2))
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
def test_resumed_with_discriminators_of_full_size_is_bit_for_bit_the_same(one_thread, tmp_path):
    """Large weights take computations of their own, which thin discriminators do not reach."""
    data_set = write_data_set(tmp_path / "set", [0.3] * 3)  # one step an epoch

    def trained(name, *jobs):
        for changes in jobs:
            assert train.main(train_arguments(data_set, tmp_path / name, epochs=2, **changes)) == 0
        return weights(tmp_path / name, 2)[0]

    whole = trained("whole", {})
    resumed = trained("resumed", {"epochs_this_job": 1}, {})
    assert resumed.keys() == whole.keys()
    assert all(torch.equal(value, whole[key]) for key, value in resumed.items())


@pytest.mark.slow
@pytest.mark.usefixtures("thin_discriminators")
def test_resumed_in_bf16_keeps_the_ways_that_were_measured(one_thread, tmp_path, monkeypatch):
    """The second start would choose otherwise, and round otherwise."""
    data_set = write_data_set(tmp_path / "set", [0.3] * 3)
    ways = Ways(PRODUCTS, PRODUCTS, PRODUCTS)
    monkeypatch.setattr("hifigan.convolutions.choices.MIN_FLOP", 0)
    monkeypatch.setattr(step_computation, "choose", lambda cases: dict.fromkeys(cases, ways))

    def trained(name, **changes):
        assert train.main(train_arguments(data_set, tmp_path / name, amp=True, amp_dtype="bf16", **changes)) == 0

    trained("whole", epochs=2)
    trained("resumed", epochs=2, epochs_this_job=1)
    ways = Ways(CONVOLUTION, CONVOLUTION, CONVOLUTION)
    trained("resumed", epochs=2)
    trained("other", epochs=2)
    whole, resumed, other = (weights(tmp_path / name, 2)[0] for name in ("whole", "resumed", "other"))
    assert all(torch.equal(value, whole[key]) for key, value in resumed.items())
    assert any(not torch.equal(value, whole[key]) for key, value in other.items())


@pytest.mark.slow
@pytest.mark.usefixtures("thin_discriminators")
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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dtype", "cuda"),
    [
        ("bf16", False),
        pytest.param("bf16", True, marks=pytest.mark.gpu),
        pytest.param("fp16", True, marks=pytest.mark.gpu),  # on CPUs a step in fp16 takes minutes
    ],
)
@pytest.mark.usefixtures("thin_discriminators")
def test_mixed_precision_resumes(dtype, cuda, own_copy, tmp_path):
    """With a moving average, with one call for real and fake, and with cached clips.

    On a GPU some kernels add in a varying order, and AdamW enlarges the differences of small gradients. So two equal
    runs differ there, and a resumed one may differ three times as much.
    """
    (own_copy / "train.txt").write_text("wavs/clip000.wav\nwavs/clip003.wav\n")
    options = {"batch_size": 2, "amp": True, "amp_dtype": dtype, "ema": 0.9, "concat_fwd": True}
    options |= {"cuda": True, "dataset_cache": "device"} if cuda else {"dataset_cache": "ram"}
    runs = ("whole", "again", "parts") if cuda else ("whole", "parts")
    found = {}
    for name in runs:
        argv = train_arguments(own_copy, tmp_path / name, epochs=2, **options)
        for words in [["--epochs-this-job", "1"]] * 2 if name == "parts" else [[]]:
            assert train.main([*argv, *words]) == 0
        found[name] = weights(tmp_path / name, 2)

    def difference(name):
        """Return the norm of the difference of all weights from those of the whole run."""
        tensors = [[*run[0].values(), *run[1]["gen_ema"].values()] for run in (found[name], found["whole"])]
        return torch.stack([(a - b).float().norm() for a, b in zip(*tensors, strict=True)]).norm().item()

    assert difference("parts") <= (3 * difference("again") + 1e-3 if cuda else 0)
    scalers = [(run[2]["scaler_g"], run[2]["scaler_d"]) for run in (found["parts"], found["whole"])]
    assert scalers[0] == scalers[1]


@pytest.mark.medium
def test_loss_scales_are_saved_and_restored(data_set, tmp_path):
    cfg = parse_train_config(train_arguments(data_set, tmp_path, amp=True, amp_dtype="fp16"))
    store = CheckpointStore(tmp_path, CHECKPOINT_FILES)
    states = [VocoderTrainState(cfg, distributed.init(cuda=False)) for _ in range(2)]
    for scaler, scale in ((states[0].scaler_g, 512.0), (states[0].scaler_d, 64.0)):
        scaler.scale(torch.zeros(()))
        scaler.update(scale)
    states[0].end_epoch()
    states[0].save(store)
    assert states[1].resume(store)
    assert (states[1].scaler_g.get_scale(), states[1].scaler_d.get_scale()) == (512.0, 64.0)
    assert states[1].epoch == 1


def test_an_epoch_without_a_further_step_is_finished(tmp_path):
    """After a stop at 6 of 7 clips and a resume with a global batch of 4, the epoch has no further step."""
    cfg = VocoderTrainConfig(VocoderRunConfig(), VocoderOptimConfig(batch_size=4), LISTS, AudioConfig(), TINY)
    state = VocoderTrainState(cfg, distributed.init(cuda=False))
    state.epoch, state.epoch_clips, state.steps = 2, 6, 20
    sampler = MicroBatchSampler(7, 4, 1, 0, 1, 1)
    store = CheckpointStore(tmp_path, CHECKPOINT_FILES)
    loop = train.VocoderLoop(state, store, sampler, None, DataLoader([]), DataLoader([]))
    log = RunLog(tmp_path, enabled=False)
    assert loop.train_epoch(log)
    assert loop.finish_epoch(log, is_last=False)
    assert (state.epoch, state.epoch_clips, state.steps) == (3, 0, 20)


@pytest.mark.medium
def test_while_steps_are_left_out_no_pair_is_deleted(data_set, tmp_path):
    state, _ = saved_state(data_set, tmp_path)
    state.meter.skipped_in_a_row = 5
    for _ in range(3):
        state.end_epoch()
        state.save(CheckpointStore(tmp_path, CHECKPOINT_FILES))
    assert CheckpointStore(tmp_path, CHECKPOINT_FILES).epochs() == [1, 2, 3, 4]
    state.meter.skipped_in_a_row = 0
    state.end_epoch()
    state.save(CheckpointStore(tmp_path, CHECKPOINT_FILES))
    assert CheckpointStore(tmp_path, CHECKPOINT_FILES).epochs() == [4, 5]


@pytest.mark.slow
@pytest.mark.usefixtures("thin_discriminators")
def test_a_damaged_newest_pair_falls_back_to_the_one_before(own_copy, tmp_path, caplog):
    (own_copy / "train.txt").write_text("\nwavs/clip000.wav\n\n")  # blank lines are skipped
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
def test_leftovers_go_although_nothing_is_left_to_train(tmp_path):
    """After a kill while the last save was removing an old pair, no later save would remove it."""
    output = tmp_path / "out"
    argv = train_arguments(write_data_set(tmp_path / "set", [0.3] * 3), output, epochs=3, checkpoint_interval=1)
    assert train.main(argv) == 0
    pairs = {path.name for path in output.glob("*.pt")}
    assert len(pairs) == 4
    for left in ("hifigan_discrim_checkpoint_1.pt", ".hifigan_gen_checkpoint_4.pt.tmp"):
        (output / left).write_bytes(b"left")
    assert train.main(argv) == 0
    assert {path.name for path in output.iterdir() if path.is_file()} == pairs | {"nvlog.json", "best.json"}
