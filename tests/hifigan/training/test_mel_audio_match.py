"""Mels that belong to their audio pass, even blurred by an acoustic model. Shifted, scaled and foreign mels fail."""

import re

import numpy as np
import pytest
import soundfile
import torch
from scipy.ndimage import gaussian_filter

from common.audio import AudioConfig, MelSpectrogram
from common.audio_files import load_wav, normalise_peak
from common.errors import InputError
from hifigan.training.mel_audio_match import compare_mels
from hifigan.training.segments import PairDataset
from tests.support.paths import DEMO_DATA

RATE = 22050
TACOTRON, VOCODER = AudioConfig(framing="tacotron"), AudioConfig()
TRANSFORM = MelSpectrogram(TACOTRON)
DECIBEL = np.log(10) / 20


def compute_mel(wav):
    return TRANSFORM(torch.from_numpy(np.asarray(wav, np.float32))[None])[0].numpy()


def blurred(mel, seed):
    """Imitate an acoustic model: smooth over time and bands, with small errors everywhere."""
    rng = np.random.default_rng(seed)
    return (gaussian_filter(mel, (2, 2)) + 0.5 * rng.standard_normal(mel.shape)).astype(np.float32)


@pytest.fixture(scope="module")
def clips():
    """Audio files of real speech, a multiple of three."""
    return sorted((DEMO_DATA / "wavs").iterdir())[:36]


@pytest.fixture(scope="module")
def given(clips):
    return [blurred(compute_mel(load_wav(path)[0]), i) for i, path in enumerate(clips)]


def check(clips, mels, folder, audio=TACOTRON, **options):
    """Run the check before training on these mels."""
    files = [folder / f"{path.stem}.npy" for path in clips]
    for file, mel in zip(files, mels, strict=True):
        np.save(file, np.asarray(mel, np.float32))
    PairDataset(clips, files, audio, 8192, 5, **options).check()


def late(mel, frames):
    """The mel of audio that starts `frames` later, or earlier if negative."""
    return np.roll(mel, frames, axis=1)


def refusal(*args, **options):
    with pytest.raises(InputError) as error:
        check(*args, **options)
    assert ".npy: these mels" in str(error.value)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_right_pairs_pass_without_a_word(clips, given, tmp_path, caplog):
    check(clips, given, tmp_path)
    check(clips, [compute_mel(load_wav(path)[0]) for path in clips], tmp_path)
    assert caplog.text == ""


@pytest.mark.parametrize("frames", [-7, -1, 1, 2])
def test_late_and_early_mels_are_refused_with_the_number_of_frames(frames, clips, given, tmp_path):
    message = refusal(clips, [late(mel, frames) for mel in given], tmp_path)
    number, word = re.search(r"these mels are ([\d.]+) frames (late|early) ", message).groups()
    assert float(number) == pytest.approx(abs(frames), abs=0.2)
    assert word == ("late" if frames > 0 else "early")
    assert "make them again" in message


@pytest.mark.parametrize(("decibel", "word"), [(6, "louder"), (-6, "softer")])
def test_other_levels_are_refused_in_decibel(decibel, word, clips, given, tmp_path):
    message = refusal(clips, [mel + decibel * DECIBEL for mel in given], tmp_path)
    assert f"6.0 dB {word} than their audio" in message
    assert "normalised or scaled" in message


def test_mels_of_normalised_audio_and_of_other_logarithms_are_refused(clips, tmp_path):
    quiet = [tmp_path / path.name for path in clips]
    for source, path in zip(clips, quiet, strict=True):
        soundfile.write(path, normalise_peak(load_wav(source)[0]) / 2, RATE)
    wavs = [load_wav(path)[0] for path in quiet]
    assert "6.0 dB louder" in refusal(quiet, [compute_mel(normalise_peak(wav)) for wav in wavs], tmp_path)
    assert "log10" in refusal(quiet, [compute_mel(wav) / np.log(10) for wav in wavs], tmp_path)


