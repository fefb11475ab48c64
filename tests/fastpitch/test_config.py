"""FastPitch configurations: as published, with unknown keys, and those that are impossible."""

import dataclasses
import json

import pytest

from common.errors import InputError
from fastpitch import FastPitchConfig
from tests.support.models import TINY_FASTPITCH
from tests.support.paths import PARITY


def test_unknown_keys_are_named_and_ignored(caplog):
    assert FastPitchConfig.from_dict({**TINY_FASTPITCH.to_dict(), "new_thing": 1}) == TINY_FASTPITCH
    assert "new_thing" in caplog.text


def test_configuration_as_published():
    for name in "ab":
        values = json.loads((PARITY / f"fastpitch_{name}_config.json").read_text())
        assert FastPitchConfig.from_dict(values).to_dict() == values
    assert len(dataclasses.fields(FastPitchConfig)) == len(values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"n_symbols": 1.5}, "n_symbols is 1.5, not int"),
        ({"n_symbols": "148"}, "not int"),
        ({"n_symbols": None}, "not int"),
        ({"energy_conditioning": "yes"}, "not bool"),
        ({"speaker_emb_weight": float("nan")}, "not float"),
        ({"p_in_fft_dropout": 1.0}, "not a probability below 1"),
        ({"in_fft_conv1d_kernel_size": 4}, "must be odd"),
        ({"padding_idx": 148}, "padding_idx 148 is not one of 148 symbols"),
        ({"out_fft_output_size": 256}, "must be one even number"),
    ],
)
def test_configurations_without_sense(values, message):
    with pytest.raises(InputError, match=message):
        FastPitchConfig(**values)
