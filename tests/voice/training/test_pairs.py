"""Pairs of mel and audio for the vocoder of a voice."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from common.audio import AudioConfig, MelSpectrogram
from common.data.filelists import read_filelist
from common.errors import InputError
from hifigan.training.mel_audio_match import compare_mels
from hifigan.training.segments import PairDataset
from tests.support.paths import REPOSITORY
from voice.training.pairs import PairFolder, spoken_pair

AUDIO = AudioConfig()
DEMO = REPOSITORY / "data" / "demo"
GAIN_DB = 9.4


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> PairFolder:
    """Pairs of two recordings. In place of FastPitch's mels, mels in its framing at the recordings' level."""
    root = tmp_path_factory.mktemp("pairs")
    wavs = sorted(path.relative_to(DEMO).as_posix() for path in (DEMO / "wavs").glob("*.flac"))[:2]
    transform = MelSpectrogram(AudioConfig(framing="tacotron"))
    (root / "predicted").mkdir()
    for wav in wavs:
        samples, _ = soundfile.read(DEMO / wav, dtype="float32")
        mel = transform(torch.from_numpy(samples)[None])[0].numpy()
        np.save(root / "predicted" / Path(wav).with_suffix(".npy").name, mel)
    folder = PairFolder(root / "pairs", AUDIO)
    folder.write("train", wavs, DEMO, root / "predicted", GAIN_DB)
    return folder


def load_pairs(pairs: PairFolder) -> PairDataset:
    names = [Path(row[0]) for row in read_filelist(pairs.list("train"))]
    mels = [(pairs.mels / name.name).with_suffix(".npy") for name in names]
    return PairDataset([pairs.folder / name for name in names], mels, AUDIO, 8192, seed=0)


def test_each_recording_gives_two_pairs_that_training_accepts(pairs: PairFolder) -> None:
    dataset = load_pairs(pairs)
    assert [path.stem.endswith("-spoken") for path in dataset.paths] == [False, True, False, True]
    dataset.check()


def test_mels_and_audio_are_in_phase(pairs: PairFolder) -> None:
    """The delay by half a hop makes tacotron-framed mels fit audio in the vocoder's framing."""
    dataset = load_pairs(pairs)
    for clip in range(len(dataset)):
        wav, mel = dataset.load(clip)
        fit = compare_mels(mel.numpy(), MelSpectrogram(AUDIO)(wav[None])[0].numpy())
        assert fit is not None
        assert abs(fit.lag_frames) < 0.02
        assert abs(fit.level) < 0.02
        assert fit.likeness > 0.99


def test_recordings_have_the_peak_of_base_training_and_spoken_ones_the_gain_of_the_voice(pairs: PairFolder) -> None:
    dataset = load_pairs(pairs)
    for recording, spoken in ((0, 1), (2, 3)):
        original, _ = soundfile.read(next((DEMO / "wavs").glob(f"{dataset.paths[recording].stem}.*")))
        peaks = [np.abs(soundfile.read(dataset.paths[clip])[0]).max() for clip in (recording, spoken)]
        assert peaks[0] == pytest.approx(0.95, abs=1e-4)
        assert peaks[1] == pytest.approx(min(np.abs(original).max() * 10 ** (GAIN_DB / 20), 0.95), abs=1e-4)


def test_without_fastpitch_there_are_only_recordings(pairs: PairFolder, tmp_path: Path) -> None:
    wav = next((DEMO / "wavs").glob("*.flac")).relative_to(DEMO).as_posix()
    folder = PairFolder(tmp_path / "pairs", AUDIO)
    folder.write("val", [wav], DEMO)
    assert read_filelist(folder.list("val")) == [[Path(wav).with_suffix(".wav").as_posix()]]
    assert [path.name for path in folder.mels.glob("*.npy")] == [f"{Path(wav).stem}.npy"]


def test_a_loud_recording_gets_less_gain() -> None:
    wav = np.sin(np.arange(2560) * 0.1) * 0.5
    mel = np.zeros((80, 11), np.float32)
    louder, mel = spoken_pair(wav, mel, 20.0, AUDIO)
    assert np.abs(louder).max() == pytest.approx(0.95, abs=1e-3)
    assert len(louder) == 11 * 256
    assert np.allclose(mel, math.log(0.95 / np.abs(wav).max()))


def test_a_mel_with_other_bands_is_named(tmp_path: Path) -> None:
    wav = next((DEMO / "wavs").glob("*.flac")).relative_to(DEMO).as_posix()
    np.save((tmp_path / Path(wav).name).with_suffix(".npy"), np.zeros((40, 100), np.float32))
    with pytest.raises(InputError, match=r"\.npy"):
        PairFolder(tmp_path / "pairs", AUDIO).write("train", [wav], DEMO, tmp_path, GAIN_DB)
