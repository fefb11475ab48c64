"""The model card, from the results of a training."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from common.training.best import Best
from tests.support.models import make_checkpoint, make_fastpitch
from voice.folder import find_voice
from voice.pack import pack
from voice.pack_flags import PackConfig
from voice.recordings.preparation import SUMMARY, TIMES, Preparation
from voice.training.card import write_card
from voice.training.commands import VoicePaths
from voice.training.estimate import Estimate, Measured
from voice.training.flags import VoiceTrainingConfig
from voice.training.settings import choose
from voice.training.stages import Stage, StageRecords

FOUND = Estimate(
    {"train": 1376, "val": 35, "test": 129},
    {"train": 1.5, "val": 0.04, "test": 0.14},
    100.0,
    70.0,
    Measured(1.5, 30.0, 28_000_000),
    Measured(2.0, 10.0, 49_000_000),
    False,
)
WORDS = ["set", "-o", "voices/ann", "--licence", "CC0 1.0"]


def interval(mean: float, low: float, high: float) -> dict[str, Any]:
    return {"mean": mean, "low": low, "high": high, "count": 2}


def write_results(folder: Path, **more: Any) -> None:
    metric = {"title": "mel L1", "better": "LOWER", "says": "difference of mels", "package": "", "digits": 2}
    results = {
        "metrics": {"mel_l1": metric},
        "means": {
            "ground-truth": {"mel_l1": interval(0, 0, 0)},
            "voice": {"mel_l1": interval(0.2, 0.15, 0.25)},
            "base": {"mel_l1": interval(0.3, 0.28, 0.32)},
            "v1": {"mel_l1": interval(0.25, 0.2, 0.3)},
        },
        # Base minus voice, so the card has to turn it round.
        "differences": [{"system": "base", "minus": "voice", "mel_l1": interval(0.1, 0.08, 0.15)}],
        "clips": [{"clip": clip, "system": "voice"} for clip in ("a", "a", "b")],
        **more,
    }
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(json.dumps(results))


class Trained:
    """A finished training of the voice ann, and its card."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        base = make_checkpoint(folder / "base.pt")
        own = VoiceTrainingConfig(
            output="voices/ann",
            vocoder_base="base.pt",
            vocoder_epochs=40,
            fine_tuning_epochs=10,
            fastpitch_base="scratch",
            licence="CC0 1.0",
        )
        self.cfg = choose(own, FOUND.clips["train"])
        self.paths = VoicePaths.find("set", self.cfg)
        self.paths.vocoder.mkdir(parents=True)
        self.paths.fastpitch.mkdir()
        self.paths.fine_tuning.mkdir()
        for name in ("gen", "discrim"):
            (self.paths.vocoder / f"hifigan_{name}_checkpoint_40.pt").write_bytes(base.read_bytes())
            (self.paths.fine_tuning / f"hifigan_{name}_checkpoint_50.pt").write_bytes(base.read_bytes())
        speech = make_fastpitch(self.paths.fastpitch / "FastPitch_checkpoint_80.pt")
        paths = self.paths
        for path, took in ((paths.vocoder, 600.0), (paths.fastpitch, 360.0), (paths.fine_tuning, 120.0)):
            record = {"step": [1, 10, 10], "data": {"train_took": took}}
            (path / "nvlog.json").write_text(f"DLLL {json.dumps(record)}\n")
            newest = next(path.glob("*_gen_*.pt"), None) or next(path.glob("FastPitch_*.pt"))
            Best(int(newest.stem.rpartition("_")[2]), "mel_loss", 0.5).write(newest)
        self.paths.levels.write_text('{"gain_db": 9.5}')
        prepared = Preparation(4, 1540, 84.0, 12, {"recognised": 1500, "edited": 40}, 0.93, (), ())
        (self.paths.work / SUMMARY).write_text(json.dumps(dataclasses.asdict(prepared)))
        pack(PackConfig(hifigan=str(base), fastpitch=str(speech), output=str(self.paths.voice.folder)))
        self.records = StageRecords(self.paths.work / "stages")
        self.records.run(Stage("vocoder", "training", lambda: None))

    def card(self, **changes: Any) -> str:
        write_card(dataclasses.replace(self.cfg, **changes), self.paths, self.records, FOUND, WORDS)
        return self.paths.voice.card.read_text()


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trained:
    monkeypatch.chdir(tmp_path)
    return Trained(tmp_path)


def section(card: str, title: str) -> str:
    return card.split(f"{title}\n\n")[1].split("\n#")[0]


