"""Teacher-forced mels of recordings: what is written, by how many processes, and what is refused."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch

from common.audio import AudioConfig, MelSpectrogram
from common.cli import run
from common.text import TextProcessor
from fastpitch import FastPitch, FastPitchConfig, extract_mels, load_fastpitch
from fastpitch.alignment import interpolated_prior
from hifigan import Generator
from tests.support.models import SMALL_FASTPITCH, TINY
from tests.support.paths import REPOSITORY
from tests.support.weights import fastpitch_weights

FILES = ["a/000.npy", "a/001.npy", "a/002.npy", "b/000.npy", "b/001.npy"]
SETUP = {"symbol_set": "english_basic", "text_cleaners": ["english_cleaners_v2"], "p_arpabet": 0.0}


def small_model(config: FastPitchConfig = SMALL_FASTPITCH, aligner: bool = True, **buffers: float) -> FastPitch:
    model = FastPitch(config, aligner).eval()
    model.load_state_dict(fastpitch_weights(model.state_dict()))
    for name, value in buffers.items():
        getattr(model, name).fill_(value)
    return model


def save(path, model, **setup):
    content = {"state_dict": model.state_dict(), "config": model.config.to_dict(), "train_setup": {**SETUP, **setup}}
    torch.save(content, path)
    return path


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save(tmp_path_factory.mktemp("model") / "fastpitch.pt", small_model())


def words(checkpoint, recordings, output, **changes):
    options = {
        "fastpitch": checkpoint,
        "dataset_path": recordings,
        "filelists": recordings / "all.txt",
        "output": output,
        "num_workers": 0,
        **changes,
    }
    flags = ([f"--{name}", *([] if value is True else [str(value)])] for name, value in options.items())
    return [word for flag in flags for word in flag]


def extract(*args, **changes):
    return extract_mels.main(words(*args, **changes))


@pytest.fixture(scope="module")
def extracted(checkpoint, recordings, tmp_path_factory):
    """All mels, made one by one."""
    output = tmp_path_factory.mktemp("mels")
    assert extract(checkpoint, recordings, output, batch_size=1) == 0
    return output


def contents(folder):
    return {str(path.relative_to(folder)): np.load(path) for path in sorted(folder.rglob("*.npy"))}


def assert_equal(ours, theirs, tolerance=0.0):
    assert list(ours) == list(theirs) == FILES
    for name, mel in ours.items():
        np.testing.assert_allclose(mel, theirs[name], rtol=0, atol=tolerance, err_msg=name)


def forced(model, recordings, clip, text, speaker, mean_hz, std_hz):
    """The mel of a recording, made from its files by hand."""
    wav, _ = soundfile.read(recordings / f"wavs/{clip}.wav", dtype="float32")
    mel = MelSpectrogram(AudioConfig(framing="tacotron"))(torch.from_numpy(wav)[None])
    f0 = torch.load(recordings / f"pitch/{clip}.pt")
    pitch = torch.where(f0 > 0, (f0 - mean_hz) / std_hz, 0.0)
    ids = torch.tensor([TextProcessor(p_arpabet=0).encode(text)])
    prior = torch.from_numpy(interpolated_prior(mel.size(2), ids.size(1))).float()[None]
    lengths, speakers = torch.tensor([mel.size(2)]), torch.tensor([speaker])
    with torch.no_grad():
        return model.teacher_forced(ids, mel, lengths, pitch[None], prior, speakers).mel[0].numpy()


def test_a_mel_is_what_teacher_forcing_gives(checkpoint, recordings, extracted):
    mels = contents(extracted)
    assert list(mels) == FILES
    model, _ = load_fastpitch(checkpoint)
    for clip, text, speaker in (("a/000", "One, two.", 0), ("b/001", "Four words of text.", 1)):
        expected = forced(model, recordings, clip, text, speaker, 214.72203, 65.72038)
        assert mels[f"{clip}.npy"].dtype == np.float32
        np.testing.assert_allclose(mels[f"{clip}.npy"], expected, rtol=0, atol=1e-5)
    described = json.loads((extracted / "audio_config.json").read_text())
    assert AudioConfig.from_dict(described) == AudioConfig(framing="tacotron")
    assert described["precision"] == "float32"


def test_pitch_statistics_are_the_models_or_given_or_ljspeechs_aloud(checkpoint, recordings, tmp_path, caplog):
    caplog.set_level("INFO")
    model = small_model(pitch_mean=180.0, pitch_std=30.0)
    own = save(tmp_path / "own.pt", model)
    assert extract(own, recordings, tmp_path / "own") == 0
    assert "LJSpeech" not in caplog.text
    expected = forced(model, recordings, "b/000", "A longer text of words.", 1, 180.0, 30.0)
    np.testing.assert_allclose(np.load(tmp_path / "own/b/000.npy"), expected, rtol=0, atol=1e-4)
    # The statistics only scale the pitch, so that the same numbers from the command line give the same mels.
    given = {"pitch_mean": 180, "pitch_std": 30}
    assert extract(checkpoint, recordings, tmp_path / "given", **given) == 0
    assert_equal(contents(tmp_path / "given"), contents(tmp_path / "own"), 1e-6)
    assert "LJSpeech" not in caplog.text
    assert extract(checkpoint, recordings, tmp_path / "default") == 0
    assert "using LJSpeech's, mean 214.72 Hz, standard deviation 65.72 Hz" in caplog.text


def test_a_batch_gives_what_each_item_gives_alone(checkpoint, recordings, extracted, tmp_path, caplog):
    caplog.set_level("INFO")
    assert extract(checkpoint, recordings, tmp_path, batch_size=3, num_workers=2) == 0
    assert_equal(contents(tmp_path), contents(extracted), 1e-4)
    assert re.search(rf"{tmp_path}: 5 mels written, 0 there already, [1-9]\d* frames/s", caplog.text)


def test_mixed_precision_writes_fp32_that_is_close(checkpoint, recordings, extracted, tmp_path):
    assert extract(checkpoint, recordings, tmp_path, amp=True) == 0
    exact, ours = contents(extracted), contents(tmp_path)
    assert {mel.dtype for mel in ours.values()} == {np.dtype(np.float32)}
    differences = [np.abs(ours[name] - exact[name]).mean() for name in FILES]
    assert 0 < max(differences) < 0.1


@pytest.mark.slow
def test_processes_share_the_work_without_overlap(checkpoint, recordings, extracted, tmp_path):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    done = subprocess.run(
        [*launcher, "fastpitch.extract_mels", *words(checkpoint, recordings, tmp_path, batch_size=1)],
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert_equal(contents(tmp_path), contents(extracted), 1e-6)
    assert done.stderr.count("mels written") == 1  # by the main process, for both
    assert "5 mels written, 0 there already" in done.stderr


def test_what_is_there_is_kept_and_what_is_missing_made(checkpoint, recordings, extracted, tmp_path, caplog):
    caplog.set_level("INFO")
    assert extract(checkpoint, recordings, tmp_path, batch_size=1) == 0
    times = {name: (tmp_path / name).stat().st_mtime_ns for name in FILES}
    (tmp_path / FILES[1]).unlink()
    wav = recordings / "wavs/b/001.wav"
    assert extract(checkpoint, recordings, tmp_path, batch_size=1) == 0
    assert "1 mels written, 4 there already" in caplog.text
    now = {name: (tmp_path / name).stat().st_mtime_ns for name in FILES}
    assert {name for name in FILES if now[name] != times[name]} == {FILES[1]}
    assert_equal(contents(tmp_path), contents(extracted))
    before = wav.stat()
    os.utime(wav, ns=(before.st_atime_ns, now["b/001.npy"] + 1))  # a recording that was replaced since
    try:
        assert extract(checkpoint, recordings, tmp_path, batch_size=1) == 0
    finally:
        os.utime(wav, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (tmp_path / "b/001.npy").stat().st_mtime_ns > now["b/001.npy"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "audio_config.json", "b", "symbols.json"]


def test_mels_of_corrected_texts_are_made_again(checkpoint, recordings, extracted, tmp_path):
    lists = [recordings / "all.txt", tmp_path / "corrected.txt"]
    lists[1].write_text(lists[0].read_text().replace("Three.", "Thirteen."))
    output = tmp_path / "mels"
    for filelist in lists:
        assert extract(checkpoint, recordings, output, filelists=filelist, batch_size=1) == 0
    ours, theirs = contents(output), contents(extracted)
    assert {name for name in FILES if not np.array_equal(ours[name], theirs[name])} == {"a/001.npy"}
    model, _ = load_fastpitch(checkpoint)
    expected = forced(model, recordings, "a/001", "Thirteen.", 0, 214.72203, 65.72038)
    np.testing.assert_allclose(ours["a/001.npy"], expected, rtol=0, atol=1e-5)


def refused(capsys, *args, **changes):
    """Run the program as from the command line, and return its single line of error."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        run(lambda: extract(*args, **changes), "fastpitch.extract_mels")
    error = capsys.readouterr().err
    assert caught.value.code == 1
    lines = [line for line in error.splitlines() if not re.match(r"fastpitch\.extract_mels: (INFO|WARNING)", line)]
    assert len(lines) == 1, error
    return lines[0]


