"""The tables of exports and of streaming say what made them, with small models; bad files end in one line."""

import numpy as np
import pytest
import soundfile
import torch

from benchmarks import export_matrix, streaming_quality
from hifigan.engine.select import precisions_of
from hifigan.export.files import FORMATS
from tests.support.data_sets import speechlike
from tests.support.models import make_checkpoint
from tests.support.programs import one_line_of_error

HEADER = ["machine", "versions", "commit", "date", "command", "HiFi-GAN", "input"]


def parts(printed):
    """The header, and the cells of the table after its head."""
    lines = printed.splitlines()
    header = dict(line[2:].split(": ", 1) for line in lines if line.startswith("- "))
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return header, rows[0], rows[2:]


@pytest.fixture
def recording(tmp_path):
    (tmp_path / "wavs").mkdir()
    soundfile.write(tmp_path / "wavs" / "a.wav", speechlike(0.5, 16000), 16000)
    return tmp_path / "wavs" / "a.wav"


@pytest.fixture
def checkpoint(tmp_path):
    return make_checkpoint(tmp_path / "generator.pt", sampling_rate=16000)


def test_exports(recording, checkpoint, capsys, monkeypatch):
    monkeypatch.setattr(export_matrix, "FORMATS", {name: FORMATS[name] for name in ("torchscript", "tensorrt")})
    argv = ["--hifigan", str(checkpoint), "--wavs", str(recording.parent), "--rounds", "2"]
    assert export_matrix.main(argv) == 0
    header, head, rows = parts(capsys.readouterr().out)
    assert list(header) == [*HEADER, "rounds", "left out"]
    assert header["command"] == f"`python -m benchmarks.export_matrix {' '.join(argv)}`"
    assert header["left out"].startswith("tensorrt (--format tensorrt: needs packages")
    assert ";" not in header["left out"], "the same for each precision"
    assert [row[:3] for row in rows] == [
        ["eager", "fp32", "no"],
        ["eager --amp", "bf16", "no"],
        *(["engine", precision, "no"] for precision in precisions_of(torch.device("cpu"))),
        ["torchscript", "fp32", "no"],
        ["torchscript", "fp16", "no"],
        ["torchscript", "bf16", "no"],
        ["torchscript", "fp32", "0.01"],
    ]
    assert rows[0][head.index("speed-up")] == "1.00"
    assert all(float(row[head.index("speed-up")]) > 0 for row in rows)
    assert all((row[head.index("SNR (dB)")] == "inf" or float(row[head.index("SNR (dB)")]) > 15) for row in rows)


def test_speed_ups_are_medians_of_ratios():
    variants = [export_matrix.Variant(name, "fp32", 0.0, None, None, None) for name in ("eager", "onnx")]
    seconds = np.array([[1.0, 2.0], [4.0, 1.0], [9.0, 3.0]])
    lines = export_matrix.comparison_table(variants, [export_matrix.Difference(0.0, 1.0)] * 2, seconds)
    assert parts("\n".join(lines))[2][1][5] == "3.00"


def test_streaming(recording, checkpoint, capsys):
    # 0 and all frames of a generator that sees fewer than 13, on audio of another rate.
    assert streaming_quality.main([str(checkpoint), str(recording), "--chunks", "5"]) == 0
    header, head, rows = parts(capsys.readouterr().out)
    assert list(header) == HEADER
    assert header["input"] == "0.5 s of speech in 1 clips"
    assert [row[head.index("look-ahead")] for row in rows][:2] == ["0", "1"]
    to_whole = [float(row[head.index("mel L1 to the whole")]) for row in rows]
    assert to_whole[0] > to_whole[-1]
    assert to_whole[-1] < 1e-4, "with all its frames it is exact"
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
    assert "none has no wav files" in one_line_of_error(export_matrix.main, argv, capsys)
