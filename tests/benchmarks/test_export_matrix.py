"""The tables of exports record machine, command and model."""

import numpy as np
import torch

from benchmarks import export_matrix
from hifigan.engine.select import list_precisions
from hifigan.export.formats import FORMATS
from tests.support.benchmarks import HEADER, parts


def test_exports(recording, checkpoint, capsys, monkeypatch):
    monkeypatch.setattr(export_matrix, "FORMATS", {name: FORMATS[name] for name in ("torchscript", "tensorrt")})
    argv = ["--hifigan", str(checkpoint), "--wavs", str(recording.parent), "--rounds", "2"]
    assert export_matrix.main(argv) == 0
    header, head, rows = parts(capsys.readouterr().out)
    assert list(header) == [*HEADER, "rounds", "skipped"]
    assert header["command"] == f"`python -m benchmarks.export_matrix {' '.join(argv)}`"
    assert header["skipped"].startswith("tensorrt (--format tensorrt: needs packages")
    assert ";" not in header["skipped"], "the same for each precision"
    assert [row[:3] for row in rows] == [
        ["eager", "fp32", "no"],
        ["eager --amp", "bf16", "no"],
        *(["engine", precision, "no"] for precision in list_precisions(torch.device("cpu"))),
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
    lines = export_matrix.comparison_table(variants, [export_matrix.ExportDifference(0.0, 1.0)] * 2, seconds)
    assert parts("\n".join(lines))[2][1][5] == "3.00"
