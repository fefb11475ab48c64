"""The conversions of docs/coming-from.md write files that load and sound the same."""

import json
import re
import subprocess

import pytest
import torch

from hifigan import Generator, GeneratorConfig, load_generator
from tests.support.paths import REPOSITORY

PAGE = (REPOSITORY / "docs" / "coming-from.md").read_text(encoding="utf-8")
# Two blocks in each of two stages, so that a wrong number of a block or stage is noticed.
CONFIG = GeneratorConfig((8, 2), (16, 4), 8, "1", (3, 5), ((1, 3), (1, 3)), num_mels=4)


def section(title):
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def example(title, language):
    return re.search(rf"```{language}\n(.*?)```", section(title), re.DOTALL)[1]


def flat_names(generator):
    """Return the tensors with residual blocks numbered in one sequence, as in the files of other programs."""
    blocks = len(generator.config.resblock_kernel_sizes)
    return {
        re.sub(r"^resblocks\.(\d)\.(\d)\.", lambda m: f"resblocks.{blocks * int(m[1]) + int(m[2])}.", name): value
        for name, value in generator.state_dict().items()
    }


def pwg_names(state):
    """Rename to the layout of ParallelWaveGAN, where an activation precedes each convolution."""
    renamed = {}
    for name, value in state.items():
        name = name.replace("conv_pre.", "input_conv.").replace("conv_post.", "output_conv.1.")
        name = re.sub(r"^ups\.(\d+)\.", r"upsamples.\1.1.", name)
        renamed[re.sub(r"^resblocks\.(\d+)\.(convs\d)\.(\d+)\.", r"blocks.\1.\2.\3.1.", name)] = value
    return renamed


FILES = {
    "ParallelWaveGAN": ("checkpoint.pkl", lambda state: {"model": {"generator": pwg_names(state)}, "steps": 1}),
    "Coqui TTS": ("model_file.pth", lambda state: {"model": state, "model_disc": {}}),
    "Coqui TTS, trainer": (
        "model_file.pth",
        lambda state: {
            "model": {
                **{f"model_g.{name}": value for name, value in state.items()},
                "model_d.mpd.convs.0.weight": torch.ones(1),
            }
        },
    ),
}


@pytest.mark.medium
@pytest.mark.parametrize("program", FILES)
def test_conversion(program, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(1)
    generator = Generator(CONFIG)
    name, content_of = FILES[program]
    torch.save(content_of(flat_names(generator)), name)
    exec(compile(example(program.split(",")[0], "python"), str(PAGE), "exec"), {})
    (tmp_path / "generator.json").write_text(json.dumps({**CONFIG.to_dict(), "num_mels": 4, "hop_length": 16}))
    loaded, info = load_generator("generator.pt")
    assert info.config == CONFIG
    mel = torch.randn(1, 4, 9)
    with torch.no_grad():
        torch.testing.assert_close(loaded(mel), generator.eval()(mel), atol=1e-6, rtol=0)


@pytest.mark.medium
def test_configuration_is_that_of_v1(tmp_path):
    (tmp_path / "g.json").write_text(example("Coqui TTS", "json"))
    torch.save({"generator": flat_names(Generator(GeneratorConfig()))}, tmp_path / "g.pt")
    _, info = load_generator(tmp_path / "g.pt")
    assert info.config == GeneratorConfig()
    assert (info.audio.hop_length, info.audio.mel_fmax) == (256, 8000)


def test_file_lists_of_the_paper_authors(tmp_path):
    (tmp_path / "training.txt").write_text("LJ050-0234|It has used|It has used\nLJ019-0373|to avail|to avail\n")
    command = example("The paper authors' repository", "bash")
    subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True)
    assert (tmp_path / "train.txt").read_text().split() == ["wavs/LJ050-0234.wav", "wavs/LJ019-0373.wav"]
