"""Properties that hold for any weights: batches, voices, precision, TorchScript, and clear error messages."""

import dataclasses
import math

import pytest
import torch
from torch import nn

from common.errors import InputError
from fastpitch import FastPitch, FastPitchOutput
from fastpitch.alignment import exact_prior
from fastpitch.length_regulator import round_durations
from fastpitch.losses import fastpitch_losses
from fastpitch.pitch_transform import PitchTransform
from tests.support.models import TINY_FASTPITCH
from tests.support.weights import fastpitch_weights

SILENCE = math.log(1e-5)
LENGTHS = (9, 14, 1, 5)


def tiny(**changes):
    model = FastPitch(dataclasses.replace(TINY_FASTPITCH, **changes)).eval()
    model.load_state_dict(fastpitch_weights(model.state_dict()))
    return model


@pytest.fixture(scope="module")
def model():
    return tiny()


@pytest.fixture(scope="module")
def texts():
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(1, 20, (length,), generator=generator) for length in LENGTHS]


def padded(texts, more=3):
    longest = max(map(len, texts)) + more
    return torch.stack([torch.cat([text, torch.zeros(longest - len(text), dtype=torch.long)]) for text in texts])


def close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5)


class SetToOne(nn.Module):
    """A hook that ignores padding."""

    def forward(self, pitch, mask, mean_hz, std_hz):
        return torch.ones_like(pitch)


@pytest.mark.parametrize("energy_conditioning", [True, False])
@pytest.mark.parametrize(
    "transform", [None, PitchTransform(shift_hz=50), PitchTransform(custom="utterance_mean + 9"), SetToOne()]
)
@torch.no_grad()
def test_a_batch_of_voices_gives_what_each_gives_alone(energy_conditioning, transform, texts):
    model = tiny(energy_conditioning=energy_conditioning)
    model.pitch_transform = transform
    speakers = torch.tensor([0, 2, 1, 1])
    batch = model(padded(texts), speaker=speakers)
    assert batch.mel.size(2) == batch.mel_lens.max()
    for item, text in enumerate(texts):
        alone = model(text.unsqueeze(0), speaker=speakers[item : item + 1])
        frames = int(alone.mel_lens)
        assert batch.mel_lens[item] == frames > 0
        close(batch.mel[item, :, :frames], alone.mel[0])
        assert (batch.mel[item, :, frames:] == torch.tensor(SILENCE)).all()
        for values, single in zip(batch[2:], alone[2:], strict=True):
            if values is not None:
                close(values[item, ..., : len(text)], single[0])
                assert not values[item, ..., len(text) :].any()


@torch.no_grad()
def test_voices_differ_and_the_first_is_the_default(model, texts):
    ids = texts[0].unsqueeze(0)
    outputs = [model(ids, speaker=torch.tensor([speaker])).pitch for speaker in range(3)]
    assert torch.equal(model(ids).pitch, outputs[0])
    assert not torch.allclose(outputs[0], outputs[1])
    assert not torch.allclose(outputs[1], outputs[2])
    silenced = tiny(speaker_emb_weight=0.0)
    close(silenced(ids, speaker=torch.tensor([1])).pitch, silenced(ids).pitch)


@torch.no_grad()
def test_pace_divides_durations(model, texts):
    ids = padded(texts)
    for pace in (0.5, 1.0, 3.0):
        output = model(ids, pace=pace)
        assert torch.equal(output.durations, model(ids).durations)
        assert torch.equal(output.mel_lens, round_durations(output.durations, pace).sum(1))


@torch.no_grad()
def test_a_text_without_frames_is_silent_and_harms_nobody(model, texts):
    ids = padded([*texts, torch.zeros(0, dtype=torch.long)])
    output = model(ids, pace=1.0)
    assert output.mel_lens[-1] == 0
    assert torch.isfinite(output.mel).all()
    assert (output.mel[-1] == torch.tensor(SILENCE)).all()
    nothing = model(ids, pace=1000.0)
    assert nothing.mel.shape == (5, 8, 1)
    assert not nothing.mel_lens.any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@torch.no_grad()
