"""Every public format loads. Files that do not fit are refused by name."""

import dataclasses
import json
import re

import pytest
import torch

from common.audio_config import MelConvention
from common.errors import InputError
from hifigan import Generator, load_generator
from hifigan.checkpoint import load_public_state, load_trainable_generator
from hifigan.config import PRESETS
from tests.support.generators.variants import VARIANTS, make_variant, random_mel
from tests.support.models import TINY
from tests.support.weights import rule_weights

MEL = torch.linspace(-8, 1, 80 * 12).reshape(1, 80, 12)


@pytest.fixture
def generator():
    generator = Generator(TINY).eval()
    generator.load_state_dict(rule_weights(generator.state_dict()))
    return generator


def output(generator):
    with torch.no_grad():
        return generator(MEL)


def flat_names(state, blocks=2):
    """The paper authors' numbering of residual blocks."""
    pattern = r"^resblocks\.(\d+)\.(\d+)\."
    return {re.sub(pattern, lambda m: f"resblocks.{int(m[1]) * blocks + int(m[2])}.", k): v for k, v in state.items()}


def parametrised_names(state):
    """Names that torch.nn.utils.parametrizations.weight_norm saves."""
    names = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}
    return {re.sub("weight_[gv]$", lambda m: names[m[0]], key): value for key, value in state.items()}


def fused(generator):
    plain = Generator(TINY)
    plain.load_state_dict(generator.state_dict())
    plain.remove_weight_norm()
    return plain.state_dict()


@pytest.mark.parametrize(
    "content",
    [
        lambda g: {"generator": g.state_dict(), "config": TINY.to_dict(), "train_setup": {"num_mels": 80}},
        lambda g: {"generator": {f"module.{k}": v for k, v in g.state_dict().items()}, "config": TINY.to_dict()},
        lambda g: {"generator": flat_names(g.state_dict()), "config": TINY.to_dict()},
        lambda g: {"generator": parametrised_names(g.state_dict()), "config": TINY.to_dict()},
        lambda g: {"generator": fused(g), "config": TINY.to_dict()},
        lambda g: {"generator": flat_names(fused(g)), "config": TINY.to_dict()},
    ],
    ids=["own", "module", "authors", "parametrizations", "fused", "fused authors"],
)
def test_formats_give_the_same_audio(content, generator, tmp_path):
    path = tmp_path / "model.pt"
    torch.save(content(generator), path)
    loaded, info = load_generator(path)
    assert info.config == TINY
    assert not loaded.training
    torch.testing.assert_close(output(loaded), output(generator), rtol=0, atol=1e-6)
    trainable, _ = load_trainable_generator(path)
    assert "conv_pre.weight_g" in trainable.state_dict()
    torch.testing.assert_close(output(trainable), output(generator), rtol=0, atol=1e-6)


def authors_json(**changes):
    return {**TINY.to_dict(), "num_mels": 80, "n_fft": 1024, "hop_size": 256, "win_size": 1024, "sampling_rate": 16000,
            "fmin": 0, "fmax": 7600, "fmax_loss": None, "num_gpus": 0, **changes}  # fmt: skip


@pytest.mark.parametrize("beside", ["config.json", "g_00010000.json", None])
def test_configuration_in_a_json_file(beside, generator, tmp_path):
    path = tmp_path / "g_00010000"
    torch.save({"generator": flat_names(generator.state_dict())}, path)
    file = tmp_path / (beside or "elsewhere.json")
    file.write_text(json.dumps(authors_json()))
    loaded, info = load_generator(path, None if beside else file)
    assert info.config == TINY
    assert (info.audio.sampling_rate, info.audio.mel_fmax) == (16000, 7600)
    torch.testing.assert_close(output(loaded), output(generator), rtol=0, atol=1e-6)


@pytest.mark.parametrize("version", list(PRESETS))
@pytest.mark.parametrize("plain", [False, True])
def test_a_file_without_configuration_is_known_by_its_shapes(version, plain, tmp_path):
    with torch.device("meta"):
        generator = Generator(PRESETS[version])
        if plain:
            generator.remove_weight_norm()
    state = {key: torch.zeros(value.shape) for key, value in generator.state_dict().items()}
    torch.save({"generator": flat_names(state, 3)}, tmp_path / "g")
    assert load_generator(tmp_path / "g")[1].config == PRESETS[version]


def test_other_shapes_without_configuration_are_refused(generator, tmp_path):
    torch.save({"generator": generator.state_dict()}, tmp_path / "g")
    with pytest.raises(InputError, match="no generator configuration"):
        load_generator(tmp_path / "g")


