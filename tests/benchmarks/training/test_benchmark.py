"""The training benchmark with small models: rows, figures and failures."""

import json

import pytest

from benchmarks.training import benchmark, report
from benchmarks.training.worker import Burst
from common.errors import InputError
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
    assert (ways["batch_size"], ways["precision"], len(ways["layers"])) == (2, "float32", 46)
    assert text.count("| MPD, period") == 25
    assert content["left_out"] == []


@pytest.mark.parametrize("words", [["--batch-size", "0"], ["--repeats", "0"], ["--steps", "0"], ["--warmup", "-1"]])
def test_impossible_settings(words):
    with pytest.raises(InputError, match=r"is not above 0|is below 0"):
        benchmark.main(words)


def test_a_variant_that_fails_is_told(tmp_path):
    with pytest.raises(InputError, match=r"a variant failed: --segment-size: 2000 is not a multiple"):
        benchmark.main(["--segment-size", "2000", "--hifigan-config", "v2", "-o", str(tmp_path)])


def test_what_fails_or_comes_too_late_is_told_beside_the_rest(tmp_path, monkeypatch, capsys):
    """Measured rows are printed even so, and a failure sets the exit status."""
    row = {"config": "v1", "batch_size": 1}
    monkeypatch.setattr(benchmark, "markdown", lambda header, rows, ways, left_out: str((rows, left_out)))

    def measured(cfg, folder, config, batch_size, deadline):
        if batch_size == 2:
            raise InputError("a variant failed: out of memory")
        return [row]

    monkeypatch.setattr(benchmark, "measured_case", measured)
    argv = ["--hifigan-config", "v1", "-o", str(tmp_path)]
    assert benchmark.main([*argv, "-bs", "1", "2"]) == 1
    assert str(([row], ["v1, batch 2: a variant failed: out of memory"])) in capsys.readouterr().out
    assert benchmark.main([*argv, "-bs", "1", "1", "--minutes", "1e-9"]) == 0
    assert "v1, batch 1: 1e-09 minutes are over (--minutes)" in capsys.readouterr().out


def test_a_time_limit_shortens_what_is_measured():
    """A row needs only one burst."""
    asked = []

    def ask(worker, method, *words):
        asked.append(method)
        return {"burst": Burst(3.0, 3.0, [[1.0] * 3]), "parts": {}}.get(method, 1)

    courses = [report.Course("fp32", fast) for fast in ("off", "on")]
    cfg = benchmark.TrainingBenchmarkConfig(steps=3, repeats=5, agreement_steps=50)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benchmark, "ask", ask)
        benchmark.run_in_turn(cfg, ["plain", "fast"], courses, 0.0)
    assert asked.count("burst") == 4  # a warm-up and a measured one for each
    assert [course.seconds for course in courses] == [[1.0], [1.0]]
