"""The inference benchmark with small models: rows, figures, order of measurement, and what is refused."""

import json
import subprocess

import numpy as np
import pytest
import torch
from matplotlib.image import imread

from benchmarks import inference_benchmark, machine
from benchmarks.inference_report import COLUMNS, summarised
from benchmarks.inference_rounds import Case, Measured, Variant, measure
from common.audio import AudioConfig
from common.errors import InputError
from hifigan import load_generator
from hifigan.export import export
from tests.support import make_checkpoint, make_fastpitch, one_line_of_error

CPU = torch.device("cpu")
SHORT = ["--seconds-list", "0.1", "0.2", "--repeats", "2", "--warmup", "1"]
FIGURES = ("latency_avg", "latency_50%", "latency_90%", "latency_95%", "latency_99%", "throughput", "speed-up", "RTF")


@pytest.fixture(scope="module")
def generator(tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp("models") / "generator.pt")


def tables(text):
    """Title -> rows of cells."""
    found = {}
    for part in text.split("\n## ")[1:]:
        lines = [line for line in part.splitlines() if line.startswith("|")]
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
        assert tuple(rows[0]) == COLUMNS
        found[part.splitlines()[0]] = rows[2:]
    return found


@pytest.fixture
def bench(generator, tmp_path, capsys):
    """Runs the program; returns what it printed, and the rows and the header of its JSON file."""

    def call(*words):
        assert (
            inference_benchmark.main(
                ["--hifigan", str(generator), "--output", str(tmp_path / "out"), *SHORT, *map(str, words)]
            )
            == 0
        )
        printed = capsys.readouterr().out
        content = json.loads((tmp_path / "out" / "inference_benchmark.json").read_text())
        printed, _, block = printed.partition("\n```json\n")
        assert printed == (tmp_path / "out" / "inference_benchmark.md").read_text()
        in_json = json.loads(block.removesuffix("```\n"))
        assert in_json["header"] == content["header"]
        assert [
            {**row, "latency": all["latency"]} for row, all in zip(in_json["rows"], content["rows"], strict=True)
        ] == (content["rows"])
        return printed, content["rows"], content["header"]

    return call


def test_tables_are_those_of_the_json_file(bench, generator, tmp_path):
    printed, rows, header = bench("--amp", "--batch-size", 2, 1, "--seconds", 0.3)
    found = tables(printed)
    assert list(found) == [
        "TorchScript, denoising (0.01), utterances of 0.30 s",
        "TorchScript, no denoising, utterances of 0.30 s",
    ]
    for title, strength in zip(found, (0.01, 0.0), strict=True):
        keys = [(cells[0], cells[1]) for cells in found[title]]
        names = ("fp32", "bf16 autocast", "fp32 (engine)", "bf16 (engine)")
        assert keys == [(size, name) for name in names for size in "12"]
        for cells in found[title]:
            (row,) = (
                row
                for row in rows
                if row["in_tables"]
                and (str(row["batch_size"]), row["precision"], row["denoising"]) == (cells[0], cells[1], strength)
            )
            for cell, name in zip(cells[2:], FIGURES, strict=True):
                last_digit = 10.0 ** -len(cell.partition(".")[2])
                assert cell == "-" if row[name] is None else abs(float(cell) - row[name]) <= 0.501 * last_digit
            (base,) = (
                other
                for other in rows
                if other["in_tables"]
                and other["precision"] == "fp32"
                and (other["batch_size"], other["denoising"]) == (row["batch_size"], row["denoising"])
            )
            if row is base:
                assert cells[8] == "-"
            else:
                assert row["speed-up"] == base["latency_50%"] / row["latency_50%"]
    assert len(rows) == (2 + 2) * 4 * 2  # two batch sizes and two further lengths
    assert [row["audio_sec"] for row in rows[-16:]] == pytest.approx([9 * 256 / 22050] * 8 + [17 * 256 / 22050] * 8)
    for row in rows:
        latencies = row["latency"]
        assert len(latencies) == 2
        assert min(latencies) > 0
        assert [row[f"latency_{p}%"] for p in (50, 90, 99)] == list(np.percentile(latencies, (50, 90, 99)))
        frames = round(row["audio_sec"] * 22050 / 256) * row["batch_size"]
        assert row["hifigan_frames/s"] == pytest.approx(frames / np.mean(latencies))
        assert row["throughput"] == row["hifigan_samples/s"] == pytest.approx(256 * frames / np.mean(latencies))
        assert row["RTF"] == pytest.approx(row["audio_sec"] / row["latency_avg"])
        assert "mel_gen_frames/s" not in row
    assert header["command"].startswith(f"python -m benchmarks.inference_benchmark --hifigan {generator} ")
    assert "26 frames" in header["input"]
    assert f"torch {torch.__version__}" in header["versions"]
    assert header["HiFi-GAN"].startswith("own architecture, 0.0")
    assert imread(tmp_path / "out" / "latency.png").shape == (480, 1200, 4)


