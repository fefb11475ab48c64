"""Files of other programs load and sound as in these programs. tests/formats holds a small file of each."""

import json

import numpy as np
import pytest
import torch

from common.audio import MelSpectrogram
from common.errors import InputError
from common.files.generators.read import read_generator
from common.files.json_files import read_json
from hifigan import load_generator
from tests.support.generators import formats

# 0.0 on the processor that made the files. Other processors round matrix products in another order.
ROUNDING = 2e-6

# program, sampling rates of mels and audio, framing, bands, logarithm, and floor
EXPECTED = {
    "bshall-16k": ("bshall/hifigan", 16000, 16000, "vocoder", 128, "ln", 1e-5),
    "bshall-16k-release": ("bshall/hifigan", 16000, 16000, "vocoder", 128, "ln", 1e-5),
    "coqui-v1-release": ("Coqui TTS", 22050, 22050, "tacotron", 80, "ln", 1e-8),
    "coqui-v1-trainer": ("Coqui TTS", 22050, 22050, "tacotron", 80, "ln", 1e-8),
    "espnet2-joint-v1": ("ESPnet2", 22050, 22050, "tacotron", 80, "log10", 1e-10),
    "everyvoice-v1": ("EveryVoice", 22050, 22050, "tacotron", 80, "ln", 1e-5),
    "gptsovits-v4": ("GPT-SoVITS v4", 32000, 48000, "vocoder", 100, "ln", 1e-5),
    "jik876-odd-kernel": ("", 16000, 16000, "vocoder", 80, "ln", 1e-5),
    "jik876-v1": ("", 22050, 22050, "vocoder", 80, "ln", 1e-5),
    "natspeech-v1": ("NATSpeech", 22050, 22050, "tacotron", 80, "log10", 1e-6),
    "nemo-v1": ("NeMo", 22050, 22050, "vocoder", 80, "ln", 1e-5),
    "pwg-libritts": ("ParallelWaveGAN", 24000, 24000, "tacotron", 80, "log10", 1e-10),
    "pwg-v1": ("ParallelWaveGAN", 22050, 22050, "tacotron", 80, "log10", 1e-10),
    "speechbrain-v1": ("SpeechBrain", 22050, 22050, "tacotron", 80, "ln", 1e-5),
    "torchaudio-v3": ("", 22050, 22050, "vocoder", 80, "ln", 1e-5),
    "transformers-fastspeech2conformer": ("transformers", 22050, 22050, "tacotron", 80, "log10", 1e-10),
    "transformers-speecht5": ("transformers", 16000, 16000, "tacotron", 80, "log10", 1e-10),
}


@pytest.fixture(params=formats.NAMES)
def name(request):
    if request.param in formats.NEED_H5PY:
        pytest.importorskip("h5py")
    return request.param


def test_samples_are_those_of_the_program(name, one_thread):
    generator, info = load_generator(formats.weights(formats.FOLDER / name))
    with torch.inference_mode():
        wav = generator(formats.mel_of(name))[0, 0].numpy()
    assert wav.shape == formats.wav_of(name).shape
    assert np.abs(wav - formats.wav_of(name)).max() < ROUNDING
    assert np.abs(wav).max() > 0.01  # not silence
    found = (info.program, info.audio.sampling_rate, info.sampling_rate, info.audio.framing, info.audio.num_mels)
    assert (*found, info.convention.log_base, info.convention.log_floor) == EXPECTED[name]


def test_a_folder_stands_for_the_file_in_it(name, tmp_path):
    file = formats.copy_of(name, tmp_path / name)
    generator, info = load_generator(file.parent)
    assert info.path == file
    assert generator.config == load_generator(file)[0].config


# Fixture -> file that must lie beside, words of the message without it.
NEEDED = {
    "coqui-v1-release": ("config.json", "copy its config.json beside it"),
    "espnet2-joint-v1": ("config.yaml", "copy its config.yaml beside it"),
    "natspeech-v1": ("config.yaml", "copy its config.yaml beside it"),
    "pwg-v1": ("config.yml", "copy its config.yml beside it"),
    "speechbrain-v1": ("hyperparams.yaml", "copy its hyperparams.yaml beside it"),
    "transformers-speecht5": ("config.json", "copy the folder as a whole, with its config.json"),
    "jik876-odd-kernel": ("config.json", "give one with --hifigan-config"),
}


@pytest.mark.parametrize("name", NEEDED)
def test_a_missing_configuration_is_named(name, tmp_path):
    file = formats.copy_of(name, tmp_path)
    beside, words = NEEDED[name]
    (tmp_path / beside).unlink()
    with pytest.raises(InputError) as caught:
        load_generator(file)
    assert str(file) in str(caught.value)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_mels_without_statistics_are_taken_as_normalised(tmp_path, caplog):
    file = formats.copy_of("pwg-v1", tmp_path)
    (tmp_path / "stats.h5").unlink()
    with caplog.at_level("INFO"):
        generator, info = load_generator(file)
    assert "mels are taken as normalised already" in caplog.text
    assert not generator.config.normalised_input
    with pytest.raises(InputError, match=r"cannot be made from audio here: .*needs the statistics of stats\.h5"):
        MelSpectrogram(info.audio, info.convention)


