"""The CPU engine compared with the plain generator."""

import pytest
import torch

from hifigan.engine import cpu, cpu_c, cpu_onednn
from hifigan.engine.cpu import CpuEngine, measure_bf16_speed_up
from hifigan.engine.cpu_c import Halves, choose_method, lacks_bf16
from hifigan.engine.native import amx, instruction_sets, vector
from hifigan.engine.native.transforms import Method, Transform
from tests.support.engines import CONFIGS, assert_equal_to_plain, plain, random_mel
from tests.support.programs import snr_db


@pytest.fixture(params=[1, 2, 5])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


# V2 and V3 have several tiles from 33 frames on, V1 in its last stages.
@pytest.mark.parametrize(
    ("name", "frames"),
    [(name, frames) for name in CONFIGS for frames in (1, 2, 7, 45, 64, 131) if name != "v1" or frames < 99],
)
def test_equals_the_generator(generators, name, frames, layouts):
    assert_equal_to_plain(generators[name], frames)


@pytest.mark.medium
@pytest.mark.parametrize("frames", [1, 3, 10, 11, 12, 13, 40])
@pytest.mark.parametrize("name", ["v2", "v3", "unusual"])
def test_tiles_join_without_seams(generators, name, frames, layouts, monkeypatch):
    for module in (cpu_onednn, cpu_c):
        monkeypatch.setattr(module, "MIN_TILE_SAMPLES", 80)
        monkeypatch.setattr(module, "TILE_BYTES", 1)
    monkeypatch.setattr(cpu_c, "LARGE_TILE_SAMPLES", 80)
    monkeypatch.setattr(cpu_c, "LAYER_TILE_SAMPLES", 80)
    assert_equal_to_plain(generators[name], frames)


@pytest.mark.medium
@pytest.mark.parametrize("name", ["v2", "v3", "unusual"])
def test_any_number_of_threads(generators, name, layouts, threads):
    for frames in (3, 90):
        assert_equal_to_plain(generators[name], frames)
    assert torch.get_num_threads() == threads


@pytest.mark.medium
@pytest.mark.parametrize("units", [True, False], ids=["matrix units", "no matrix units"])
@pytest.mark.parametrize("name", ["v2", "v3"])
def test_bf16_is_near(generators, name, layouts, units, monkeypatch):
    if not units:
        monkeypatch.setattr(amx, "library", lambda: None)
    generator = generators[name]
    mel = random_mel(generator.config, 60)
    wav, exact = CpuEngine(generator, "bf16")(mel[None])[0], plain(generator, mel)
    assert snr_db(exact, wav) > 35


@pytest.mark.skipif(vector.library() is None, reason="no C compiler")
@pytest.mark.parametrize("channels", [8, 16, 32, 64, 128, 256])
@pytest.mark.parametrize("taps", [1, 3, 5, 7, 11])
def test_methods_can_compute_what_they_are_chosen_for(channels, taps):
    for halves in (Halves(), Halves(max_taps=7), Halves(max_taps=11, max_tile=4), Halves(min_taps=4, max_taps=11)):
        method = choose_method(channels, taps, halves)
        if method is None:
            continue
        transform = method.transform
        assert transform.taps >= taps or transform.taps == transform.tile
        assert not method.halves or (halves.min_taps <= taps <= halves.max_taps and transform.tile <= halves.max_tile)


def test_wide_convolutions_take_fewer_products():
    assert choose_method(128, 1, Halves()) is None
    assert choose_method(8, 3, Halves()) is None
    assert choose_method(128, 3, Halves()) == Method(Transform(4, 3))
    assert choose_method(128, 5, Halves()) == Method(Transform(4, 5))
    assert choose_method(128, 11, Halves()) == Method(Transform(4, 4))
    assert choose_method(64, 7, Halves(max_taps=7)) == Method(Transform(1, 1), halves=True)
    assert choose_method(128, 11, Halves(max_taps=11, max_tile=3)) == Method(Transform(3, 3), halves=True)


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


@pytest.mark.skipif(bool(lacks_bf16()), reason=lacks_bf16())
def test_the_measurement_is_a_ratio():
    assert 0.01 < measure_bf16_speed_up() < 100


def test_a_processor_without_bf16_computes_in_fp32(generators, monkeypatch, caplog):
    """As most laptops. oneDNN would refuse, and bf16 without it is slow and inexact."""
    monkeypatch.setattr(cpu, "lacks_bf16", lambda: "this processor lacks bf16")
    assert measure_bf16_speed_up() == 0
    generator = generators["v2"]
    mel = random_mel(generator.config, 45)[None]
    assert torch.equal(CpuEngine(generator, "bf16")(mel), CpuEngine(generator)(mel))
    assert "this processor lacks bf16; computing in fp32" in caplog.text


def test_bf16_takes_instructions_and_compiled_c(monkeypatch, without_compiler):
    sets = {each.name: each for each in instruction_sets.X86}
    for name, reason in {"avx512": "this processor lacks bf16", "avx512_bf16": "bf16 takes a C compiler"}.items():
        monkeypatch.setattr(instruction_sets, "chosen", lambda name=name: sets[name])
        assert lacks_bf16() == reason
