"""The inference benchmark with small models: tables, ways, sizes, and bad input."""

import functools
import json

import numpy as np
import pytest
import soundfile
import torch
from matplotlib.image import imread

from benchmarks import peak
from benchmarks.inference import benchmark, session, ways
from benchmarks.inference.report import COLUMNS, SUMMARY_COLUMNS
from benchmarks.inference.start import Start
from benchmarks.processor import describe_instruction_sets
from hifigan import load_generator
from hifigan.backend import Backend
from hifigan.engine.select import list_precisions
from hifigan.export.write import export
from tests.support.benchmarks import kill_when_written
from tests.support.data_sets import speechlike
from tests.support.models import TINY, make_checkpoint, make_fastpitch
from tests.support.programs import one_line_of_error

SHORT = ["--no-watched", "--seconds-list", "0.1", "0.2", "--repeats", "2", "--warmup", "1", "--starts", "0"]
FIGURES = (
    *("latency_avg", "latency_50%", "latency_90%", "latency_95%", "latency_99%"),
    *("throughput", "speed-up", "RTF", "share_of_limit", "snr_db", "made_sec", "first_sec"),
)
PYTORCH = ["eager fp32", "eager bf16 autocast", "TorchScript fp32", "TorchScript bf16 autocast"]
ENGINE = [f"engine {precision}" for precision in list_precisions(torch.device("cpu"))]
WITHOUT_AMP = [way for way in ENGINE if "16" not in way]


@pytest.fixture(autouse=True)
def _no_runtimes(monkeypatch, request):
    """Avoid ONNX exports, except in the test of them, and large matrix products: both take seconds."""
    monkeypatch.setitem(peak.PRODUCT_SIZES, "cpu", (64,))
    monkeypatch.setattr(peak, "SECONDS", 0.0)
    if "with_runtimes" not in request.fixturenames:
        monkeypatch.setattr(ways, "_list_runtimes", lambda *args: [])


@pytest.fixture
def with_runtimes():
    pass


def tables(text):
    """Map the title of each table to its rows of cells."""
    found = {}
    for part in text.split("\n### ")[1:]:
        lines = [line for line in part.split("\n## ")[0].splitlines() if line.startswith("|")]
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
        assert tuple(rows[0]) == COLUMNS
        found[part.splitlines()[0]] = rows[2:]
    return found


@pytest.fixture
def bench(generator, tmp_path, capsys):
    """Return a function that runs the program and returns its output and the content of its JSON file."""

    def call(*words):
        given = ["--output", str(tmp_path / "out"), *SHORT, *map(str, words)]
        if "--hifigan" not in given:
            given = ["--hifigan", str(generator), *given]
        assert benchmark.main(given) == 0
        printed = capsys.readouterr().out
        content = json.loads((tmp_path / "out" / "inference_benchmark.json").read_text())
        printed, _, block = printed.partition("\n```json\n")
        assert printed == (tmp_path / "out" / "inference_benchmark.md").read_text()
        in_json = json.loads(block.removesuffix("```\n"))
        for row, whole in zip(in_json["rows"], content["rows"], strict=True):
            row["latency"] = whole["latency"]
        assert in_json == content
        return printed, content

    return call


