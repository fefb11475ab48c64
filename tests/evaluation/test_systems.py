"""Parsing of --system."""

import pytest

from common.errors import InputError
from evaluation.systems import parse_systems
from tests.support.models import make_model_folder


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["x"], "x is neither NAME=CHECKPOINT nor NAME=DIR"),
        (["a/b=."], "'a/b' cannot be a name"),
        (["ground-truth=."], "cannot be a name"),
        (["a=.", "a=."], "a is given twice"),
        (["a=.:ema"], "is a folder"),
        (["a=FILE:fast"], "fast is none of ema, export"),
        (["a=FILE:denoise=much"], "denoise=much is none of"),
    ],
)
def test_systems_that_are_refused(words, message, tmp_path):
    (tmp_path / "FILE").touch()
    with pytest.raises(InputError, match=message):
        parse_systems([word.replace("FILE", str(tmp_path / "FILE")) for word in words])
    with pytest.raises(FileNotFoundError, match="no such checkpoint or folder"):
        parse_systems(["a=nowhere.pt:ema"])


def test_a_voice_is_no_system_of_copy_synthesis_but_a_folder_of_audio_called_like_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ann").mkdir()
    (tmp_path / "ann" / "hifigan.safetensors").touch()
    for word in ("a=voice", "a=voice:ann", "a=ann"):
        with pytest.raises(InputError, match=r"a voice speaks texts.*name DIR/hifigan.safetensors"):
            parse_systems([word])
    (tmp_path / "voice").mkdir()
    (tmp_path / "voice" / "a.wav").touch()
    assert parse_systems(["a=voice", "b=ann/hifigan.safetensors"])[1].is_folder


def test_options_of_a_system(tmp_path):
    (tmp_path / "g.pt").touch()
    _, system = parse_systems([f"my model={tmp_path / 'g.pt'}:ema:precision=bf16:denoise=0.05:config=v2"])
    assert (system.name, system.source, system.ema, system.precision) == (
        "my model",
        str(tmp_path / "g.pt"),
        True,
        "bf16",
    )
    assert (system.denoise, system.config, system.export) == (0.05, "v2", False)


def test_a_model_for_sharing_is_a_system(tmp_path):
    folder = make_model_folder(tmp_path / "model")
    (system,) = parse_systems([f"mine={folder}:ema"])[1:]
    assert (system.source, system.is_model, system.ema) == (str(folder / "model.safetensors"), True, True)
    other = make_model_folder(tmp_path / "speech", state="state_dict")
    with pytest.raises(InputError, match=r"^--system mine: .*holds a FastPitch model, not a HiFi-GAN generator"):
        parse_systems([f"mine={other}"])
