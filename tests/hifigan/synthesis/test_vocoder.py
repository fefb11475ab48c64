"""Batches of very different lengths and very long mels: each item gives the same samples as alone and whole."""

import subprocess
import sys

import pytest
import torch

from common.errors import InputError
from hifigan import Denoiser, Generator
from hifigan.backend import Backend, eager_backend
from hifigan.config import PRESETS
from hifigan.denoiser import ConvolutionalDenoiser
from hifigan.synthesis.vocoder import EAGER_CPU_WINDOW_FRAMES, Vocoder
from tests.support.generators.variants import VARIANTS, make_variant
from tests.support.generators.variants import random_mel as mel_of_variant
from tests.support.models import TINY
from tests.support.paths import REPOSITORY
from tests.support.weights import by_rule

LENGTHS = (1, 2, 61, 12, 13, 14, 27, 7)  # one frame, then shorter, equal to and longer than the receptive field
WINDOW = 60


def random_mel(frames: int) -> torch.Tensor:
    return torch.randn(80, frames, generator=torch.Generator().manual_seed(frames)) * 2 - 5


def assert_as_whole(generator, mels, wavs, atol=1e-5):
    with torch.no_grad():
        for mel, wav in zip(mels, wavs, strict=True):
            whole = generator(mel[None])[0, 0]
            assert whole.abs().max() > 0.01
            torch.testing.assert_close(wav, whole, rtol=0, atol=atol)


@pytest.mark.parametrize(
    ("variant", "batch_frames"), [("v1", 1000), ("v2", 0), ("v2", 150), ("v2", 1000), ("v3", 1000)]
)
def test_a_batch_gives_what_each_clip_gives_alone(variant, batch_frames):
    """All in one call, a few in each, or each in its own."""
    generator = by_rule(PRESETS[variant])
    mels = [random_mel(frames) for frames in LENGTHS]
    assert_as_whole(generator, mels, Vocoder(eager_backend(generator), batch_frames=batch_frames)(mels))
    assert_as_whole(generator, mels, Vocoder(generator, batch_frames=batch_frames)(mels))


@pytest.mark.parametrize("batch_frames", [0, 150])
def test_lengths_rounded_up_for_the_backend(batch_frames):
    """Silent frames after an item are not audible."""
    generator = by_rule(PRESETS["v2"])
    seen = []

    def run(mel):
        seen.append(mel.size(2))
        return generator(mel).squeeze(1)

    backend = Backend(run, generator.config, generator.device, frame_step=8)
    mels = [random_mel(frames) for frames in (*LENGTHS, 8, 64)]
    assert_as_whole(generator, mels, Vocoder(backend, batch_frames=batch_frames)(mels))
    assert {8, 64} <= set(seen)


@pytest.mark.parametrize(
    ("variant", "batch_frames", "lengths"),
    [
        ("v1", 200, (WINDOW, WINDOW + 1, 100)),
        ("v2", 0, (WINDOW - 1, WINDOW, WINDOW + 1, 94, 95, 96, 200, 3)),
        ("v2", 200, (WINDOW - 1, WINDOW, WINDOW + 1, 94, 95, 96, 200, 3)),
        ("v3", 200, (WINDOW - 1, WINDOW, WINDOW + 1, 98, 99, 100, 200, 3)),
    ],
)
def test_windows_join_to_the_whole(variant, batch_frames, lengths):
    """Below and above one window, and (at 94 and 98 frames) two."""
    generator = by_rule(PRESETS[variant])
    mels = [random_mel(frames) for frames in lengths]
    assert_as_whole(
        generator, mels, Vocoder(eager_backend(generator), window_frames=WINDOW, batch_frames=batch_frames)(mels)
    )
    assert_as_whole(generator, mels, Vocoder(generator, window_frames=WINDOW)(mels))


@pytest.mark.parametrize("amp", [False, True], ids=["fp32", "AMP"])
@pytest.mark.parametrize("torchscript", [False, True], ids=["eager", "TorchScript"])
def test_windows_of_every_kind_of_generator(torchscript, amp):
    generator = by_rule(TINY)
    reach = generator.config.receptive_field_frames
    mel = random_mel(2 * EAGER_CPU_WINDOW_FRAMES - 2 * reach + 1)  # three windows of the usual size
    runs = eager_backend(generator, torchscript, amp)
    (wav,) = Vocoder(runs)([mel])
    (whole,) = Vocoder(runs, window_frames=mel.size(1))([mel])
    assert whole.abs().max() > 0.01
    torch.testing.assert_close(wav, whole, rtol=0, atol=2e-2 if amp else 1e-5)


