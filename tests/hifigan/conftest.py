"""Audio that several tests of the training data share."""

import numpy as np
import pytest
import soundfile


@pytest.fixture
def paths(tmp_path):
    """Write ramps, in which the value of a sample shows its place in the file."""
    made = []
    for i, length in enumerate((5000, 4000, 3000, 1024, 600, 7000, 2500, 2000, 9000)):
        path = tmp_path / f"{i}.wav"
        soundfile.write(path, np.linspace(0.1, 0.8, length), 22050, subtype="FLOAT")
        made.append(path)
    return made