def test_mels_of_another_model_or_precision_are_not_mixed_in(checkpoint, recordings, extracted, tmp_path, capsys):
    before = contents(extracted)
    config = (extracted / "audio_config.json").read_text()
    other = small_model()
    other.proj.bias.data += 1
    other = save(tmp_path / "other.pt", other)
    (extracted / FILES[0]).rename(tmp_path / "kept.npy")
    message = refused(capsys, other, recordings, extracted)
    assert "this folder holds mels of another configuration (fastpitch_sha256 " in message
    message = refused(capsys, checkpoint, recordings, extracted, amp=True)
    assert "(precision float32 instead of bfloat16)" in message
    assert not (extracted / FILES[0]).exists()
    (tmp_path / "kept.npy").rename(extracted / FILES[0])
    assert_equal(contents(extracted), before)
    assert (extracted / "audio_config.json").read_text() == config
    (tmp_path / "foreign" / "a").mkdir(parents=True)
    (tmp_path / "foreign" / FILES[0]).write_bytes(b"somebody's")
    message = refused(capsys, checkpoint, recordings, tmp_path / "foreign")
    assert "000.npy: exists, but no audio_config.json records how it was made" in message
    assert (tmp_path / "foreign" / FILES[0]).read_bytes() == b"somebody's"


