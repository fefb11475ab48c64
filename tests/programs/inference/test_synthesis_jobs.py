"""Large jobs of `inference.py`: resuming, repeating, leftovers and memory."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import inference
from common.machine.progress import progress_bar
from common.synthesis.resume import JOB_FILE
from common.text.english.pronunciations import read_dictionary
from hifigan import Generator
from hifigan.config import PRESETS
from tests.support.data_sets import speechlike
from tests.support.models import SETUP, make_checkpoint, make_fastpitch
from tests.support.paths import REPOSITORY
from tests.support.programs import one_line_of_error, wavs

LENGTHS = {"a": 1, "sub/b": 70, "c": 3, "d": 23, "e": 45, "f": 2}
STATUS = Path("/proc/self/status")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("model") / "generator.pt")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Mels of different lengths and their phrase file."""
    return write_mels(tmp_path / "mels", LENGTHS)


def write_mels(folder: Path, lengths: Mapping[str, int]) -> Path:
    rng = np.random.default_rng(0)
    for name, frames in lengths.items():
        path = folder / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, rng.standard_normal((80, frames)).astype(np.float32) * 2 - 5)
    rows = "".join(f"{name}.npy\t{name}\n" for name in lengths)
    (folder / "phrases.tsv").write_text("mel\toutput\n" + rows)
    return folder


def command(checkpoint: Path, folder: Path, output: Path, *more: object) -> list[str]:
    words = ["--hifigan", checkpoint, "-i", folder / "phrases.tsv", "-d", folder, "-o", output, *more]
    return [str(word) for word in words]


def written(folder: Path) -> dict[str, int]:
    """Map each output to the time at which it was written."""
    return {
        path.relative_to(folder).with_suffix("").as_posix(): path.stat().st_mtime_ns for path in folder.rglob("*.wav")
    }


def made(argv: list[str]) -> set[str]:
    """Run inference.py, and return which outputs it wrote."""
    output = Path(argv[argv.index("-o") + 1])
    before = written(output)
    assert inference.main(argv) == 0
    return {name for name, when in written(output).items() if before.get(name) != when}


def touch(path: Path, seconds: float) -> None:
    """Shift a file's time of change by `seconds`."""
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + int(seconds * 1e9)))


def test_a_job_goes_on_where_it_was(checkpoint, folder, tmp_path, capsys):
    argv = command(checkpoint, folder, tmp_path / "out")
    assert made(argv) == set(LENGTHS)
    assert made([*argv, "--batch-size", "2"]) == set()
    assert f"nothing to do: all {len(LENGTHS)} utterances are in" in capsys.readouterr().out
    (tmp_path / "out" / "d.wav").unlink()
    assert made(argv) == {"d"}
    assert f"{len(LENGTHS) - 1} there already" in capsys.readouterr().out
    for change in (["--overwrite"], ["--denoising-strength", "0.1"]):
        assert made([*argv, *change]) == set(LENGTHS)
        assert made([word for word in [*argv, *change] if word != "--overwrite"]) == set()


@pytest.mark.parametrize("changed", ["checkpoint", "configuration"])
def test_another_content_under_the_same_name_is_another_job(changed, folder, tmp_path):
    model = make_checkpoint(tmp_path / "generator.pt")
    argv = command(model, folder, tmp_path / "out")
    assert made(argv) == set(LENGTHS)
    content = torch.load(model, weights_only=True)
    if changed == "checkpoint":
        content["generator"] = {name: weight * 1.01 for name, weight in content["generator"].items()}
        torch.save(content, model)
    else:
        argv += ["--fade-out", "1"]
    assert made(argv) == set(LENGTHS)
    # Another spelling of the same input is the same job.
    assert made([word.replace(str(folder), f"{folder.parent}/./{folder.name}") for word in argv]) == set()


def test_auto_is_the_precision_that_it_chose(checkpoint, folder, tmp_path, monkeypatch):
    arguments = command(checkpoint, folder, tmp_path / "out")
    monkeypatch.setattr("hifigan.engine.select.measure_bf16_speed_up", lambda: 5.0)
    assert made([*arguments, "--precision", "auto"]) == set(LENGTHS)
    assert made([*arguments, "--precision", "bf16"]) == set()
    monkeypatch.setattr("hifigan.engine.select.measure_bf16_speed_up", lambda: 1.0)
    assert made([*arguments, "--precision", "auto"]) == set(LENGTHS)
    assert made(arguments) == set()