def test_fastpitch_and_hifigan(bench, tmp_path):
    model = make_fastpitch(tmp_path / "fastpitch.pt")
    phrases = tmp_path / "phrases.tsv"
    phrases.write_text("output\ttext\na\tHello there, how are you today?\nb\tNo.\n")
    words = ["--fastpitch", model, "--phrases", phrases, "--no-torchscript", "--denoising", 0, "--batch-size", 1, 2, 3]
    printed, rows, header = bench(*words)
    assert list(tables(printed)) == [f"Eager, no denoising, utterances of {rows[0]['audio_sec']:.2f} s"]
    assert "texts of 3 to 31 characters" in header["input"]
    one, two, three = (row for row in rows if row["in_tables"] and row["precision"] == "fp32")
    # Of the short text only its own frames count, and after the last phrase comes the first.
    assert one["audio_sec"] / 2 < two["audio_sec"] < one["audio_sec"]
    assert 3 * three["audio_sec"] == pytest.approx(2 * two["audio_sec"] + one["audio_sec"])
    for row in rows:
        speaking, vocoding = (
            row["audio_sec"] * row["batch_size"] * 22050 / 256 / row[name]
            for name in ("mel_gen_frames/s", "hifigan_frames/s")
        )
        assert row["latency_avg"] == pytest.approx(speaking + vocoding)


def test_exported_models_are_measured_beside_the_checkpoint(bench, generator, tmp_path):
    model, info = load_generator(generator)
    files = [tmp_path / "plain.ts", tmp_path / "denoises.ts"]
    for path, strength in zip(files, (0.0, 0.02), strict=True):
        export(model, info, path, "torchscript", "fp32", strength)
    _, rows, _ = bench("--backends", *files, "--batch-size", 1, "--no-torchscript", "--seconds", 0.3)
    table = [row for row in rows if row["in_tables"]]
    assert [(row["precision"], row["denoising"]) for row in table] == [
        ("fp32", 0.01),
        ("fp32", 0.0),
        ("fp32 (engine)", 0.01),
        ("fp32 (engine)", 0.0),
        ("fp32 (torchscript)", 0.01),
        ("fp32 (torchscript)", 0.0),
        ("fp32 (torchscript)", 0.02),
    ]
    for row, base in zip(table[2:], (0, 1, 0, 1, 0), strict=True):
        assert row["speed-up"] == table[base]["latency_50%"] / row["latency_50%"]


def test_variants_take_turns_and_warm_up_with_the_same_inputs():
    calls = []
    mels = [torch.zeros(80, 3), torch.zeros(80, 5)]

    def variant(name):
        def speak(inputs):
            calls.append((name, id(inputs)))
            return inputs

        return Variant(name, 0.0, speak, lambda given: given)

    cases = [Case(mels, True), Case(mels[:1], False)]
    measured = measure([variant("a"), variant("b")], cases, 1, 2, CPU)
    one_round = [(name, id(case.inputs)) for case in cases for name in "ab"]
    assert calls == 3 * one_round
    assert [[figures.frames for figures in row] for row in measured] == [[16, 16], [6, 6]]  # of two rounds, unpadded
    assert all(len(figures.vocoding_sec) == 2 for row in measured for figures in row)


