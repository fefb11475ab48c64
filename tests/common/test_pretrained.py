"""Models saved to a folder or the hub and loaded again are the same bit for bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import inference
from common import mel_contract
from common.audio import AudioConfig
from common.errors import InputError
from common.files.checkpoints import read_file
from common.files.safetensors_files import in_half_precision
from fastpitch import FastPitch, load_fastpitch
from hifigan import Generator, Vocoder, load_generator
from hifigan.checkpoint import load_trainable_generator
from hifigan.engine.select import engine_backend
from tests.support.models import SETUP, TINY, TINY_FASTPITCH, make_checkpoint, make_fastpitch
from tests.support.web.hub_server import Hub

MEL = torch.linspace(-8, 1, 80 * 12).reshape(1, 80, 12)


def make_generator(folder: Path) -> Path:
    def with_epoch(content: dict[str, Any]) -> None:
        content["train_state"] = {"epoch": 12}

    return make_checkpoint(folder / "g.pt", with_epoch, sampling_rate=16000, framing="tacotron", note="kept")


def make_speech(folder: Path) -> Path:
    def with_epoch(content: dict[str, Any]) -> None:
        content["epoch"] = 34

    return make_fastpitch(folder / "f.pt", with_epoch)


def assert_same(found: nn.Module, wanted: dict[str, Tensor]) -> None:
    state = found.state_dict()
    assert set(state) == set(wanted)
    for name, value in wanted.items():
        assert state[name].dtype == value.dtype
        assert torch.equal(state[name], value.float() if value.is_floating_point() else value), name


def as_stored(state: dict[str, Tensor], precision: str) -> dict[str, Tensor]:
    if precision == "fp32":
        return state
    return {name: value.float() for name, value in in_half_precision(state).items()}


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("weight_norm", [False, True], ids=["plain", "weight norm"])
def test_generators_survive_to_the_bit(weight_norm: bool, precision: str, tmp_path: Path) -> None:
    file = make_generator(tmp_path)
    model, info = load_trainable_generator(file) if weight_norm else load_generator(file)
    folder = model.save_pretrained(tmp_path / "model", precision=precision)
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    wanted = as_stored(model.state_dict(), precision)
    same = Generator.from_pretrained(folder, trainable=weight_norm)
    assert_same(same, wanted)
    assert same.training == weight_norm

    plain = Generator.from_pretrained(folder)
    assert_same(plain, load_generator(folder)[0].state_dict())  # also by the general loader
    assert_same(plain, load_generator(folder / "model.safetensors")[0].state_dict())
    if weight_norm:
        same.remove_weight_norm()
    assert_same(plain, same.state_dict())
    assert not plain.training
    assert plain.info is not None
    assert (plain.info.audio, plain.info.epoch, plain.info.config) == (info.audio, 12, TINY)
    assert (info.audio.sampling_rate, info.audio.framing) == (16000, "tacotron")
    assert plain.info.train_setup["note"] == "kept"
    again = plain.save_pretrained(tmp_path / "again", precision=precision)
    assert_same(Generator.from_pretrained(again), as_stored(plain.state_dict(), precision))
    (wav,) = Vocoder(engine_backend(plain))([MEL[0]])  # the engine takes it as it is
    with torch.no_grad():
        torch.testing.assert_close(wav, plain(MEL)[0, 0], rtol=0, atol=1e-4)


def test_a_plain_generator_can_be_trained_further(tmp_path: Path) -> None:
    model, _ = load_generator(make_generator(tmp_path))
    model.save_pretrained(tmp_path / "model")
    trainable = Generator.from_pretrained(tmp_path / "model", trainable=True)
    assert "conv_pre.weight_g" in trainable.state_dict()
    assert trainable.training
    with torch.no_grad():
        torch.testing.assert_close(trainable(MEL), model(MEL), rtol=0, atol=1e-6)
    trainable(MEL).sum().backward()
    assert trainable.conv_pre.weight_g.grad is not None


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_fastpitch_survives_to_the_bit(precision: str, tmp_path: Path) -> None:
    model, info = load_fastpitch(make_speech(tmp_path))
    folder = model.save_pretrained(tmp_path / "model", precision=precision)
    for found in (FastPitch.from_pretrained(folder), load_fastpitch(folder)[0]):
        assert_same(found, as_stored(model.state_dict(), precision))
        assert not found.training
        assert found.info is not None
        assert (found.info.audio, found.info.epoch, found.info.has_aligner) == (info.audio, 34, info.has_aligner)
        assert (found.info.config, found.info.train_setup["text_cleaners"]) == (info.config, ["english_cleaners_v2"])
    assert FastPitch.from_pretrained(folder, trainable=True).training


def test_models_that_were_not_loaded_need_their_settings(tmp_path: Path) -> None:
    generator, speech = Generator(TINY), FastPitch(TINY_FASTPITCH)
    for model in (generator, speech):
        with pytest.raises(InputError, match=r"save_pretrained: its signal settings are unknown.*give setup={"):
            model.save_pretrained(tmp_path / "model")
    with pytest.raises(InputError, match="the upsampling rates multiply to 256, but hop_length is 300"):
        generator.save_pretrained(tmp_path / "model", {**SETUP, "hop_length": 300})
    assert not (tmp_path / "model").exists()
    generator.save_pretrained(tmp_path / "model", SETUP)
    found = Generator.from_pretrained(tmp_path / "model", trainable=True)
    assert_same(found, generator.state_dict())
    assert found.info is not None
    assert (found.info.audio, found.info.epoch) == (AudioConfig(), None)
    speech.save_pretrained(tmp_path / "speech", {**SETUP, "num_mels": 8, "symbol_set": "english_basic"})
    assert FastPitch.from_pretrained(tmp_path / "speech").info.audio.num_mels == 8  # type: ignore[union-attr]


def test_the_folder_describes_the_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = make_generator(tmp_path)
    folder = tmp_path / "model"
    load_generator(file)[0].save_pretrained(folder, licence="cc0-1.0", origin="Recordings of Ann, 3 hours")
    config = json.loads((folder / "config.json").read_text())
    assert (config["format"], config["state"], config["licence"]) == ("hifigan-recipe", "generator", "cc0-1.0")
    assert config["config"] == TINY.to_dict()
    assert (config["train_setup"]["framing"], config["train_setup"]["log_base"]) == ("tacotron", "ln")
    card = (folder / "README.md").read_text()
    head, _, text = card.removeprefix("---\n").partition("---\n")
    assert "license: cc0-1.0\n" in head
    assert "pipeline_tag: text-to-speech\n" in head
    assert "Recordings of Ann, 3 hours" in text
    assert "| sampling_rate | 16000 |" in text
    for place in (folder, folder / "model.safetensors"):
        assert mel_contract.main([str(file), str(place)]) == 0
    assert "the same mel contract" in capsys.readouterr().out
    assert "state" not in read_file(folder)


def test_wrong_folders_take_one_line(tmp_path: Path) -> None:
    load_generator(make_generator(tmp_path))[0].save_pretrained(tmp_path / "model")
    load_fastpitch(make_speech(tmp_path))[0].save_pretrained(tmp_path / "speech")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    config["config"]["upsample_initial_channel"] = 10**8  # 224 GB, which must not be allocated
    (tmp_path / "speech" / "README.md").unlink()
    for load, name, message in (
        (Generator.from_pretrained, "absent", "absent: no such folder, and not a name on the Hugging Face hub"),
        (Generator.from_pretrained, "speech", "speech: holds a FastPitch model, not a HiFi-GAN generator"),
        (FastPitch.from_pretrained, "model", "model: holds a HiFi-GAN generator, not a FastPitch model"),
        (load_fastpitch, "model", "model: not a FastPitch checkpoint .*; it is a HiFi-GAN generator"),
        (load_generator, "speech", "not a HiFi-GAN generator; it is a FastPitch model"),
        (load_generator, ".", r"2 files could be the model \(f.pt, ...\); name one of them"),
    ):
        with pytest.raises((InputError, FileNotFoundError), match=message) as caught:
            load(tmp_path / name)
        assert "\n" not in str(caught.value)
    (tmp_path / "model" / "config.json").write_text(json.dumps(config))
    for load in (Generator.from_pretrained, load_generator):
        with pytest.raises(
            InputError, match=r"model.*: generator configuration: it has [\d,]+ parameters, more than 268,435,456"
        ):
            load(tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").write_bytes(b"x" * 99)
    with pytest.raises(InputError, match=r"model.safetensors: not a safetensors file, or damaged"):
        Generator.from_pretrained(tmp_path / "model")


def test_scripted_and_copied_models_need_no_description(tmp_path: Path) -> None:
    model = load_generator(make_generator(tmp_path))[0]
    with torch.no_grad():
        assert torch.equal(torch.jit.script(model)(MEL), model(MEL))
    speech = load_fastpitch(make_speech(tmp_path))[0]
    ids = torch.tensor([[40, 41, 42]])
    with torch.no_grad():
        assert torch.equal(torch.jit.script(speech)(ids).mel, speech(ids).mel)


def test_uploaded_models_come_back(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = load_generator(make_checkpoint(tmp_path / "g.pt"))
    assert model.push_to_hub("org/voc", precision="fp16", licence="mit", private=True) == f"{hub.url}/org/voc"
    assert hub.private == {"org/voc"}
    assert_same(Generator.from_pretrained("org/voc"), as_stored(model.state_dict(), "fp16"))
    hub.repositories["org/voc"][-1]["README.md"] = b"Edited on the hub.\n"
    model.push_to_hub("org/voc", licence="mit")
    assert hub.repositories["org/voc"][-1]["README.md"] == b"Edited on the hub.\n"
    assert_same(Generator.from_pretrained("org/voc"), model.state_dict())
    speech, _ = load_fastpitch(make_speech(tmp_path))
    speech.push_to_hub("org/speech")
    assert_same(FastPitch.from_pretrained("org/speech"), speech.state_dict())

    files = ["--hifigan", str(tmp_path / "g.pt"), "--fastpitch", str(tmp_path / "f.pt")]
    names = ["--hifigan", "org/voc", "--fastpitch", "org/speech"]
    for words, name in ((files, "files"), (names, "names")):
        assert inference.main([*words, "--text", "Hello.", "-o", str(tmp_path / f"{name}.wav")]) == 0
    assert (tmp_path / "files.wav").read_bytes() == (tmp_path / "names.wav").read_bytes()
    asked = len(hub.requests)
    found = Generator.from_pretrained("org/voc", local_files_only=True)
    assert len(hub.requests) == asked
    assert_same(found, model.state_dict())
