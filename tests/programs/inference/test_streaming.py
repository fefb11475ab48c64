"""`inference.py --stream` with small models: files, raw samples in a pipe, figures, and errors."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from io import FileIO
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import inference
from common import distributed
from common.audio import AudioConfig
from common.distributed import Distributed
from common.synthesis.outputs import Part, PcmWriter, SpeechWriter
from hifigan import StreamingGenerator, load_generator
from hifigan.engine.cpu_c import lacks_bf16
from tests.support.data_sets import speechlike
from tests.support.models import TINY, make_checkpoint, make_fastpitch
from tests.support.paths import REPOSITORY
from tests.support.programs import one_line_of_error, summary, wavs

ONE_STEP = 1.01 / 32768
LENGTHS = {"b": 40, "sub/a": 1, "c": 70}
LONG = "It is late, and we go. " * 3
TEXTS = f"b|Hello there.\na|{LONG}\nc|Why?\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generator, a FastPitch, texts, and mels of either framing with their phrase file."""
    root = tmp_path_factory.mktemp("stream")
    make_checkpoint(root / "generator.pt")
    make_fastpitch(root / "fastpitch.pt")
    (root / "texts.txt").write_text(TEXTS)
    rows = []
    for name, frames in LENGTHS.items():
        path = root / f"{name}.npy"
        path.parent.mkdir(exist_ok=True)
        np.save(path, np.random.default_rng(frames).standard_normal((80, frames)).astype(np.float32) * 2 - 5)
        rows.append(f"{name}.npy\t{name}\n")
    (root / "mels.tsv").write_text("mel\toutput\n" + "".join(rows))
    return root


def from_mels(folder: Path, output: object, *more: object) -> list[str]:
    argv = ["--hifigan", folder / "generator.pt", "-i", folder / "mels.tsv", "-d", folder, "-o", output, *more]
    return [str(word) for word in argv]


def from_texts(folder: Path, output: object, *more: object) -> list[str]:
    argv = ["--hifigan", folder / "generator.pt", "--fastpitch", folder / "fastpitch.pt", "-i", folder / "texts.txt"]
    return [str(word) for word in [*argv, "--split-longer-than", "25", "-o", output, *more]]


def program(argv: list[str]) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, "inference.py", *argv], capture_output=True, cwd=REPOSITORY, env=environment)


def samples(folder: Path, names: list[str]) -> np.ndarray:
    """Return the 16-bit samples of these wav files, joined."""
    return np.concatenate([soundfile.read(folder / f"{name}.wav", dtype="int16")[0] for name in names])


def test_streams_of_a_quiet_recording_are_quiet(folder: Path, tmp_path: Path) -> None:
    """As loud as its file, although the vocoder gets a peak of 0.95."""
    soundfile.write(tmp_path / "x.wav", speechlike(0.4) * 0.05, 22050)
    argv = ["--hifigan", str(folder / "generator.pt"), "-i", str(tmp_path / "x.wav"), "-o"]
    assert inference.main([*argv, str(tmp_path / "out")]) == 0
    done = program([*argv, "-", "--stream"])
    assert done.returncode == 0, done.stderr
    streamed = np.frombuffer(done.stdout, "<i2").astype(int)
    assert np.abs(streamed - samples(tmp_path / "out", ["x"])).max() <= 1


