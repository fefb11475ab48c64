"""evaluate.py as a program: figures, tables, and unusable input."""

import csv
import json

import numpy as np
import pytest
import soundfile

import evaluate
import inference
import train
from common.cli import run
from common.files.dllogger_lines import read_json_lines
from evaluation.statistics import interval
from hifigan import discriminators, load_generator
from hifigan.export.write import export
from tests.support.data_sets import speechlike, write_data_set
from tests.support.models import TINY, make_checkpoint, thin_layers
from tests.support.programs import train_arguments

FAST = ["--metrics", "mel_l1", "level", "--jobs", "1"]


def result_of(folder):
    return json.loads((folder / "results.json").read_text())


def error_of(argv, capsys):
    """Run the program as from the command line. Check its status and return its single line of error."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        run(lambda: evaluate.main([str(word) for word in argv]), "evaluate.py")
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("evaluate.py: error: ")]
    assert caught.value.code == 1
    assert len(errors) == 1
    return errors[0]


@pytest.mark.slow
def test_copies_of_inference_and_of_the_checkpoint_itself_agree(tmp_path, capsys):
    """A folder of `inference.py` measures like its checkpoint, all figures exist, and all tables agree."""
    data = write_data_set(tmp_path / "data", [0.9, 1.2, 1.0])
    checkpoint = make_checkpoint(tmp_path / "g.pt")
    assert inference.main(["--hifigan", str(checkpoint), "-i", str(data / "wavs"), "-o", str(tmp_path / "copies")]) == 0
    argv = ["-i", data / "wavs", "-o", tmp_path / "out", "--no-normalise", "--jobs", "2", "--system"]
    systems = [f"model={checkpoint}", f"folder={tmp_path / 'copies'}", f"same={data / 'wavs'}", "griffin-lim"]
    assert evaluate.main([str(word) for word in [*argv, *systems]]) == 0
    shown = capsys.readouterr().out
    found = result_of(tmp_path / "out")
    assert [system["name"] for system in found["systems"]] == ["ground-truth", "model", "folder", "same", "griffin-lim"]
    assert found["systems"][1]["generator"] == TINY.to_dict()
    assert found["systems"][2]["generator"] == {}
    means = found["means"]
    names = set(found["metrics"])
    assert {"mel_l1", "mel_l1_input", "val_mel_loss", "stft", "mcd", "f0_cents", "hum", "level"} <= names
    for name in names - {"val_mel_loss", "buzz"}:  # a folder has no segments to vocode, and the clips have no pauses
        # Their ends differ: inference.py takes the whole recording, evaluate.py cuts it to whole hops.
        assert means["folder"][name]["mean"] == pytest.approx(means["model"][name]["mean"], rel=0.15, abs=0.2)
        assert means["same"][name]["mean"] == means["ground-truth"][name]["mean"]
    assert means["folder"]["val_mel_loss"]["count"] == 0
    assert means["model"]["mel_l1"]["mean"] > means["griffin-lim"]["mel_l1_input"]["mean"] > 0
    assert means["same"]["mel_l1"]["mean"] == 0
    rows = list(csv.DictReader((tmp_path / "out" / "results.csv").open()))
    assert len(rows) == 5 * 3
    of_model = [float(row["mel_l1"]) for row in rows if row["system"] == "model"]
    expected = interval(of_model, found["seed"])
    assert means["model"]["mel_l1"]["mean"] == pytest.approx(expected.mean, rel=1e-5)
    assert means["model"]["mel_l1"]["low"] == pytest.approx(expected.low, rel=1e-5)
    pair = next(d for d in found["differences"] if (d["system"], d["minus"]) == ("griffin-lim", "model"))
    gap = means["griffin-lim"]["mel_l1"]["mean"] - means["model"]["mel_l1"]["mean"]
    assert pair["mel_l1"]["mean"] == pytest.approx(gap)
    assert f"{means['model']['mel_l1']['mean']:.4f}" in shown
    assert shown.strip().endswith((tmp_path / "out" / "summary.md").read_text().strip())


def test_validation_mel_loss_is_that_of_training(tmp_path, monkeypatch):
    data = write_data_set(tmp_path / "data", [0.5, 0.5, 0.9, 0.45, 0.6])
    for name, layer in thin_layers().items():
        monkeypatch.setattr(discriminators, name, layer)
    out = tmp_path / "run"
    words = train_arguments(data, out, segment_size=8192, validation_interval=1, checkpoint_interval=1)
    assert train.main(words) == 0
    logged = [values["val_mel_loss"] for _, values in read_json_lines(out / "nvlog.json") if "val_mel_loss" in values]
    checkpoint = out / "hifigan_gen_checkpoint_1.pt"
    argv = ["-i", data / "val.txt", "-d", data, "-o", tmp_path / "out", "--jobs", 1, "--metrics", "val_mel_loss"]
    assert evaluate.main([str(word) for word in [*argv, "--system", f"made={checkpoint}"]]) == 0
    found = result_of(tmp_path / "out")["means"]["made"]["val_mel_loss"]
    assert found["mean"] == pytest.approx(logged[-1], rel=1e-4)
    assert found["count"] == 2


def test_gain_of_a_folder_is_measured(tmp_path):
    data = write_data_set(tmp_path / "data", [0.5, 0.6])
    (tmp_path / "soft").mkdir()
    for path in (data / "wavs").iterdir():
        wav, rate = soundfile.read(path)
        soundfile.write(tmp_path / "soft" / path.name, wav / 2, rate, subtype="FLOAT")
    argv = ["-i", data / "wavs", "-o", tmp_path / "out", *FAST, "--system", f"soft={tmp_path / 'soft'}"]
    assert evaluate.main([str(word) for word in argv]) == 0
    means = result_of(tmp_path / "out")["means"]["soft"]
    assert means["level"]["mean"] == pytest.approx(-20 * np.log10(2), abs=0.01)
    assert means["mel_l1"]["mean"] == pytest.approx(np.log(2), abs=0.01)


def test_what_cannot_be_evaluated_is_named_and_the_rest_is(tmp_path, capsys, caplog):
    caplog.set_level("INFO")
    data = write_data_set(tmp_path / "data", [0.5] * 7)
    wavs, copies = data / "wavs", tmp_path / "copies"
    copies.mkdir()
    for path in wavs.iterdir():
        (copies / path.name).write_bytes(path.read_bytes())
    soundfile.write(wavs / "clip000.wav", np.zeros(11025), 22050)
    soundfile.write(wavs / "clip001.wav", speechlike(0.5, 16000), 16000)
    (copies / "clip002.wav").unlink()
    soundfile.write(copies / "clip003.wav", speechlike(0.5, 24000), 24000)
    soundfile.write(copies / "clip004.wav", speechlike(0.9), 22050)
    soundfile.write(copies / "clip005.wav", np.zeros(11025), 22050)
    soundfile.write(copies / "other.wav", speechlike(0.5), 22050)
    argv = ["-i", wavs, "-o", tmp_path / "out", *FAST, "--system", f"copies={copies}"]
    error = error_of(argv, capsys)
    assert "6 problems; the rest was evaluated" in error
    assert "1 of its 7 audio files match no recording" in caplog.text
    found = result_of(tmp_path / "out")
    reasons = {(p["clip"], p["system"]): p["reason"] for p in found["problems"]}
    expected = {
        ("clip000", "ground-truth"): "is silent",
        ("clip001", "ground-truth"): "sampling rate is 16000 Hz, expected 22050 Hz",
        ("clip002", "copies"): "no audio file for clip002",
        ("clip003", "copies"): "sampling rate is 24000 Hz, expected 22050 Hz",
        ("clip004", "copies"): "not the same speech",
        ("clip005", "copies"): "the resynthesised audio is silent",
    }
    assert set(reasons) == set(expected)
    assert all(text in reasons[key] for key, text in expected.items())
    assert found["means"]["copies"]["mel_l1"] == {"mean": 0.0, "low": 0.0, "high": 0.0, "count": 1}
    assert found["means"]["ground-truth"]["mel_l1"]["count"] == 5
    rows = list(csv.DictReader((tmp_path / "out" / "results.csv").open()))
    assert [row["clip"] for row in rows if "same speech" in row["problem"]] == ["clip004"]


def test_a_single_figure_that_cannot_be_had_is_named_and_counted(tmp_path, capsys):
    pytest.importorskip("pesq")
    data = write_data_set(tmp_path / "data", [0.2, 0.6, 0.7])  # PESQ needs a quarter of a second
    words = ["-i", data / "wavs", "-o", tmp_path / "out", "--metrics", "mel_l1", "pesq", "--jobs", 1]
    error = error_of([*words, "--report", tmp_path / "page", "--system", f"same={data / 'wavs'}"], capsys)
    assert "2 problems; the rest was evaluated" in error
    assert "same, clip000: pesq: " in error
    means = result_of(tmp_path / "out")["means"]["same"]
    assert (means["mel_l1"]["count"], means["pesq"]["count"]) == (3, 2)
    assert "| same (3) | 0.0000 (0.0000 to 0.0000) | 4.64 (4.64 to 4.64) [2] |" in (
        (tmp_path / "out" / "summary.md").read_text()
    )
    assert "<small>2 clips</small>" in (tmp_path / "page" / "index.html").read_text()


def test_nothing_in_common(tmp_path, capsys):
    data = write_data_set(tmp_path / "data", [0.5, 0.5])
    (tmp_path / "other").mkdir()
    soundfile.write(tmp_path / "other" / "x.wav", speechlike(0.5), 22050)
    argv = ["-i", data / "wavs", "-o", tmp_path / "out", *FAST, "--system", f"other={tmp_path / 'other'}"]
    assert "none of its 1 audio files is named like a recording, such as clip000" in error_of(argv, capsys)
    assert "lies in" in error_of([*argv, "-o", data / "wavs" / "out"], capsys)
    (tmp_path / "silent").mkdir()
    soundfile.write(tmp_path / "silent" / "x.wav", np.zeros(11025), 22050)
    argv = ["-i", tmp_path / "silent", "-o", tmp_path / "out", *FAST, "--system", f"other={tmp_path / 'other'}"]
    assert "nothing could be evaluated" in error_of(argv, capsys)
    assert "--report: " in error_of([*argv, "--report", tmp_path / "silent" / "page"], capsys)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--system: give at least one system"),
        (["--system", "griffin-lim", "--baseline", "mine"], "--baseline: mine is none of the systems"),
        (["--system", "griffin-lim", "--metrics", "quality"], "--metrics: quality is none of mel_l1"),
        (["--system", "griffin-lim", "--logs", "run"], "--logs: has no effect without --report"),
        (["--system", "griffin-lim", "--report-clips", "3"], "--report-clips: has no effect without --report"),
        (["--system", "griffin-lim", "--report", "page", "--logs", "run"], "run: no such log"),
        (["--system", "griffin-lim", "--clips", "-1"], "--clips: -1 is below 0"),
        (["--system", "griffin-lim", "-i", "nowhere"], "nowhere: no such folder or file list"),
    ],
)
def test_flags_that_are_refused(words, message, tmp_path, capsys):
    data = write_data_set(tmp_path / "data", [0.5, 0.5])
    assert message in error_of(["-i", data / "wavs", "-o", tmp_path / "out", *words], capsys)
    assert not (tmp_path / "out").exists()


def test_exported_models_run_if_they_are_trusted(tmp_path, capsys):
    data = write_data_set(tmp_path / "data", [0.5, 0.6])
    checkpoint, exported = make_checkpoint(tmp_path / "g.pt"), tmp_path / "g.ts"
    export(*load_generator(checkpoint), exported, "torchscript")
    argv = ["-i", data / "wavs", "-o", tmp_path / "out", *FAST, "--clips", "1", "--system", f"eager={checkpoint}"]
    assert f"if you trust it, give export={exported}:export" in error_of([*argv, f"export={exported}"], capsys)
    assert evaluate.main([str(word) for word in [*argv, f"export={exported}:export"]]) == 0
    means = result_of(tmp_path / "out")["means"]
    assert means["export"]["mel_l1"]["mean"] == pytest.approx(means["eager"]["mel_l1"]["mean"], rel=1e-3)
    assert means["export"]["mel_l1"]["count"] == 1


@pytest.mark.gpu
def test_a_gpu_gives_the_figures_of_the_cpu(tmp_path):
    """Models run on the GPU, everything else in separate processes."""
    data = write_data_set(tmp_path / "data", [0.5, 0.6])
    argv = ["-i", data / "wavs", "--metrics", "mel_l1", "val_mel_loss", "f0_cents", "--jobs", "2", "--system"]
    argv += [f"model={make_checkpoint(tmp_path / 'g.pt')}", f"same={data / 'wavs'}", "griffin-lim"]
    for device, flags in (("cpu", []), ("gpu", ["--cuda", "--report", tmp_path / "page"])):
        assert evaluate.main([str(word) for word in [*argv, "-o", tmp_path / device, *flags]]) == 0
    cpu, gpu = (result_of(tmp_path / device)["means"] for device in ("cpu", "gpu"))
    for metric in ("mel_l1", "val_mel_loss"):
        assert gpu["model"][metric]["mean"] == pytest.approx(cpu["model"][metric]["mean"], rel=0.01)  # TF32
    assert (gpu["same"], gpu["griffin-lim"]) == (cpu["same"], cpu["griffin-lim"])
    assert (tmp_path / "page" / "index.html").is_file()