def test_lengths_are_right_under_autocast(dtype, model, texts):
    with torch.autocast("cpu", dtype):
        output = model(padded(texts), pace=0.9)
    assert output.mel.dtype == output.durations.dtype == output.pitch.dtype == torch.float32
    assert torch.equal(output.mel_lens, round_durations(output.durations, 0.9).sum(1))
    close_to = model(padded(texts), pace=0.9)
    torch.testing.assert_close(output.durations, close_to.durations, rtol=0, atol=0.2)
    # Values that bf16 or fp16 cannot hold show that the last layers were not rounded.
    assert (output.durations != output.durations.to(dtype)).any()
    assert (output.mel[0, :, : output.mel_lens[0]].to(dtype) != output.mel[0, :, : output.mel_lens[0]]).any()


@torch.no_grad()
def test_long_texts_in_half_precision_are_as_in_single():
    """Half precision cannot count past 2048, but frames still show their own symbol, and positions differ."""
    model = tiny()
    model.duration_predictor.fc.weight.zero_()
    model.duration_predictor.fc.bias.fill_(math.log(61.3))  # 60 frames each
    ids = torch.randint(1, 20, (1, 80), generator=torch.Generator().manual_seed(1))
    expected = model(ids)
    with torch.autocast("cpu", torch.float16):
        output = model(ids)
    assert output.mel_lens.tolist() == [4800]
    assert (output.mel - expected.mel)[0, :, 4000:].abs().max() < 0.02


TRANSFORMS = [
    None,
    PitchTransform(flatten=True),
    PitchTransform(invert=True, amplify=1.5, shift_hz=-20.0),
    PitchTransform(custom="mean + 1.5 * (pitch - mean) if position > 0.5 else max(pitch, utterance_mean) - std"),
]


@pytest.mark.medium
@pytest.mark.parametrize("transform", TRANSFORMS)
@torch.no_grad()
def test_scripted_equals_eager(transform, texts, tmp_path):
    model = tiny()
    model.pitch_transform = transform
    torch.jit.script(model).save(tmp_path / "scripted.pt")
    scripted = torch.jit.load(tmp_path / "scripted.pt")
    speakers = torch.tensor([0, 2, 1, 1])
    for size in (4, 1, 2, 4):  # other sizes, and calls after the first, run other compiled code
        ids, speaker = padded(texts)[:size], speakers[:size]
        for pace in (1.0, 1.3):
            expected = model(ids, pace, speaker)
            assert isinstance(expected, FastPitchOutput)
            for ours, theirs in zip(expected, scripted(ids, pace, speaker), strict=True):
                assert torch.equal(ours, theirs)


@torch.no_grad()
def test_given_pitch_takes_the_place_of_the_prediction(model, texts):
    ids, speakers = padded(texts), torch.tensor([0, 2, 1, 1])
    predicted = model(ids, speaker=speakers)
    given = torch.full((4, 1, ids.size(1)), math.nan)
    # The prediction itself changes nothing, whether it is given for all, for some, or for none.
    for symbols in (0, 3, ids.size(1)):
        given[:, :, :symbols] = predicted.pitch[:, :, :symbols]
        for ours, theirs in zip(model(ids, 1.0, speakers, given), predicted, strict=True):
            assert torch.equal(ours, theirs)
    # Another pitch is spoken as it is, changes the mel, but neither the durations nor the neighbours.
    given[1] = 2.5
    changed = model(ids, 1.0, speakers, given)
    expected = predicted.pitch.clone()
    expected[1, 0, : len(texts[1])] = 2.5
    assert torch.equal(changed.pitch, expected)
    assert torch.equal(changed.durations, predicted.durations)
    assert not torch.allclose(changed.mel[1], predicted.mel[1], atol=1e-2)
    assert torch.equal(changed.mel[[0, 2, 3]], predicted.mel[[0, 2, 3]])


@torch.no_grad()
def test_given_pitch_is_transformed(texts):
    model = tiny()
    ids = texts[0].unsqueeze(0)
    given = torch.linspace(-1, 1, ids.size(1)).view(1, 1, -1)
    shifted = model(ids, pitch=given + 20 / 67.24)  # a model without statistics: the published deviation
    model.pitch_transform = PitchTransform(shift_hz=20)
    close(model(ids, pitch=given).pitch, shifted.pitch)
    close(model(ids, pitch=given).mel, shifted.mel)


