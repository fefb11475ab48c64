"""Each system of a report is explained by what made its audio."""

import re

import pytest
import torch
from safetensors.torch import load_file

import inference
from evaluation.report.explain import explain, explain_speaker
from evaluation.spoken.systems import SpeakingSystem
from evaluation.systems import System
from hifigan import Generator
from hifigan.config import PRESETS
from tests.support.data_sets import write_data_set
from tests.support.models import SETUP, TINY, make_checkpoint, make_voice
from voice.folder import DEFAULT_VOICE, find_voice


def explained(system):
    return explain(system, torch.device("cpu"))


def test_references():
    assert explained(System("ground-truth")) == "the recordings themselves, the best that a system can reach"
    assert explained(System("griffin-lim")).startswith("a baseline without a neural network: 60 iterations of ")


@pytest.mark.parametrize(("name", "size"), [("v1", "13.9"), ("v2", "0.93"), ("v3", "1.46")])
def test_published_architectures_have_the_sizes_of_the_paper(name, size, tmp_path):
    """The paper's table 1: 13.92, 0.92 and 1.46 million parameters, V2 rounded down."""
    path = tmp_path / "voice" / "g.pt"
    path.parent.mkdir()
    content = {"generator": Generator(PRESETS[name]).state_dict(), "config": PRESETS[name].to_dict()}
    torch.save({**content, "train_setup": SETUP, "train_state": {"epoch": 3}}, path)
    generator = f"a HiFi-GAN {name.upper()} generator with {size} million parameters"
    assert explained(System("mine", str(path))) == f"{generator}, file voice/g.pt, after 3 epochs of training"


def test_other_architectures_and_options(tmp_path):
    path = make_checkpoint(tmp_path / "g.pt")
    size = sum(value.numel() for key, value in Generator(TINY).state_dict().items() if not key.endswith("weight_g"))
    found = explained(System("mine", str(path), precision="bf16", denoise=0.01))
    assert found.startswith(f"a generator with {size / 1e6:.2f} million parameters, file {tmp_path.name}/g.pt")
    assert found.endswith(", in bf16, denoiser 0.01")


def test_folders(tmp_path):
    data = write_data_set(tmp_path / "data", [0.5])
    assert explained(System("real", str(data / "wavs"))) == "audio files of data/wavs"
    out = tmp_path / "copies"
    assert inference.main(["--hifigan", str(make_checkpoint(tmp_path / "g.pt")), "-i", str(data), "-o", str(out)]) == 0
    assert explained(System("copies", str(out))).startswith(
        f"audio files of {tmp_path.name}/copies, made by inference.py with a generator with 0.0"
    )
    (out / "synthesis.json").write_text("[]")
    assert explained(System("copies", str(out))) == f"audio files of {tmp_path.name}/copies"


def test_a_voice_has_two_models(tmp_path):
    folder = make_voice(tmp_path / "anna")
    tensors = load_file(folder / "fastpitch.safetensors")
    size = sum(
        value.numel()
        for name, value in tensors.items()
        if not name.startswith(("attention.", "pitch_mean", "pitch_std"))
    )
    found = explain_speaker(SpeakingSystem("mine", voice=str(folder)))
    assert found.startswith(
        f"the voice anna: a FastPitch model with {size / 1e6:.2f} million parameters, and a generator"
    )
    assert found.endswith(", file anna/hifigan.safetensors")


def test_the_shipped_voice():
    """Its model card names the epochs of both models."""
    found = explain_speaker(SpeakingSystem("mine", voice=DEFAULT_VOICE))
    epochs = re.findall(r"after (\d+) epochs of training", found)
    assert epochs == re.findall(r"MB \| (\d+),", find_voice().card.read_text())[::-1]
    assert "a HiFi-GAN V2 generator with 0.93 million parameters, file kathleen/hifigan.safetensors" in found


def test_other_speakers_are_explained_like_systems(tmp_path):
    assert explain_speaker(SpeakingSystem("ground-truth")) == explained(System("ground-truth"))
    write_data_set(tmp_path / "data", [0.5])
    assert explain_speaker(SpeakingSystem("x", folder=str(tmp_path / "data" / "wavs"))) == "audio files of data/wavs"
