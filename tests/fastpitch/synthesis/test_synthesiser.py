"""Pieces of speech -> mels: what the program's tests do not reach."""

import math

import pytest
import torch

from common.errors import InputError
from fastpitch import FastPitch
from fastpitch.pitch_transform import PitchTransform
from fastpitch.synthesis.pieces import Piece
from fastpitch.synthesis.synthesiser import Synthesiser
from tests.support.models import TINY_FASTPITCH
from tests.support.weights import fastpitch_weights

PIECES = [Piece(name="a.wav", ids=[3, 4, 5, 6, 7, 8]), Piece(name="b.wav", ids=[9, 3], speaker=2)]


@pytest.fixture
def model():
    model = FastPitch(TINY_FASTPITCH).eval()
    model.load_state_dict(fastpitch_weights(model.state_dict()))
    return model


def test_a_piece_without_frames_is_a_frame_of_silence(model):
    with torch.no_grad():
        model.duration_predictor.fc.bias.fill_(-10)
    for mel in Synthesiser(model)(PIECES):
        assert mel.shape == (8, 1)
        assert (mel == torch.tensor(math.log(1e-5))).all()


def test_torchscript_stays_in_single_precision(model):
    plain = Synthesiser(model)(PIECES)
    for ours, theirs in zip(Synthesiser(model, torchscript=True, amp=True)(PIECES), plain, strict=True):
        assert torch.equal(ours, theirs)
    assert not all(map(torch.equal, Synthesiser(model, amp=True)(PIECES), plain))


@pytest.mark.parametrize("torchscript", [False, True])
def test_refusals_are_the_same_in_torchscript(torchscript, model):
    synthesiser = Synthesiser(
        model, pitch_transform=PitchTransform(custom="1 / (pitch - pitch)"), torchscript=torchscript
    )
    with pytest.raises(InputError, match=r"^pitch formula: it gives values that are not finite$"):
        synthesiser(PIECES)


@pytest.mark.parametrize(
    ("flags", "warns"), [({"flatten": True}, False), ({"shift_hz": 125.0}, True), ({"custom": "0 * pitch - 5"}, True)]
)
def test_pitch_beyond_the_voice_is_named_once(flags, warns, model, caplog):
    model.pitch_mean.fill_(150.0)
    model.pitch_std.fill_(30.0)  # 30 to 270 Hz are within four deviations
    synthesiser = Synthesiser(model, pitch_transform=PitchTransform(**{"amplify": 0.0, **flags}))
    synthesiser(PIECES), synthesiser(PIECES)
    assert len(caplog.messages) == int(warns)
    assert all("the voice was trained on about 30 to 270 Hz" in message for message in caplog.messages)


@pytest.mark.medium
def test_given_pitch_is_in_hz_around_the_voice(model):
    model.pitch_mean.fill_(150.0)
    model.pitch_std.fill_(30.0)
    pitch = Synthesiser(model)._pitch([Piece(name="a.wav", ids=[3, 4, 5], pitch_hz=torch.tensor([180.0, 0, 120]))], 5)
    assert torch.equal(pitch.nan_to_num(9), torch.tensor([[[1.0, 0, -1, 9, 9]]]))
    # Without statistics of the voice, as in the pitch transforms: 218.14 and 67.24 Hz.
    model.pitch_std.zero_()
    pitch = Synthesiser(model)._pitch([Piece(name="a.wav", ids=[3], pitch_hz=torch.tensor([218.14 + 67.24]))], 1)
    torch.testing.assert_close(pitch, torch.ones(1, 1, 1))
    assert Synthesiser(model)._pitch(PIECES, 6) is None
