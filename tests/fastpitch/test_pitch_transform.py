"""Pitch transforms: what each does, formulas of the user, and what a formula may not be."""

import math

import pytest
import torch

from common.errors import InputError
from fastpitch import FastPitch
from fastpitch.pitch_transform import PitchTransform, compile_expression
from tests.support.models import TINY_FASTPITCH

MEAN, STD = torch.tensor([200.0]), torch.tensor([50.0])
PITCH = torch.tensor([[1.0, -0.5, 0.0, 2.0], [0.4, -2.0, 0.0, 0.0]])
MASK = torch.tensor([[True] * 4, [True, True, False, False]])


def hz(transform, pitch=PITCH, mask=MASK):
    """The transformed pitch in Hz."""
    changed = transform(pitch, mask, MEAN, STD)
    assert changed.shape == pitch.shape
    assert not changed[~mask].any()
    return (changed * STD + MEAN).masked_fill(~mask, 0)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [[250, 175, 200, 300], [220, 100, 0, 0]]),
        ({"flatten": True}, [[200, 200, 200, 200], [200, 200, 0, 0]]),
        ({"invert": True}, [[150, 225, 200, 100], [180, 300, 0, 0]]),
        ({"amplify": 1.5}, [[275, 162.5, 200, 350], [230, 50, 0, 0]]),
        ({"shift_hz": -20}, [[230, 155, 180, 280], [200, 80, 0, 0]]),
        ({"invert": True, "amplify": 2.0, "shift_hz": 7}, [[107, 257, 207, 7], [167, 407, 0, 0]]),
        ({"shift_hz": 10, "custom": "pitch * 2"}, [[520, 370, 420, 620], [460, 220, 0, 0]]),
        ({"custom": "123"}, [[123, 123, 123, 123], [123, 123, 0, 0]]),
        ({"custom": "mean - 2 * (pitch - mean)"}, [[100, 250, 200, 0], [160, 400, 0, 0]]),
        ({"custom": "utterance_mean"}, [[231.25] * 4, [160, 160, 0, 0]]),
        ({"custom": "100 + 30 * position"}, [[100, 110, 120, 130], [100, 130, 0, 0]]),
        ({"custom": "clamp(pitch, 180, mean + std / 2)"}, [[225, 180, 200, 225], [220, 180, 0, 0]]),
        ({"custom": "400 if pitch >= 220 else -std + 150"}, [[400, 100, 100, 400], [400, 100, 0, 0]]),
        ({"custom": "100 * (pitch < 200) + 50 * (pitch > 200) + (pitch <= 200)"}, [[50, 101, 1, 50], [50, 101, 0, 0]]),
        ({"custom": "min(pitch, 210) - max(5, floor(2.9)) + abs(-3)"}, [[208, 173, 198, 208], [208, 98, 0, 0]]),
        ({"custom": "sqrt(pitch) ** 2 + exp(log(2)) + sin(0) + cos(0)"}, [[253, 178, 203, 303], [223, 103, 0, 0]]),
        ({"custom": "300 - (20 - 5) / 3 - 2 ** 3"}, [[287] * 4, [287, 287, 0, 0]]),
    ],
)
def test_pitch_in_hz(options, expected):
    transform = PitchTransform(**options)
    torch.testing.assert_close(hz(transform), torch.tensor(expected, dtype=torch.float32), rtol=0, atol=1e-3)
    scripted = torch.jit.script(transform)
    for size in (2, 1):
        arguments = (PITCH[:size], MASK[:size], MEAN, STD)
        assert torch.equal(scripted(*arguments), transform(*arguments))


@pytest.mark.parametrize(
    "formula",
    [
        "__import__('os').system('true')",
        "pitch.__class__",
        "pitch[0]",
        "[pitch for x in pitch]",
        "lambda: pitch",
        "(pitch := 3)",
        "'text'",
        "True",
        "1j",
        "pitch and 3",
        "1 < pitch < 3",
        "pitch == 3",
        "pitch % 3",
        "volume * 2",
        "eval(pitch)",
        "clamp(pitch, 1)",
        "min(pitch, *mean)",
        "abs(x=pitch)",
        "1e999",
        "1" + "0" * 400,
        "pitch +",
        "pitch; mean",
        "pitch\n+ mean = 3",
        "(" * 400 + "pitch" + ")" * 400,
        "-" * 999 + "1",
        "pitch" + " + pitch" * 300,
        "\0",
        "...",
    ],
)
def test_other_formulas_are_refused(formula):
    with pytest.raises(InputError, match="pitch formula"):
        compile_expression(formula)


def test_a_formula_without_a_finite_result_is_refused():
    for formula in ("log(pitch - 1000)", "1 / (pitch - pitch)", "10 ** 99"):
        with pytest.raises(InputError, match="not finite"):
            hz(PitchTransform(custom=formula))
    # What happens in the padding does not count.
    pitch = torch.tensor([[0.5, 1.0, 0.0]])
    changed = hz(PitchTransform(custom="1000 / (pitch - 200)"), pitch, torch.tensor([[True, True, False]]))
    torch.testing.assert_close(changed, torch.tensor([[40.0, 20.0, 0.0]]))


@pytest.mark.parametrize("options", [{"amplify": math.inf}, {"shift_hz": math.nan}])
def test_numbers_must_be_finite(options):
    with pytest.raises(InputError, match="must be finite"):
        PitchTransform(**options)


@torch.no_grad()
def test_the_model_uses_its_own_statistics_and_published_ones_where_it_has_none():
    torch.manual_seed(0)
    model = FastPitch(TINY_FASTPITCH).eval()
    ids = torch.tensor([[3, 4, 5]])
    before = model(ids).pitch
    model.pitch_transform = PitchTransform(shift_hz=33.62)
    torch.testing.assert_close(model(ids).pitch, before + 0.5)  # of 67.24 Hz
    model.pitch_transform = PitchTransform(custom="mean + std * position")
    torch.testing.assert_close(model(ids).pitch, torch.tensor([[[0.0, 0.5, 1.0]]]))
    model.pitch_transform = PitchTransform(custom="218.14")
    torch.testing.assert_close(model(ids).pitch, torch.zeros(1, 1, 3))
    model.pitch_mean.fill_(100.0)
    model.pitch_std.fill_(20.0)
    model.pitch_transform = PitchTransform(custom="130")
    torch.testing.assert_close(model(ids).pitch, torch.full((1, 1, 3), 1.5))
    model.pitch_transform = None
    torch.testing.assert_close(model(ids).pitch, before)
