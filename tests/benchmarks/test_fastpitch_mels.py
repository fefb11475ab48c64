"""Mels of FastPitch compared with recordings."""

import pytest
import torch

from benchmarks import fastpitch_mels
from tests.support.data_sets import write_speech_set
from tests.support.models import make_fastpitch


def test_warping_ignores_the_pace_but_not_the_level():
    mel = torch.randn(4, 9, generator=torch.Generator().manual_seed(0))
    slow = mel.repeat_interleave(3, dim=1)
    assert fastpitch_mels.warped_l1(slow, mel) == 0
    assert fastpitch_mels.warped_l1(mel + 0.5, mel) == pytest.approx(0.5, abs=1e-6)


@pytest.mark.medium
def test_figures_and_pictures(tmp_path, capsys):
    data = write_speech_set(tmp_path / "data", [0.6, 0.5, 0.7])
    model = make_fastpitch(tmp_path / "f.pt", n_speakers=1)
    argv = ["--fastpitch", model, "--dataset-path", data, "--filelist", data / "speech_val.txt", "--pictures", "1"]
    assert fastpitch_mels.main([str(word) for word in [*argv, "-o", tmp_path / "out"]]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("2 clips of ")
    figures = {line.partition(":")[0]: float(line.split()[-5].rstrip(",")) for line in lines[1:]}
    assert figures["teacher-forced"] > 0
    assert 0 < figures["probability of the hard alignment's symbols"] <= 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["clip001.png"]


def test_clips_must_be_positive():
    with pytest.raises(Exception, match="--clips: 0 is not above 0"):
        fastpitch_mels.main("--fastpitch f --dataset-path d --filelist l -o o --clips 0".split())