def test_streamed_files_are_those_of_whole_mels(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    soundfile.write(tmp_path / "in" / "x.wav", speechlike(0.4), 22050)
    audio = ["--hifigan", str(folder / "generator.pt"), "-i", str(tmp_path / "in"), "-o"]
    jobs = {
        "mels": from_mels(folder, "OUT", "--mel-framing", "tacotron", "--fade-out", 2),
        "texts": from_texts(folder, "OUT"),
        "audio": [*audio, "OUT"],
    }
    for kind, argv in jobs.items():
        for name, more in {"whole": [], "16": ["--stream"], "5": ["--stream", "--chunk-frames", "5"]}.items():
            output = tmp_path / kind / name
            assert inference.main([str(output) if word == "OUT" else word for word in argv] + more) == 0
        whole = wavs(tmp_path / kind / "whole")
        assert max(np.abs(wav).max() for wav in whole.values()) > 0.01, "nearly silent: nothing was compared"
        for name in ("16", "5"):
            streamed = wavs(tmp_path / kind / name)
            assert streamed.keys() == whole.keys()
            for utterance, wav in whole.items():
                assert streamed[utterance].shape == wav.shape
                assert np.abs(streamed[utterance] - wav).max() <= ONE_STEP


@pytest.mark.skipif(bool(lacks_bf16()), reason=lacks_bf16())
def test_amp_has_an_effect(folder: Path, tmp_path: Path) -> None:
    # 128 channels in the first stage, since narrow stages stay in fp32.
    wide = make_checkpoint(tmp_path / "wide.pt", config=dataclasses.replace(TINY, upsample_initial_channel=256))
    for name, more in {"exact": [], "amp": ["--amp"]}.items():
        assert inference.main([*from_mels(folder, tmp_path / name, "--stream", *more), "--hifigan", str(wide)]) == 0
    exact, amp = (wavs(tmp_path / name)["c"] for name in ("exact", "amp"))
    assert 0 < np.abs(amp - exact).max() < 0.05


def test_look_ahead_has_an_effect(folder: Path, tmp_path: Path) -> None:
    for name, more in {"exact": [], "short": ["--look-ahead", "2"]}.items():
        assert inference.main(from_mels(folder, tmp_path / name, "--stream", *more)) == 0
    exact, short = (wavs(tmp_path / name)["c"] for name in ("exact", "short"))
    generator, _ = load_generator(folder / "generator.pt")
    streaming = StreamingGenerator(generator, look_ahead=2)
    mel = torch.from_numpy(np.load(folder / "c.npy"))[None]
    expected = torch.cat([*(streaming.stream(chunk) for chunk in mel.split(16, 2)), streaming.finish()], dim=2)
    assert np.abs(short - expected[0, 0].numpy()).max() <= ONE_STEP
    assert np.abs(short - exact).max() > 1e-3


@pytest.mark.medium
@pytest.mark.parametrize("kind", ["mels", "texts"])
def test_samples_in_a_pipe_are_those_of_the_files(folder: Path, tmp_path: Path, kind: str) -> None:
    command, names = (from_mels, list(LENGTHS)) if kind == "mels" else (from_texts, ["b", "a", "c"])
    flags = ["--stream", "--fade-out", "3", "--repeats", "2", "--warmup-steps", "1"]
    assert inference.main(command(folder, tmp_path / "out", *flags)) == 0
    done = program(command(folder, "-", *flags, "--log-file", tmp_path / "log.json"))
    assert done.returncode == 0, done.stderr
    assert np.array_equal(np.frombuffer(done.stdout, "<i2"), samples(tmp_path / "out", names))
    assert b"3 utterances" in done.stderr
    assert b"time to the first sample" in done.stderr
    assert b'"first_audio_sec_99%"' in (tmp_path / "log.json").read_bytes()
    assert not (REPOSITORY / "-").exists(), "-o - was taken for a folder"


def test_a_copy_goes_into_a_pipe_from_the_folder_of_the_original(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    soundfile.write(tmp_path / "in" / "x.wav", speechlike(0.3), 22050)
    monkeypatch.chdir(tmp_path / "in")
    with FileIO(tmp_path / "pcm", "w") as out:
        monkeypatch.setattr(inference, "open_stdout", lambda: out)
        assert inference.main(["--hifigan", str(folder / "generator.pt"), "--stream", "-i", ".", "-o", "-"]) == 0
    assert (tmp_path / "pcm").stat().st_size == 2 * int(0.3 * 22050)
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["x.wav"]


@pytest.mark.medium
def test_a_bad_file_leaves_no_gap_in_a_pipe(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.npy").write_bytes(b"no mel")
    for name in ("b.npy", "c.npy"):
        shutil.copy(folder / name, tmp_path)
    (tmp_path / "mels.tsv").write_text("mel\nb.npy\nbad.npy\nc.npy\n")
    argv = ["--hifigan", str(folder / "generator.pt"), "-i", str(tmp_path / "mels.tsv"), "-d", str(tmp_path)]
    done = program([*argv, "--stream", "-o", "-"])
    assert done.returncode == 1
    assert len(done.stdout) == 2 * 256 * (LENGTHS["b"] + LENGTHS["c"])
    assert b"error: 1 of 3 input files cannot be used; all others are made: " in done.stderr
    assert b"bad.npy: not a readable mel" in done.stderr


@pytest.mark.medium
def test_a_player_that_ends_is_no_error(folder: Path, tmp_path: Path) -> None:
    for i in range(20):
        np.save(tmp_path / f"{i}.npy", np.tile(np.load(folder / "c.npy"), 5))
    (tmp_path / "mels.tsv").write_text("mel\toutput\n" + "".join(f"{i}.npy\t{i}\n" for i in range(20)))
    argv = ["--hifigan", str(folder / "generator.pt"), "-i", str(tmp_path / "mels.tsv"), "-d", str(tmp_path)]
    command = [sys.executable, "inference.py", *argv, "--stream", "-o", "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=REPOSITORY) as process:
        assert process.stdout
        assert process.stderr
        assert len(process.stdout.read(1000)) == 1000
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == inference.CLOSED_PIPE == 141


def test_figures(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--stream", "--repeats", 3, "--warmup-steps", 2]
    assert inference.main(from_texts(folder, tmp_path / "texts", *flags)) == 0
    assert inference.main(from_mels(folder, tmp_path / "mels", *flags)) == 0
    out = capsys.readouterr().out
    assert out.count("time to the first sample: mean") == out.count("latency of a chunk: mean") == 2
    assert "latency of a batch" not in out
    texts, mels = summary(tmp_path / "texts"), summary(tmp_path / "mels")
    assert "mel_gen_frames/s" in texts
    assert "mel_gen_frames/s" not in mels
    for figures in (texts, mels):
        assert figures["utterances"] == 3
        for name in ("first_audio_sec", "chunk_latency"):
            assert 0 < figures[f"{name}_50%"] <= figures[f"{name}_90%"] <= figures[f"{name}_99%"]
        # The first sample comes after at least one chunk, and before the last.
        assert figures["chunk_latency_50%"] < figures["first_audio_sec_99%"] <= figures["latency_99%"]
        assert figures["RTF"] > 0
    # Three runs of each: ceil(L / 16) chunks and an end.
    frames = sum(LENGTHS.values())
    assert mels["audio_sec"] == pytest.approx(frames * 256 / 22050)
    chunks = sum(-(-length // 16) + 1 for length in LENGTHS.values())
    assert mels["chunk_latency_avg"] * chunks == pytest.approx(frames / mels["hifigan_frames/s"])


def test_the_job_is_that_of_whole_mels_unless_it_sounds_otherwise(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert inference.main(from_mels(folder, tmp_path)) == 0
    assert inference.main(from_mels(folder, tmp_path, "--stream")) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert inference.main(from_mels(folder, tmp_path, "--stream", "--look-ahead", "2")) == 0
    assert "3 utterances" in capsys.readouterr().out


@pytest.mark.parametrize("fade_frames", [0, 1, 9])
@pytest.mark.parametrize("size", [1, 100, 5000])
def test_pcm_is_the_file_whatever_the_chunks(tmp_path: Path, size: int, fade_frames: int) -> None:
    """Pieces shorter than their fades, a fade over several pieces, chunks shorter than a fade."""
    audio = AudioConfig()
    lengths = [256, 100, 1500, 200]
    rng = np.random.default_rng(0)
    speech = [torch.from_numpy(rng.uniform(-1.2, 1.2, length).astype(np.float32)) for length in lengths]
    parts = [Part(name="x.wav", index=i, count=len(lengths)) for i in range(len(lengths))]
    speech.append(torch.from_numpy(rng.uniform(-1, 1, 1024).astype(np.float32)))
    parts.append(Part(name="y.wav", skip_samples=128, num_samples=700))
    mel = torch.zeros(80, 1)
    files = SpeechWriter(tmp_path, audio, fade_frames)
    with (tmp_path / "pcm").open("wb", buffering=0) as out:
        pcm = PcmWriter(out, audio, fade_frames)
        for part, wav in zip(parts, speech, strict=True):
            for chunk in wav.split(size):
                pcm.add_chunk(part, chunk)
            assert pcm.finish(part, mel) == files.add(part, wav, mel)
    written = np.fromfile(tmp_path / "pcm", "<i2")
    assert len(written) == sum(lengths) + 3 * 13 * 256 + 700
    assert np.array_equal(written, samples(tmp_path, ["x", "y"]))


REFUSED = {
    "chunks": (["--chunk-frames", "8"], "--chunk-frames: has no effect without --stream"),
    "ahead": (["--look-ahead", "8"], "--look-ahead: has no effect without --stream"),
    "batch": (["--stream", "-bs", "8"], "--batch-size: has no effect with --stream"),
    "no frames": (["--stream", "--chunk-frames", "0"], "--chunk-frames: 0 is not above 0"),
    "negative": (["--stream", "--look-ahead", "-1"], "--look-ahead: -1 is below 0"),
    "far": (["--stream", "--look-ahead", "99"], "--look-ahead: 99 is above"),
    "denoiser": (["--stream", "--denoising-strength", "0.1"], "the denoiser needs whole utterances"),
    "torchscript": (["--stream", "--torchscript"], "remove --torchscript"),
    "backend": (["--stream", "--backend", "onnx"], "an exported model, which takes whole mels"),
    "pipe": (["-o", "-"], "-o -: samples go to stdout as they are made, so add --stream"),
    "mels": (["--stream", "-o", "-", "--save-mels"], "--save-mels: has no effect with --output -"),
    "anew": (["--stream", "-o", "-", "--overwrite"], "--overwrite: has no effect with --output -"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_streamed(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    more, message = REFUSED[kind]
    assert message in one_line_of_error(inference.main, from_texts(folder, tmp_path / "out", *more), capsys)
    assert not list(tmp_path.iterdir())


def test_where_samples_cannot_go(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    argv = from_mels(folder, "-", "--stream")
    with monkeypatch.context() as patch:
        patch.setattr(sys.stdout, "isatty", lambda: True)
        assert "-o -: stdout is a terminal" in one_line_of_error(inference.main, argv, capsys)
    with FileIO(tmp_path / "pcm", "w") as out:
        monkeypatch.setattr(inference, "open_stdout", lambda: out)
        two = Distributed(rank=0, local_rank=0, world_size=2, device=torch.device("cpu"))
        monkeypatch.setattr(distributed, "init", lambda *_: two)
        assert "-o -: 2 processes cannot share one pipe" in one_line_of_error(inference.main, argv, capsys)
    assert (tmp_path / "pcm").read_bytes() == b""
