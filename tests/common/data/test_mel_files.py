"""Mels in files: their logarithm, and the descriptions that belong to them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from common.audio import SILENCE, AudioConfig, MelSpectrogram
from common.audio_config import OUR_MELS, MelConvention
from common.data.mel_files import (
    check_mel_config,
    convert_mel,
    describe_other_scale,
    mel_contracts,
    read_mel,
    record_config,
)
from common.errors import InputError
from common.mel_contract import MelContract
from tests.support.data_sets import speechlike


@pytest.mark.medium
def test_natural_log(tmp_path: Path) -> None:
    magnitudes = torch.tensor([1e-5, 1e-3, 0.5, 1.0, 7.0], dtype=torch.float64)
    log10 = MelConvention("log10")
    made = convert_mel(magnitudes.log10().float(), log10, OUR_MELS)
    assert made.dtype == torch.float32
    torch.testing.assert_close(made, magnitudes.log().float(), rtol=2e-7, atol=2e-7)
    assert convert_mel(torch.tensor([-5.0, -5.1, -9.0]), log10, OUR_MELS).tolist() == [torch.tensor(SILENCE).item()] * 3
    torch.save(magnitudes.log10().float()[:, None], tmp_path / "m.pt")
    assert torch.equal(read_mel(tmp_path / "m.pt", 5, log10), made[:, None])
    assert torch.equal(read_mel(tmp_path / "m.pt", 5), magnitudes.log10().float()[:, None])


@pytest.mark.parametrize("framing", ["vocoder", "tacotron"])
def test_mels_of_another_scale(framing: str) -> None:
    wav = torch.from_numpy(speechlike(1.0)).float()[None]
    wav[:, :4000] *= 1e-3  # a pause
    for level in (1.0, 0.05):
        mel = MelSpectrogram(AudioConfig(framing=framing))(wav * level)
        others = {
            "log10": mel / math.log(10),
            "decibels": mel * 20 / math.log(10),
            "magnitudes without a logarithm": mel.exp() * 3 / level,
            "values scaled to 0 to 1": (mel - mel.min()) / (mel.max() - mel.min()),
            "normalised values": (mel - mel.mean()) / mel.std(),
        }
        assert describe_other_scale(mel[0]) is None
        for name, other in others.items():
            assert (describe_other_scale(other[0]) or [""])[0] == name
        # A generator of another program that takes log10 down to 1e-10.
        theirs = MelConvention("log10", 1e-10)
        assert describe_other_scale(mel[0] / math.log(10), theirs) is None
        others["natural logarithms"] = mel
        for name, other in others.items():
            if name not in ("log10", "normalised values"):  # log10 mels can have such values
                assert (describe_other_scale(other[0], theirs) or [""])[0] == name
    assert describe_other_scale(torch.full((80, 30), SILENCE)) is None
    assert describe_other_scale(torch.zeros(80, 30)) is None
    assert describe_other_scale(torch.randn(80, 3, generator=torch.Generator().manual_seed(0))) is None


def test_the_nearest_description_counts(tmp_path: Path) -> None:
    for folder, contract in (
        ("", MelContract(AudioConfig())),
        ("a", MelContract(AudioConfig(framing="tacotron"))),
        ("a/b/c", MelContract(AudioConfig(), MelConvention("log10"))),
    ):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / "audio_config.json").write_text(json.dumps(contract.to_dict()))
    files = [tmp_path / name for name in ("1.pt", "x/2.pt", "a/3.pt", "a/b/4.pt", "a/b/c/5.pt")]
    found = mel_contracts(files, tmp_path, AudioConfig())
    framings = [contract.audio.framing for contract in found.values() if contract]
    assert framings == ["vocoder", "vocoder", "tacotron", "tacotron", "vocoder"]
    assert [contract.log_base for contract in found.values() if contract] == ["ln"] * 4 + ["log10"]
    assert mel_contracts([tmp_path.parent / "y.pt"], tmp_path / "a", AudioConfig()) == {tmp_path.parent / "y.pt": None}
    assert check_mel_config(files[:4], tmp_path, AudioConfig()) == {"vocoder", "tacotron"}
    with pytest.raises(InputError, match=r"c/audio_config.json: these mels are log10, training takes natural"):
        check_mel_config(files, tmp_path, AudioConfig())
    with pytest.raises(InputError, match=r"hop_length 256 instead of 128; remove them .* --hop-length 128\)"):
        mel_contracts(files, tmp_path, AudioConfig(hop_length=128))


def test_descriptions_of_before_the_logarithm_was_named(tmp_path: Path) -> None:
    contract = MelContract(AudioConfig(), peak_normalised=False).to_dict()
    old = {name: value for name, value in contract.items() if name != "log_base"}
    config_file = tmp_path / "audio_config.json"
    config_file.write_text(json.dumps(old))
    (tmp_path / "a.pt").touch()
    record_config(config_file, contract, [tmp_path / "a.pt"], "mels")
    assert json.loads(config_file.read_text()) == contract
    with pytest.raises(InputError, match="of another configuration"):
        record_config(config_file, {**contract, "log_base": "log10"}, [tmp_path / "a.pt"], "mels")