def generator_file(folder):
    torch.save({"generator": Generator(TINY).state_dict(), "config": TINY.to_dict()}, folder / "gen.pt")
    return folder / "gen.pt"


def make_config(**changes):
    return FastPitchConfig(**{**SMALL_FASTPITCH.to_dict(), **changes})


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (generator_file, "it is a HiFi-GAN generator, which belongs to --hifigan"),
        (lambda folder: folder / "none.pt", "no such checkpoint"),
        (lambda folder: save(folder / "f.pt", small_model(aligner=False)), r"this FastPitch has no aligner"),
        (
            lambda folder: save(folder / "f.pt", small_model(make_config(n_symbols=150))),
            "the model has 150 symbols .n_symbols., but the symbol set english_basic 148",
        ),
        (
            lambda folder: save(folder / "f.pt", small_model(make_config(padding_idx=3))),
            "padding_idx is 3, but the padding symbol of english_basic is 0",
        ),
        (lambda folder: save(folder / "f.pt", small_model(), symbol_set="klingon"), "klingon"),
        (
            lambda folder: save(folder / "f.pt", small_model(), sampling_rate=16000),
            "5 of 5 recordings cannot be used: .*sampling rate is 22050 Hz, expected 16000 Hz",
        ),
    ],
)
def test_checkpoints_that_do_not_fit(build, message, recordings, tmp_path, capsys):
    line = refused(capsys, build(tmp_path), recordings, tmp_path / "mels")
    assert re.search(message, line)
    assert not list(tmp_path.rglob("mels/**/*.npy"))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            "wavs/a/002.wav|pitch/none.pt|text|0",
            r"1 of 2 recordings cannot be used; the mels of all others are there: .*none\.pt: no such pitch",
        ),
        ("wavs/a/002.wav|pitch/a/000.pt|text|0", r"000\.pt: 35 values, but .*002\.wav has 69 frames"),
        ("wavs/a/002.wav|text|0", r"text: no such pitch"),
        ("wavs/a/002.wav|text", "found 2 columns"),
        ("wavs/a/002.wav|pitch/a/002.pt|text|5", "speaker '5', but the model's are 0 to 1"),
        ("wavs/a/002.wav|pitch/a/002.pt|" + "long text " * 9 + "|0", "89 symbols of text for 69 frames of audio"),
        ("wavs/none.wav|pitch/a/002.pt|text|0", r"none\.wav: no such file"),
        ("wavs/a/000.wav|pitch/a/000.pt|again|0", r"both would be written to a/000\.npy"),
        ("wavs/../a.wav|pitch/a/000.pt|again|0", "file lists name paths inside the data set"),
    ],
)
def test_recordings_that_cannot_be_used(row, message, checkpoint, recordings, tmp_path, capsys):
    (tmp_path / "list.txt").write_text(f"wavs/a/000.wav|pitch/a/000.pt|Good.|1\n{row}\n")
    line = refused(capsys, checkpoint, recordings, tmp_path / "mels", filelists=tmp_path / "list.txt")
    assert re.search(message, line)
    assert {path.name for path in tmp_path.rglob("mels/**/*.npy")} <= {"000.npy"}  # of the good one


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fastpitch": ""}, "--fastpitch: is required"),
        ({"batch_size": 0}, "--batch-size: 0 is not above 0"),
        ({"p_arpabet": 2}, "--p-arpabet: 2.0 does not lie between 0 and 1"),
        ({"p_arpabet": 1, "cmudict_path": "none"}, "none: no such pronouncing dictionary"),
        ({"pitch_mean": 200}, "give both or neither"),
        ({"filelists": "none.txt"}, "none.txt: no such file list"),
    ],
)
def test_impossible_flags(changes, message, checkpoint, recordings, tmp_path, capsys):
    assert message in refused(capsys, checkpoint, recordings, tmp_path / "mels", **changes)


