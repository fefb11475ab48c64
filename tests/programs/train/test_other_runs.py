"""Output folders that hold another run's checkpoints."""

import re
import shutil
from pathlib import Path

import pytest
import torch

from common import distributed
from common.errors import InputError
from common.training.checkpoint_store import CheckpointStore
from hifigan import Generator
from hifigan.training.flags import parse_train_config
from hifigan.training.state import CHECKPOINT_FILES, VocoderTrainState
from tests.support.models import TINY
from tests.support.programs import train_arguments
from tests.support.training import run_main, saved_state


@pytest.mark.slow
@pytest.mark.usefixtures("thin_discriminators")
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


@pytest.mark.medium
def test_a_moving_average_is_not_lost_by_accident(data_set, tmp_path):
    saved_state(data_set, tmp_path, ema=0.9)
    cfg = parse_train_config(train_arguments(data_set, tmp_path))
    with pytest.raises(InputError, match=r"--ema: the moving average in .* would be lost"):
        VocoderTrainState(cfg, distributed.init(cuda=False), "clips").resume(
            CheckpointStore(tmp_path, CHECKPOINT_FILES)
        )


@pytest.mark.medium
def test_another_base_model_is_another_run(data_set, tmp_path):
    torch.save({"generator": Generator(TINY).state_dict(), "config": TINY.to_dict()}, tmp_path / "base.pt")
    saved_state(data_set, tmp_path / "out")
    argv = train_arguments(data_set, tmp_path / "out", checkpoint_path_gen=tmp_path / "base.pt")
    cfg = parse_train_config(argv)
    with pytest.raises(InputError, match="base_model was None, now"):
        VocoderTrainState(cfg, distributed.init(cuda=False), "clips").resume(
            CheckpointStore(tmp_path / "out", CHECKPOINT_FILES)
        )


@pytest.mark.parametrize("resume", ["--resume", "--no-resume"])
def test_a_file_of_somebody_else_is_not_overwritten(resume, data_set, tmp_path):
    (tmp_path / "hifigan_gen_checkpoint_1.pt").write_bytes(b"somebody's")
    cfg = parse_train_config([*train_arguments(data_set, tmp_path), resume])
    with pytest.raises(InputError, match=r"holds (a checkpoint file without its other half|checkpoints)"):
        VocoderTrainState(cfg, distributed.init(cuda=False)).resume(CheckpointStore(tmp_path, CHECKPOINT_FILES))


def test_a_pair_of_another_program_is_named(data_set, tmp_path, capsys):
    for kind in ("gen", "discrim"):
        torch.save({"mpd": {}, "train_state": None}, tmp_path / f"hifigan_{kind}_checkpoint_5.pt")
    status, message = run_main(train_arguments(data_set, tmp_path), capsys)
    assert status == 1
    assert "hifigan_discrim_checkpoint_5.pt: not written by this program, it lacks clips_per_step, identity" in message
    assert len(message.splitlines()) == 1


@pytest.mark.medium
def test_another_width_of_the_discriminators_is_another_run(data_set, tmp_path, capsys):
    saved_state(data_set, tmp_path, discriminator_width=0.125)
    status, message = run_main(train_arguments(data_set, tmp_path, discriminator_width=0.25), capsys)
    assert status == 1
    assert len(message.splitlines()) == 1
    assert "discriminator_width was 0.125, now 0.25" in message


@pytest.mark.medium
def test_another_precision_is_another_run(data_set, tmp_path):
    """Runs of before this was recorded may go on in any precision."""
    for own, other in ({}, {"amp": True, "amp_dtype": "bf16"}), ({"amp": True, "amp_dtype": "bf16"}, {}):
        output = tmp_path / str(len(own))
        saved_state(data_set, output, **own)
        cfg = parse_train_config(train_arguments(data_set, output, **other))
        store = CheckpointStore(output, CHECKPOINT_FILES)
        before, now = ("float32", "bfloat16") if other else ("bfloat16", "float32")
        state = VocoderTrainState(cfg, distributed.init(cuda=False), "clips")
        with pytest.raises(
            InputError, match=rf"precision was {before}, now {now}.*give another --output.*--amp or not"
        ):
            state.resume(store)
        (path,) = output.glob("hifigan_discrim_checkpoint_*.pt")
        content = torch.load(path, weights_only=True)
        del content["identity"]["precision"]
        torch.save(content, path)
        assert state.resume(store)
