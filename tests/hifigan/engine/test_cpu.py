"""The engine for processors against the plain generator."""

import pytest
import torch

from hifigan import GeneratorConfig
from hifigan.config import PRESETS
from hifigan.engine import cpu_c, cpu_onednn
from hifigan.engine.cpu import CpuEngine
from hifigan.engine.native import amx, vector
from tests.support.programs import snr_db
from tests.support.weights import by_rule

# Kernels that are no multiple of the rate, overlaps of many strides, no common factors, an even number of blocks.
UNUSUAL = GeneratorConfig(
    upsample_rates=(7, 1, 5, 2),
    upsample_kernel_sizes=(9, 1, 11, 16),
    upsample_initial_channel=32,
    resblock_kernel_sizes=(1, 5),
    resblock_dilation_sizes=((1, 2), (2, 6)),
    num_mels=24,
)
CONFIGS = {**PRESETS, "unusual": UNUSUAL}


@pytest.fixture(scope="module")
def generators():
    return {name: by_rule(config) for name, config in CONFIGS.items()}


@pytest.fixture(params=["in C", "oneDNN alone"])
def layouts(request, monkeypatch):
    """With a C compiler, and without."""
    if request.param == "oneDNN alone":
        monkeypatch.setattr(vector, "library", lambda: None)
    elif vector.library() is None:
        pytest.skip("no C compiler")


@pytest.fixture
def without_compiler(monkeypatch):
    monkeypatch.setattr(vector, "library", lambda: None)


@pytest.fixture(params=[1, 2, 5])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def random_mel(config, frames, seed=0):
    return torch.randn(config.num_mels, frames, generator=torch.Generator().manual_seed(seed)) * 2 - 5


@torch.no_grad()
def plain(generator, mel, dtype=torch.float32):
    return generator.to(dtype)(mel[None].to(dtype))[0, 0]


@torch.no_grad()
def assert_equal_to_plain(generator, frames, **changes):
    mel = random_mel(generator.config, frames)
    torch.testing.assert_close(CpuEngine(generator)(mel[None])[0], plain(generator, mel), rtol=0, atol=1e-5)


# V2 and V3 have several tiles from 33 frames on, V1 in its last stages.
@pytest.mark.parametrize(
    ("name", "frames"),
    [(name, frames) for name in CONFIGS for frames in (1, 2, 7, 45, 64, 131) if name != "v1" or frames < 99],
)
def test_equals_the_generator(generators, name, frames, layouts):
    assert_equal_to_plain(generators[name], frames)


@pytest.mark.parametrize("frames", [1, 3, 10, 11, 12, 13, 40])
@pytest.mark.parametrize("name", ["v2", "v3", "unusual"])
def test_tiles_join_without_seams(generators, name, frames, layouts, monkeypatch):
    for module in (cpu_onednn, cpu_c):
        monkeypatch.setattr(module, "MIN_TILE", 80)
        monkeypatch.setattr(module, "TILE_BYTES", 1)
    monkeypatch.setattr(cpu_c, "LAYER_PART", 80)
    assert_equal_to_plain(generators[name], frames)


@pytest.mark.parametrize("fold_to", [1, 8, 64])
@pytest.mark.parametrize("name", ["v2", "v3", "unusual"])
def test_folding_samples_into_channels_changes_nothing(generators, name, fold_to, without_compiler, monkeypatch):
    monkeypatch.setattr(cpu_onednn, "FOLD_TO", {torch.float32: fold_to})
    assert_equal_to_plain(generators[name], 23)


@pytest.mark.parametrize("name", ["v2", "v3", "unusual"])
def test_without_fused_convolutions(generators, name, without_compiler, monkeypatch):
    """Other processors than x86, and builds of PyTorch without oneDNN."""
    monkeypatch.setattr(cpu_onednn, "FUSED", False)
    assert_equal_to_plain(generators[name], 45)


@pytest.mark.parametrize("name", ["v2", "v3", "unusual"])
def test_any_number_of_threads(generators, name, layouts, threads):
    for frames in (3, 90):
        assert_equal_to_plain(generators[name], frames)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("units", [True, False], ids=["matrix units", "no matrix units"])
@pytest.mark.parametrize("name", ["v2", "v3"])
def test_bf16_is_near(generators, name, layouts, units, monkeypatch):
    if not units:
        monkeypatch.setattr(amx, "library", lambda: None)
    generator = generators[name]
    mel = random_mel(generator.config, 60)
    wav, exact = CpuEngine(generator, "bf16")(mel[None])[0], plain(generator, mel)
    assert snr_db(exact, wav) > 35


def test_its_weights_are_its_own(generators):
    generator = generators["v2"]
    mel = random_mel(generator.config, 5)
    engine = CpuEngine(generator)
    expected = engine(mel[None])
    saved = {name: tensor.clone() for name, tensor in generator.state_dict().items()}
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.zero_()
    assert torch.equal(engine(mel[None]), expected)
    generator.load_state_dict(saved)