def test_streams_of_mixed_precision_are_another_job(checkpoint, folder, tmp_path):
    arguments = command(checkpoint, folder, tmp_path / "out")
    assert made([*arguments, "--amp"]) == set(LENGTHS)
    assert made([*arguments, "--amp", "--stream"]) == set(LENGTHS)
    assert made([*arguments, "--amp", "--stream"]) == set()


def test_phrases_may_be_added_and_changed(checkpoint, folder, tmp_path):
    argv = command(checkpoint, folder, tmp_path / "out")
    phrases = folder / "phrases.tsv"
    made(argv)
    phrases.write_text(phrases.read_text() + "\nd.npy\tnew\n")
    assert made(argv) == {"new"}
    phrases.write_text(phrases.read_text().replace("a.npy\ta", "c.npy\ta"))
    assert made(argv) == {"a"}
    # Two jobs of the same settings share a folder, and both resume.
    other = write_mels(tmp_path / "other", {"x": 5, "y": 6})
    assert made(command(checkpoint, other, tmp_path / "out")) == {"x", "y"}
    assert made(argv) == made(command(checkpoint, other, tmp_path / "out")) == set()


@pytest.mark.parametrize("seconds", [-1e6, 1e6, 1e-6])
def test_a_source_of_another_time_is_used_again_once(checkpoint, folder, tmp_path, seconds):
    argv = command(checkpoint, folder, tmp_path / "out")
    made(argv)
    touch(folder / "d.npy", seconds)
    assert made(argv) == {"d"}
    assert made(argv) == set()