@torch.no_grad()
def test_pitch_is_transformed_about_the_mean_of_each_voice(texts):
    model = tiny()
    model.pitch_mean[:], model.pitch_std[:] = 200.0, 50.0
    model.speaker_pitch[:] = torch.tensor([[120.0, 20.0], [240.0, 40.0], [0.0, 0.0]])  # the third is unknown
    ids = texts[0].repeat(3, 1)
    speaker = torch.tensor([0, 1, 2])
    before = model(ids, 1.0, speaker).pitch * 50 + 200
    means = torch.tensor([120.0, 240.0, 200.0]).view(3, 1, 1)
    for transform, expected in (
        (PitchTransform(flatten=True), means.expand_as(before)),
        (PitchTransform(invert=True), 2 * means - before),
        (PitchTransform(amplify=2.0, shift_hz=10.0), 2 * before - means + 10),
        (PitchTransform(custom="mean + std"), means + torch.tensor([20.0, 40.0, 50.0]).view(3, 1, 1)),
    ):
        model.pitch_transform = transform
        torch.testing.assert_close(
            model(ids, 1.0, speaker).pitch * 50 + 200, expected.expand_as(before), rtol=1e-4, atol=1e-2
        )


@pytest.mark.parametrize("transform", [None, PitchTransform(amplify=1.5, custom="min(pitch, utterance_mean)")])
@torch.no_grad()
def test_scripted_equals_eager_with_given_pitch(transform, texts):
    model = tiny()
    model.pitch_transform = transform
    scripted = torch.jit.script(model)
    ids, speakers = padded(texts), torch.tensor([0, 2, 1, 1])
    given = torch.randn(4, 1, ids.size(1), generator=torch.Generator().manual_seed(3))
    given[:, :, ::2] = math.nan
    for size in (4, 1, 3):
        expected = model(ids[:size], 1.2, speakers[:size], given[:size])
        for ours, theirs in zip(expected, scripted(ids[:size], 1.2, speakers[:size], given[:size]), strict=True):
            assert torch.equal(ours, theirs)


@torch.no_grad()
def test_scripted_refuses_too(texts):
    scripted = torch.jit.script(FastPitch(dataclasses.replace(TINY_FASTPITCH, n_speakers=1), aligner=False).eval())
    assert scripted(padded(texts)).energy is not None
    with pytest.raises(Exception, match="the model's are 0 to 0"):
        scripted(padded(texts), 1.0, torch.tensor([1]))


@pytest.mark.parametrize(
    ("ids", "options", "message"),
    [
        ([[1, 2, 20]], {}, "symbol ids must lie between 0 and 19"),
        ([[1, -1]], {}, "symbol ids must lie between 0 and 19"),
        ([1, 2], {}, r"shape \[B, S\], got \[2\]"),
        ([[]], {}, r"shape \[B, S\], got \[1, 0\]"),
        ([[1, 2]], {"pace": 0.0}, "pace is 0.0, must be above 0"),
        ([[1, 2]], {"pace": float("nan")}, "pace is nan"),
        ([[1, 2]], {"speaker": torch.tensor([3])}, "speaker 3 to 3, but the model's are 0 to 2"),
        ([[1, 2]], {"speaker": torch.tensor([-1])}, "speaker -1"),
        ([[1, 2]], {"speaker": torch.tensor([0, 1])}, "2 speakers for 1 texts"),
        ([[1, 2]], {"pitch": torch.zeros(1, 1, 3)}, r"pitch has shape \[1, 1, 3\], expected"),
        ([[1, 2]], {"pitch": torch.zeros(1, 2)}, r"pitch has shape \[1, 2\], expected"),
    ],
)
def test_refuses_what_it_does_not_know(ids, options, message, model):
    with pytest.raises(InputError, match=message):
        model(torch.tensor(ids, dtype=torch.long), **options)