def test_tables_are_those_of_the_json_file(bench, generator, tmp_path):
    printed, content = bench("--batch-size", 2, 1, "--seconds", 0.3, "--seconds-list", 0.1, "--full")
    rows, header = content["rows"], content["header"]
    found = tables(printed)
    ways = [*PYTORCH, *ENGINE]
    assert list(found) == [
        f"own architecture, {kind}, utterances of {seconds} s"
        for seconds in ("0.30", "0.10")
        for kind in ("no denoising", "denoising (0.01)")
    ]
    seen = 0
    for (title, table), (length, strength) in zip(
        found.items(), [(n, s) for n in range(2) for s in (0, 0.01)], strict=True
    ):
        assert [(cells[0], cells[1]) for cells in table] == [(size, way) for way in ways for size in "12"], title
        alike = [row for row in rows if (row["length"], row["denoising"]) == (length, strength)]
        for cells in table:
            (row,) = (row for row in alike if (str(row["batch_size"]), row["way"]) == (cells[0], cells[1]))
            for cell, name in zip(cells[2:], FIGURES, strict=True):
                if row[name] in (None, "inf"):
                    assert cell == "-"
                else:
                    last_digit = 10.0 ** -len(cell.partition(".")[2])
                    value = row[name] * (100 if name == "share_of_limit" else 1)
                    assert abs(float(cell) - value) <= 0.501 * last_digit
            base, half = (
                next(other for other in alike if (other["batch_size"], other["way"]) == (row["batch_size"], way))
                for way in ("eager fp32", "TorchScript bf16 autocast")
            )
            for name, other in (("speed-up", base), ("over_torchscript_half", half)):
                ratios = np.divide(other["latency"], row["latency"])
                assert row[name] == (None if row is other else np.median(ratios))
            seen += 1
    assert seen == len(rows) == 2 * 2 * 2 * len(ways)
    assert sorted({row["audio_sec"] for row in rows}) == pytest.approx([n * 256 / 22050 for n in (9, 26)])
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
    assert header["command"].startswith(f"python -m benchmarks.inference.benchmark --hifigan {generator} ")
    assert "26 frames" in header["input"]
    assert f"torch {torch.__version__}" in header["versions"]
    assert header["instruction sets"] == describe_instruction_sets()
    assert header["HiFi-GAN own architecture"].startswith("0.0")
    assert set(content["flop_per_sec"]) == {"fp32", "bf16"}
    assert {row["way"] for row in content["rows"] if row["share_of_limit"] is None} <= {"engine tf32"}
    assert all(row["snr_db"] is None if row["way"] == "eager fp32" else float(row["snr_db"]) > 30 for row in rows)
    assert all(row["first_sec"] > 0 for row in rows)
    kinds = {
        json.loads(line)["kind"] for line in (tmp_path / "out" / "inference_benchmark.jsonl").read_text().splitlines()
    }
    assert kinds == {"header", "model", "peak", "row"}
    assert "The quality gate was not applied" in printed
    assert imread(tmp_path / "out" / "latency.png").shape == (480, 1200, 4)


def test_sizes_vary_one_at_a_time(bench):
    _, content = bench("--batch-size", 2, 1, "--seconds", 0.3, "--no-amp", "--no-torchscript")
    sizes = [(row["length"], row["batch_size"], row["denoising"]) for row in content["rows"] if "eager" in row["way"]]
    assert sizes == [(0, 1, 0), (0, 1, 0.01), (0, 2, 0), (1, 1, 0), (2, 1, 0)]
    assert {row["way"] for row in content["rows"]} == {"eager fp32", *WITHOUT_AMP}
    assert {row["over_torchscript_half"] for row in content["rows"]} == {None}


def test_presets_have_random_weights_and_no_gate(bench, tmp_path):
    soundfile.write(tmp_path / "a.wav", speechlike(0.5), 22050)
    words = ["--batch-size", 1, "--seconds", 0.1, "--denoising", 0, "--no-amp", "--no-torchscript", "--wavs", tmp_path]
    printed, content = bench("--hifigan", "v3", "V3", *words)
    assert content["header"]["HiFi-GAN V3"] == "1.46 M parameters, 3.9 GFLOP per second of audio, random weights"
    assert list(dict.fromkeys(row["model"] for row in content["rows"])) == ["V3", "V3 2"]
    assert content["quality"] == {}
    assert printed.count("The quality gate was not applied") == 2


