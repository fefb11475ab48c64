"""The contract inside an exported file."""

import dataclasses
import json

import pytest
import torch

from common.audio import AudioConfig
from common.errors import InputError
from hifigan import Denoiser, Generator
from hifigan.denoiser import ConvolutionalDenoiser
from hifigan.export.contract import ExportContract
from hifigan.export.files import load_export
from tests.support.exports import CONTRACT, archive
from tests.support.models import TINY


def test_contract_round_trip():
    assert ExportContract.from_json(CONTRACT.to_json()) == CONTRACT
    told = json.loads(CONTRACT.to_json())
    assert told["config"] == TINY.to_dict()
    assert told["audio"] == dataclasses.asdict(CONTRACT.audio)
    assert (told["version"], told["log_base"], told["denoising_strength"]) == (1, "ln", 0.25)


def test_shortest_mel():
    # The denoiser reflects 512 samples at the ends, which takes 513: three frames of 256.
    assert CONTRACT.min_frames == 3
    assert dataclasses.replace(CONTRACT, denoising_strength=0.0).min_frames == 1


def test_shortest_mel_of_an_odd_filter_length():
    # The denoiser's transform has 1000 then, and reflects 500 samples: four frames of 125 are one sample too few.
    audio = AudioConfig(hop_length=125, filter_length=999, win_length=999)
    config = dataclasses.replace(TINY, upsample_rates=(5, 5, 5), upsample_kernel_sizes=(11, 11, 11))
    contract = dataclasses.replace(CONTRACT, audio=audio, config=config)
    assert contract.min_frames == 5
    denoiser = ConvolutionalDenoiser(Denoiser(Generator(config), 999), 0.1)
    assert denoiser(torch.zeros(1, 5 * 125)).shape == (1, 5 * 125)
    with pytest.raises(RuntimeError, match="Padding size"):
        denoiser(torch.zeros(1, 4 * 125))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "of another version"),
        ({"format": "pickle"}, "format 'pickle'"),
        ({"audio": {**dataclasses.asdict(AudioConfig()), "hop_length": 128}}, "multiply to 256, but hop_length is 128"),
        ({"audio": {**dataclasses.asdict(AudioConfig()), "framing": "none"}}, "framing"),
        ({"audio": 5}, "unreadable"),
        ({"config": {}}, "lacks upsample_rates"),
        ({"surprise": 1}, "unreadable"),
        (None, "unreadable"),
    ],
)
def test_contracts_that_are_refused(change, message, tmp_path):
    text = "[no json" if change is None else json.dumps({**json.loads(CONTRACT.to_json()), **change})
    with pytest.raises(InputError, match=message):
        load_export(archive(tmp_path / "a.pt2", text))