@pytest.mark.parametrize("name", formats.NEED_H5PY)
def test_statistics_in_either_file(name, tmp_path, one_thread):
    h5py = pytest.importorskip("h5py")
    file = formats.copy_of(name, tmp_path)
    with h5py.File(tmp_path / "stats.h5") as opened:
        np.save(tmp_path / "stats.npy", np.stack([opened["mean"][()], opened["scale"][()]]))
    (tmp_path / "stats.h5").unlink()
    with torch.inference_mode():
        wav = load_generator(file)[0](formats.mel_of(name))[0, 0].numpy()
    assert np.abs(wav - formats.wav_of(name)).max() < ROUNDING


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "generator.", "_orig_mod.module.", "module.generator."])
@pytest.mark.parametrize("name", ["coqui-v1-release", "speechbrain-v1", "torchaudio-v3"])
def test_prefixes_of_wrappers(prefix, name, tmp_path):
    file = formats.copy_of(name, tmp_path)
    expected = load_generator(file)[0].state_dict()
    content = torch.load(file, weights_only=True)
    inside = content["model"] if name == "coqui-v1-release" else content
    renamed = {prefix + key: value for key, value in inside.items()}
    torch.save({**content, "model": renamed} if name == "coqui-v1-release" else renamed, file)
    found = load_generator(file)[0].state_dict()
    assert all(torch.equal(found[key], value) for key, value in expected.items())


@pytest.mark.parametrize(
    ("layout", "kept"),
    [("state_dict", lambda state: {"state_dict": state, "epoch": 3}), ("legacy pickle", lambda state: state)],
)
def test_other_containers(layout, kept, tmp_path):
    content = torch.load(formats.weights(formats.FOLDER / "torchaudio-v3"), weights_only=True)
    torch.save(kept(content), tmp_path / "v3.pth.tar", _use_new_zipfile_serialization=layout != "legacy pickle")
    generator, info = load_generator(tmp_path / "v3.pth.tar")
    assert info.config.resblock == "2"
    assert all(
        any(torch.equal(value, other) for other in content.values()) for value in generator.state_dict().values()
    )


@pytest.mark.parametrize("name", ["torchaudio-v3", "transformers-speecht5", "gptsovits-v4"])
def test_plain_weights_are_kept_bit_for_bit(name):
    state = read_generator(formats.weights(formats.FOLDER / name)).state
    loaded = load_generator(formats.weights(formats.FOLDER / name))[0].state_dict()
    assert "conv_pre.weight" in state
    assert len(loaded) == len(state)
    for (key, value), other in zip(state.items(), loaded.values(), strict=False):
        if key.startswith(("conv_", "ups.", "normalise.")):
            assert torch.equal(loaded[key], value), key
        else:
            assert any(torch.equal(value, other) for other in loaded.values()), key


@pytest.mark.parametrize(
    ("name", "file", "key", "row"),
    [
        ("coqui-v1-release", "config.json", "resblock_dilation_sizes", [[1, 3, 5, 7]] * 3),
        ("transformers-speecht5", "config.json", "resblock_dilation_sizes", [[1, 3, 5, 7]] * 3),
        ("natspeech-v1", "config.yaml", "resblock_dilation_sizes", [[1, 3, 5, 7]] * 3),
    ],
)
def test_rows_of_dilations_that_are_longer_than_used(name, file, key, row, tmp_path):
    weights = formats.copy_of(name, tmp_path)
    config = load_generator(weights)[1].config
    text = (tmp_path / file).read_text()
    if file.endswith(".yaml"):
        lines = [line for line in text.splitlines() if not line.startswith(key)]
        text = "\n".join([*lines, f"{key}: {row}"])
    else:
        values = read_json(tmp_path / file)  # Coqui's has comments
        values.get("generator_model_params", values)[key] = row
        text = json.dumps(values)
    (tmp_path / file).write_text(text)
    assert load_generator(weights)[1].config == config