def test_given_statistics_do_not_replace_the_models(recordings, tmp_path, capsys):
    own = save(tmp_path / "own.pt", small_model(pitch_mean=180.0, pitch_std=30.0))
    given = {"pitch_mean": 200, "pitch_std": 30}
    assert "own.pt has its own, 180.00 Hz" in refused(capsys, own, recordings, tmp_path / "mels", **given)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without GPU")
def test_cuda_where_there_is_no_gpu(checkpoint, recordings, tmp_path, capsys):
    assert "--cuda: PyTorch finds no GPU" in refused(capsys, checkpoint, recordings, tmp_path / "mels", cuda=True)


def test_values_that_are_not_finite_are_not_written(recordings, tmp_path, capsys):
    model = small_model()
    model.proj.bias.data[0] = torch.inf
    broken = save(tmp_path / "broken.pt", model)
    line = refused(capsys, broken, recordings, tmp_path / "mels")
    assert "wav: FastPitch's mel has values that are not finite" in line
    assert not contents(tmp_path / "mels")


@pytest.mark.medium
def test_help_names_every_flag_and_its_default():
    shown = subprocess.run(
        [sys.executable, "-m", "fastpitch.extract_mels", "--help"],
        cwd=REPOSITORY,
        env={**os.environ, "COLUMNS": "300"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for flag in ("--fastpitch", "--dataset-path", "--filelists", "--output", "--cuda", "--amp", "--cmudict-path"):
        assert flag in shown
    assert "(default: data/mels-fastpitch-ljs22khz)" in shown
