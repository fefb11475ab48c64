"""`inference.py` with a small random generator, as a user with good and bad files would run it."""

from __future__ import annotations

import dataclasses
import json
import math
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

import inference
from common.audio import SILENCE, AudioConfig, MelSpectrogram
from common.audio_files import fade_out
from common.synthesis.outputs import SORTED_BATCHES, batches
from common.synthesis.sources import Utterance
from hifigan import load_generator
from hifigan.denoiser import Denoiser
from tests.support.data_sets import speechlike
from tests.support.models import SETUP, TINY, make_checkpoint
from tests.support.paths import REPOSITORY
from tests.support.programs import one_line_of_error, summary, wavs

LENGTHS = {"a": 1, "sub/b": 70, "c": 3, "d": 23, "e": 45, "f": 2}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("model") / "generator.pt")


def random_mel(frames: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed + frames)
    return torch.randn(80, frames, generator=generator) * 2 - 5


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set with mels of very different lengths and a phrase file."""
    root = tmp_path_factory.mktemp("data")
    rows = []
    for name, frames in LENGTHS.items():
        path = root / "mels" / (f"{name}.npy" if name == "c" else f"{name}.pt")
        path.parent.mkdir(parents=True, exist_ok=True)
        if name == "c":
            np.save(path, random_mel(frames).numpy())
        else:
            torch.save(random_mel(frames), path)
        rows.append(f"{path.relative_to(root)}\t{name}")
    (root / "phrases.tsv").write_text("mel\toutput\n" + "\n".join(rows) + "\n")
    return root


def command(checkpoint: Path, source: Path, output: Path, *more: object) -> list[str]:
    return ["--hifigan", str(checkpoint), "-i", str(source), "-o", str(output), *map(str, more)]


def from_mels(checkpoint: Path, dataset: Path, output: Path, *more: object) -> dict[str, np.ndarray]:
    source = dataset / "phrases.tsv"
    assert inference.main(command(checkpoint, source, output, "--dataset-path", dataset, *more)) == 0
    return wavs(output)


def refused(argv: list[str], capsys: pytest.CaptureFixture[str], status: int = 1) -> str:
    return one_line_of_error(inference.main, argv, capsys, status)


def tone(samples: int, rate: int = 22050) -> np.ndarray:
    return 0.3 * np.sin(2 * np.pi * 300 * np.arange(samples) / rate)


def test_batches_give_what_each_mel_gives_alone(checkpoint: Path, dataset: Path, tmp_path: Path) -> None:
    generator, _ = load_generator(checkpoint)
    for size in (1, 4, 6):
        made = from_mels(checkpoint, dataset, tmp_path / str(size), "--batch-size", size)
        assert made.keys() == LENGTHS.keys()
        for name, frames in LENGTHS.items():
            with torch.no_grad():
                alone = generator(random_mel(frames)[None]).squeeze().numpy()
            assert made[name].shape == (frames * 256,)
            # 16 bits on disk: half a step more than the 1e-5 that the samples themselves may differ by.
            assert np.abs(made[name] - alone).max() <= 1e-5 + 0.5 / 32768
            assert np.abs(alone).max() > 0.01, "nearly silent: nothing was compared"


def test_torchscript_is_the_same_and_amp_is_near(dataset: Path, tmp_path: Path) -> None:
    # 128 channels in the first stage: in bf16 the narrow ones stay in fp32.
    checkpoint = make_checkpoint(tmp_path / "wide.pt", config=dataclasses.replace(TINY, upsample_initial_channel=256))
    eager = from_mels(checkpoint, dataset, tmp_path / "eager")
    scripted = from_mels(checkpoint, dataset, tmp_path / "scripted", "--torchscript")
    mixed = from_mels(checkpoint, dataset, tmp_path / "mixed", "--amp")
    for name in LENGTHS:
        assert np.abs(scripted[name] - eager[name]).max() <= 2 / 32768
        assert np.abs(mixed[name] - eager[name]).max() < 0.05
    assert any(not np.array_equal(mixed[name], eager[name]) for name in LENGTHS), "--amp had no effect"


def test_denoising(checkpoint: Path, dataset: Path, tmp_path: Path) -> None:
    plain = from_mels(checkpoint, dataset, tmp_path / "plain")
    denoised = from_mels(checkpoint, dataset, tmp_path / "denoised", "--denoising-strength", "0.05")
    generator, _ = load_generator(checkpoint)
    denoiser = Denoiser(generator)
    with torch.no_grad():
        for name in ("sub/b", "d"):
            expected = denoiser(generator(random_mel(LENGTHS[name])[None])[:, 0], 0.05)[0].numpy()
            assert np.abs(denoised[name] - expected).max() <= 2 / 32768
            assert np.abs(denoised[name] - plain[name]).max() > 1e-3
    assert {name: len(wav) for name, wav in denoised.items()} == {name: 256 * n for name, n in LENGTHS.items()}


def test_fades_longer_than_the_clip(checkpoint: Path, dataset: Path, tmp_path: Path) -> None:
    plain = from_mels(checkpoint, dataset, tmp_path / "plain")
    faded = from_mels(checkpoint, dataset, tmp_path / "faded", "--fade-out", 30)
    for name, wav in plain.items():
        assert np.abs(faded[name] - fade_out(wav, 30 * 256)).max() <= 2 / 32768
        assert faded[name][-1] == 0


def test_measurement(
    checkpoint: Path,
    dataset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    calls: list[int] = []
    original = inference.Vocoder.__call__

    def counted(self: inference.Vocoder, mels: list) -> list:
        calls.append(len(mels))
        return original(self, mels)

    monkeypatch.setattr(inference.Vocoder, "__call__", counted)
    from_mels(checkpoint, dataset, tmp_path, "--batch-size", 4, "--repeats", 5, "--warmup_steps", 3)
    assert calls == [2] * (3 + 5) + [1] * 5 + [2] * 5 + [1] * 5  # 70 and 45 frames, 23, 3 and 2, 1
    figures = summary(tmp_path)
    frames = sum(LENGTHS.values())
    assert figures["utterances"] == 6
    assert figures["audio_sec"] == pytest.approx(frames * 256 / 22050)
    assert 0 < figures["latency_50%"] <= figures["latency_90%"] <= figures["latency_95%"] <= figures["latency_99%"]
    assert figures["latency_avg"] <= 10 * figures["latency_99%"]
    # Twenty measurements made five times all frames; padding is not among them.
    assert figures["hifigan_frames/s"] * figures["latency_avg"] * 20 == pytest.approx(5 * frames)
    assert figures["hifigan_samples/s"] == pytest.approx(256 * figures["hifigan_frames/s"])
    assert figures["RTF"] > 0
    out = capsys.readouterr().out
    assert "6 utterances, 1.7 s of audio" in out
    assert "99%" in out


def test_log_file(checkpoint: Path, dataset: Path, tmp_path: Path) -> None:
    from_mels(checkpoint, dataset, tmp_path / "out", "--log-file", tmp_path / "logs" / "own.json")
    assert (tmp_path / "logs" / "own.json").read_text().startswith("DLLL {")
    assert not (tmp_path / "out" / "nvlog_infer.json").exists()


@pytest.fixture
def originals(tmp_path: Path) -> Path:
    """Clips of odd lengths, rates and formats in subfolders."""
    root = tmp_path / "in"
    for name, wav, rate in (
        ("a.wav", tone(10001), 22050),
        ("one/x.wav", tone(300), 22050),
        ("two/x.flac", tone(4096), 22050),
        ("two/deep/y.OGG", tone(16000, 16000), 16000),
        ("tiny.wav", tone(1), 22050),
        ("stereo.wav", np.stack([tone(5000), -tone(5000)], 1), 22050),
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(root / name, wav, rate, format=Path(name).suffix[1:].upper())
    (root / "notes.txt").write_text("no audio")
    (root / "folder.wav").mkdir()
    return root


def test_copies_are_as_long_as_the_originals(checkpoint: Path, originals: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in originals.rglob("*") if path.is_file()}
    assert inference.main(command(checkpoint, originals, tmp_path / "out")) == 0
    made = wavs(tmp_path / "out")
    assert {name: len(wav) for name, wav in made.items()} == {
        "a": 10001,
        "one/x": 300,
        "two/x": 4096,
        "two/deep/y": 22050,
        "tiny": 1,
        "stereo": 5000,
    }
    assert {path: path.read_bytes() for path in originals.rglob("*") if path.is_file()} == before
    assert {soundfile.info(path).samplerate for path in (tmp_path / "out").rglob("*.wav")} == {22050}


def test_a_copy_is_the_generator_on_the_mel(checkpoint: Path, originals: Path, tmp_path: Path) -> None:
    assert inference.main(command(checkpoint, originals / "a.wav", tmp_path / "out")) == 0
    wav, _ = soundfile.read(originals / "a.wav")
    padded = torch.from_numpy(np.pad(wav, (0, 40 * 256 - len(wav)))).float()
    generator, _ = load_generator(checkpoint)
    with torch.no_grad():
        expected = generator(MelSpectrogram(AudioConfig())(padded[None])).squeeze().numpy()[:10001]
    made = wavs(tmp_path / "out")
    assert list(made) == ["a"]
    assert np.abs(made["a"] - expected).max() <= 1 / 32768


def test_other_rates_are_resampled(tmp_path: Path) -> None:
    checkpoint = make_checkpoint(tmp_path / "g.pt", sampling_rate=16000)
    soundfile.write(tmp_path / "a.wav", tone(44100, 44100), 44100)
    assert inference.main(command(checkpoint, tmp_path / "a.wav", tmp_path / "out")) == 0
    info = soundfile.info(tmp_path / "out" / "a.wav")
    assert (info.samplerate, info.frames) == (16000, 16000)


def test_outputs_never_touch_the_originals(
    checkpoint: Path, originals: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in originals.rglob("*") if path.is_file()}
    link = tmp_path / "link"
    link.symlink_to(originals)
    # `one` would overwrite one/x.wav by a copy of x.wav, if there were one; and a second run would copy the copies.
    for output in (originals, originals / "one", originals / "new", link, tmp_path / "x" / ".." / "in"):
        assert "lies in the folder of the originals (-i)" in refused(command(checkpoint, originals, output), capsys)
    error = refused(command(checkpoint, originals / "a.wav", link), capsys)
    assert "-o:" in error
    assert "overwritten" in error
    assert {path: path.read_bytes() for path in originals.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: (root / "bad.wav").write_text("text"), "bad.wav: not a readable audio file"),
        (lambda root: (root / "bad.wav").write_bytes(b""), "bad.wav: not a readable audio file"),
        (lambda root: soundfile.write(root / "bad.wav", np.zeros(0), 22050), "bad.wav: the audio file has no samples"),
        (
            lambda root: soundfile.write(root / "0.wav", np.full(999, np.nan), 22050, "FLOAT"),
            "0.wav: the audio has samples that are not finite",
        ),
    ],
)
def test_bad_audio(
    checkpoint: Path,
    originals: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[Path], object],
    message: str,
) -> None:
    spoil(originals)
    error = refused(command(checkpoint, originals, tmp_path / "out", "-bs", 1), capsys)
    assert f"1 of 7 input files cannot be used; all others are made: {originals}" in error
    assert message in error
    assert set(wavs(tmp_path / "out")) == {"a", "one/x", "two/x", "two/deep/y", "tiny", "stereo"}
    # Nothing else is left to do; the file is tried again, and may be whole now.
    error = refused(command(checkpoint, originals, tmp_path / "out"), capsys)
    assert message in error


def test_two_originals_of_one_name(
    checkpoint: Path, originals: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (originals / "a.flac").write_bytes((originals / "two/x.flac").read_bytes())
    error = refused(command(checkpoint, originals, tmp_path / "out"), capsys)
    assert "both would be written to a.wav" in error
    assert not (tmp_path / "out").exists()


def _edit(key: str, value: object) -> Callable[[dict], None]:
    def change(content: dict) -> None:
        if value is None:
            del content["generator"][key]
        else:
            content["generator"][key] = value

    return change


CHECKPOINTS: dict[str, tuple[Callable[[dict], Any], str]] = {
    "missing tensor": (_edit("conv_pre.bias", None), "1 missing (conv_pre.bias)"),
    "extra tensor": (_edit("conv_mid.bias", torch.zeros(1)), "1 extra (conv_mid.bias)"),
    "misshapen tensor": (_edit("conv_pre.bias", torch.zeros(3)), "1 misshapen (conv_pre.bias [3] instead of [16])"),
    "another model": (lambda content: {"state_dict": {"x": torch.zeros(1)}}, "not a HiFi-GAN generator"),
    "a list": (lambda content: [1], "holds a list"),
    "NaN weights": (_edit("conv_post.bias", torch.tensor([math.nan])), "samples that are not finite"),
    "config of text": (lambda content: content.update(config="v1"), "its config is a str, not a dictionary"),
    "setup of a list": (lambda content: content.update(train_setup=[1]), "its train_setup is a list"),
    "state of text": (lambda content: content.update(train_state="x"), "its train_state is a str"),
    "part of a config": (lambda content: {**content, "config": {"resblock": "2"}}, "lacks upsample_rates"),
    "bands of text": (lambda content: content["train_setup"].update(num_mels="many"), "generator configuration"),
    "rate of text": (lambda content: content["train_setup"].update(sampling_rate="22050"), "sampling_rate: '22050'"),
    "other hop": (lambda content: content["train_setup"].update(hop_length=300), "multiply to 256, but hop_length"),
}


@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_checkpoints_that_do_not_fit(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    change, message = CHECKPOINTS[kind]
    broken = make_checkpoint(tmp_path / "broken.pt", change)
    argv = command(broken, dataset / "phrases.tsv", tmp_path / "out", "--dataset-path", dataset)
    error = refused(argv, capsys)
    assert message in error
    assert "NaN" in kind or str(broken) in error or "configuration" in error or "rate" in kind
    assert not wavs(tmp_path / "out")


class Code:
    """Runs a command when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.path,))