def test_files_may_be_added_to_a_folder_of_audio(checkpoint, tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    for name in ("a", "b"):
        soundfile.write(source / f"{name}.wav", speechlike(0.1), 22050)
    argv = ["--hifigan", str(checkpoint), "-i", str(source), "-o", str(tmp_path / "out")]
    assert made(argv) == {"a", "b"}
    soundfile.write(source / "c.wav", speechlike(0.1), 22050)
    assert made(argv) == {"c"}
    soundfile.write(source / "a.wav", speechlike(0.2), 22050)
    touch(source / "a.wav", -1e6)
    assert made(argv) == {"a"}
    assert len(wavs(tmp_path / "out")["a"]) == int(0.2 * 22050)


def test_another_description_of_mels(checkpoint, folder, tmp_path):
    argv = command(checkpoint, folder, tmp_path / "out")
    made(argv)
    description = {**SETUP, "framing": "vocoder"}
    (folder / "sub" / "audio_config.json").write_text(json.dumps(description))
    assert made(argv) == set(), "this says what was assumed"
    (folder / "sub" / "audio_config.json").write_text(json.dumps({**description, "framing": "tacotron"}))
    assert made(argv) == {"sub/b"}
    (folder / "sub" / "audio_config.json").write_text(json.dumps({**description, "log_base": "log10"}))
    assert made(argv) == {"sub/b"}
    assert made([*argv, "--mel-log", "ln"]) == {"sub/b"}


@pytest.fixture
def speech(checkpoint: Path, tmp_path: Path) -> list[str]:
    """A command line of text to speech, with a dictionary and a pitch file."""

    def looks_up(content: dict) -> None:
        content["train_setup"]["p_arpabet"] = 1.0

    make_fastpitch(tmp_path / "fastpitch.pt", looks_up)
    (tmp_path / "dictionary").write_text("HELLO  HH AH0 L OW1\nBYE  B AY1\n")
    (tmp_path / "phrases.tsv").write_text("output\ttext\tpitch\na\thello\t\nb\tbye\t\nc\tno\tpitch.npy\n")
    np.save(tmp_path / "pitch.npy", np.full(2, 200.0, np.float32))
    words = ["--hifigan", checkpoint, "--fastpitch", tmp_path / "fastpitch.pt", "-i", tmp_path / "phrases.tsv"]
    words += ["-d", tmp_path, "-o", tmp_path / "out", "--cmudict-path", tmp_path / "dictionary", "--save-mels"]
    return [str(word) for word in words]


def test_what_is_spoken_again(speech, tmp_path):
    everything = {"a", "b", "c"}
    assert made(speech) == everything
    assert made(speech) == set()
    (tmp_path / "dictionary").write_text("HELLO  HH AH0 L OW1\nBYE  B AY0\n")
    read_dictionary.cache_clear()  # as in a new process
    assert made(speech) == {"b"}
    np.save(tmp_path / "pitch.npy", np.full(2, 210.0, np.float32))
    assert made(speech) == {"c"}
    (tmp_path / "heteronyms").write_text("hello\n")
    speech += ["--heteronyms-path", str(tmp_path / "heteronyms")]
    assert made(speech) == {"a"}
    mel = tmp_path / "out" / "b.npy"
    content = mel.read_bytes()
    mel.unlink()
    assert made(speech) == {"b"}
    assert mel.read_bytes() == content
    assert made([*speech, "--pace", "1.1"]) == everything
    model = torch.load(tmp_path / "fastpitch.pt", weights_only=True)
    model["state_dict"]["proj.bias"] += 0.1
    torch.save(model, tmp_path / "fastpitch.pt")
    assert made([*speech, "--pace", "1.1"]) == everything


def test_an_own_file_of_the_user_is_not_overwritten(checkpoint, folder, tmp_path, capsys):
    path = tmp_path / "out" / JOB_FILE
    path.parent.mkdir()
    for content in ("mine", '{"kind": "recipe"}', "[1]", '{"kind": "speech synthesis of inference.py"}'):
        path.write_text(content)
        for more in ([], ["--overwrite"]):
            error = one_line_of_error(inference.main, command(checkpoint, folder, path.parent, *more), capsys)
            assert f"{path}: not the record of a synthesis, or damaged, and would be overwritten" in error
        assert path.read_text() == content
        assert list(path.parent.iterdir()) == [path]


def test_what_killed_runs_left_is_swept_up(checkpoint, folder, tmp_path):
    out = tmp_path / "out"
    made(command(checkpoint, folder, out))
    left = [out / ".a.wav.123.tmp", out / "sub" / ".b.wav.99999.tmp", out / f".{JOB_FILE}.4.tmp"]
    foreign = [out / ".mine.wav.123.tmp", out / ".a.wav.tmp", out / "a.wav.123.tmp", out / ".a.wav.x.tmp"]
    for path in left + foreign:
        path.write_bytes(b"half")
    made(command(checkpoint, folder, out))
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in foreign)


@pytest.mark.parametrize("flags", [["--repeats", "2"], ["--warmup-steps", "1"]])
def test_a_measurement_leaves_nothing_out(checkpoint, folder, tmp_path, flags):
    argv = command(checkpoint, folder, tmp_path / "out", *flags)
    for _ in range(2):
        assert made(argv) == set(LENGTHS)


RANKS_TOLD = """
import os, sys
from pathlib import Path
from common.synthesis import outputs
from common.cli import run

def save_wav(path, *args, save=outputs.save_wav):
    save(path, *args)
    Path(path).with_suffix(".rank").write_text(os.environ["RANK"])

outputs.save_wav = save_wav
import inference
run(inference.main, "inference.py")
"""


@pytest.mark.medium
def test_processes_share_the_work(checkpoint, folder, tmp_path):
    (folder / "d.npy").write_bytes(b"no mel")  # read by the second process
    with pytest.raises(ValueError, match="1 of 6 input files cannot be used"):
        inference.main(command(checkpoint, folder, tmp_path / "one"))
    (tmp_path / "program.py").write_text(RANKS_TOLD)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(REPOSITORY)}
    argv = [*launch, str(tmp_path / "program.py"), *command(checkpoint, folder, tmp_path / "two")]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert "inference.py: WARNING: skipped: " in done.stderr
    assert done.stderr.count("inference.py: error: 1 of 6 input files cannot be used; all others are made: ") == 1
    assert "5 utterances" in done.stdout
    ranks = {path.stem: path.read_text() for path in (tmp_path / "two").rglob("*.rank")}
    assert ranks == {"a": "0", "b": "1", "c": "0", "e": "0", "f": "1"}
    one, two = wavs(tmp_path / "one"), wavs(tmp_path / "two")
    assert one.keys() == two.keys() == LENGTHS.keys() - {"d"}
    for name, wav in one.items():
        np.testing.assert_allclose(two[name], wav, atol=1.1 / 32768)