def test_quality_and_start_up(bench, generator, tmp_path, monkeypatch):
    (tmp_path / "wavs").mkdir()
    for name in "ab":
        soundfile.write(tmp_path / "wavs" / f"{name}.wav", speechlike(0.5, seed=ord(name)), 22050)
    words = ["--batch-size", 1, "--seconds", 0.1, "--denoising", 0, "--wavs", tmp_path / "wavs"]
    started = []

    def start(checkpoint, config, mel, ways, times, alive):
        started.append((checkpoint, config, mel.shape, times))
        return [Start(way, [2.0, 3.0, 7.0], 100.4) for way in ways]

    monkeypatch.setattr(session, "measure_starts", start)
    printed, content = bench(*words, "--no-torchscript", "--starts", 4)
    (quality,) = content["quality"].values()
    assert list(quality) == [*PYTORCH[:2], *ENGINE]
    assert quality["eager fp32"]["snr_db"] is None
    assert quality["engine fp32"]["snr_db"] > 80
    assert all(
        figures["passes"] == (figures["snr_db"] is None or figures["snr_db"] >= 35) for figures in quality.values()
    )
    summary = next(line for line in printed.splitlines() if line.startswith("| engine bf16 |"))
    cells = [cell.strip() for cell in summary.strip("|").split("|")][len(SUMMARY_COLUMNS) :]
    assert cells[0] == f"{quality['engine bf16']['snr_db']:.1f}"
    assert cells[-1] == ("pass" if quality["engine bf16"]["passes"] else "FAIL")
    assert started == [(generator, "", (80, 9), 4)]
    (starts,) = content["starts"].values()
    assert [start["way"] for start in starts] == ["", "--precision bf16", "--backend eager"]
    assert "| own architecture | --precision bf16 | 3.00 | 100 |" in printed


@pytest.mark.slow
def test_onnxruntime_on_a_file_made_on_the_fly(bench, with_runtimes):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    _, content = bench("--batch-size", 1, "--seconds", 0.2, "--denoising", 0, "--no-torchscript")
    others = ["OpenVINO fp32", "ncnn fp32", "OpenVINO bf16", "ncnn bf16"]
    expected = [*PYTORCH[:2], "onnxruntime fp32", *others, *ENGINE]
    for name in ("OpenVINO", "ncnn"):
        if name.lower() not in content["header"]["versions"]:
            assert f"pip install {name.lower()}" in content["header"]["skipped"]
            expected = [way for way in expected if name not in way]
    assert list(dict.fromkeys(row["way"] for row in content["rows"])) == expected


@pytest.mark.medium
def test_what_pytorch_compiles(bench, monkeypatch):
    """Once for each length and precision, up to its code generator, which takes minutes."""
    compiled = []

    def keep(graph, inputs):
        compiled.append(inputs)
        return graph

    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=keep))
    words = ["--batch-size", 1, "--seconds", 0.2, "--seconds-list", 0.1, "--denoising", 0, "--no-torchscript"]
    _, content = bench(*words, "--compiled")
    rows = {(row["way"], row["length"]): row for row in content["rows"]}
    for way, least_db in (("compiled fp32", 100), ("compiled bf16 autocast", 30)):
        assert all(float(rows[way, length]["snr_db"]) > least_db for length in (0, 1))
    assert len(compiled) == 4


def test_fastpitch_and_hifigan(bench, tmp_path):
    model = make_fastpitch(tmp_path / "fastpitch.pt")
    phrases = tmp_path / "phrases.tsv"
    phrases.write_text("output\ttext\na\tHello there, how are you today?\nb\tNo.\n")
    words = ["--fastpitch", model, "--phrases", phrases, "--no-torchscript", "--denoising", 0, "--batch-size", 1, 2, 3]
    printed, content = bench(*words, "--no-amp")
    rows, header = [row for row in content["rows"] if row["way"] == "eager fp32"], content["header"]
    assert next(iter(tables(printed))) == f"own architecture, no denoising, utterances of {rows[0]['audio_sec']:.2f} s"
    assert "texts of 3 to 31 characters" in header["input"]
    one, two, three = (row for row in rows if row["length"] == 0)
    # The padding of the short text does not count, and the first phrase follows the last.
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
    words = ["--batch-size", 1, "--no-torchscript", "--no-amp", "--seconds", 0.3]
    _, content = bench("--backends", *files, *words)
    rows = [row for row in content["rows"] if row["length"] == 0]
    ways = ["eager fp32", *WITHOUT_AMP, "plain.ts fp32"]
    assert [(row["way"], row["denoising"]) for row in rows] == [
        *((way, 0.0) for way in ways),
        *((way, 0.01) for way in ways),
        ("denoises.ts fp32", 0.02),
    ]
    assert rows[-1]["speed-up"] == np.median(np.divide(rows[len(ways)]["latency"], rows[-1]["latency"]))


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
        (["--minutes", "0"], "--minutes: 0.0 is not above 0"),
        (["--wavs", "absent"], "absent: no audio files"),
        (["--hifigan", "v1", "v2", "--backends", "x.onnx"], "--backends: are exports of one model"),
        (["--backends", "x.onnx"], "x.onnx: no such checkpoint or exported model"),
    ],
)
def test_bad_input_is_named_in_one_line(words, message, generator, tmp_path, capsys):
    flags = ["--no-watched", "--hifigan", str(generator), "--output", str(tmp_path), *words]
    assert message in one_line_of_error(benchmark.main, flags, capsys)


