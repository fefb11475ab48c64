"""The generator in Triton equals the plain one, for each utterance of a batch as if it were alone."""

import dataclasses

import pytest
import torch

pytest.importorskip("triton")

from hifigan import Generator
from hifigan.config import PRESETS, GeneratorConfig
from hifigan.engine.cuda_rows import RowGenerator
from hifigan.gpu import row_convolutions
from tests.support.engines import UNUSUAL
from tests.support.generators.variants import VARIANTS, make_variant
from tests.support.gpu.interpret import use_high_tiles, widen_bf16
from tests.support.weights import by_rule

LEAST_SNR_DB = {"fp32": 110, "fp16": 50, "bf16": 32}


@pytest.fixture(autouse=True)
def _in_python(monkeypatch):
    use_high_tiles(monkeypatch)
    widen_bf16(monkeypatch)


def short(config: GeneratorConfig) -> GeneratorConfig:
    """Return the residual blocks of an architecture in a narrow stage, or in two if they are few."""
    stages = 1 if config.resblock == "1" else 2
    return dataclasses.replace(
        config,
        upsample_rates=(4, 2)[:stages],
        upsample_kernel_sizes=(8, 4)[:stages],
        upsample_initial_channel=32,
        num_mels=20,
    )


def assert_equal_alone(generator, lengths, precision="fp32"):
    """Compare a padded batch, whose padding is loud, with each utterance alone."""
    config = generator.config
    noise = torch.Generator().manual_seed(0)
    mel = torch.randn(len(lengths), config.num_mels, max(lengths) + 2, generator=noise) * 2 - 5
    for item, length in enumerate(lengths):
        mel[item, :, length:] = 100.0
    wav = RowGenerator(generator, precision)(mel, torch.tensor(lengths, dtype=torch.int32))
    assert wav.shape == (len(lengths), config.num_samples(mel.size(2)))
    assert wav.dtype == torch.float32
    for item, length in enumerate(lengths):
        samples = config.num_samples(length) if length else 0
        assert not wav[item, samples:].any()
        if length:
            with torch.no_grad():
                alone = generator(mel[item : item + 1, :, :length])[0, 0]
            noise_energy = (wav[item, :samples] - alone).square().sum()
            assert 10 * torch.log10(alone.square().sum() / noise_energy) > LEAST_SNR_DB[precision]


@pytest.mark.medium
@pytest.mark.parametrize(("variant", "precision"), [("v1", "fp32"), ("v3", "fp32"), ("v3", "fp16"), ("v3", "bf16")])
def test_blocks_of_the_presets(variant, precision):
    assert_equal_alone(by_rule(short(PRESETS[variant])), (9, 4, 0), precision)


@pytest.mark.slow
@pytest.mark.parametrize("variant", PRESETS)
def test_presets_with_few_channels(variant):
    config = dataclasses.replace(PRESETS[variant], upsample_initial_channel=32)
    assert_equal_alone(by_rule(config), (3, 2))


@pytest.mark.medium
@pytest.mark.parametrize("name", VARIANTS)
def test_architectures_of_other_programs(name):
    generator = make_variant(name)
    fewest = generator.config.min_frames
    assert_equal_alone(generator, (fewest + 1, fewest))


@pytest.mark.medium
def test_an_unusual_architecture():
    assert_equal_alone(by_rule(UNUSUAL), (4, 1))


def test_kernels_per_call():
    """One per convolution. Two more make rows of the mel, and round the result of the first two layers to 16 bits."""
    counted = []

    class Count(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            views = any(r.alias_info is not None and not r.alias_info.is_write for r in func._schema.returns)
            if not views and "empty" not in func.name():
                counted.append(func.name())
            return func(*args, **(kwargs or {}))

    generator = Generator(PRESETS["v1"])
    generator.remove_weight_norm()
    run = RowGenerator(generator, "fp16")
    with torch._subclasses.FakeTensorMode(allow_non_fake_inputs=True):
        mel, lengths = torch.empty(1, 80, 693), torch.empty(1, dtype=torch.int32)
        with Count():
            wav = run(mel, lengths)
    assert wav.shape == (1, 693 * 256)
    assert counted.count("hifigan::convolve_rows") == 77
    assert counted.count("hifigan::last_layer") == 1
    assert len(counted) == 80, counted


def test_weights_are_prepared_once(monkeypatch):
    """A call reads the weights that the constructor arranged, so the generator may change or go."""
    generator = by_rule(short(PRESETS["v3"]))
    run = RowGenerator(generator, "fp16")
    seen = []

    def convolve(x, weight, *args):
        seen.append(weight.data_ptr())
        return row_convolutions._empty(x, weight, *args).zero_()

    monkeypatch.setattr(torch.ops.hifigan, "convolve_rows", convolve)
    mel, lengths = torch.zeros(1, 20, 3), torch.tensor([3], dtype=torch.int32)
    run(mel, lengths)
    run(mel, lengths)
    assert len(seen) == 2 * len(set(seen))
    assert not set(seen) & {parameter.data_ptr() for parameter in generator.parameters()}
