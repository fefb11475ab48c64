"""Generator configurations: round trip, and those that are impossible."""

import dataclasses
import json
import logging

import pytest

from common.errors import InputError
from hifigan.config import TRAINING_KEYS, GeneratorConfig, read_config_file
from tests.support.models import TINY


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"upsample_kernel_sizes": (16, 7, 8)}, "kernel 7 is shorter than its rate 8"),
        ({"padding": "circular"}, "not 'zeros' or 'reflect'"),
        ({"exact_upsampling": 1}, "exact_upsampling is 1"),
        ({"upsample_rates": (8, 8)}, "differ in length"),
        ({"resblock": "3"}, "resblock is '3'"),
        ({"resblock_kernel_sizes": (3, 4)}, "must be odd"),
        ({"resblock_dilation_sizes": ((1, 2),)}, "differ in length"),
        ({"upsample_initial_channel": 20}, "cannot be halved 3 times"),
        ({"upsample_rates": "abc"}, "generator configuration"),
    ],
)
def test_impossible_configurations(changes, words):
    with pytest.raises(InputError, match=words):
        dataclasses.replace(TINY, **changes)


def test_configuration_round_trip():
    assert GeneratorConfig.from_dict(json.loads(json.dumps(TINY.to_dict()))) == TINY
    assert GeneratorConfig.from_dict({**TINY.to_dict(), "resblock": 2}) == TINY
    with pytest.raises(InputError, match="lacks resblock"):
        GeneratorConfig.from_dict({k: v for k, v in TINY.to_dict().items() if k != "resblock"})


def test_only_keys_that_no_published_file_has_are_named(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**TINY.to_dict(), **dict.fromkeys(TRAINING_KEYS, 1), "hop_size": 256}))
    assert read_config_file(path) == (TINY, {"hop_length": 256})
    assert caplog.messages == []
    path.write_text(json.dumps({**TINY.to_dict(), "hop_sise": 256}))
    read_config_file(path)
    assert caplog.messages == [f"{path}: unknown keys are ignored: hop_sise"]