def test_half_a_frame_names_the_framing_which_may_be_chosen_nevertheless(clips, given, tmp_path, caplog):
    message = refusal(clips, given, tmp_path, VOCODER)
    assert "0.5 frames late" in message
    assert "they are not vocoder-framed: give --input-mels-framing tacotron" in message
    check(clips, given, tmp_path, VOCODER, any_phase=True)
    assert "these mels are 0.5 frames late, as vocoder framing was chosen for them" in caplog.text
    assert "1.5 frames late" in refusal(clips, [late(mel, 1) for mel in given], tmp_path, VOCODER, any_phase=True)
    own = MelSpectrogram(VOCODER)
    mels = [own(torch.from_numpy(load_wav(path)[0]).float()[None])[0].numpy() for path in clips]
    assert "give --input-mels-framing vocoder" in refusal(clips, mels, tmp_path)


def test_mels_of_other_clips_are_refused(clips, given, tmp_path):
    def as_long(mel, frames):
        return np.pad(mel, ((0, 0), (0, max(0, frames - mel.shape[1]))), mode="wrap")[:, :frames]

    noise = [np.random.default_rng(i).standard_normal(mel.shape) - 5 for i, mel in enumerate(given)]
    assert "do not resemble their audio (correlation 0.0" in refusal(clips, noise, tmp_path)
    swapped = [as_long(given[i - 7], mel.shape[1]) for i, mel in enumerate(given)]
    assert "do not resemble" in refusal(clips, swapped, tmp_path)


def test_single_clips_are_named_in_a_warning_many_are_an_error(clips, given, tmp_path, caplog):
    few = [late(mel, 4) if i == 3 else mel for i, mel in enumerate(given)]
    check(clips, few, tmp_path)
    assert f"1 of {len(clips)} mels do not match their audio: {tmp_path / clips[3].stem}.npy (+4." in caplog.text
    many = [late(mel, 4) if i % 3 == 0 else mel for i, mel in enumerate(given)]
    with pytest.raises(InputError, match=rf"{len(clips) // 3} of {len(clips)} mels do not match their audio"):
        check(clips, many, tmp_path)


def test_clips_that_tell_nothing_do_not_count(clips, given, tmp_path):
    silent, short = np.full((80, 50), np.log(1e-5), np.float32), given[0][:, :19]
    assert compare_mels(silent, silent) is None
    assert compare_mels(short, short) is None
    path = tmp_path / "silence.wav"
    soundfile.write(path, np.zeros(50 * 256), RATE)
    check([path], [late(silent, 1)[:, :50]], tmp_path)


def test_the_whole_set_is_sampled(clips, given, tmp_path, monkeypatch):
    """The last clip is compared although few clips are."""
    monkeypatch.setattr("hifigan.training.segments.COMPARED_CLIPS", 3)
    check(clips, given, tmp_path)
    with pytest.raises(InputError, match="1 of 3 mels do not match"):
        check(clips, [*given[:-1], late(given[-1], 4)], tmp_path)


def test_few_clips_may_be_off_by_a_frame(clips, given, tmp_path):
    """One of many may be: an acoustic model is not exact within a phoneme."""
    check(clips[:2], [late(mel, 1) for mel in given[:2]], tmp_path)
    with pytest.raises(InputError, match=r"(1\.[6-9]|2\.\d) frames late"):
        check(clips[:2], [late(mel, 2) for mel in given[:2]], tmp_path)


def test_lag_likeness_and_level_of_one_clip(clips):
    wav = load_wav(clips[0])[0]
    fit = compare_mels(compute_mel(wav), compute_mel(wav))
    assert fit == pytest.approx((0, 1, 0), abs=0.05)
    for samples in (-512, -64, 64, 256):  # negative: cut off, so that the mel is early
        moved = np.pad(wav, (samples, 0)) if samples > 0 else wav[-samples:]
        fit = compare_mels(compute_mel(moved * 1.5), compute_mel(wav))
        assert fit.lag_frames == pytest.approx(samples / 256, abs=0.1)
        assert fit.likeness > 0.9
    assert fit.level == pytest.approx(np.log(1.5), abs=0.3)  # one frame late, some bins belong to the next frame
