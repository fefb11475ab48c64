"""Files for other programs are read back with the same samples. What a program cannot hold is refused."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from common import mel_contract
from common.errors import InputError
from common.files.generators.names import COMPANIONS, PROGRAMS
from common.files.generators.write import WRITERS
from common.files.yaml_files import read_yaml
from hifigan import Generator, load_generator
from hifigan.export.programs import write_for_program
from tests.support.generators import formats
from tests.support.generators.variants import VARIANTS, make_variant, random_mel
from tests.support.models import TINY, make_checkpoint

NAMES = {
    "hifigan-authors": "g_00000001",
    "transformers": "model",
    "coqui": "model_file.pth",
    "parallel-wavegan": "checkpoint-1steps.pkl",
}


def folder_of(name, path):
    """Save a variant as a folder of this project."""
    generator = make_variant(name)
    hop = generator.config.hop_length
    setup = {"sampling_rate": 16000, "filter_length": 8 * hop, "hop_length": hop, "win_length": 4 * hop, "num_mels": 20}
    return generator.save_pretrained(path, {**setup, "mel_fmax": None})


def loud(content):
    for name, tensor in content["generator"].items():
        if name.endswith("weight_g"):
            tensor *= 1.2


def test_every_writer_has_a_name_here():
    assert NAMES.keys() == WRITERS.keys() == PROGRAMS.keys() == COMPANIONS.keys()


@pytest.mark.parametrize("format", [name for name, beside in COMPANIONS.items() if beside])
def test_files_beside_are_those_that_are_announced(format, tmp_path):
    write_for_program(make_checkpoint(tmp_path / "ours.pt"), tmp_path / "out" / NAMES[format], format)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {NAMES[format], *COMPANIONS[format]}


@pytest.mark.parametrize("format", [name for name, writer in WRITERS.items() if writer.weight_norm])
def test_weight_norm_survives_bit_for_bit(format, tmp_path, one_thread):
    source = make_checkpoint(tmp_path / "ours.pt", loud)
    difference, _ = write_for_program(source, tmp_path / "out" / NAMES[format], format)
    assert difference == 0
    before, after = load_generator(source)[0], load_generator(tmp_path / "out" / NAMES[format])[0]
    assert all(torch.equal(value, after.state_dict()[key]) for key, value in before.state_dict().items())
    added = {"exact_upsampling": True, "normalised_input": True}  # without effect: even kernel - rate, mean 0, scale 1
    assert after.config.to_dict() | added == TINY.to_dict() | added


@pytest.mark.parametrize("name", ["transformers-speecht5", "torchaudio-v3"])
def test_plain_weights_survive_bit_for_bit(name, tmp_path):
    source = formats.weights(formats.FOLDER / name)
    if name == "torchaudio-v3":  # residual blocks of kind 2
        with pytest.raises(InputError, match="transformers has no generators whose resblock is '2'"):
            write_for_program(source, tmp_path / "out", "transformers")
        assert not (tmp_path / "out").exists()
        return
    assert write_for_program(source, tmp_path / "out", "transformers") == (0.0, [])
    before, after = load_generator(source)[0].state_dict(), load_generator(tmp_path / "out")[0].state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[key]) for key, value in before.items())


# Which variant each program can hold.
HOLDS = {
    "hifigan-authors": {"odd kernel - rate", "several odd ones"},
    "transformers": {"odd kernel - rate", "several odd ones", "normalised input"},
    "coqui": {"odd kernel - rate", "several odd ones", "no output bias"},
    "parallel-wavegan": {"exact, twice the rate", "normalised input", "kind 2, normalised"},
}


@pytest.mark.parametrize("format", WRITERS)
@pytest.mark.parametrize("name", VARIANTS)
def test_variants_are_written_or_refused(format, name, tmp_path):
    source = folder_of(name, tmp_path / "ours")
    path = tmp_path / "out" / NAMES[format]
    if name not in HOLDS[format]:
        with pytest.raises(InputError, match=r"^--format: ") as caught:
            write_for_program(source, path, format)
        assert "\n" not in str(caught.value)
        assert not path.exists()
        return
    difference, _ = write_for_program(source, path, format)
    assert difference < 1e-6
    first, second = load_generator(source)[0], load_generator(path)[0]
    with torch.inference_mode():
        torch.testing.assert_close(first(random_mel(30)), second(random_mel(30)), rtol=0, atol=1e-6)


@pytest.mark.parametrize("format", WRITERS)
def test_what_the_program_reads_beside_it(format, tmp_path):
    ours = folder_of("normalised input", tmp_path / "ours")
    source = ours if format == "transformers" else make_checkpoint(tmp_path / "ours.pt")
    write_for_program(source, tmp_path / "a" / NAMES[format], format)
    folder = tmp_path / "a"
    if format == "hifigan-authors":
        config = json.loads((folder / "config.json").read_text())
        assert (config["sampling_rate"], config["hop_size"], config["n_fft"], config["fmax"]) == (
            22050,
            256,
            1024,
            8000,
        )
    elif format == "coqui":
        config = json.loads((folder / "config.json").read_text())
        assert config["generator_model_params"].keys() & {"in_channels", "out_channels"} == set()  # it adds them itself
        assert (config["audio"]["log_func"], config["audio"]["num_mels"]) == ("np.log", 80)
        assert set(torch.load(folder / NAMES[format], weights_only=True)) == {"model", "model_disc"}
    elif format == "parallel-wavegan":
        config = read_yaml(folder / "config.yml")
        assert (config["log_base"], config["format"], config["fmax"]) == (None, "npy", 8000)
        assert np.load(folder / "stats.npy").tolist() == [[0.0] * 80, [1.0] * 80]
    else:
        config = json.loads((folder / "model" / "config.json").read_text())
        assert (config["model_in_dim"], config["normalize_before"], config["sampling_rate"]) == (20, True, 16000)


@pytest.mark.parametrize("format", WRITERS)
def test_another_output_rate(format, tmp_path):
    source = formats.weights(formats.FOLDER / "gptsovits-v4")
    if format == "transformers":  # it records the rate of the audio
        write_for_program(source, tmp_path / "out", format)
        assert json.loads((tmp_path / "out" / "config.json").read_text())["sampling_rate"] == 48000
    else:
        with pytest.raises(InputError, match=r"has no generators that change the sampling rate|needs kernels of twice"):
            write_for_program(source, tmp_path / NAMES[format], format)


def test_the_user_is_told_of_mels_that_the_program_would_make_in_another_way(tmp_path):
    source = make_checkpoint(tmp_path / "ours.pt")
    _, notes = write_for_program(source, tmp_path / "out" / "m.pth", "coqui")
    assert len(notes) == 1
    assert "framing tacotron instead of vocoder" in notes[0]
    assert "log_floor 1e-08 instead of 1e-05" in notes[0]
    _, notes = write_for_program(source, tmp_path / "out" / "g_1", "hifigan-authors")
    assert notes == []


def test_a_file_that_does_not_sound_the_same_is_an_error(tmp_path, monkeypatch):
    from hifigan.export import programs

    real = programs.load_generator
    calls = []

    def damaged(*args, **kwargs):
        generator, info = real(*args, **kwargs)
        calls.append(args)
        if len(calls) == 2:  # what was written
            generator.conv_post.bias.data += 0.1
        return generator, info

    monkeypatch.setattr(programs, "load_generator", damaged)
    with pytest.raises(InputError, match="makes other samples than"):
        write_for_program(make_checkpoint(tmp_path / "ours.pt"), tmp_path / "g_1", "hifigan-authors")


def test_the_moving_average(tmp_path):
    def with_average(content):
        content["gen_ema"] = {name: value * 0.5 for name, value in Generator(TINY).state_dict().items()}

    source = make_checkpoint(tmp_path / "ours.pt", with_average)
    write_for_program(source, tmp_path / "g_1", "hifigan-authors", ema=True)
    average = load_generator(source, ema=True)[0].state_dict()
    assert torch.equal(load_generator(tmp_path / "g_1")[0].state_dict()["conv_pre.bias"], average["conv_pre.bias"])


@pytest.mark.parametrize("format", WRITERS)
def test_our_readers_find_the_mels_that_the_program_cannot_state(format, tmp_path):
    config = dataclasses.replace(TINY, resblock="1")  # transformers has no other kind
    source = make_checkpoint(tmp_path / "g.pt", config=config)
    written = tmp_path / "out" / NAMES[format]
    write_for_program(source, written, format)
    assert mel_contract.compare(mel_contract.read_contract(source), mel_contract.read_contract(written)) == []
