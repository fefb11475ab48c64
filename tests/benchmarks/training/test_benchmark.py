"""The training benchmark with small models: rows, figures and failures."""

import json
import time
from typing import ClassVar

import pytest

from benchmarks.training import benchmark, session
from benchmarks.training.config import TrainingBenchmarkConfig
from benchmarks.training.variants import VariantFailure
from benchmarks.training.worker import Burst, WarmUp
from common.errors import InputError
from tests.support.benchmarks import kill_when_written
from tests.support.models import TINY

PARTS = ("G", "MPD", "MSD", "mel", "optimiser", "data", "logging")


@pytest.mark.slow
@pytest.mark.alone
def test_the_plain_recipe_is_measured_against_the_default(tmp_path, capsys):
    (tmp_path / "tiny.json").write_text(json.dumps(TINY.to_dict()))
    argv = ["--hifigan-config", str(tmp_path / "tiny.json"), "--batch-size", "1", "--segment-size", "2048", "--no-amp"]
    argv += ["--repeats", "1", "--warmup", "0", "--agreement-steps", "2", "--num-workers", "0", "--layers"]
    assert benchmark.main([*argv, "--output", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    text, _, block = printed.partition("\n```json\n")
    assert text == (tmp_path / "out" / "train_benchmark.md").read_text()
    content = json.loads((tmp_path / "out" / "train_benchmark.json").read_text())
    assert content == json.loads(block.removesuffix("```\n"))
    plain, fast = content["rows"]
    assert [row["fast"] for row in (plain, fast)] == ["off", "on"]
    for row in (plain, fast):
        assert row["frames/s"] == pytest.approx(8 * row["segments/s"])  # frames have 256 samples
        assert row["speed-up"] == pytest.approx(plain["seconds"][0] / row["seconds"][0])
        assert set(row["parts_sec"]) == set(PARTS)
        assert all(seconds > 0 for seconds in row["parts_sec"].values())
        assert 0 < row["share_of_peak"] < 1
    # Nine passes of the discriminators, which take 17.2 GFLOP for four times this segment. Each strided layer
    # rounds up. The generator is negligible.
    assert plain["gflop_per_segment"] == pytest.approx(9 * 17.2 / 4, rel=0.06)
    assert plain["agreement"] is None
    assert 0 < fast["agreement"] < 1e-3
    assert fast["compared_steps"] == 2
    assert (plain["cuda_graphs"], fast["cuda_graphs"]) == (False, False)
    (ways,) = content["layer_ways"]
    assert (ways["batch_size"], ways["precision"], len(ways["layers"])) == (2, "fp32", 46)
    assert text.count("| MPD, period") == 25
    assert content["left_out"] == []
    assert all(
        row["first_step_sec"] > 0 and row["start_sec"] > 0 and row["recorded_sec"] is None for row in (plain, fast)
    )
    kinds = [json.loads(line)["kind"] for line in (tmp_path / "out" / "train_benchmark.jsonl").read_text().splitlines()]
    assert kinds == ["header", *["warm-up"] * 2, *["burst"] * 2, *["row"] * 2, *["layer"] * 46]


@pytest.mark.slow
@pytest.mark.alone
def test_a_killed_benchmark_keeps_what_it_measured(tmp_path):
    (tmp_path / "tiny.json").write_text(json.dumps(TINY.to_dict()))
    argv = ["--hifigan-config", str(tmp_path / "tiny.json"), "--batch-size", "1", "--segment-size", "2048", "--no-amp"]
    argv += ["--repeats", "1000", "--warmup", "0", "--steps", "1", "--num-workers", "0", "--output", str(tmp_path)]
    tables = tmp_path / "train_benchmark.md"
    kill_when_written("benchmarks.training.benchmark", argv, tables)
    assert "| fp32 | off |" in tables.read_text()
    rows = json.loads((tmp_path / "train_benchmark.json").read_text())["rows"]
    assert [row["fast"] for row in rows] == ["off", "on"]
    assert '"burst"' in (tmp_path / "train_benchmark.jsonl").read_text()


@pytest.mark.parametrize("words", [["--batch-size", "0"], ["--repeats", "0"], ["--steps", "0"], ["--warmup", "-1"]])
def test_impossible_settings(words):
    with pytest.raises(InputError, match=r"is not above 0|is below 0"):
        benchmark.main(words)


class FakeVariant:
    """VariantProcess that answers at once: the plain recipe with steps of 2 s, others of 1 s.

    `asked` lists the variants and methods. `answers` maps (part of a command line, method) to another answer, or to a
    failure.
    """

    asked: ClassVar[list] = []
    answers: ClassVar[dict] = {}

    def __init__(self, make, words, limit_sec):
        self.words, self.limit_sec = " ".join(map(str, words[0])) if isinstance(words[0], list) else "layers", limit_sec

    def ask(self, method, *words):
        self.asked.append((self.words, method, *words))
        seconds = 2.0 if "--fast off" in self.words else 1.0
        steps = words[0] if method == "burst" else 1
        usual = {
            "warm_up": WarmUp(5.0, 7.0, None, [[1.0, 2.0, 3.0]]),
            "burst": Burst(steps * seconds, steps * seconds, [[1.0, 2.0, 3.0]] * steps),
            "parts": dict.fromkeys(PARTS, 0.1),
            "graphs": False,
            "matmul_flops": 1e15,
            "peak_bytes": 2**30,
            "names": ["layer"],
            "seconds": {"as it is": 0.1},
        }[method]
        for (part, asked), answer in self.answers.items():
            if part in self.words and asked == method:
                if isinstance(answer, Exception):
                    raise answer
                return answer
        return usual

    def kill(self):
        pass

    close = kill


@pytest.fixture
def fake(monkeypatch, tmp_path):
    """Return a function that runs the benchmark on fake variants and returns its status and JSON file."""
    monkeypatch.setattr(session, "VariantProcess", FakeVariant)
    monkeypatch.setattr(session, "segment_flop", lambda config, segment: 2e14)
    monkeypatch.setattr(benchmark, "make_clips", lambda folder, batch_size: None)
    monkeypatch.setattr(FakeVariant, "asked", [])
    monkeypatch.setattr(FakeVariant, "answers", {})

    def call(*words):
        status = benchmark.main(["--hifigan-config", "v1", "-bs", "1", "-o", str(tmp_path), *words])
        return status, json.loads((tmp_path / "train_benchmark.json").read_text())

    return call


def test_figures_of_rows(fake):
    status, content = fake("--steps", "3")
    assert status == 0
    assert [(row["precision"], row["fast"]) for row in content["rows"]] == [
        (precision, fast) for precision in ("fp32", "bf16 autocast") for fast in ("off", "on")
    ]
    assert [row["speed-up"] for row in content["rows"]] == [1.0, 2.0, 1.0, 2.0]
    assert [row["share_of_peak"] for row in content["rows"]] == [0.1, 0.2, 0.1, 0.2]
    assert [row["agreement"] for row in content["rows"]] == [None, 0.0, None, 0.0]


@pytest.mark.parametrize("method", ["warm_up", "burst", "parts", "matmul_flops"])
def test_a_variant_that_fails_is_named_and_the_rest_goes_on(method, fake, capsys):
    FakeVariant.answers["--fast off --amp", method] = VariantFailure("it was stopped after 60 s")
    status, content = fake()
    assert status == 1
    assert content["left_out"] == ["v1, batch 1, bf16 autocast, --fast off: it was stopped after 60 s"]
    measured = {(row["precision"], row["fast"]): row for row in content["rows"]}
    assert len(measured) == (3 if method in ("warm_up", "burst") else 4)
    last = measured["bf16 autocast", "on"]
    assert last["speed-up"] == (None if method in ("warm_up", "burst") else 2.0)
    assert last["speed-up over full precision"] == 2.0
    assert "- Not measured, or failed: v1, batch 1, bf16 autocast, --fast off" in capsys.readouterr().out


def test_losses_that_are_not_finite_are_a_failure_and_not_an_agreement(fake, capsys):
    nan = float("nan")
    for fast in ("off", "on"):
        FakeVariant.answers[f"--fast {fast}", "burst"] = Burst(3.0, 3.0, [[nan] * 3] * 3)
    status, content = fake("--no-amp")
    assert status == 1
    assert content["left_out"] == [
        f"v1, batch 1, fp32, --fast {fast}: losses are not finite numbers" for fast in ("off", "on")
    ]
    assert [row["agreement"] for row in content["rows"]] == [None, None]
    assert capsys.readouterr().out.count("| NOT FINITE |") == 2


def test_if_nothing_can_be_measured_the_error_is_told(fake):
    FakeVariant.answers["", "warm_up"] = VariantFailure("--segment-size: 2000 is not a multiple")
    with pytest.raises(InputError, match=r"--fast off: --segment-size: 2000 is not a multiple"):
        fake()


def test_a_gpu_measures_one_variant_at_a_time_what_matters_most_first(tmp_path, monkeypatch):
    monkeypatch.setattr(session, "full_precision", lambda device: "TF32")
    cfg = TrainingBenchmarkConfig(cuda=True, output=str(tmp_path))
    stages = session.TrainingSession(cfg, {}, tmp_path).stages()
    found = [(stage.batch_size, course.precision, course.fast) for stage in stages for course in stage.courses]
    assert found[:4] == [(size, "fp16 autocast", fast) for size in (16, 128) for fast in ("on", "off")]
    assert found[4:8] == [(size, "TF32", fast) for size in (16, 128) for fast in ("on", "off")]
    assert [name[2] for name in found[8:]] == ["on, no graphs"] * 4


def test_a_time_limit_shortens_what_is_measured_and_skips_the_rest(fake, monkeypatch):
    """A row needs only one burst. The limit of a variant is twice its share."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    slow = FakeVariant.ask

    def ask(self, method, *words):
        now[0] += 30 if method == "burst" else 0
        return slow(self, method, *words)

    monkeypatch.setattr(FakeVariant, "ask", ask)
    status, content = fake("-bs", "1", "2", "3", "--minutes", "4", "--agreement-steps", "50", "--no-amp", "--layers")
    bursts = [words for words, method, *_ in FakeVariant.asked if method == "burst"]
    assert len(bursts) == 2 * 2 + 2 * 2  # for each variant of two cases a warm-up and a measured one
    assert [len(row["seconds"]) for row in content["rows"]] == [1] * 4
    assert content["left_out"] == [
        *(f"v1, batch 3, fp32, --fast {fast}: 4 minutes are over (--minutes)" for fast in ("off", "on")),
        "layers: 4 minutes are over (--minutes)",
    ]
    assert status == 0