def test_files_that_are_no_checkpoints(
    checkpoint: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "file.pt"
    whole = checkpoint.read_bytes()
    texts = (b"", b"hello, not a checkpoint", b"(hello", b"G", b"\x80\x05hello")
    for content in (*texts, whole[:100], whole[: len(whole) // 2], whole[:-30]):
        path.write_bytes(content)
        error = refused(command(path, dataset / "phrases.tsv", tmp_path / "out"), capsys)
        assert f"{path}: not a checkpoint of tensors, or damaged (" in error
    for missing in (tmp_path / "absent.pt", tmp_path):
        error = refused(command(missing, dataset / "phrases.tsv", tmp_path / "out"), capsys)
        assert f"{missing}: no such checkpoint" in error


def test_code_in_a_checkpoint_is_not_run(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = tmp_path / "was_here"
    evil = make_checkpoint(tmp_path / "evil.pt", lambda content: content.update(extra=Code(trace)))
    error = refused(command(evil, dataset / "phrases.tsv", tmp_path / "out"), capsys)
    assert "it holds a Python object" in error
    evil.write_bytes(pickle.dumps({"generator": Code(trace)}))
    assert "not a checkpoint of tensors" in refused(command(evil, dataset / "phrases.tsv", tmp_path / "out"), capsys)
    assert not trace.exists()
    pickle.loads(evil.read_bytes())
    assert trace.exists(), "the file was harmless: nothing was tested"


MELS: dict[str, tuple[object, str]] = {
    "NaN": (torch.full((80, 5), math.nan), "values that are not finite"),
    "bands": (torch.zeros(64, 5), "expected a mel spectrogram of shape [80, frames], got [64, 5]"),
    "transposed": (torch.zeros(5, 80), "got [5, 80]"),
    "batch": (torch.zeros(1, 80, 5), "got [1, 80, 5]"),
    "no frames": (torch.zeros(80, 0), "got [80, 0]"),
    "float64": (
        torch.zeros(80, 5).double(),
        "the mel spectrogram is float64; if its values are right, save it as float32 (.float())",
    ),
    "float64 array": (
        np.zeros((80, 5)),
        "the mel spectrogram is float64; if its values are right, save it as float32 (.astype(np.float32))",
    ),
    "whole numbers": (np.zeros((80, 5), np.int16), "the mel spectrogram is int16; if"),
    "truth values": (torch.zeros(80, 5) > 1, "the mel spectrogram is bool; if"),
    "complex": (torch.zeros(80, 5, dtype=torch.complex64), "the mel spectrogram is complex64; if"),
    "array of NaN": (np.full((80, 5), np.nan, np.float32), "values that are not finite"),
    "array of other bands": (np.zeros((64, 5), np.float32), "[80, frames], got [64, 5]"),
    "transposed array": (np.zeros((5, 80), np.float32), "got [5, 80]"),
    "empty array": (np.zeros((80, 0), np.float32), "got [80, 0]"),
    "dictionary": ({"mel": torch.zeros(80, 5)}, "got dict"),
    "text": (b"text", "not a readable mel spectrogram"),
    "none": (None, "no such mel (1 of 1 are missing); make them with"),
}


@pytest.mark.parametrize("kind", MELS)
def test_bad_mels(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    content, message = MELS[kind]
    path = tmp_path / ("mel.npy" if isinstance(content, np.ndarray) else "mel.pt")
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, np.ndarray):
        np.save(path, content)
    elif content is not None:
        torch.save(content, path)
    (tmp_path / "p.tsv").write_text(f"mel\toutput\n{path.name}\ta\n")
    error = refused(command(checkpoint, tmp_path / "p.tsv", tmp_path / "out", "-d", tmp_path), capsys)
    assert message in error
    assert str(path) in error
    assert not wavs(tmp_path / "out")


def test_pickled_numpy_arrays_are_refused(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "mel.npy", np.array([Code(tmp_path / "was_here")], dtype=object), allow_pickle=True)
    (tmp_path / "p.tsv").write_text("mel\nmel.npy\n")
    error = refused(command(checkpoint, tmp_path / "p.tsv", tmp_path / "out", "-d", tmp_path), capsys)
    assert "mel.npy: not a readable mel spectrogram" in error
    assert not (tmp_path / "was_here").exists()


@pytest.mark.parametrize("mel", ["mels/a.pt", "mels/speaker/deep/a.pt"])
def test_mels_of_another_configuration(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], mel: str
) -> None:
    (tmp_path / mel).parent.mkdir(parents=True)
    torch.save(random_mel(5), tmp_path / mel)
    (tmp_path / "p.tsv").write_text(f"mel\toutput\n{mel}\ta\n")
    argv = command(checkpoint, tmp_path / "p.tsv", tmp_path / "out", "--dataset_path", tmp_path)
    description = tmp_path / "mels" / "audio_config.json"
    for changes, message in (
        ({"mel_fmax": 7600.0}, "mel_fmax 7600.0 instead of 8000.0"),
        ({"sampling_rate": 16000}, "sampling_rate 16000 instead of 22050"),
        ({"mel_fmax": None, "win_length": 800}, "win_length 800 instead of 1024, mel_fmax 11025.0 instead of 8000.0"),
    ):
        description.write_text(json.dumps({**SETUP, "framing": "vocoder", **changes}))
        error = refused(argv, capsys)
        assert str(description) in error
        assert message in error
        assert "make them again (prepare_dataset.py --extract-mels --" in error
    for content in ("{", "[]", "\xff", '{"sampling_rate": "x"}'):
        description.write_text(content, encoding="latin-1")
        assert f"{description}: does not describe mels" in refused(argv, capsys)
    assert not (tmp_path / "out").exists()
    # The framing alone may differ: it moves the audio by half a hop.
    description.write_text(json.dumps({**SETUP, "framing": "tacotron", "peak_normalised": False}))
    assert inference.main(argv) == 0


def test_mels_in_log10_are_converted(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mel = MelSpectrogram(AudioConfig())(torch.from_numpy(speechlike(0.5)).float()[None])[0]
    mel[:, 5:9] = SILENCE
    log10 = mel / math.log(10)
    for name, values in (("ln", (log10.double() * math.log(10)).float().clamp_min(SILENCE)), ("log10", log10)):
        (tmp_path / name).mkdir()
        torch.save(values, tmp_path / name / "a.pt")
        (tmp_path / name / "phrases.tsv").write_text("mel\toutput\na.pt\ta\n")
    expected = from_mels(checkpoint, tmp_path / "ln", tmp_path / "expected")["a"]
    argv = command(checkpoint, tmp_path / "log10" / "phrases.tsv", tmp_path / "out", "-d", tmp_path / "log10")
    error = refused(argv, capsys)
    assert "a.pt: no audio_config.json describes this mel, and its values (-5.0 to " in error
    assert "are those of a log10 mel; give --mel-log log10, or --mel-log ln" in error
    assert not (tmp_path / "out").exists()
    told = from_mels(checkpoint, tmp_path / "log10", tmp_path / "told", "--mel-log", "log10")["a"]
    as_it_is = from_mels(checkpoint, tmp_path / "log10", tmp_path / "as it is", "--mel-log", "ln")["a"]
    description = {**SETUP, "framing": "vocoder", "log_base": "log10"}
    (tmp_path / "log10" / "audio_config.json").write_text(json.dumps(description))
    described = from_mels(checkpoint, tmp_path / "log10", tmp_path / "described")["a"]
    assert np.array_equal(told, expected)
    assert np.array_equal(described, expected)
    assert not np.allclose(as_it_is, expected, atol=0.01)


def test_a_generator_that_learned_the_shift_moves_nothing(
    checkpoint: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fine-tuned with --input-mels-framing vocoder on tacotron-framed mels: its checkpoint says tacotron."""
    shifted = make_checkpoint(tmp_path / "shifted.pt", framing="tacotron", log_base="ln")
    plain = from_mels(checkpoint, dataset, tmp_path / "plain")
    described = tmp_path / "described"
    shutil.copytree(dataset, described)
    for flags in ([], ["--mel-framing", "tacotron"], ["--mel-framing", "vocoder"]):
        (described / "mels" / "audio_config.json").write_text(json.dumps({**SETUP, "framing": "tacotron"}))
        made = from_mels(shifted, described, tmp_path / "".join(["made", *flags]), *flags)
        assert all(np.array_equal(made[name], wav) for name, wav in plain.items())
    assert np.array_equal(from_mels(shifted, dataset, tmp_path / "undescribed")["d"], plain["d"])
    (described / "mels" / "audio_config.json").write_text(json.dumps({**SETUP, "framing": "vocoder"}))
    error = refused(command(shifted, described / "phrases.tsv", tmp_path / "refused", "-d", described), capsys)
    assert "6 of 6 mels cannot be used" in error
    assert "this generator was fine-tuned to take tacotron framing; make the mels again" in error
    assert len(from_mels(shifted, described, tmp_path / "early", "--mel-framing", "vocoder")) == len(plain)


def test_audio_of_tacotron_framing_is_moved(checkpoint: Path, dataset: Path, tmp_path: Path) -> None:
    plain = from_mels(checkpoint, dataset, tmp_path / "plain", "-bs", 4)
    moved = from_mels(checkpoint, dataset, tmp_path / "moved", "-bs", 4, "--mel-framing", "tacotron")
    assert {name: len(wav) for name, wav in plain.items()} == {name: 256 * n for name, n in LENGTHS.items()}
    for name, frames in LENGTHS.items():
        # A clip of T samples has T // 256 + 1 frames; one frame is less than the transform needs, but may be made.
        assert len(moved[name]) == (256 * (frames - 1) if frames > 1 else 128)
        assert np.array_equal(moved[name], plain[name][128:][: len(moved[name])])
    (tmp_path / "set").mkdir()
    for name, framing in (("one", "tacotron"), ("two", "vocoder")):
        (tmp_path / "set" / name).mkdir()
        torch.save(random_mel(9), tmp_path / "set" / name / "a.pt")
        (tmp_path / "set" / name / "audio_config.json").write_text(json.dumps({**SETUP, "framing": framing}))
    (tmp_path / "set" / "phrases.tsv").write_text("mel\toutput\none/a.pt\tone\ntwo/a.pt\ttwo\n")
    described = from_mels(checkpoint, tmp_path / "set", tmp_path / "described")
    assert np.array_equal(described["one"], described["two"][128:-128])
    ignored = from_mels(checkpoint, tmp_path / "set", tmp_path / "ignored", "--mel-framing", "vocoder")
    assert np.array_equal(ignored["one"], described["two"])


def test_bad_mels_among_good_ones_are_left_out(
    checkpoint: Path,
    dataset: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    torch.save(torch.zeros(64, 5), tmp_path / "bands.pt")
    torch.save(torch.full((80, 5), math.nan), tmp_path / "nan.pt")
    np.save(tmp_path / "log10.npy", np.linspace(-5, 0.5, 80 * 9, dtype=np.float32).reshape(80, 9))
    rows = [tmp_path / "bands.pt", tmp_path / "nan.pt", dataset / "mels" / "a.pt", tmp_path / "log10.npy"]
    for order in (rows[:3], rows[2:], rows):
        (tmp_path / "p.tsv").write_text("mel\toutput\n" + "".join(f"{row}\t{row.stem}\n" for row in order))
        caplog.clear()
        for more in ([], ["--stream"]):
            error = refused(command(checkpoint, tmp_path / "p.tsv", tmp_path / "out", "--overwrite", *more), capsys)
            assert f"{len(order) - 1} of {len(order)} input files cannot be used; all others are made: " in error
            assert set(wavs(tmp_path / "out")) == {"a"}
            (tmp_path / "out" / "a.wav").unlink()
        lines = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        assert len(lines) == 2 * (len(order) - 1)
        for path in order:
            assert any(str(path) in line for line in lines) == (path.stem != "a")
    assert "bands.pt: expected a mel spectrogram of shape [80, frames], got [64, 5]; " in error
    assert "nan.pt: the mel spectrogram has values that are not finite" in error
    assert "log10.npy: no audio_config.json describes this mel" in error


def test_flags_of_mels_need_mels(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write(tmp_path / "a.wav", tone(5000), 22050)
    for flag in (["--mel-log", "ln"], ["--mel-framing", "tacotron"]):
        error = refused(command(checkpoint, tmp_path / "a.wav", tmp_path / "out", *flag), capsys)
        assert "have no effect without mels in files" in error
    assert "--mel-log" in refused(command(checkpoint, tmp_path, tmp_path, "--mel-log", "log2"), capsys, 2)


def test_no_upper_limit_is_the_nyquist_frequency(tmp_path: Path) -> None:
    checkpoint = make_checkpoint(tmp_path / "g.pt", mel_fmax=None)
    torch.save(random_mel(5), tmp_path / "a.pt")
    (tmp_path / "audio_config.json").write_text(json.dumps({**SETUP, "mel_fmax": 11025.0}))
    (tmp_path / "p.tsv").write_text("mel\na.pt\n")
    assert inference.main(command(checkpoint, tmp_path / "p.tsv", tmp_path / "out", "-d", tmp_path)) == 0


def test_phrases_without_mels(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "p.txt").write_text("Some text.\n")
    error = refused(command(checkpoint, tmp_path / "p.txt", tmp_path / "out"), capsys)
    assert f"{tmp_path / 'p.txt'}: audio_1.wav has no mel" in error


def test_output_names_stay_inside(
    checkpoint: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "p.tsv").write_text("mel\toutput\nmels/a.pt\tok\nmels/a.pt\t../../x.wav\n")
    error = refused(command(checkpoint, tmp_path / "p.tsv", tmp_path / "o" / "p", "-d", dataset), capsys)
    assert "p.tsv: line 3: output name '../../x.wav'" in error
    assert not list(tmp_path.rglob("*.wav"))


FLAGS: dict[str, tuple[list[str], str, int]] = {
    "batch size": (["--batch-size", "0"], "--batch-size: 0", 1),
    "repeats": (["--repeats", "0"], "--repeats: 0", 1),
    "strength": (["--denoising-strength", "-1"], "--denoising-strength: -1.0", 1),
    "no number": (["--denoising-strength", "nan"], "--denoising-strength: nan", 1),
    "endless": (["--denoising-strength", "inf"], "--denoising-strength: is infinite; 0.005 to 0.1 is usual", 1),
    "fade": (["--fade-out", "-1"], "--fade-out: -1", 1),
    "warm-up": (["--warmup-steps", "-1"], "--warmup-steps: -1", 1),
    "unknown": (["--fastpitchy", "x"], "--fastpitchy", 2),
    "text": (["--repeats", "x"], "--repeats", 2),
    "input": (["-i", ""], "-i: is required", 1),
    "absent input": (["-i", "absent.tsv"], "absent.tsv: no such phrase file (-i)", 1),
    "absent audio": (["-i", "absent.wav"], "absent.wav: no such file or folder (-i)", 1),
    "absent configuration": (["--hifigan-config", "absent.json"], "absent.json: no such configuration file", 1),
    "log": (["--log-file", "/"], "'/'", 1),
}


@pytest.mark.parametrize("kind", FLAGS)
def test_bad_flags(
    checkpoint: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    more, message, status = FLAGS[kind]
    argv = command(checkpoint, dataset / "phrases.tsv", tmp_path / "out", "-d", dataset, *more)
    assert message in refused(argv, capsys, status)


def test_output_that_is_a_file(
    checkpoint: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("mine")
    argv = command(checkpoint, dataset / "phrases.tsv", tmp_path / "out", "-d", dataset)
    assert str(tmp_path / "out") in refused(argv, capsys)
    assert (tmp_path / "out").read_text() == "mine"


def test_cuda_without_a_gpu(
    checkpoint: Path,
    dataset: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    argv = command(checkpoint, dataset / "phrases.tsv", tmp_path / "out", "--cuda")
    assert "--cuda: PyTorch finds no GPU" in refused(argv, capsys)


def test_the_program(checkpoint: Path, dataset: Path, tmp_path: Path) -> None:
    def inference_py(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, REPOSITORY / "inference.py", *words], capture_output=True, text=True, cwd=REPOSITORY
        )

    argv = command(checkpoint, dataset / "phrases.tsv", tmp_path / "out", "-d", dataset, "--torchscript")
    done = inference_py(*argv)
    assert done.returncode == 0, done.stderr
    assert "6 utterances" in done.stdout
    assert "Warning" not in done.stderr
    assert wavs(tmp_path / "out").keys() == LENGTHS.keys()
    done = inference_py(*argv, "--hifigan", str(tmp_path / "absent.pt"))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"inference.py: error: {tmp_path / 'absent.pt'}: no such checkpoint")
    assert done.stderr.count("\n") == 1


def test_batches_are_of_like_lengths(dataset):
    lengths = list(range(200, 0, -1)) * 2
    parts = [Utterance(name=str(i), mel=torch.zeros(1, length)) for i, length in enumerate(lengths)]
    made = list(batches(iter(parts), 4))
    assert sorted(part.name for batch in made for part in batch) == sorted(part.name for part in parts)
    assert max(batch[0].length - batch[-1].length for batch in made) <= 4
    uneven = [Utterance(name=str(length), mel=torch.zeros(1, length)) for length in (50, 4000, 60, 55)]
    assert [[part.length for part in batch] for batch in batches(uneven, 8)] == [[4000], [60, 55, 50]]
    seen = 0

    def counted():
        nonlocal seen
        for part in parts:
            seen += 1
            yield part

    next(batches(counted(), 4))
    assert seen == 4 * SORTED_BATCHES  # no more is in memory
