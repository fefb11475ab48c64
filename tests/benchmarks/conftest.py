"""A recording and a model at its sampling rate."""

import pytest
import soundfile

from tests.support.data_sets import speechlike
from tests.support.models import make_checkpoint


@pytest.fixture
def recording(tmp_path):
    (tmp_path / "wavs").mkdir()
    soundfile.write(tmp_path / "wavs" / "a.wav", speechlike(0.5, 16000), 16000)
    return tmp_path / "wavs" / "a.wav"


@pytest.fixture
def checkpoint(tmp_path):
    return make_checkpoint(tmp_path / "generator.pt", sampling_rate=16000)