def recordings(texts):
    """Mels, lengths, pitch and priors for `texts`, three or more frames per symbol, with arbitrary padding."""
    generator = torch.Generator().manual_seed(2)
    lens = torch.tensor([3 * len(text) + i for i, text in enumerate(texts)])
    num_frames = int(lens.max()) + 4
    mel = torch.randn(len(texts), 8, num_frames, generator=generator) - 3
    pitch = torch.randn(len(texts), 1, num_frames, generator=generator)
    pitch[:, :, ::3] = 0
    prior = torch.rand(len(texts), num_frames, max(map(len, texts)) + 3, generator=generator)
    for i, text in enumerate(texts):
        prior[i, : lens[i], : len(text)] = torch.from_numpy(exact_prior(int(lens[i]), len(text)))
    return mel, lens, pitch, prior


@torch.no_grad()
def test_teacher_forcing_of_a_batch_gives_what_each_gives_alone(model, texts):
    mel, lens, pitch, prior = recordings(texts)
    batch = model.teacher_forced(padded(texts), mel, lens, pitch, prior)
    assert torch.equal(batch.durations.sum(1), lens)
    every = []
    for i, text in enumerate(texts):
        frames, symbols = int(lens[i]), len(text)
        alone = model.teacher_forced(
            text.unsqueeze(0),
            mel[i : i + 1, :, :frames],
            lens[i : i + 1],
            pitch[i : i + 1, :, :frames],
            prior[i : i + 1, :frames, :symbols],
        )
        every.append(fastpitch_losses(alone, mel[i : i + 1, :, :frames]))
        assert torch.equal(batch.durations[i, :symbols], alone.durations[0])
        close(batch.mel[i, :, :frames], alone.mel[0])
        for name in ("log_durations", "pitch", "pitch_target", "energy", "energy_target"):
            close(getattr(batch, name)[i, ..., :symbols], getattr(alone, name)[0])
            assert not getattr(batch, name)[i, ..., symbols:].any()
        close(batch.logits[i, :frames, :symbols], alone.logits[0])
    together = fastpitch_losses(batch, mel)
    texts_mean = torch.stack([losses["alignment_loss"] for losses in every]).mean()
    close(together["alignment_loss"], texts_mean)
    for name, weights in (("mel_loss", lens), ("binarization_loss", lens), ("pitch_loss", batch.text_lens)):
        mean = sum(losses[name] * weight for losses, weight in zip(every, weights, strict=True)) / weights.sum()
        torch.testing.assert_close(together[name], mean, rtol=1e-5, atol=0)


@pytest.mark.parametrize("with_prior", [True, False])
def test_every_parameter_learns_finitely(with_prior, texts):
    model = tiny().train()
    mel, lens, pitch, prior = recordings(texts)
    speakers = torch.tensor([0, 2, 1, 1])
    output = model.teacher_forced(padded(texts), mel, lens, pitch, prior if with_prior else None, speakers)
    losses = fastpitch_losses(output, mel)
    (losses["loss"] + losses["binarization_loss"]).backward()
    for name, parameter in model.named_parameters():
        if "attn_proj" in name:  # unused, but part of published files
            assert parameter.grad is None
            continue
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.any(), name


def test_teacher_forcing_refuses_what_does_not_belong_together(model, texts):
    mel, lens, pitch, prior = recordings(texts)
    ids = padded(texts)
    for arguments, message in (
        ((ids, mel[:, :7], lens, pitch, prior), "mel has shape"),
        ((ids, mel, lens[:2], pitch, prior), "mel_lens has shape"),
        ((ids, mel, lens, pitch.squeeze(1), prior), "pitch has shape"),
        ((ids, mel, lens, pitch, prior[:, :, 1:]), "prior has shape"),
        ((ids, mel, lens + 100, pitch, prior), "mel_lens at most"),
    ):
        with pytest.raises(InputError, match=message):
            model.teacher_forced(*arguments)
    with pytest.raises(InputError, match="no aligner"):
        FastPitch(TINY_FASTPITCH, aligner=False).teacher_forced(ids, mel, lens, pitch)


@torch.no_grad()
def test_padding_may_hold_anything(model, texts):
    """NaN in the padding of the encoder's input changes no output."""
    poisoned = tiny()
    nn.init.constant_(poisoned.encoder.word_emb.weight[0], math.inf)
    ours, theirs = model(padded(texts)), poisoned(padded(texts))
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
