"""The check of written files in other programs, with stand-ins for these programs."""

import sys

import pytest

from common.files.generators.write import WRITERS
from scripts import check_formats, peer_samples
from tests.support.models import make_checkpoint


@pytest.fixture
def peer(tmp_path, monkeypatch):
    """A program in place of peer_samples.py, whose last line is the test's."""

    def make(last_line):
        path = tmp_path / "peer.py"
        path.write_text(
            "import sys\nfrom pathlib import Path\nimport numpy as np\n"
            "program, file, mel, samples = sys.argv[1:]\nassert Path(file).exists()\n"
            f"mel = np.load(mel)\nassert mel.shape == (80, {check_formats.FRAMES})\n{last_line}\n"
        )
        monkeypatch.setattr(check_formats, "PEER", path)

    return make


def test_every_package_is_run():
    assert set(peer_samples.PROGRAMS) == set(WRITERS) - {"hifigan-authors"}


def test_other_samples_are_a_failure(peer, tmp_path, capsys):
    peer("np.save(samples, np.zeros(3, np.float32)); print('peer 1.0')")
    assert check_formats.main([sys.executable, str(make_checkpoint(tmp_path / "g.pt"))]) == 1
    out = capsys.readouterr().out
    assert "| g.pt | coqui | peer 1.0 | (3,) samples | 0 of " in out
    assert "| g.pt | hifigan-authors | hifigan-authors | 0.0e+00 (our reader) | 0 of " in out
    assert "refused: transformers has no generators whose resblock is '2'" in out


def test_differences_are_shown(peer, tmp_path, capsys):
    length = check_formats.FRAMES * 256
    peer(f"np.save(samples, np.full({length}, 9, np.float32)); print('peer 1.0')")
    assert check_formats.main([sys.executable, str(make_checkpoint(tmp_path / "g.pt"))]) == 1
    row = next(line for line in capsys.readouterr().out.splitlines() if "| coqui |" in line)
    assert 8 < float(row.split(" | ")[3]) < 10


def test_a_program_that_refuses_the_file(peer, tmp_path, capsys):
    peer("raise KeyError('conv_pre')")
    assert check_formats.main([sys.executable, str(make_checkpoint(tmp_path / "g.pt"))]) == 1
    assert "failed: KeyError: 'conv_pre'" in capsys.readouterr().out


def test_usage(capsys):
    with pytest.raises(SystemExit):
        check_formats.main([])
    assert "PEERS_PYTHON, CHECKPOINT" in capsys.readouterr().err
