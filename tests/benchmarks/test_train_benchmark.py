"""The training benchmark with small models: rows and figures; what is refused."""

import json

import pytest

from benchmarks import train_benchmark
from common.errors import InputError
from tests.support import TINY


@pytest.mark.slow
@pytest.mark.alone
def test_the_plain_recipe_is_measured_against_the_default(tmp_path, capsys):
    (tmp_path / "tiny.json").write_text(json.dumps(TINY.to_dict()))
    argv = ["--hifigan-config", str(tmp_path / "tiny.json"), "--batch-size", "1", "--segment-size", "2048", "--no-amp"]
    argv += ["--repeats", "1", "--warmup", "0", "--agreement-steps", "2", "--num-workers", "0"]
    assert train_benchmark.main([*argv, "--output", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    text, _, block = printed.partition("\n```json\n")
    assert text == (tmp_path / "out" / "train_benchmark.md").read_text()
    content = json.loads((tmp_path / "out" / "train_benchmark.json").read_text())
    assert content == json.loads(block.removesuffix("```\n"))
    plain, fast = content["rows"]
    assert [row["fast"] for row in (plain, fast)] == ["off", "on"]
    for row in (plain, fast):
        assert row["frames/s"] == pytest.approx(8 * row["segments/s"])  # of 256 samples, not mel bands
        assert row["speed-up"] == pytest.approx(plain["seconds"][0] / row["seconds"][0])
        assert set(row["parts_sec"]) == set(train_benchmark.PARTS)
        assert all(seconds > 0 for seconds in row["parts_sec"].values())
        assert 0 < row["share_of_peak"] < 1
    # Nine passes of the discriminators, 17.2 GFLOP for four times this segment, of which each strided layer
    # rounds up; the generator is tiny.
    assert plain["gflop_per_segment"] == pytest.approx(9 * 17.2 / 4, rel=0.06)
    assert plain["agreement"] is None
    assert 0 < fast["agreement"] < 1e-3
    assert fast["compared_steps"] == 2


@pytest.mark.parametrize("words", [["--batch-size", "0"], ["--repeats", "0"], ["--steps", "0"], ["--warmup", "-1"]])
def test_impossible_settings(words):
    with pytest.raises(InputError, match=r"is not above 0|is below 0"):
        train_benchmark.main(words)


def test_a_variant_that_fails_is_told(tmp_path):
    with pytest.raises(InputError, match=r"a variant failed: --segment-size: 2000 is not a multiple"):
        train_benchmark.main(["--segment-size", "2000", "--hifigan-config", "v2", "-o", str(tmp_path)])


def test_agreement_is_the_largest_relative_difference():
    assert train_benchmark.agreement([[1, 2, 4], [1, 1, 1]], [[1, 2, 5], [9, 9, 9]], 1) == 0.25
