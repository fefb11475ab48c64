"""The command lines that evaluate a voice."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from common.synthesis.phrases import read_phrases
from evaluation.config import parse
from tests.support.models import make_checkpoint
from voice.training import evaluations
from voice.training.commands import VoicePaths
from voice.training.flags import VoiceTrainingConfig


@pytest.fixture
def cfg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VoiceTrainingConfig:
    monkeypatch.chdir(tmp_path)
    make_checkpoint(tmp_path / "base.pt")
    return VoiceTrainingConfig(
        output="ann",
        vocoder_base="base.pt",
        vocoder_config="",
        compare=("v1=base.pt",),
        evaluation_clips=7,
        n_workers=3,
        recogniser="small",
    )


def test_copy_synthesis_is_compared_with_the_base(cfg: VoiceTrainingConfig, tmp_path: Path) -> None:
    paths = VoicePaths.find("set", cfg)
    found, systems = parse(evaluations.resynthesis_command(paths, cfg)[1:])
    base = tmp_path / "base.pt"
    assert systems == [f"voice={tmp_path}/ann/hifigan.safetensors", f"base={base}", f"v1={base}"]
    assert (found.baseline, found.clips, found.jobs) == ("base", 7, 3)


def test_speech_has_a_report_beside_the_voice(cfg: VoiceTrainingConfig, tmp_path: Path) -> None:
    paths = VoicePaths.find("set", cfg)
    found, systems = parse(evaluations.speech_command(paths, cfg)[1:])
    assert systems == [f"voice=voice:{tmp_path}/ann"]
    assert (found.recogniser, found.clips) == ("small", 7)
    assert found.report == f"{tmp_path}/ann/report"


def test_the_users_sentences_are_spoken(cfg: VoiceTrainingConfig, tmp_path: Path) -> None:
    paths = VoicePaths.find("set", cfg)
    found, _ = parse(evaluations.sentences_command(paths, cfg)[1:])
    assert len(read_phrases(Path(found.texts))) == 8
    assert (found.report, found.report_clips) == (f"{tmp_path}/ann/sentences", 0)
    (tmp_path / "mine.txt").write_text("Hello.\n")
    mine = dataclasses.replace(cfg, sentences="mine.txt")
    assert parse(evaluations.sentences_command(paths, mine)[1:])[0].texts == str(tmp_path / "mine.txt")