def change_missing(state):
    del state["conv_pre.bias"]


def change_extra(state):
    state["conv_pre.extra"] = torch.zeros(1)


def change_shape(state):
    state["conv_post.bias"] = torch.zeros(2)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (change_missing, r"1 missing \(conv_pre.bias\)"),
        (change_extra, r"1 extra \(conv_pre.extra\)"),
        (change_shape, r"1 misshapen \(conv_post.bias \[2\] instead of \[1\]\)"),
    ],
)
def test_tensors_that_do_not_fit(change, words, generator, tmp_path):
    state = generator.state_dict()
    change(state)
    torch.save({"generator": state, "config": TINY.to_dict()}, tmp_path / "bad.pt")
    with pytest.raises(InputError, match=words) as error:
        load_generator(tmp_path / "bad.pt")
    assert str(tmp_path / "bad.pt") in str(error.value)
    untouched = Generator(TINY)
    before = {key: value.clone() for key, value in untouched.state_dict().items()}
    with pytest.raises(InputError):
        load_public_state(untouched, state)
    assert all(torch.equal(value, before[key]) for key, value in untouched.state_dict().items())


class Opens:
    """Would run code when unpickled without `weights_only`."""

    def __reduce__(self):
        return (open, ("opened", "w"))


@pytest.mark.parametrize(
    "content",
    [b"not a checkpoint", b"", Opens(), [1, 2], {"generator": {"a": 1}}, {"state_dict": {}}],
    ids=["text", "empty", "code", "list", "other", "fastpitch"],
)
def test_files_that_are_no_generator(content, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "bad.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(InputError, match=r"bad\.pt: "):
        load_generator(path)
    assert not (tmp_path / "opened").exists()


def test_truncated_and_missing_files(generator, tmp_path):
    path = tmp_path / "half.pt"
    torch.save({"generator": generator.state_dict(), "config": TINY.to_dict()}, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match="damaged"):
        load_generator(path)
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pt: no such checkpoint"):
        load_generator(tmp_path / "nowhere.pt")


def test_given_configuration_must_agree(generator, tmp_path):
    torch.save({"generator": generator.state_dict(), "config": TINY.to_dict()}, tmp_path / "g.pt")
    other = dataclasses.replace(TINY, resblock_dilation_sizes=((1, 2), (2, 5)))
    with pytest.raises(InputError, match="contradicts the checkpoint"):
        load_generator(tmp_path / "g.pt", other)


def test_hop_length_must_be_the_product_of_the_rates(generator, tmp_path):
    torch.save(
        {"generator": generator.state_dict(), "config": TINY.to_dict(), "train_setup": {"hop_length": 128}},
        tmp_path / "g.pt",
    )
    with pytest.raises(InputError, match="multiply to 256, but hop_length is 128"):
        load_generator(tmp_path / "g.pt")


@pytest.mark.parametrize("name", VARIANTS)
def test_checkpoints_of_training_keep_architectures_and_mels_of_other_programs(name, tmp_path):
    generator = make_variant(name, weight_norm=True)
    hop = generator.config.hop_length
    mels = {"log_base": "log10", "log_floor": 1e-10, "mel_mean": [-3.0] * 20, "mel_scale": [1.5] * 20, "gain": 2.0}
    size = 4 * hop + hop // 2 % 2  # minus the hop it must be even
    setup = {"sampling_rate": 16000, "output_sampling_rate": 32000, "filter_length": size, "win_length": size}
    setup |= {"hop_length": hop // 2, "num_mels": 20, "mel_fmax": 7600.0, "framing": "tacotron", **mels}
    content = {"generator": generator.state_dict(), "config": generator.config.to_dict(), "train_setup": setup}
    torch.save(content, tmp_path / "hifigan_gen_checkpoint_1.pt")
    loaded, info = load_generator(tmp_path / "hifigan_gen_checkpoint_1.pt")
    assert info.config == generator.config
    assert info.convention == MelConvention(**mels)
    assert (info.audio.framing, info.sampling_rate, info.audio.sampling_rate) == ("tacotron", 32000, 16000)
    mel = random_mel(20)
    with torch.no_grad():
        torch.testing.assert_close(loaded(mel), generator(mel), rtol=0, atol=1e-6)
    trainable, _ = load_trainable_generator(tmp_path / "hifigan_gen_checkpoint_1.pt")
    assert all(torch.equal(value, trainable.state_dict()[key]) for key, value in generator.state_dict().items())