def test_a_batch_beyond_the_memory_is_named():
    def run_out(mels):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(InputError, match=r"^--batch-size: 2 utterances do not fit into the GPU's memory$"):
        measure([Variant("fp32", 0.0, list, run_out)], [Case([torch.zeros(80, 3)] * 2, True)], 0, 1, CPU)


def test_figures():
    variants = [Variant(name, 0.0, list, None) for name in ("TF32", "fp16 autocast")]
    slow, fast = Measured([1.0, 3.0, 2.0], [3.0, 3.0, 3.0], 300), Measured([1.0] * 3, [1.0, 0.5, 1.5], 300)
    rows = summarised(variants, [Case([None, None], True)], [[slow, fast]], AudioConfig(), speaks=True)
    assert rows[0]["latency"] == [4.0, 6.0, 5.0]  # both models of the same round
    assert rows[0]["mel_gen_frames/s"] == 50
    assert rows[0]["hifigan_samples/s"] == pytest.approx(300 * 256 / 9)
    assert rows[0]["throughput"] == 300 * 256 / 15
    assert rows[0]["RTF"] == pytest.approx(300 * 256 / 22050 / 15 / 2)
    assert [row["speed-up"] for row in rows] == [None, 2.5]
    alone = summarised(variants, [Case([None, None], True)], [[slow, fast]], AudioConfig(), speaks=False)
    assert alone[0]["latency"] == [3.0, 3.0, 3.0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--hifigan", "none.pt"], "none.pt: no such checkpoint"),
        (["--batch-size", "1", "0"], "--batch-size: 0 is not above 0"),
        (["--repeats", "0"], "--repeats: 0 is not above 0"),
        (["--warmup", "-1"], "--warmup: -1 is below 0"),
        (["--seconds-list", "nan"], "--seconds-list: nan is not above 0"),
        (["--denoising", "-0.1"], "--denoising: -0.1 is below 0"),
        (["--phrases", "a.tsv"], "--phrases: has no effect without --fastpitch"),
        (["--fastpitch", "f.pt", "--seconds", "2"], "--seconds: has no effect with --fastpitch"),
        (["--fastpitch", "f.pt"], "f.pt: no such checkpoint"),
        (["--backends", "x.onnx"], "x.onnx: no such checkpoint or exported model"),
    ],
)
def test_bad_input_is_named_in_one_line(words, message, generator, tmp_path, capsys):
    flags = ["--hifigan", str(generator), "--output", str(tmp_path), *words]
    assert message in one_line_of_error(inference_benchmark.main, flags, capsys)


def test_other_models_are_refused(generator, tmp_path, capsys):
    model, info = load_generator(make_checkpoint(tmp_path / "other.pt", sampling_rate=16000, mel_fmax=7600.0))
    export(model, info, tmp_path / "other.ts", "torchscript", "fp32", 0.0)
    flags = ["--hifigan", str(generator), "--output", str(tmp_path)]
    error = one_line_of_error(inference_benchmark.main, [*flags, "--backends", str(tmp_path / "other.ts")], capsys)
    assert "an export of a model with other settings than" in error
    flags[1] = str(tmp_path / "other.ts")
    assert "is an exported model; give its checkpoint" in one_line_of_error(inference_benchmark.main, flags, capsys)


def test_commit(tmp_path):
    assert machine.commit(tmp_path) == "unknown"
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", tmp_path]
    subprocess.run([*git, "init", "-q"], check=True)
    assert machine.commit(tmp_path) == "unknown"  # there is none yet
    (tmp_path / "file").write_text("a")
    subprocess.run([*git, "add", "file"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "first"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout
    assert machine.commit(tmp_path) == head[:10]
    (tmp_path / "file").write_text("b")
    assert machine.commit(tmp_path) == f"{head[:10]} with local changes"
