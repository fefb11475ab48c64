"""FastPitch training: resumed == uninterrupted, many processes == accumulation, learning, bad input."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from common.cli import run as run_program
from common.data.filelists import read_filelist
from common.errors import InputError
from common.files.dllogger_lines import read_json_lines
from fastpitch import FastPitch, load_fastpitch, train
from fastpitch.training.flags import FastPitchOptimConfig
from fastpitch.training.recordings import Example, collate
from tests.support.data_sets import write_speech_set
from tests.support.models import TINY_FASTPITCH
from tests.support.paths import REPOSITORY
from tests.support.programs import fastpitch_arguments

SECONDS = [0.6, 0.9, 0.5, 1.1, 0.8, 0.7, 1.0]  # five to train on, two to validate


@pytest.fixture(scope="module")
def data_set(tmp_path_factory):
    return write_speech_set(tmp_path_factory.mktemp("speech") / "set", SECONDS)


def test_batches_are_checked_before_they_move_to_a_device_that_is_slow_to_read():
    model = FastPitch(TINY_FASTPITCH)
    state = SimpleNamespace(model=model, place=SimpleNamespace(device=torch.device("meta")))
    examples = [Example(torch.tensor([1, 2]), torch.randn(8, 6), torch.zeros(6), 0)] * 2
    batch = collate(examples, model.padding_idx)
    assert {part.device.type for part in train.to_device(state, batch)} == {"meta"}
    wrong = {
        "symbol ids must lie between 0 and": {"ids": batch.ids + model.n_symbols},
        "but the model's are 0 to 2": {"speaker": torch.tensor([0, 3])},
        "mel_lens at most 6": {"mel_lens": torch.tensor([6, 7])},
        "texts and mel_lens must be 1 or more": {"ids": torch.full_like(batch.ids, model.padding_idx)},
    }
    for message, parts in wrong.items():
        with pytest.raises(InputError, match=message):
            train.to_device(state, batch._replace(**parts))


def newest(output: Path, epoch: int) -> dict:
    return torch.load(output / f"FastPitch_checkpoint_{epoch}.pt", weights_only=True)


def assert_same(a, b):
    """Bit for bit, at any depth."""
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, list):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    else:
        assert a == b


def train_metrics(output: Path, name: str) -> list[float]:
    lines = read_json_lines(output / "nvlog.json")
    return [data[f"train_{name}"] for step, data in lines if len(step) == 3 and f"train_{name}" in data]


def run_main(argv, capsys):
    with pytest.raises(SystemExit) as stopped:
        run_program(lambda: train.main(argv), "fastpitch.train")
    return stopped.value.code, capsys.readouterr().err


OPTIONS = {"grad_accumulation": 2, "warmup_steps": 3, "ema": 0.5, "binarization_warmup_epochs": 2, "epochs": 3}


@pytest.mark.medium
@pytest.mark.parametrize("optimizer", ["lamb", "adamw"])
def test_resumed_equals_uninterrupted(data_set, tmp_path, optimizer, monkeypatch):
    """Stopped after an epoch, and by SIGTERM in the midst of another."""
    options = {**OPTIONS, "optimizer": optimizer, "checkpoint_interval": 1}
    argv = {name: fastpitch_arguments(data_set, tmp_path / name, **options) for name in ("whole", "parts")}
    assert train.main(argv["whole"]) == 0
    assert train.main([*argv["parts"], "--epochs-this-job", "1"]) == 0
    step = train.optimiser_step

    def interrupted(state, batches):
        os.kill(os.getpid(), signal.SIGTERM)
        return step(state, batches)

    monkeypatch.setattr(train, "optimiser_step", interrupted)
    assert train.main(argv["parts"]) == 128 + signal.SIGTERM
    middle = newest(tmp_path / "parts", 2)
    assert middle["train_state"] == {"epoch": 1, "epoch_clips": 2, "steps": 3}
    monkeypatch.undo()
    assert train.main(argv["parts"]) == 0
    whole, parts = newest(tmp_path / "whole", 3), newest(tmp_path / "parts", 3)
    whole.pop("rng"), parts.pop("rng")  # seeded again for each micro-batch
    assert_same(whole, parts)
    texts = [row[-1] for row in read_filelist(data_set / "speech_train.txt")]
    assert whole["train_setup"]["longest_text"] == max(map(len, texts))
    path = tmp_path / "whole" / "FastPitch_checkpoint_3.pt"
    for key, ema in (("state_dict", False), ("ema_state_dict", True)):
        assert_same(whole[key], dict(load_fastpitch(path, ema=ema)[0].state_dict()))
    assert any(not torch.equal(whole["state_dict"][name], average) for name, average in whole["ema_state_dict"].items())
    assert train_metrics(tmp_path / "whole", "loss") == train_metrics(tmp_path / "parts", "loss")


@pytest.mark.medium
def test_two_processes_train_as_one_that_accumulates(one_thread, data_set, tmp_path):
    options = {**OPTIONS, "epochs": 2}
    assert train.main(fastpitch_arguments(data_set, tmp_path / "one", **options)) == 0
    two = fastpitch_arguments(data_set, tmp_path / "two", **{**options, "grad_accumulation": 1})
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [*launch, "-m", "fastpitch.train", *two]
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in ("loss", "alignment_loss", "frames"):
        scale = 2 if name == "frames" else 1  # per process
        expected = torch.tensor(train_metrics(tmp_path / "one", name))
        torch.testing.assert_close(
            scale * torch.tensor(train_metrics(tmp_path / "two", name)), expected, rtol=1e-5, atol=0
        )
    one, two = (newest(tmp_path / name, 2)["state_dict"] for name in ("one", "two"))
    for name, weight in one.items():
        torch.testing.assert_close(two[name], weight, rtol=1e-4, atol=1e-6)


def test_it_learns_and_its_file_loads(data_set, tmp_path):
    """On five clips by heart: what the decoder makes with the recording's durations becomes the recording."""
    options = {"optimizer": "adamw", "learning_rate": 0.06, "warmup_steps": 20, "epochs": 30, "validation_interval": 30}
    argv = fastpitch_arguments(data_set, tmp_path, **options, checkpoint_interval=30, amp=True)
    assert train.main(argv) == 0
    losses = train_metrics(tmp_path, "mel_loss")
    assert sum(losses[-5:]) < 0.2 * sum(losses[:5])
    alignment = train_metrics(tmp_path, "alignment_loss")
    assert sum(alignment[-5:]) < 0.8 * sum(alignment[:5])
    assert sum(train_metrics(tmp_path, "frames")[:5]) == sum(int(s * 22050) // 256 + 1 for s in SECONDS[:5])
    path = tmp_path / "FastPitch_checkpoint_30.pt"
    with pytest.raises(InputError, match="it has no moving average"):
        load_fastpitch(path, ema=True)
    model, info = load_fastpitch(path)
    assert (info.epoch, info.has_aligner, info.audio.framing) == (30, True, "tacotron")
    assert info.train_setup["p_arpabet"] == 0
    assert info.train_setup["symbol_set"] == "english_basic"
    mean_hz, std_hz = model.pitch_statistics()
    assert (mean_hz.item(), std_hz.item()) == (140.0, 12.0)
    assert model(torch.tensor([[40, 41, 42]])).mel.isfinite().all()


def test_validation_does_not_depend_on_batches(data_set, tmp_path):
    found = []
    for size in (1, 2):
        output = tmp_path / str(size)
        assert train.main(fastpitch_arguments(data_set, output, batch_size=size, ema=0.9)) == 0
        lines = [data for _, data in read_json_lines(output / "nvlog.json") if "val_mel_loss" in data]
        found.append(lines[0])
    assert found[0].keys() == found[1].keys()
    assert found[0]["val_ema_mel_loss"] == pytest.approx(found[0]["val_mel_loss"])
    for name, value in found[0].items():
        assert found[1][name] == pytest.approx(value, rel=1e-5), name


def test_cached_recordings_train_alike(data_set, tmp_path):
    for cache in ("none", "ram"):
        assert train.main(fastpitch_arguments(data_set, tmp_path / cache, dataset_cache=cache, p_arpabet=0.5)) == 0
    assert train_metrics(tmp_path / "none", "loss") == train_metrics(tmp_path / "ram", "loss")


def test_padding_of_another_symbol_set(data_set, tmp_path):
    """In `english_expanded` the padding symbol is not the first one: batches must say nothing of it."""
    found = []
    for size in (1, 2):
        output = tmp_path / str(size)
        argv = fastpitch_arguments(data_set, output, batch_size=size, symbol_set="english_expanded")
        assert train.main(argv) == 0
        found.append(next(data for _, data in read_json_lines(output / "nvlog.json") if "val_mel_loss" in data))
    assert newest(tmp_path / "1", 1)["config"]["padding_idx"] > 0
    for name, value in found[0].items():
        assert found[1][name] == pytest.approx(value, rel=1e-5), name


def test_base_model_gives_weights_and_settings(data_set, tmp_path):
    assert train.main(fastpitch_arguments(data_set, tmp_path / "base")) == 0
    base = tmp_path / "base" / "FastPitch_checkpoint_1.pt"
    argv = [*fastpitch_arguments(data_set, tmp_path / "own"), "--checkpoint-path", str(base), "--epochs", "1"]
    assert train.main([*argv, "--learning-rate", "1e-9"]) == 0
    found, started = newest(tmp_path / "own", 1)["state_dict"], newest(tmp_path / "base", 1)["state_dict"]
    for name, weight in started.items():
        torch.testing.assert_close(found[name], weight, rtol=1e-4, atol=1e-5)


@pytest.mark.medium
def test_several_voices_start_from_one(data_set, tmp_path, caplog):
    """Speakers get numbers by the file beside the lists, start with the base's voice, and are known by name."""
    caplog.set_level("INFO")
    assert train.main(fastpitch_arguments(data_set, tmp_path / "base")) == 0
    base = tmp_path / "base" / "FastPitch_checkpoint_1.pt"
    lists = {part: tmp_path / f"two_audio_pitch_text_{part}.txt" for part in ("train", "val")}
    for part, path in lists.items():
        rows = (data_set / f"speech_{part}.txt").read_text().splitlines()
        path.write_text("".join(f"{row}|{i % 2}\n" for i, row in enumerate(rows)))
    (tmp_path / "two_speakers.json").write_text('{"anna": 0, "ben": 1}')
    options = {"training_files": lists["train"], "validation_files": lists["val"], "checkpoint_path": base}
    argv = fastpitch_arguments(data_set, tmp_path / "two", **options, learning_rate=1e-9)
    assert train.main(argv) == 0
    assert "2 speakers instead of 1: the speaker embedding is made anew" in caplog.text
    (one, _), (two, info) = (load_fastpitch(path) for path in (base, tmp_path / "two" / "FastPitch_checkpoint_1.pt"))
    ids = torch.tensor([[40, 41, 42, 38]])
    for speaker in (0, 1):
        torch.testing.assert_close(two(ids, speaker=torch.tensor([speaker])).mel, one(ids).mel, rtol=1e-4, atol=1e-4)
    assert info.train_setup["speakers"] == {"anna": 0, "ben": 1}
    # By hand: the voiced frames of each speaker's files.
    rows = [row.split("|") for row in lists["train"].read_text().splitlines()]
    for speaker in "01":
        pitch = torch.cat([torch.load(data_set / row[1])[0] for row in rows if row[3] == speaker]).double()
        mean, std = two.speaker_pitch[int(speaker)].tolist()
        assert mean == pytest.approx(pitch[pitch > 0].mean().item(), rel=1e-5)
        assert std == pytest.approx(pitch[pitch > 0].std(correction=0).item(), rel=1e-4)
    again = fastpitch_arguments(
        data_set, tmp_path / "one", checkpoint_path=tmp_path / "two" / "FastPitch_checkpoint_1.pt"
    )
    (data_set / "tiny_fastpitch.json").write_text('{"n_speakers": 1}')
    assert train.main([*again, "--learning-rate", "1e-9"]) == 0
    back, _ = load_fastpitch(tmp_path / "one" / "FastPitch_checkpoint_1.pt")
    torch.testing.assert_close(back(ids).mel, one(ids).mel, rtol=1e-4, atol=1e-4)


def test_rate_of_the_recipe():
    optim = FastPitchOptimConfig()
    rates = [optim.learning_rate_at(0, step) for step in (0, 499, 999, 3999)]
    assert rates == pytest.approx([0.1 / 1000**1.5, 0.05 / 1000**0.5, 0.1 / 1000**0.5, 0.05 / 1000**0.5])
    assert [optim.binarization_weight(epoch) for epoch in (0, 50, 100, 500)] == [0, 0.5, 1, 1]


def drop_column(folder):
    (folder / "speech_train.txt").write_text("wavs/clip000.wav|Some words.\n")


def other_speaker(folder):
    (folder / "speech_train.txt").write_text("wavs/clip000.wav|pitch/clip000.pt|Some words.|1\n")


def long_text(folder):
    (folder / "speech_val.txt").write_text(f"wavs/clip000.wav|pitch/clip000.pt|{'a' * 60}\n")


def short_pitch(folder):
    torch.save(torch.ones(1, 7), folder / "pitch" / "clip000.pt")


def outside(folder):
    (folder / "speech_val.txt").write_text("wavs/../wavs/clip000.wav|pitch/clip000.pt|Some words.\n")


def architecture(values):
    return lambda folder: (folder / "a.json").write_text(json.dumps(values))


FAULTS = {
    "columns": (drop_column, {}, "speech_train.txt: wavs/clip000.wav: expected wav|pitch|text"),
    "speaker": (other_speaker, {}, "speaker '1', but the model's are 0 only"),
    "long text": (long_text, {}, "60 symbols of text for 52 frames of audio"),
    "no pitch": (lambda f: (f / "pitch" / "clip001.pt").unlink(), {}, "clip001.pt: no such pitch"),
    "short pitch": (short_pitch, {}, "clip000.pt: 7 values, but"),
    "no statistics": (lambda f: (f / "pitch" / "pitch_statistics.json").unlink(), {}, "no such statistics"),
    "rate": (lambda f: None, {"sampling_rate": 16000}, "sampling rate is 22050 Hz, expected 16000"),
    "one of two": (lambda f: None, {"pitch_mean": 200}, "--pitch-mean and --pitch-std: belong together"),
    "architecture": (
        lambda f: (f / "a.json").write_text('{"layers": 2}'),
        {"fastpitch_config": "a.json"},
        "unknown keys",
    ),
    "symbols": (
        lambda f: (f / "a.json").write_text('{"n_symbols": 9}'),
        {"fastpitch_config": "a.json"},
        "the model has 9 symbols",
    ),
    "padding": (architecture({"padding_idx": 5}), {"fastpitch_config": "a.json"}, "padding_idx is 5, but the padding"),
    "no object": (architecture([1]), {"fastpitch_config": "a.json"}, "a.json: not a JSON object"),
    "no architecture": (lambda f: None, {"fastpitch_config": "b.json"}, "--fastpitch-config: "),
    "outside": (outside, {}, "file lists name paths inside the data set"),
    "probability": (lambda f: None, {"p_arpabet": 2}, "p_arpabet: 2.0 is not a number between 0 and 1"),
    "optimizer": (lambda f: None, {"optimizer": "sgd"}, "invalid choice: 'sgd'"),
    "rate of learning": (lambda f: None, {"learning_rate": 0}, "--learning-rate: 0.0 is not above 0"),
    "batch": (lambda f: None, {"batch_size": 9}, "one optimiser step takes 9 clips"),
    "base": (lambda f: None, {"checkpoint_path": "nowhere.pt"}, "nowhere.pt: no such checkpoint"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_bad_input_ends_in_one_line(fault, tmp_path, capsys):
    spoil, options, expected = FAULTS[fault]
    folder = write_speech_set(tmp_path / "set", [0.6, 0.9, 0.5, 0.6])
    spoil(folder)
    if "fastpitch_config" in options:
        options = {"fastpitch_config": folder / options["fastpitch_config"]}
    status, message = run_main(fastpitch_arguments(folder, tmp_path / "out", **options), capsys)
    assert status in (1, 2)
    assert expected in message
    assert "Traceback" not in message
    assert not list((tmp_path / "out").glob("*.pt"))


def test_another_run_and_another_architecture_are_refused(data_set, tmp_path, capsys):
    argv = fastpitch_arguments(data_set, tmp_path / "out")
    assert train.main(argv) == 0
    status, message = run_main([*argv, "--weight-decay", "0.5", "--epochs", "2"], capsys)
    assert status == 1
    assert "holds another run's checkpoints (weight_decay was 1e-06, now 0.5)" in message
    base = ["--checkpoint-path", str(tmp_path / "out" / "FastPitch_checkpoint_1.pt")]
    wide = tmp_path / "wide.json"
    wide.write_text(json.dumps({"dur_predictor_filter_size": 32}))
    status, message = run_main([*argv, *base, "--fastpitch-config", str(wide)], capsys)
    assert status == 1
    assert "dur_predictor_filter_size 32 contradicts" in message
    status, message = run_main([*argv, *base, "--hop-length", "512"], capsys)
    assert status == 1
    assert "--hop-length: 512 contradicts" in message


def test_steps_that_are_left_out_count_no_frames(data_set, tmp_path, capsys):
    argv = fastpitch_arguments(data_set, tmp_path, learning_rate=1e30, warmup_steps=1, nonfinite_limit=3, epochs=5)
    status, message = run_main(argv, capsys)
    assert status == 1
    assert "the losses or gradients of 3 steps in a row were not finite numbers" in message
    assert train_metrics(tmp_path, "frames/s")[-1] == 0
    assert (tmp_path / f"FastPitch_checkpoint_{len(train_metrics(tmp_path, 'loss')) // 5 + 1}.pt").is_file()


def test_voices_are_learned_apart(tmp_path):
    folder = write_speech_set(tmp_path / "set", SECONDS, n_speakers=2)
    argv = fastpitch_arguments(folder, tmp_path / "out", epochs=2)
    config = json.loads((folder / "tiny_fastpitch.json").read_text())
    (folder / "tiny_fastpitch.json").write_text(json.dumps({**config, "n_speakers": 2}))
    assert train.main(argv) == 0
    embedding = newest(tmp_path / "out", 2)["state_dict"]["speaker_emb.weight"]
    assert embedding.shape == (2, 16)
    model, _ = load_fastpitch(tmp_path / "out" / "FastPitch_checkpoint_2.pt")
    ids = torch.tensor([[40, 41, 42]])
    assert not torch.equal(model(ids, speaker=torch.tensor([0])).pitch, model(ids, speaker=torch.tensor([1])).pitch)
