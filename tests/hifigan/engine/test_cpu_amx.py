"""Stages on matrix units compared with fp64, and processors without matrix units."""

import math
import stat

import pytest
import torch
from torch.nn import functional as F

from common.errors import InputError
from hifigan.config import PRESETS, GeneratorConfig
from hifigan.engine import cpu_amx
from hifigan.engine.cpu import CpuEngine
from hifigan.engine.cpu_amx import MatrixStage, Pairs, fits_matrix_units
from hifigan.engine.native import amx, instruction_sets
from hifigan.engine.select import engine_backend, list_precisions
from tests.support.models import TINY
from tests.support.programs import snr_db
from tests.support.weights import by_rule

ALL, NONE = Pairs(True, range(0)), Pairs(False, range(1, 99))
# Channels of the stages, from the first: 64, 32, 16, 8 (two samples in a row) with paddings of all kinds.
NARROW = GeneratorConfig(
    upsample_rates=(5, 3, 4, 2),
    upsample_kernel_sizes=(9, 3, 8, 8),
    upsample_initial_channel=128,
    resblock_kernel_sizes=(3, 5),
    resblock_dilation_sizes=((1, 2, 1), (2, 6, 3)),
    num_mels=24,
)


def stages(config):
    """Yield the stages of a generator in fp64, as (upsampling, blocks, samples per frame)."""
    generator = by_rule(config).double()
    samples = 1
    for up, blocks in zip(generator.ups, generator.resblocks, strict=True):
        samples *= up.stride[0]
        yield up, blocks, samples


@pytest.mark.usefixtures("matrix_units")
@pytest.mark.parametrize(
    ("pairs", "least_db"), [(ALL, 95), (Pairs(True, range(4, 99)), 44), (Pairs(True, range(1, 99)), 44), (NONE, 44)]
)
@pytest.mark.parametrize("config", [NARROW, PRESETS["v2"], PRESETS["v3"]], ids=["narrow", "v2", "v3"])
@torch.no_grad()
def test_a_stage_equals_fp64(config, pairs, least_db, monkeypatch):
    """In one tile and in many, to the precision of its parts: 16 bits or 8."""
    random = torch.Generator().manual_seed(0)
    some, wide = 0, 0
    for up, blocks, samples in stages(config):
        wide += up.out_channels >= 32
        if not fits_matrix_units(up, pairs, samples):
            continue
        some += 1
        x = torch.randn(samples // up.stride[0] * 9, up.in_channels, generator=random)
        upsampled = up(x.t()[None].double() * 0.5)
        expected = F.leaky_relu(sum(block(upsampled) for block in blocks)[0].t(), 0.01)
        stage = MatrixStage(up, blocks, pairs, 0.5, samples, 0.01)
        whole = stage(x)
        assert whole.shape == expected.shape
        assert snr_db(expected, whole) > least_db
        with monkeypatch.context() as patch:
            patch.setattr(cpu_amx, "MIN_TILE_ROWS", 16)
            patch.setattr(cpu_amx, "TILE_BYTES", 1)
            assert torch.equal(stage(x), whole)
    assert some == (len(config.upsample_rates) if pairs == ALL else wide)  # fewer than 32 channels need 16 bits


@torch.no_grad()
def measure_stage(up, blocks, pairs, x):
    """Return the SNR in dB of a stage on x [N, C] against fp64."""
    upsampled = up(x.t()[None].double())
    expected = F.leaky_relu(sum(block(upsampled) for block in blocks)[0].t(), 0.01)
    return snr_db(expected, MatrixStage(up, blocks, pairs, 1, up.stride[0], 0.01)(x))


@pytest.mark.medium
@pytest.mark.usefixtures("matrix_units")
def test_long_kernels_alone_have_pairs():
    """In the first stage of V1, whose blocks have kernels of 3, 7 and 11 taps."""
    up, blocks, _ = next(stages(PRESETS["v1"]))
    x = torch.randn(16, up.in_channels, generator=torch.Generator().manual_seed(0))
    single, mixed = Pairs(True, range(1, 99)), Pairs(True, range(1, 8))
    for block, least_db in zip(blocks, (44, 44, 95), strict=True):
        assert measure_stage(up, [block], mixed, x) > least_db
        assert measure_stage(up, [block], single, x) < 60
    # A third of the noise goes, while short kernels read rows with pairs.
    gained_db = measure_stage(up, blocks, mixed, x) - measure_stage(up, blocks, single, x)
    assert gained_db == pytest.approx(10 * math.log10(3 / 2), abs=0.4)


@pytest.mark.usefixtures("matrix_units")
@pytest.mark.parametrize("frames", [1, 2, 7, 45])
@pytest.mark.parametrize("name", ["v2", "v3"])
@torch.no_grad()
def test_sixteen_bits_are_nearly_those_of_fp32(name, frames):
    generator = by_rule(PRESETS[name])
    mel = torch.randn(1, 80, frames, generator=torch.Generator().manual_seed(frames)) * 2 - 5
    made = CpuEngine(generator, "tf32")(mel)
    assert snr_db(generator(mel)[:, 0], made) > 90


@pytest.mark.usefixtures("matrix_units")
@pytest.mark.parametrize(
    ("name", "precision", "parts"),
    [
        ("v1", "tf32", [(2, 2)] * 4),
        ("v2", "tf32", [(2, 2)] * 4),
        ("v3", "tf32", [(2, 2)] * 3),
        ("v1", "bf16", [(2, 2), (1, 1), (1, 1), (1, 1)]),
        ("v2", "bf16", [(2, 2)] * 4),
        ("v3", "bf16", [(2, 1), (1, 1), (1, 1)]),
    ],
)
def test_stages_run_on_the_units_with_as_many_bits_as_they_need(name, precision, parts):
    stages = CpuEngine(by_rule(PRESETS[name]), precision)._stages
    assert [type(stage) for stage in stages] == [MatrixStage] * len(parts)
    assert [stage._parts for stage in stages if isinstance(stage, MatrixStage)] == parts


@pytest.fixture
def fresh_check():
    """Clear the cached result of the check for matrix units, before and after a test."""
    amx.library.cache_clear()
    yield
    amx.library.cache_clear()


@torch.no_grad()
def test_without_matrix_units(fresh_check, monkeypatch):
    monkeypatch.setattr(instruction_sets, "read_linux_features", lambda: frozenset({"sse2", "amx_tile"}))
    generator = by_rule(PRESETS["v2"])
    mel = torch.randn(1, 80, 20) * 2 - 5
    assert snr_db(generator(mel)[:, 0], CpuEngine(generator, "bf16")(mel)) > 35
    assert list_precisions(torch.device("cpu")) == ("fp32", "bf16")
    with pytest.raises(InputError, match="tf32 is not for this CPU, which takes fp32, bf16 or auto"):
        engine_backend(generator, "tf32")


@pytest.mark.skipif(amx.library() is None, reason="no matrix units (AMX), or no C compiler")
def test_a_compiler_that_does_not_know_the_units(fresh_check, monkeypatch, tmp_path, caplog):
    failing = tmp_path / "old-cc"
    failing.write_text("#!/bin/sh\necho error: unrecognized option -mamx-tile >&2\nexit 1\n")
    failing.chmod(stat.S_IRWXU)
    monkeypatch.setenv("CC", str(failing))
    engine_backend(by_rule(TINY))
    assert not caplog.text, "fp32 needs none"
    assert amx.library() is None
    assert "amx.c cannot be compiled, bf16 is slower, and there is no tf32: error: unrec" in caplog.text