def test_one_bar_for_all_processes(monkeypatch, capsys):
    monkeypatch.setattr("common.machine.progress.watched", lambda: True)
    for rank, drawn in ((0, True), (1, False)):
        with progress_bar("synthesising", "utt", 7, rank, world_size=2) as bar:
            bar.update(7)
        assert ("synthesising (process 1 of 2): 100%" in capsys.readouterr().err) == drawn


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.skipif(not STATUS.exists(), reason="this system has no /proc")
def test_killed_in_the_middle_it_goes_on_in_bounded_memory(tmp_path):
    """V2 and 320 utterances of 100 lengths.

    By hand: `python -m tests.programs.inference.test_synthesis_jobs FOLDER --utterances 1000`.
    """
    figures = kill_and_go_on(tmp_path, [8 + i * 7 % 100 for i in range(320)])
    assert 80 <= figures.kept < 280
    assert figures.changed == figures.missing == figures.wrong_lengths == figures.left == 0
    assert figures.made == 320 - figures.kept
    quarter = len(figures.resident_mb) // 4
    # 34 MB, and 130 with oneDNN's own limit of 1024 kernels.
    assert max(figures.resident_mb[-quarter:]) - max(figures.resident_mb[:quarter]) < 80, figures


@dataclasses.dataclass(frozen=True)
class Figures:
    """Numbers of utterances that a killed run and its successor wrote, and the memory of the latter."""

    kept: int
    made: int
    changed: int
    missing: int
    wrong_lengths: int
    left: int
    resident_mb: list[float]


def kill_and_go_on(folder: Path, lengths: list[int]) -> Figures:
    """Synthesise utterances of these lengths in frames in two runs, the first of which is killed after a quarter."""
    torch.manual_seed(0)
    config = PRESETS["v2"]
    content = {"generator": Generator(config).state_dict(), "config": config.to_dict(), "train_setup": SETUP}
    torch.save(content, folder / "v2.pt")
    frames = {f"{i // 100}/{i:05d}": length for i, length in enumerate(lengths)}
    argv = command(folder / "v2.pt", write_mels(folder / "mels", frames), folder / "out")

    def run(until: int) -> list[float]:
        """Run inference.py until it ends, or kill it at a number of outputs. Return the resident memory meanwhile."""
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        resident: list[float] = []
        with subprocess.Popen([sys.executable, "inference.py", *argv], cwd=REPOSITORY, env=environment) as process:
            began = len(written(folder / "out"))
            while process.poll() is None:
                if (count := len(written(folder / "out"))) >= until:
                    process.send_signal(signal.SIGKILL)
                    break
                if count > began and (mb := resident_mb(Path(f"/proc/{process.pid}/status"))):
                    resident.append(mb)
                time.sleep(0.05)
        return resident

    run(len(lengths) // 4)
    first = written(folder / "out")
    resident = run(len(lengths) + 1)
    second = written(folder / "out")
    found = {name: len(wav) for name, wav in wavs(folder / "out").items()}
    return Figures(
        kept=len(first),
        made=len(second) - len(first),
        changed=sum(second.get(name) != when for name, when in first.items()),
        missing=len(frames.keys() - second.keys()),
        wrong_lengths=sum(found[name] != 256 * length for name, length in frames.items() if name in found),
        left=len(list((folder / "out").rglob(".*"))),
        resident_mb=resident,
    )


def resident_mb(status: Path) -> float | None:
    lines = [line for line in status.read_text().splitlines() if line.startswith("VmRSS:")]
    return int(lines[0].split()[1]) / 1024 if lines else None  # a process that has just ended has no memory


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where to write")
    parser.add_argument("--utterances", type=int, default=1000)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    figures = kill_and_go_on(args.folder, rng.integers(30, 260, args.utterances).tolist())
    points = np.linspace(0, len(figures.resident_mb) - 1, 12).astype(int)
    print(dataclasses.replace(figures, resident_mb=[round(figures.resident_mb[i]) for i in points]))
