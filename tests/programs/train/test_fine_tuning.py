"""Training that starts from a trained model."""

import dataclasses
import json

import numpy as np
import pytest
import soundfile
import torch

import train
from common import distributed
from common.audio import AudioConfig, MelSpectrogram
from common.errors import InputError
from common.mel_contract import MelContract, read_contract
from hifigan import Generator
from hifigan.training.flags import parse_train_config
from hifigan.training.state import VocoderTrainState
from tests.support.models import TINY
from tests.support.programs import train_arguments
from tests.support.training import run_main, weights


@pytest.mark.medium
def test_fine_tuning_beyond_the_last_epoch_is_refused(data_set, tmp_path):
    base = tmp_path / "base.pt"
    torch.save(
        {"generator": Generator(TINY).state_dict(), "config": TINY.to_dict(), "train_state": {"epoch": 6500}}, base
    )
    cfg = parse_train_config(train_arguments(data_set, tmp_path, checkpoint_path_gen=base, input_mels_dir=tmp_path))
    with pytest.raises(InputError, match="--epochs: 1, but fine-tuning counts on from the base model's 6500"):
        VocoderTrainState(cfg, distributed.init(cuda=False)).load_base()


@pytest.mark.slow
@pytest.mark.usefixtures("thin_discriminators")
def test_starting_from_given_weights(data_set, undisturbed, tmp_path):
    base = [undisturbed[0] / f"hifigan_{kind}_checkpoint_2.pt" for kind in ("gen", "discrim")]
    argv = train_arguments(data_set, tmp_path, checkpoint_path_gen=base[0], checkpoint_path_discrim=base[1])
    cfg = parse_train_config(argv)
    state = VocoderTrainState(cfg, distributed.init(cuda=False))
    state.load_base()
    saved, _, _ = weights(undisturbed[0], 2)
    loaded = {
        **state.generator.state_dict(),
        **state.discriminators["mpd"].state_dict(),
        **{f"msd.{k}": v for k, v in state.discriminators["msd"].state_dict().items()},
    }
    assert all(torch.equal(value, saved[key]) for key, value in loaded.items())
    with pytest.raises(InputError, match=r"--num-mels: 40 contradicts .*checkpoint_2\.pt, which has 80"):
        parse_train_config([*argv, "--num-mels", "40"])


@pytest.mark.slow
@pytest.mark.usefixtures("thin_discriminators")
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

    monkeypatch.setattr(train, "VocoderTrainState", build)
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
