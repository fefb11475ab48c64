"""Log lines, checkpoints, and the moving average that a run writes."""

import json
import re

import numpy as np
import pytest
import torch

import train
from common import distributed
from hifigan import Generator, load_generator
from hifigan.training.flags import parse_train_config
from hifigan.training.state import VocoderTrainState
from tests.support.models import TINY
from tests.support.programs import train_arguments
from tests.support.training import weights

LINE = re.compile(
    r"DLL \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6} - epoch +\d+ \| iter +\d+/\d+ "
    r"\| d loss +\d+\.\d{3} \| g loss +\d+\.\d{3} \| mel loss +\d+\.\d{3} \| +\d+\.\d\d frames/s \| took \d+\.\d\d s "
    r"\| g lr \d\.\d\de-\d\d \| d lr \d\.\d\de-\d\d"
)


@pytest.mark.slow
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
    validated = [record["data"]["val_mel_loss"] for record in records if "val_mel_loss" in record["data"]]
    best = {"epoch": 2, "figure": "val_mel_loss", "value": validated[-1], "file": "hifigan_gen_checkpoint_2.pt"}
    assert json.loads((output / "best.json").read_text()) == best
    assert f"best: epoch 2, val mel loss {validated[-1]:.3f}\n" in stdout
    assert "epoch 1 of 2 is finished, about " in stdout
    assert {path.name for path in output.iterdir() if path.is_dir()} == {"train", "val", "test"}
    _, gen, discrim = weights(output, 2)
    assert gen["config"] == TINY.to_dict()
    assert gen["train_state"] == discrim["train_state"] == {"epoch": 2, "epoch_clips": 0, "steps": 6}
    assert {"segment_size", "max_wav_value", "seed", "base_lr", "lr_decay", "epochs_all", "mel_fmax_loss"} < set(
        gen["train_setup"]
    )


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
    initial = VocoderTrainState(parse_train_config(argv), distributed.init(cuda=False)).generator.state_dict()
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
