"""`torch.hub` with a local clone, from another directory, as another project would use it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import hubconf
from common.audio import MelSpectrogram
from common.download.models import MODELS
from common.text import TextProcessor
from hifigan import Denoiser, load_generator
from tests.support.data_sets import speechlike
from tests.support.models import make_checkpoint, make_fastpitch
from tests.support.paths import REPOSITORY

ENTRY_POINTS = ["denoiser", "fastpitch", "hifigan", "mel_spectrogram", "text_processor", "vocoder", "voice"]
# The directory holds the user's own modules of the same names, which must not be imported.
PREAMBLE = """
import json, sys, torch
torch.set_num_threads(1)
REPOSITORY, args = sys.argv[1], sys.argv[2:]
def load(*args, **kwargs):
    return torch.hub.load(REPOSITORY, *args, source="local", **kwargs)
"""


def elsewhere(folder: Path, script: str, *args: object) -> Any:
    """Run a script in its own folder, and return the JSON that it printed."""
    folder.mkdir(exist_ok=True)
    for name in ("common", "hifigan"):
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "__init__.py").write_text("MINE = True\n")
    (folder / "script.py").write_text(PREAMBLE + script)
    command = [sys.executable, "script.py", str(REPOSITORY), *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.medium
def test_models_work_after_torch_hub_returned(tmp_path: Path) -> None:
    generator, fastpitch = make_checkpoint(tmp_path / "g.pt", sampling_rate=24000), make_fastpitch(tmp_path / "f.pt")
    wav = torch.from_numpy(speechlike(0.3)[: 22 * 256]).float()[None]
    torch.save(wav, tmp_path / "wav.pt")
    script = """
generator = load("hifigan", args[0])
mel, denoise = load("mel_spectrogram", generator), load("denoiser", generator)
vocoder = load("vocoder", generator, 0.05)
fastpitch = load("fastpitch", args[1])
text, other = load("text_processor", fastpitch), load("text_processor", p_arpabet=1.0, text_cleaners="basic_cleaners")
tacotron = load("mel_spectrogram", fastpitch, win_length=512).config
assert REPOSITORY not in sys.path
wav = torch.load(args[2])
with torch.no_grad():
    speech = generator(mel(wav))
    spoken = fastpitch(torch.tensor([text.encode("Dr. Fox paid $5 at 3:15 pm.")]), speaker=torch.tensor([1]))
    torch.save((speech, denoise(speech[:, 0], 0.05), vocoder([mel(wav)[0]])[0]), "out.pt")
torch.jit.script(generator)
print(json.dumps({
    "training": generator.training or fastpitch.training, "rate": generator.info.audio.sampling_rate,
    "hop": generator.config.hop_length, "mel": spoken.mel.shape, "ids": text.encode("Dr. Fox paid $5 at 3:15 pm."),
    "other": other.encode("Naïve World €5"), "tacotron": [tacotron.framing, tacotron.win_length],
    "state": "info" in "".join(generator.state_dict()),
}))
"""
    made = elsewhere(tmp_path / "project", script, generator, fastpitch, tmp_path / "wav.pt")
    speech, denoised, vocoded = torch.load(tmp_path / "project" / "out.pt")
    expected, info = load_generator(generator)
    with torch.no_grad():
        again = expected(MelSpectrogram(info.audio)(wav))
        assert torch.allclose(speech, again, atol=1e-5)
        assert torch.allclose(denoised, Denoiser(expected)(again[:, 0], 0.05), atol=1e-5)
        assert torch.allclose(vocoded, denoised[0], atol=1e-5)
    assert speech.abs().max() > 0.01
    assert made.pop("mel")[:2] == [1, 80]
    assert made == {
        "training": False,
        "rate": 24000,
        "hop": 256,
        "ids": TextProcessor(p_arpabet=0.0).encode("Dr. Fox paid $5 at 3:15 pm."),
        "other": TextProcessor(cleaners="basic_cleaners").encode("Naïve World €5"),
        "tacotron": ["tacotron", 512],
        "state": False,
    }


@pytest.mark.medium
def test_list_and_help(tmp_path: Path) -> None:
    script = """
torch.hub._get_cache_or_reload = lambda *args, **kwargs: REPOSITORY  # as if downloaded from GitHub
names = torch.hub.list("owner/repository")
print(json.dumps({name: torch.hub.help("owner/repository", name) for name in names}))
"""
    helps = elsewhere(tmp_path / "project", script)
    assert list(helps) == ENTRY_POINTS
    assert all("\n    Args:\n" in text for text in helps.values())
    for name in ("hifigan-universal-v1", "hifigan-finetuned-fastpitch"):
        assert name in helps["hifigan"]


@pytest.mark.medium
def test_published_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = MODELS["hifigan-universal-v1"]
    for root in (tmp_path / "hub" / "hifigan-models", tmp_path / "own"):
        (root / model.folder).mkdir(parents=True)
        shutil.copy(make_checkpoint(tmp_path / "g.pt"), root / model.folder / model.file)
        (root / model.folder / "config.json").write_text("{}")
    for kind in ("SHA256", "CONFIG_SHA256"):  # these weights replace the download
        monkeypatch.setenv(f"HIFIGAN_UNIVERSAL_V1_{kind}", "")
    script = """
torch.hub.set_dir(args[0])
found = [load("hifigan").info.path, load("hifigan", models_dir=args[1]).info.path]
errors = []
for name, option, value in (
    ("hifigan", "variant", "fastpitch"), ("fastpitch", "variant", "hifigan"), ("hifigan", "checkpoint", "x.pt"),
):
    try:
        load(name, **{option: value})
    except (ValueError, OSError) as error:
        errors.append(f"{type(error).__name__}: {error}")
print(json.dumps([*map(str, found), *errors]))
"""
    made = elsewhere(tmp_path / "project", script, tmp_path / "hub", tmp_path / "own")
    place = Path(model.folder) / model.file
    names = {flag: [n for n, known in MODELS.items() if known.flag == flag] for flag in ("--hifigan", "--fastpitch")}
    assert made == [
        str(tmp_path / "hub" / "hifigan-models" / place),
        str(tmp_path / "own" / place),
        f"ValueError: no such variant 'fastpitch'; choose among {', '.join(names['--hifigan'])}",
        f"ValueError: no such variant 'hifigan'; choose among {', '.join(names['--fastpitch'])}",
        "FileNotFoundError: x.pt: no such checkpoint; published ones: bash scripts/download_models.sh",
    ]


@pytest.mark.medium
def test_modules_of_the_same_name_are_named(tmp_path: Path) -> None:
    script = """
import common
try:
    load("hifigan", "x.pt")
except ImportError as error:
    print(json.dumps([common.MINE, str(error)]))
"""
    mine, error = elsewhere(tmp_path / "project", script)
    assert mine is True
    assert (
        f"with the same names are loaded already: common ({tmp_path / 'project' / 'common' / '__init__.py'})" in error
    )
    with pytest.raises(TypeError, match="entry points 'hifigan' or 'fastpitch', got a Linear"):
        torch.hub.load(str(REPOSITORY), "denoiser", torch.nn.Linear(1, 1), source="local")


def test_mels_are_of_the_kind_that_another_program_s_generator_takes():
    generator = hubconf.hifigan(REPOSITORY / "tests" / "formats" / "transformers-speecht5")
    transform = hubconf.mel_spectrogram(generator)
    assert (transform.convention.log_base, transform.convention.log_floor) == ("log10", 1e-10)
    assert (transform.config.sampling_rate, transform.config.framing) == (16000, "tacotron")
    assert hubconf.mel_spectrogram().convention.log_base == "ln"