@pytest.mark.parametrize(
    ("name", "file", "old", "new", "words"),
    [
        ("transformers-speecht5", "config.json", '"leaky_relu_slope": 0.1', '"leaky_relu_slope": 0.2', "0.2"),
        ("pwg-v1", "config.yml", "negative_slope: 0.1", "negative_slope: 0.2", "LeakyReLU of slope 0.1"),
        ("pwg-v1", "config.yml", "out_channels: 1", "out_channels: 4", "out_channels is 4"),
        ("pwg-v1", "config.yml", "use_weight_norm", "use_causal_conv: true\n  use_weight_norm", "use_causal_conv"),
        ("pwg-v1", "config.yml", "HiFiGANGenerator", "MelGANGenerator", "generator_type is MelGANGenerator"),
        ("espnet2-joint-v1", "config.yaml", "global_channels: -1", "global_channels: 16", "embedding of a speaker"),
        ("espnet2-joint-v1", "config.yaml", "hifigan_generator", "style_melgan", "vocoder_type is style_melgan"),
        ("speechbrain-v1", "hyperparams.yaml", "cond_channels: 0", "cond_channels: 8", "embedding of a speaker"),
        ("coqui-v1-trainer", "config.json", "hifigan_generator", "univnet_generator", "univnet_generator"),
    ],
)
def test_variants_that_are_not_ours_are_refused(name, file, old, new, words, tmp_path):
    weights = formats.copy_of(name, tmp_path)
    if name == "coqui-v1-trainer":
        content = torch.load(weights, weights_only=True)
        torch.save({"model": content["model"]}, weights)  # without the configuration inside
    text = (tmp_path / file).read_text()
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new))
    with pytest.raises(InputError, match=words):
        load_generator(weights)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"istft_layer": True}, "iSTFT variant"),
        ({"activation_function": "everyvoice.model.Snake"}, "its activation is everyvoice.model.Snake"),
    ],
)
def test_variants_of_everyvoice_are_refused(change, words, tmp_path):
    file = formats.copy_of("everyvoice-v1", tmp_path)
    content = torch.load(file, weights_only=True)
    content["hyper_parameters"]["config"]["model"] |= change
    torch.save(content, file)
    with pytest.raises(InputError, match=words):
        load_generator(file)


def test_speechbrains_rate_comes_from_the_name_of_the_folder(tmp_path, caplog):
    file = formats.copy_of("speechbrain-v1", tmp_path / "tts-hifigan-libritts-16kHz")
    with caplog.at_level("INFO"):
        _, info = load_generator(file)
    assert info.audio.sampling_rate == 16000
    assert "16000 Hz is assumed" in caplog.text


def test_a_vocoder_inside_a_larger_model_of_transformers(tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    file = formats.copy_of("transformers-fastspeech2conformer", tmp_path)
    expected = load_generator(file)[0].state_dict()
    state = safetensors.load_file(file)
    joint = {f"vocoder.{key}": value for key, value in state.items()} | {"model.encoder.weight": torch.ones(2, 2)}
    safetensors.save_file(joint, file)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "with_hifigan", "vocoder_config": config}))
    found = load_generator(tmp_path)[0].state_dict()
    assert all(torch.equal(found[key], value) for key, value in expected.items())


def test_the_vocoder_in_a_pipeline_of_diffusers(tmp_path):
    formats.copy_of("transformers-speecht5", tmp_path / "vocoder")
    (tmp_path / "model_index.json").write_text("{}")
    assert load_generator(tmp_path)[1].path == tmp_path / "vocoder" / "model.safetensors"


def test_mean_and_scale_that_are_in_the_file_but_not_used(tmp_path):
    file = formats.copy_of("transformers-speecht5", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "normalize_before": False}))
    generator, info = load_generator(file)
    assert not info.config.normalised_input
    assert "normalise.mean" not in generator.state_dict()


# Fixture of a front end -> fixture of a generator with its mels, and the largest difference, which is a few roundings
# of fp32. In digital silence the difference is 0.
FRONT_ENDS = {
    "coqui-ln": ("coqui-v1-release", 2e-5),
    "everyvoice": ("everyvoice-v1", 2e-5),
    "pwg-22050": ("pwg-v1", 1e-5),
    "speechbrain-22050": ("speechbrain-v1", 2e-5),
    "transformers-speecht5": ("transformers-speecht5", 1e-5),
}


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_our_mels_are_those_of_the_program(front_end):
    name, tolerance = FRONT_ENDS[front_end]
    if name in formats.NEED_H5PY:
        pytest.importorskip("h5py")
    _, info = load_generator(formats.weights(formats.FOLDER / name))
    recorded = np.load(formats.FOLDER / "frontends" / f"{front_end}.npz")
    mel = MelSpectrogram(info.audio, info.convention)(torch.from_numpy(recorded["signal"])[None])[0].numpy()
    assert mel.shape == recorded["mel"].shape
    assert np.abs(mel - recorded["mel"]).max() < tolerance


def test_our_mels_are_those_of_nemo():
    folder = formats.FOLDER / "nemo-v1"
    _, info = load_generator(formats.weights(folder))
    expected = np.load(folder / "frontend_mel.npy")
    mel = MelSpectrogram(info.audio, info.convention)(torch.from_numpy(np.load(folder / "frontend_signal.npy"))[None])
    assert mel[0].shape == expected.shape
    assert np.abs(mel[0].numpy() - expected).max() < 2e-5


def test_no_code_of_a_yaml_file_is_run(tmp_path):
    file = formats.copy_of("speechbrain-v1", tmp_path)
    with (tmp_path / "hyperparams.yaml").open("a") as yaml:
        yaml.write(f"\nbad: !!python/object/apply:os.mkdir [{tmp_path / 'made'}]\n")
        yaml.write(f"worse: !apply:os.mkdir [{tmp_path / 'made'}]\n")
    load_generator(file)
    assert not (tmp_path / "made").exists()
