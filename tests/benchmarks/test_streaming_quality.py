"""The tables of streaming record machine, command and model. Bad files end in one line of error."""

import numpy as np
import soundfile
import torch

from benchmarks import export_matrix, streaming_quality
from tests.support.benchmarks import HEADER, parts
from tests.support.programs import one_line_of_error


def test_streaming(recording, checkpoint, capsys):
    # Look-ahead from 0 to all frames of a generator that sees fewer than 13, on audio at another rate.
    assert streaming_quality.main([str(checkpoint), str(recording), "--chunks", "5"]) == 0
    header, head, rows = parts(capsys.readouterr().out)
    assert list(header) == HEADER
    assert header["input"] == "0.5 s of speech in 1 clips"
    assert [row[head.index("look-ahead")] for row in rows][:2] == ["0", "1"]
    to_whole = [float(row[head.index("mel L1 to the whole")]) for row in rows]
    assert to_whole[0] > to_whole[-1]
    assert to_whole[-1] < 1e-4, "exact with all frames of look-ahead"
    assert streaming_quality.main([str(checkpoint), str(recording), "--speed", "--chunks", "5", "--rounds", "2"]) == 0
    header, head, rows = parts(capsys.readouterr().out)
    assert list(header) == [*HEADER, "rounds"]
    assert all(row[head.index("ms of audio")] == "80" for row in rows)  # 5 frames of 256 at 16 kHz
    assert all(float(row[head.index("ms per chunk")]) > 0 for row in rows)


def test_files_that_cannot_be_used(recording, checkpoint, tmp_path, capsys):
    (tmp_path / "text.wav").write_text("text")
    soundfile.write(tmp_path / "short.wav", np.zeros(300), 16000)
    soundfile.write(tmp_path / "fast.wav", np.zeros(9000), 22050)
    torch.save({}, tmp_path / "empty.pt")
    for argv, message in (
        ([checkpoint, tmp_path / "absent.wav"], "absent.wav: no such"),
        ([checkpoint, tmp_path / "text.wav"], "text.wav: not a readable audio file"),
        ([checkpoint, tmp_path / "short.wav"], "short.wav: mel spectrogram: 256 samples are too few"),
        ([checkpoint, tmp_path / "fast.wav"], "fast.wav: sampling rate is 22050 Hz, expected 16000 Hz"),
        ([tmp_path / "empty.pt", recording], "empty.pt: not a HiFi-GAN generator"),
        ([checkpoint, recording, "--look-ahead", 99], "look_ahead is 99"),
        ([checkpoint, recording, "--chunks", 0], "--chunks: 0 is not above 0"),
    ):
        assert message in one_line_of_error(streaming_quality.main, list(map(str, argv)), capsys)
    argv = ["--hifigan", str(checkpoint), "--wavs", str(tmp_path / "none")]
    assert "none: no audio files" in one_line_of_error(export_matrix.main, argv, capsys)
