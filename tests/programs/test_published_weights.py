"""Published weights on real speech check signal, model and loader together. Needs HIFIGAN_TEST_DATA."""

import copy
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

import inference
from benchmarks.inference.quality import Quality
from common.audio import AudioConfig, MelSpectrogram
from common.audio_files import load_wav, normalise_peak
from hifigan import load_generator
from hifigan.engine.native import instruction_sets
from hifigan.engine.select import engine_backend
from hifigan.losses import mel_loss
from hifigan.synthesis.vocoder import Vocoder
from tests.support.native.matrix_units import emulated_library
from tests.support.paths import REPOSITORY, real_speech

MODELS = REPOSITORY / "pretrained_models"
EMULATED = "emulated"  # matrix units, where the processor lacks them
# Mean mel L1 with fmax = Nyquist over LJ001-0001 to -0032, measured with another implementation.
EXPECTED = {
    "v2": (("data", "weights", "LJ_V2", "generator_v2"), 0.3287),
    "v3": (("data", "weights", "LJ_V3", "generator_v3_fused.pt"), 0.3418),
    "v1": (MODELS / "hifigan-lj-v1" / "generator_LJSpeech.pth.tar", 0.2197),
    "universal": (MODELS / "hifigan-universal-v1" / "generator_universal.pth.tar", 0.2850),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(EXPECTED))
def test_mel_loss(name):
    if real_speech() is None:
        pytest.skip("HIFIGAN_TEST_DATA is not set")
    place, expected = EXPECTED[name]
    path = real_speech().joinpath(*place) if isinstance(place, tuple) else place
    if not path.is_file():
        pytest.skip(f"{path.name} is not there (scripts/download_models.sh)")
    generator, info = load_generator(path)
    engine = engine_backend(generator)  # as inference.py, twice as fast as the plain generator
    mel, loss_mel = MelSpectrogram(info.audio), MelSpectrogram(AudioConfig(mel_fmax=None))
    losses = []
    for clip in range(1, 33):
        wav, _ = load_wav(real_speech() / "data" / "ljspeech-mini" / "wavs" / f"LJ001-{clip:04d}.wav")
        whole = normalise_peak(wav)[: len(wav) // info.audio.hop_length * info.audio.hop_length]
        real = torch.from_numpy(whole.astype(np.float32))[None]
        with torch.inference_mode():
            losses.append(mel_loss(loss_mel(real), loss_mel(engine.run(mel(real)))).item())
    assert np.mean(losses) == pytest.approx(expected, abs=0.002)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["v1", "v2", "v3"])
@pytest.mark.parametrize("instructions", [*(each.name for each in instruction_sets.available()), EMULATED])
def test_the_engine_in_bf16_passes_the_quality_gate(name, instructions):
    """On each kind of processor that this one can stand for."""
    if real_speech() is None:
        pytest.skip("HIFIGAN_TEST_DATA is not set")
    place, _ = EXPECTED[name]
    path = real_speech().joinpath(*place) if isinstance(place, tuple) else place
    if not path.is_file():
        pytest.skip(f"{path.name} is not there (scripts/download_models.sh)")
    folder = real_speech() / "data" / "ljspeech-mini" / "wavs"
    command = [
        sys.executable,
        "-m",
        "tests.support.generators.quality_gate",
        path,
        folder,
        "2" if name == "v1" else "3",
    ]
    environment = {**os.environ}
    if instructions == EMULATED:
        if emulated_library() is None:
            pytest.skip("no C compiler, or no AVX-512 BF16")
        command.append(EMULATED)
    else:
        environment[instruction_sets.VARIABLE] = instructions
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    quality = Quality(**json.loads(done.stdout))
    assert quality.passes, quality


