"""Generator configurations: round trip, and those that are impossible."""

import dataclasses
import json

import pytest

from common.errors import InputError
from hifigan.config import GeneratorConfig
from tests.support.models import TINY


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"upsample_kernel_sizes": (16, 15, 8)}, "kernel - rate must be even"),
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