def test_other_models_are_refused(generator, tmp_path, capsys):
    model, info = load_generator(make_checkpoint(tmp_path / "other.pt", sampling_rate=16000, mel_fmax=7600.0))
    export(model, info, tmp_path / "other.ts", "torchscript", "fp32", 0.0)
    flags = ["--no-watched", "--hifigan", str(generator), "--output", str(tmp_path), "--no-torchscript"]
    error = one_line_of_error(benchmark.main, [*flags, "--backends", str(tmp_path / "other.ts")], capsys)
    assert "an export of a model with other settings than" in error
    flags[2] = str(tmp_path / "other.ts")
    assert "is an exported model; give its checkpoint" in one_line_of_error(benchmark.main, flags, capsys)


def test_a_way_that_fails_or_makes_noise_is_named_and_the_rest_goes_on(bench, generator, tmp_path, monkeypatch, capsys):
    usual = ways.list_ways

    def list_ways(*args):
        makers = usual(*args)

        def not_a_number(mel):
            return torch.full((len(mel), mel.size(2) * 256), float("nan"))

        def fails(mel):
            raise RuntimeError("no kernel image")

        def compiler():
            raise RuntimeError("nvcc: not found")

        device = torch.device("cpu")
        for name, run in (("nan", not_a_number), ("fails", fails)):
            way = ways.VocoderWay(name, "fp32", Backend(run, TINY, device))
            makers.append(ways.WayMaker(name, "fp32", lambda way=way: way))
        return [*makers, ways.WayMaker("compiled", "fp32", compiler)]

    monkeypatch.setattr("benchmarks.inference.models.list_ways", list_ways)
    words = ["--batch-size", "1", "--seconds", "0.1", "--denoising", "0", "--no-amp", "--no-torchscript"]
    argv = ["--hifigan", str(generator), "--output", str(tmp_path / "out"), *SHORT, *words]
    assert benchmark.main(argv) == 1
    printed = capsys.readouterr().out
    content = json.loads((tmp_path / "out" / "inference_benchmark.json").read_text())
    main = [failure for failure in content["failures"] if "length 0" in failure or "making" in failure]
    assert main == [
        "own architecture, making compiled: nvcc: not found",
        "own architecture, batch 1, length 0, nan: its audio has values that are not finite",
        "own architecture, batch 1, length 0, fails: no kernel image",
    ]
    assert "| NOT FINITE |" in printed
    assert {row["way"] for row in content["rows"]} == {"eager fp32", *WITHOUT_AMP, "nan"}
    assert [row["snr_db"] for row in content["rows"] if row["way"] == "nan"] == ["nan"] * 3
    assert all(row["snr_db"] > 80 for row in content["rows"] if "engine" in row["way"])


@pytest.mark.medium
@pytest.mark.alone
def test_a_killed_benchmark_keeps_what_it_measured(generator, tmp_path):
    argv = [
        "--hifigan",
        str(generator),
        "-o",
        str(tmp_path / "out"),
        "--seconds",
        "0.1",
        "--repeats",
        "1",
        "--starts",
        "0",
    ]
    argv += ["--no-torchscript", "--no-amp", "--seconds-list", *(str(0.1 * n) for n in range(2, 60))]
    tables = tmp_path / "out" / "inference_benchmark.md"
    kill_when_written("benchmarks.inference.benchmark", argv, tables)
    assert "| 1 | eager fp32 |" in tables.read_text()
    assert json.loads((tmp_path / "out" / "inference_benchmark.json").read_text())["rows"]