@pytest.mark.slow
@pytest.mark.parametrize("name", ["v1", "v2"])
def test_a_clip_of_a_batch_is_the_clip_alone(name):
    """On a CPU bit for bit. Padded in one call or in shorter windows, up to the rounding of other convolution kernels.

    With real weights, rounding can exceed 1e-5: the plain generator in fp32 differs by up to 5e-5 from float64, and so
    does another order of summation. An edge that is not recomputed differs by 0.01 or more.
    """
    if real_speech() is None:
        pytest.skip("HIFIGAN_TEST_DATA is not set")
    place, _ = EXPECTED[name]
    path = real_speech().joinpath(*place) if isinstance(place, tuple) else place
    if not path.is_file():
        pytest.skip(f"{path.name} is not there (scripts/download_models.sh)")
    generator, info = load_generator(path)
    transform, mels = MelSpectrogram(info.audio), []
    for clip, frames in ((2, 60), (8, 40), (1, 100)):
        wav, _ = load_wav(real_speech() / "data" / "ljspeech-mini" / "wavs" / f"LJ001-{clip:04d}.wav")
        mels.append(transform(torch.from_numpy(wav).float()[None])[0, :, :frames])
    alone = [Vocoder(generator)([mel])[0] for mel in mels]
    assert all(map(torch.equal, Vocoder(generator)(mels), alone))
    in_one_call = Vocoder(generator, batch_frames=1000)(mels)
    in_windows = Vocoder(generator, window_frames=52)(mels)
    precise = copy.deepcopy(generator).double()
    with torch.inference_mode():
        exact = [precise.output(precise.hidden(mel[None].double()))[0, 0] for mel in mels]
        plain = [generator(mel[None])[0, 0] for mel in mels]
    rounding = max((wav - truth).abs().max() for wav, truth in zip(plain, exact, strict=True))
    assert rounding < 1e-4
    # Convolutions with fewer products round up to 2.3 times as much as the plain generator's.
    share = 3
    for wavs in (alone, in_one_call, in_windows):
        for wav, expected, truth in zip(wavs, alone, exact, strict=True):
            assert (wav - truth).abs().max() <= share * rounding
            assert (wav - expected).abs().max() <= 5e-5


@pytest.mark.slow
def test_audio_of_either_framing_lies_where_the_original_does(tmp_path):
    """Audio is in time with the original if the framing is converted, and half a hop late if not."""
    if real_speech() is None:
        pytest.skip("HIFIGAN_TEST_DATA is not set")
    original, _ = load_wav(real_speech() / "data" / "ljspeech-mini" / "wavs" / "LJ001-0002.wav")
    for framing in ("vocoder", "tacotron"):
        mel = MelSpectrogram(AudioConfig(framing=framing))(torch.from_numpy(original).float()[None])[0]
        np.save(tmp_path / f"{framing}.npy", mel.numpy())
    (tmp_path / "p.tsv").write_text("mel\toutput\nvocoder.npy\tvocoder\ntacotron.npy\ttacotron\n")
    generator = real_speech().joinpath(*EXPECTED["v2"][0])
    lags, lengths = {}, {}
    for flag in ("vocoder", "tacotron"):
        argv = ["--hifigan", str(generator), "-i", str(tmp_path / "p.tsv"), "-d", str(tmp_path)]
        assert inference.main([*argv, "-o", str(tmp_path / flag), "--mel-framing", flag]) == 0
        made, _ = load_wav(tmp_path / flag / "tacotron.wav")
        lags[flag], lengths[flag] = lag(made, original), len(made)
    assert lags == {"vocoder": 128, "tacotron": 0}
    vocoded, _ = load_wav(tmp_path / "vocoder" / "vocoder.wav")
    assert lag(vocoded, original) == 0
    assert lengths["tacotron"] == len(vocoded) == len(original) // 256 * 256


def lag(made, original):
    """Return the delay of `made` in samples that brings its mel nearest to the original's. Phases may differ."""
    mel = MelSpectrogram(AudioConfig())
    frames = len(original) // 256 - 8

    def distance(shift):
        late = made[1024 + shift :][: frames * 256]
        wavs = (torch.from_numpy(wav).float()[None] for wav in (late, original[1024:][: len(late)]))
        one, other = map(mel, wavs)
        return (one - other)[:, :, 3:-3].abs().mean().item()

    return min(range(-256, 257, 32), key=distance)
