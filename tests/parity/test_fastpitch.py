"""FastPitch against numbers of a published implementation."""

import json

import numpy as np
import pytest
import torch

from common.audio import AudioConfig, MelSpectrogram
from common.audio_files import load_wav
from fastpitch import FastPitch, FastPitchConfig
from fastpitch.alignment import exact_prior, interpolated_prior
from fastpitch.length_regulator import durations_from_log
from fastpitch.losses import fastpitch_losses
from tests.support.paths import PARITY, real_speech
from tests.support.weights import fastpitch_weights, public_shapes

TOLERANCE = 5e-5
TEACHER_TOLERANCE = 1e-4
LOSS_NAMES = {
    "loss": "loss",
    "mel_loss": "mel_loss",
    "duration_loss": "duration_predictor_loss",
    "pitch_loss": "pitch_loss",
    "energy_loss": "energy_loss",
    "alignment_loss": "attn_loss",
    "binarization_loss": "binarization",
}


@pytest.fixture(scope="module")
def expected():
    return {key: torch.from_numpy(np.asarray(value)) for key, value in np.load(PARITY / "fastpitch.npz").items()}


def published(name):
    config = FastPitchConfig.from_dict(json.loads((PARITY / f"fastpitch_{name}_config.json").read_text()))
    model = FastPitch(config).eval()
    model.load_state_dict(fastpitch_weights(model.state_dict()))
    return model


@pytest.fixture(scope="module", params=["a", "b"])
def named_model(request):
    return request.param, published(request.param)


def get_speaker(name):
    return torch.tensor([1]) if name == "b" else None


def close(actual, expected, tolerance=TOLERANCE):
    torch.testing.assert_close(actual, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", ["a", "b"])
def test_public_names_and_shapes_in_public_order(name):
    ours = {key: list(value.shape) for key, value in published(name).state_dict().items()}
    assert list(ours.items()) == list(public_shapes(f"fastpitch_{name}").items())


@pytest.mark.parametrize("pace", [1.0, 1.25])
@pytest.mark.parametrize("item", range(3))
def test_each_text_alone(item, pace, named_model, expected):
    name, model = named_model
    with torch.no_grad():
        output = model(expected[f"{name}/item{item}/text"], pace=pace, speaker=get_speaker(name))
    place = f"{name}/item{item}/pace{pace}"
    assert torch.equal(output.mel_lens, expected[f"{place}/mel_lens"])
    for field in ("mel", "durations", "pitch"):
        close(getattr(output, field), expected[f"{place}/{field}"])
    if name == "a":
        close(output.energy, expected[f"{place}/energy"])
    else:
        assert output.energy is None


@pytest.mark.parametrize("pace", [1.0, 1.25])
def test_a_batch_gives_what_each_text_gives_alone(pace, named_model, expected):
    name, model = named_model
    texts = [expected[f"{name}/item{item}/text"][0] for item in range(3)]
    ids = torch.nn.utils.rnn.pad_sequence(texts, batch_first=True, padding_value=0)
    with torch.no_grad():
        output = model(ids, pace=pace, speaker=get_speaker(name))
    for item, text in enumerate(texts):
        place = f"{name}/item{item}/pace{pace}"
        frames = int(expected[f"{place}/mel_lens"])
        assert output.mel_lens[item] == frames
        close(output.mel[item, :, :frames], expected[f"{place}/mel"][0])
        close(output.durations[item, : len(text)], expected[f"{place}/durations"][0])
        close(output.pitch[item, :, : len(text)], expected[f"{place}/pitch"][0])


def recording(clip):
    if clip == "LJ001-0002":
        return torch.from_numpy(np.load(PARITY / "fastpitch_mel.npz")[clip])
    if real_speech() is None:
        pytest.skip("HIFIGAN_TEST_DATA is not set")
    wav, _ = load_wav(real_speech() / "data" / "ljspeech-mini" / "wavs" / f"{clip}.wav")
    return MelSpectrogram(AudioConfig(framing="tacotron"))(torch.from_numpy(wav).float().unsqueeze(0))


@pytest.mark.parametrize("clip", ["LJ001-0001", "LJ001-0002", "LJ001-0005"])
def test_teacher_forcing_and_losses(clip, expected):
    mel = recording(clip)
    place = f"tf/{clip}"
    ids = expected[f"{place}/text"]
    prior = torch.from_numpy(interpolated_prior(mel.size(2), ids.size(1))).unsqueeze(0)
    with torch.no_grad():
        output = published("a").teacher_forced(
            ids, mel, expected[f"{place}/mel_len"], expected[f"{place}/pitch"], prior
        )
        losses = fastpitch_losses(output, mel)
    assert torch.equal(output.durations.float(), expected[f"{place}/attn_hard_dur"])
    close(output.mel.transpose(1, 2), expected[f"{place}/mel_out"], TEACHER_TOLERANCE)
    close(durations_from_log(output.log_durations), expected[f"{place}/dur_pred"], TEACHER_TOLERANCE)
    close(output.pitch_target, expected[f"{place}/pitch_tgt"], TEACHER_TOLERANCE)
    close(output.energy_target, expected[f"{place}/energy_tgt"], TEACHER_TOLERANCE)
    assert losses.keys() == LOSS_NAMES.keys()
    for name, loss in losses.items():
        np.testing.assert_allclose(loss.item(), expected[f"{place}/loss/{LOSS_NAMES[name]}"], rtol=1e-5)


@pytest.mark.parametrize(("kind", "prior"), [("exact", exact_prior), ("interpolated", interpolated_prior)])
def test_priors(kind, prior, expected):
    np.testing.assert_allclose(prior(200, 37), expected[f"prior/{kind}_200x37"], rtol=0, atol=1e-12)