@pytest.mark.parametrize("filter_length", [1024, 1000])
def test_windows_with_a_denoiser(filter_length):
    """Behind the generator, or inside an exported one."""
    generator, strength = by_rule(TINY), 0.05
    reach = generator.config.receptive_field_frames
    denoiser = Denoiser(generator, filter_length)
    inner = ConvolutionalDenoiser(denoiser, strength)
    exported = Backend(
        lambda mel: inner(generator(mel).squeeze(1)),
        generator.config,
        generator.device,
        strength,
        filter_length // 512 + 1,
    )
    mels = [random_mel(frames) for frames in (1, 200, 4 * reach + 1, 3)]
    behind = Vocoder(generator, strength, filter_length=filter_length, window_frames=WINDOW)(mels)
    inside = Vocoder(exported, window_frames=1)(mels)
    with torch.no_grad():
        for mel, one, other in zip(mels[1:3], behind[1:3], inside[1:3], strict=True):
            plain = generator(mel[None])[0]
            whole = denoiser(plain, strength)[0]
            assert (whole - plain[0]).abs().max() > 1e-3
            torch.testing.assert_close(one, whole, rtol=0, atol=1e-5)
            torch.testing.assert_close(other, whole, rtol=0, atol=1e-5)
    assert [len(wav) for wav in inside] == [len(wav) for wav in behind] == [mel.size(1) * 256 for mel in mels]


MEASURE = """
import resource, sys, torch
from hifigan import Generator
from hifigan.config import GeneratorConfig
from hifigan.synthesis.vocoder import Vocoder

torch.set_num_threads(1)
generator = Generator(GeneratorConfig(upsample_initial_channel=32)).eval()
generator.remove_weight_norm()
vocoder = Vocoder(generator, denoising_strength=0.01)
peaks = []
for frames in (600, int(sys.argv[1])):
    vocoder([torch.full((80, frames), -5.0)])
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
print(peaks[1] - peaks[0])
"""


@pytest.mark.medium
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts memory as Linux does")
def test_memory_does_not_grow_with_the_length():
    """In a process of its own. All at once, 15,000 frames (3 minutes) take 770 MB more than 600."""
    command = [sys.executable, "-c", MEASURE, "15000"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=True)
    mel_mb, wav_mb = 15000 * 80 * 4 / 2**20, 15000 * 256 * 4 / 2**20
    assert float(done.stdout) < mel_mb + 4 * wav_mb + 150, done.stdout


@pytest.mark.parametrize(
    ("mel", "message"),
    [
        (random_mel(5).masked_fill(torch.arange(5) == 2, torch.nan), "not finite"),
        (random_mel(5)[:64], "64"),
        (random_mel(5)[:, :0], "0"),
        (random_mel(5).double(), "float64"),
        (random_mel(5).T, "80"),
    ],
    ids=["NaN", "bands", "empty", "float64", "layout"],
)
def test_bad_mels_are_refused_in_words(mel, message):
    generator = Generator(PRESETS["v2"])
    generator.remove_weight_norm()
    with pytest.raises(InputError, match=message):
        Vocoder(generator.eval())([random_mel(3), mel])


@pytest.mark.parametrize("name", VARIANTS)
def test_batches_and_windows_of_architectures_of_other_programs(name):
    generator = make_variant(name)
    shortest = generator.config.min_frames
    mels = [mel_of_variant(frames)[0] for frames in (shortest, shortest + 1, 13, 61, 200)]
    for options in ({"window_frames": 100}, {"batch_frames": 4000, "window_frames": 1000}):
        assert_as_whole(generator, mels, Vocoder(eager_backend(generator), **options)(mels))


def test_reflection_extends_mels_that_are_too_short():
    generator = make_variant("reflection")
    (wav,) = Vocoder(eager_backend(generator))([mel_of_variant(1)[0]])
    assert len(wav) == generator.config.hop_length
