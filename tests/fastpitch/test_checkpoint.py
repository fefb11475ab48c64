"""FastPitch files load, or are refused by name."""

import dataclasses

import pytest
import torch

from common.audio import AudioConfig
from common.errors import InputError
from fastpitch import FastPitch, load_fastpitch
from hifigan import Generator
from tests.support.models import TINY, TINY_FASTPITCH
from tests.support.weights import fastpitch_weights

IDS = torch.tensor([[3, 4, 5, 6, 7]])
SETUP = {"sampling_rate": 16000, "mel_fmax": 7600.0, "symbol_set": "english_basic", "p_arpabet": 1.0, "seed": None}


@pytest.fixture
def model():
    model = FastPitch(TINY_FASTPITCH).eval()
    model.load_state_dict(fastpitch_weights(model.state_dict()))
    return model


def content(model, **changes):
    return {"state_dict": model.state_dict(), "config": TINY_FASTPITCH.to_dict(), "train_setup": SETUP, **changes}


def without_aligner(state):
    return {key: value for key, value in state.items() if not key.startswith("attention.")}


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("aligner", [True, False])
@torch.no_grad()
def test_formats_give_the_same_mel(prefix, aligner, model, tmp_path):
    state = model.state_dict() if aligner else without_aligner(model.state_dict())
    path = tmp_path / "fastpitch.pt"
    torch.save(content(model, state_dict={prefix + key: value for key, value in state.items()}, epoch=7), path)
    loaded, info = load_fastpitch(path)
    assert not loaded.training
    assert (info.path, info.config, info.epoch, info.has_aligner) == (path, TINY_FASTPITCH, 7, aligner)
    assert info.audio == AudioConfig(sampling_rate=16000, mel_fmax=7600.0, num_mels=8, framing="tacotron")
    assert info.train_setup == SETUP
    assert list(loaded.state_dict()) == list(state)
    for ours, theirs in zip(loaded(IDS), model(IDS), strict=True):
        assert torch.equal(ours, theirs)


def test_half_precision_files_become_single(model, tmp_path):
    torch.save(content(model, state_dict={k: v.half() for k, v in model.state_dict().items()}), tmp_path / "f.pt")
    loaded, info = load_fastpitch(tmp_path / "f.pt")
    assert {tensor.dtype for tensor in loaded.state_dict().values()} == {torch.float32}
    assert info.epoch is None


def test_missing_train_setup_means_ljspeech(model, tmp_path):
    stored = content(model)
    del stored["train_setup"]
    torch.save(stored, tmp_path / "f.pt")
    assert load_fastpitch(tmp_path / "f.pt")[1].audio == AudioConfig(num_mels=8, framing="tacotron")


def changed(**values):
    return {**TINY_FASTPITCH.to_dict(), **values}


def lacking(key):
    return {name: value for name, value in TINY_FASTPITCH.to_dict().items() if name != key}


def edited(state, **changes):
    edited = {**state, **changes}
    return {key: value for key, value in edited.items() if value is not None}


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda m: content(m, config=[1]), "its config is a list, not a dictionary"),
        (lambda m: content(m, config=changed(in_fft_n_heads=0)), "in_fft_n_heads is 0, must be above 0"),
        (lambda m: content(m, config=changed(n_symbols=21)), r"1 misshapen \(encoder.word_emb.weight \[20, 16\]"),
        (lambda m: content(m, config=changed(n_speakers=1)), r"1 extra \(speaker_emb.weight\)"),
        (lambda m: content(m, train_setup={"hop_length": "256"}), "hop_length: '256' is not a whole number"),
        (lambda m: content(m, state_dict=edited(m.state_dict(), extra=torch.zeros(1))), r"1 extra \(extra\)"),
        (
            lambda m: content(m, state_dict=edited(m.state_dict(), **{"proj.bias": None})),
            r"do not fit this FastPitch: 1 missing \(proj.bias\)",
        ),
        (
            lambda m: content(m, state_dict=edited(m.state_dict(), **{"attention.attn_proj.bias": None})),
            r"1 missing \(attention.attn_proj.bias\)",
        ),
        (lambda m: {"generator": Generator(TINY).state_dict(), "config": TINY.to_dict()}, "HiFi-GAN generator"),
        (lambda m: Generator(TINY).state_dict(), "HiFi-GAN generator"),
        (lambda m: m.state_dict(), r"not a FastPitch checkpoint \(its keys: pitch_mean, pitch_std"),
        (lambda m: content(m, state_dict={"encoder.word_emb.weight": 3}), "not a FastPitch checkpoint"),
        (lambda m: [1, 2], "holds a list"),
        (lambda m: m, "holds a Python object"),
    ],
)
def test_files_that_do_not_fit_are_refused_by_name(build, message, model, tmp_path):
    path = tmp_path / "wrong.pt"
    torch.save(build(model), path)
    with pytest.raises(InputError, match=message) as error:
        load_fastpitch(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such checkpoint"):
        load_fastpitch(tmp_path / "none.pt")


def test_published_files_have_no_configuration_or_a_part_of_it(tmp_path):
    # Tensors do not tell the number of heads: published ones are 64 wide, and a narrower model is read as having one.
    config = dataclasses.replace(TINY_FASTPITCH, in_fft_n_heads=1, out_fft_n_heads=1)
    model = FastPitch(config)
    whole = config.to_dict()
    part = {name: value for name, value in whole.items() if name != "pitch_predictor_n_layers"}
    for stored in (whole, part, {}):
        torch.save(content(model, config=stored), tmp_path / "f.pt")
        assert load_fastpitch(tmp_path / "f.pt")[1].config == config