def test_it_describes_data_and_training(trained: Trained) -> None:
    card = trained.card(description="Kathleen, read aloud")
    assert "\n---\n\n# ann\n\nA voice of 22050 Hz" in card
    assert "- Recordings: Kathleen, read aloud\n- Licence of the recordings: CC0 1.0\n" in card
    assert "| training | 1376 | 1.50 |\n| validation | 35 | 0.04 |\n| test | 129 | 0.14 |" in card
    # Ten steps of 600, 360 and 120 seconds.
    assert "fine-tuned from `base.pt` on recordings in 1 h 40 min of steps" in card
    assert "trained from scratch in 1 h 00 min of steps" in card
    assert "FastPitch's mels of them (teacher forcing) in 20 min of steps" in card
    assert "teacher forcing" not in trained.card(fine_tuning_epochs=0)
    tuned = trained.card(vocoder_epochs=0)
    assert "The vocoder was fine-tuned from `base.pt` on recordings and on FastPitch's mels of them" in tuned
    trained.paths = dataclasses.replace(trained.paths, fastpitch_base=find_voice("kathleen").fastpitch)
    assert "FastPitch was fine-tuned from `pretrained/kathleen/fastpitch.safetensors` in 1 h 00" in trained.card()
    for entry in ("Seed: 1234", "Machine: ", f"Versions: Python 3.*torch {torch.__version__}", "Commit: ", "Date: 20"):
        assert f"- {entry.split('.*')[0]}" in card


def test_it_says_where_clips_and_texts_come_from(trained: Trained) -> None:
    card = trained.card()
    assert "- Clips: 1540 of 4 recordings, 84.0 minutes. 12 further ones were not used\n" in card
    assert "- Texts: 1500 recognised, 40 corrected by hand (mean confidence of the recogniser 0.93)\n" in card
    assert "Speakers" not in card
    assert "- Consent: MISSING. Fill in whose voice" in card
    assert "- Consent: Ann Lee, for any use\n" in trained.card(consent="Ann Lee, for any use")


def test_it_lists_the_times(trained: Trained) -> None:
    (trained.paths.work / TIMES).write_text('{"segments": 62.0, "texts": 600.0}')
    trained.records.run(Stage("pitch", "pitch", lambda: None))
    assert "- Time on this machine: segments 62 s, texts 10 min, pitch 0 s" in trained.card()


def test_commands_can_be_repeated_elsewhere(trained: Trained) -> None:
    """They name no folder of this machine."""
    trained.cfg = dataclasses.replace(trained.cfg, compare=(f"v1={trained.folder}/base.pt",))
    card = trained.card()
    assert str(trained.folder) not in card
    commands = section(card, "## Training").split("```bash\n")[1].split("\n```")[0].splitlines()
    assert commands[0] == "python -m voice.training DATASET -o VOICE --licence 'CC0 1.0'"
    assert len(commands) == 10
    programs = [line.split(" -d ")[0] for line in commands[2:6]]
    assert programs == [
        "python prepare_dataset.py",
        "python prepare_dataset.py",
        "python -m fastpitch.train",
        "python train.py",
    ]
    assert all(line.split(" -d ")[1].startswith("WORK/data ") for line in commands[2:6])
    assert "--fastpitch-config platform/fastpitch_small.json" in commands[4]
    assert "--checkpoint-path-gen base.pt " in commands[5]
    assert commands[6].startswith("python -m fastpitch.extract_mels --fastpitch WORK/fastpitch/FastPitch_checkpoint_80")
    assert "--input-mels-dir WORK/pairs/mels" in commands[7]
    assert commands[8].startswith("python -m voice.pack --hifigan WORK/fine-tuning/hifigan_gen_checkpoint_50.pt")
    assert commands[8].endswith("-o VOICE")
    assert "--system voice=VOICE/hifigan.safetensors base=base.pt v1=base.pt" in commands[9]


def test_it_lists_the_figures(trained: Trained) -> None:
    write_results(trained.paths.resynthesis)
    write_results(trained.paths.speech, differences=[])
    card = trained.card()
    lines = section(card, "### Copy synthesis").splitlines()
    assert (
        "| metric | this voice | generator it started from | recordings | v1 | this voice minus generator "
        in "".join(lines)
    )
    assert (
        "| mel L1 | 0.20 (0.15 to 0.25) | 0.30 (0.28 to 0.32) | 0.00 (0.00 to 0.00) | 0.25 (0.20 to 0.30) "
        "| -0.10 (-0.15 to -0.08) |"
    ) in lines
    assert "Clips: 2" in lines
    assert "- mel L1 (lower): difference of mels" in lines
    assert "minus" not in section(card, "### Speech")


def test_it_says_what_is_missing(trained: Trained) -> None:
    card = trained.card(licence="")
    assert "not described (`--description`)" in card
    assert "not stated (`--licence`). Ask before you share this voice." in card
    assert section(card, "### Speech").startswith("Not measured")
    assert section(card, "## Known faults") == "None were listed (`--known-faults`).\n"


def test_known_faults_come_from_a_file(trained: Trained) -> None:
    faults = trained.folder / "faults.md"
    faults.write_text("- It cannot sing.\n- It lisps.\n\n")
    assert trained.card(known_faults=str(faults)).endswith("## Known faults\n\n- It cannot sing.\n- It lisps.\n")
