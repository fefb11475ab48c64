"""Audio that train.py accepts, and the message for each kind that it refuses."""

import numpy as np
import pytest
import soundfile

import train
from tests.support.data_sets import speechlike, write_data_set
from tests.support.programs import train_arguments
from tests.support.training import THIN, run_main, train_losses, train_process


def damage(path, kind):
    wav = speechlike(0.4)
    if kind == "missing":
        path.unlink()
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "no samples":
        soundfile.write(path, wav[:0], 22050)
    elif kind == "text":
        path.write_text("no audio")
    elif kind == "not finite":
        soundfile.write(path, np.append(wav, np.nan), 22050, subtype="FLOAT")
    elif kind == "rate":
        soundfile.write(path, wav, 16000)


@pytest.mark.parametrize("kind", ["missing", "empty", "no samples", "text", "rate", "not finite"])
def test_bad_audio_is_named_before_training(kind, own_copy, tmp_path, capsys):
    damage(own_copy / "wavs" / "clip003.wav", kind)
    status, message = run_main(train_arguments(own_copy, tmp_path / "out"), capsys)
    assert status == 1
    assert len(message.splitlines()) == 1
    assert "clip003.wav" in message
    assert "1 of 9 audio files cannot be used" in message
    assert not list((tmp_path / "out").glob("*.pt"))


@pytest.mark.slow
@pytest.mark.usefixtures("thin_discriminators")
def test_every_usable_kind_of_audio_trains(tmp_path):
    """Stereo, float, 24 bit, silent, shorter than a segment, exactly a segment."""
    folder = write_data_set(tmp_path / "set", [0.4] * 3)
    wav = speechlike(0.4)
    kinds = {
        "stereo": (np.stack([wav, wav], 1), "PCM_16"), "float": (wav, "FLOAT"), "24bit": (wav, "PCM_24"),
        "silent": (wav * 0, "PCM_16"), "short": (wav[:900], "PCM_16"), "segment": (wav[:2048], "PCM_16"),
    }  # fmt: skip
    for name, (samples, subtype) in kinds.items():
        soundfile.write(folder / "wavs" / f"{name}.wav", samples, 22050, subtype=subtype)
    (folder / "train.txt").write_text("".join(f"wavs/{name}.wav\n" for name in kinds))
    out = tmp_path / "out"
    assert train.main(train_arguments(folder, out, batch_size=2, amp=True)) == 0
    assert np.isfinite(train_losses(out)).all()


@pytest.mark.slow
def test_lost_audio_ends_training_in_one_line(own_copy, tmp_path):
    """Loader processes must not keep the program from ending."""
    argv = train_arguments(own_copy, tmp_path / "out", epochs=50, num_workers=2, checkpoint_interval=50)
    process = train_process(*THIN, *argv)
    for line in process.stdout:
        if "iter   1/" in line:
            (own_copy / "wavs" / "clip003.wav").unlink()
            break
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert stderr.startswith("train.py: error: ")
    assert "clip003.wav" in stderr
    assert len(stderr.splitlines()) == 1
