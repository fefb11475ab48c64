"""Whole trainings of tiny voices, also interrupted in every stage. Slow: each start imports PyTorch several times."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
import torch

from common.errors import InputError
from common.files.checkpoints import read_file
from common.training.best import find_best
from tests.support.models import TINY_FASTPITCH, make_checkpoint
from tests.support.paths import REPOSITORY
from voice.training.__main__ import find_gain_db, identify, main, used_clips

pytestmark = pytest.mark.alone
CLIPS = 20  # the least that a voice takes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of Kathleen with texts, and tiny models."""
    root = tmp_path_factory.mktemp("recordings")
    (root / "set" / "wavs").mkdir(parents=True)
    demo = REPOSITORY / "data" / "demo"
    lines = (demo / "metadata.csv").read_text().splitlines()[:CLIPS]
    (root / "set" / "metadata.csv").write_text("\n".join(lines))
    for line in lines:
        name = f"{line.partition('|')[0]}.flac"
        (root / "set" / "wavs" / name).write_bytes((demo / "wavs" / name).read_bytes())
    (root / "mine.txt").write_text("Hello.\n")
    make_checkpoint(root / "base.pt")
    tiny = {key: value for key, value in TINY_FASTPITCH.to_dict().items() if key.startswith(("in_", "out_", "symbols"))}
    (root / "tiny.json").write_text(json.dumps(tiny))
    return root


def start(folder: Path, voice: str, **variables: str) -> subprocess.Popen[str]:
    """Start the script in `folder`, with the shipped FastPitch, whose mels resemble the recordings, and a tiny vocoder.

    Fine-tuning would reject the mels of an untrained FastPitch.
    """
    settings = {
        "PYTHON": sys.executable,
        "BASE_GENERATOR": "base.pt",
        "VOCODER_BATCH_SIZE": "1",
        "DISCRIMINATOR_WIDTH": "0.125",
        "FINE_TUNING_EPOCHS": "2",
        "BASE_SHARE": "0",  # so that the voice's weights are those of a checkpoint
        "FASTPITCH_EPOCHS": "5",
        "FASTPITCH_WARMUP_STEPS": "20",
        "FASTPITCH_EMA": "0.9",
        "FASTPITCH_BATCH_SIZE": "2",
        "SENTENCES": "mine.txt",
        "NUM_WORKERS": "1",
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        **variables,
    }
    return subprocess.Popen(
        ["bash", REPOSITORY / "scripts/train_voice.sh", "set", "-o", f"voices/{voice}"],
        cwd=folder,
        env={**os.environ, **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


# As the shipped voice was made: FastPitch from scratch, the vocoder on recordings only.
FIRST_FLOW = {
    "FASTPITCH_BASE": "scratch",
    "FASTPITCH_CONFIG": "tiny.json",
    "BASE_GENERATOR": "base.pt",
    "VOCODER_EPOCHS": "2",
    "FINE_TUNING_EPOCHS": "0",
    "PARALLEL": "true",
}


def finish(process: subprocess.Popen[str]) -> str:
    output = process.communicate()[0]
    assert process.returncode == 0, output
    return output


# Moments of a training: something that it prints, and the signal that interrupts it there or soon after.
INTERRUPTIONS = [
    ("splitting", signal.SIGKILL),
    ("epoch    1 | iter", signal.SIGTERM),  # of the trial
    ("extracting pitch", signal.SIGKILL),
    ("training FastPitch", signal.SIGTERM),
    ("fastpitch/FastPitch_checkpoint_2.pt", signal.SIGKILL),  # after the first validation
    ("best: epoch", signal.SIGTERM),
    ("extracting FastPitch's mels", signal.SIGKILL),
    ("writing pairs", signal.SIGKILL),
    ("fine-tuning the vocoder", signal.SIGTERM),
    ("fine-tuning/hifigan_gen_checkpoint_1.pt", signal.SIGKILL),
    ("packing", signal.SIGKILL),
    ("evaluating copy", signal.SIGTERM),
]


def interrupt(folder: Path, voice: str) -> str:
    """Interrupt a training at all moments, and return what the last start printed, which finishes it."""
    for words, number in INTERRUPTIONS:
        process = start(folder, voice)
        assert process.stdout is not None
        seen = next((line for line in process.stdout if words in line), None)
        assert seen, f"nothing printed {words}"
        if "checkpoint" not in words:  # within half a second, tiny models finish many epochs
            time.sleep(0.5)
        process.send_signal(number)
        process.communicate()  # the output ends when its programs have ended, too
        assert process.returncode == (143 if number == signal.SIGTERM else -number)
    return finish(start(folder, voice))


@pytest.fixture(scope="module")
def trainings(folder: Path) -> Iterator[dict[str, Future[str]]]:
    """Yield what the trainings of three voices print. Two run at a time, each on one core most of the time."""
    with ThreadPoolExecutor(2) as pool:
        yield {
            "interrupted": pool.submit(interrupt, folder, "interrupted"),
            "undisturbed": pool.submit(lambda: finish(start(folder, "undisturbed", LICENCE="CC0"))),
            "parallel": pool.submit(
                lambda: finish(start(folder, "parallel", **{**FIRST_FLOW, "FASTPITCH_EPOCHS": "2"}))
            ),
        }


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_voice_is_trained(folder: Path, trainings: dict[str, Future[str]]) -> None:
    voice, output = folder / "voices" / "undisturbed", trainings["undisturbed"].result()
    before, _, training = output.partition("disk  ")
    assert "data set   20 clips, 0.02 hours (train 16, val 2, test 2)" in before
    assert "5 epochs of 8 steps of" in before
    assert "2 epochs of 32 steps of" in before
    assert "saved" not in training.partition("training FastPitch")[0], "the estimate comes first"
    assert {"README.md", "fastpitch.safetensors", "hifigan.safetensors"} <= {path.name for path in voice.iterdir()}
    for file, key, run, average in (
        ("hifigan", "generator", "fine-tuning", "gen_ema"),
        ("fastpitch", "state_dict", "fastpitch", "ema_state_dict"),
    ):
        epoch, checkpoint = find_best(voice.with_name("undisturbed-training") / run)
        made = read_file(voice / f"{file}.safetensors")
        assert made["provenance"]["moving_average"] is True
        assert made["provenance"]["epoch"] == epoch
        trained = torch.load(checkpoint, weights_only=True)
        bias = next(name for name in made[key] if name.endswith("bias"))
        assert torch.equal(made[key][bias], trained[average][bias])
    card = (voice / "README.md").read_text()
    assert "Licence of the recordings: CC0" in card
    assert "### Copy synthesis" in card
    assert "| mel L1 |" in card
    assert str(folder) not in card
    assert not (voice.with_name("undisturbed-training") / "trial").exists()
    assert not (folder / "set" / "pitch").exists(), "the data set is only read"
    again = finish(start(folder, "undisturbed"))
    assert again.count("done already") >= 12
    assert "saved" not in again


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_interruptions_leave_no_trace(folder: Path, trainings: dict[str, Future[str]]) -> None:
    """In every stage, by SIGTERM or by kill -9, the latter also in the middle of both trainings."""
    for voice in ("undisturbed", "interrupted"):
        trainings[voice].result()
    for file, key in (("hifigan", "generator"), ("fastpitch", "state_dict")):
        one, other = (
            read_file(folder / "voices" / name / f"{file}.safetensors") for name in ("interrupted", "undisturbed")
        )
        assert all(torch.equal(one[key][name], tensor) for name, tensor in other[key].items())
        assert one["train_setup"] == other["train_setup"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_both_models_are_trained_at_the_same_time(folder: Path, trainings: dict[str, Future[str]]) -> None:
    output = trainings["parallel"].result()
    assert "training FastPitch and the vocoder" in output
    work = folder / "voices" / "parallel-training"
    made = read_file(folder / "voices" / "parallel" / "hifigan.safetensors")
    assert made["provenance"]["epoch"] == find_best(work / "vocoder")[0]
    assert not (work / "pairs").exists()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_only_the_estimate_in_parallel_of_a_long_recording(folder: Path, tmp_path: Path) -> None:
    """Stereo at 44.1 kHz with subtitles, beside a damaged file. Nothing is trained."""
    (tmp_path / "set").mkdir()
    pieces, cues, start_sec = [], [], 0.0
    for line in (folder / "set" / "metadata.csv").read_text().splitlines():
        wav, rate = soundfile.read(folder / "set" / "wavs" / f"{line.partition('|')[0]}.flac")
        ends = (f"00:{sec // 60:02.0f}:{sec % 60:06.3f}" for sec in (start_sec, start_sec + len(wav) / rate))
        cues.append(f"{' --> '.join(ends)}\n{line.rpartition('|')[2]}\n")
        pieces += [wav, np.zeros(rate)]
        start_sec += len(wav) / rate + 1
    mono = soxr.resample(np.concatenate(pieces), rate, 44100)
    soundfile.write(tmp_path / "set" / "long.wav", np.stack([mono, mono], 1), 44100)
    (tmp_path / "set" / "long.vtt").write_text("WEBVTT\n\n" + "\n".join(cues))
    (tmp_path / "set" / "broken.m4a").write_bytes(b"no audio")
    for name in ("base.pt", "tiny.json", "mine.txt"):
        shutil.copy(folder / name, tmp_path)
    process = start(tmp_path, "ann", ESTIMATE_ONLY="true", **FIRST_FLOW)
    output = process.communicate()[0]
    assert process.returncode == 1
    assert "vocoder and FastPitch at the same time" in output
    assert "from scratch" in output
    assert "recordings not used: 1, everything else is done: " in output.splitlines()[-1]
    assert "broken.m4a" in output.splitlines()[-1]
    work = tmp_path / "voices" / "ann-training"
    assert json.loads((work / "estimate.json").read_text())["parallel"] is True
    wavs = list((work / "data" / "wavs").iterdir())
    assert len(wavs) > CLIPS / 2
    assert {(info.samplerate, info.channels) for info in map(soundfile.info, wavs)} == {(22050, 1)}
    assert not (work / "vocoder").exists()
    assert not (tmp_path / "voices" / "ann").exists()


def test_data_sets_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "wavs").mkdir()
    for name in ("a", "b", "unused"):
        soundfile.write(tmp_path / "wavs" / f"{name}.wav", np.zeros(10), 22050)
    (tmp_path / "metadata.csv").write_text("a|One.\nb|Two.\n")
    clips = used_clips(tmp_path)
    assert [clip.name for clip in clips] == ["a.wav", "b.wav"]
    whole = identify(tmp_path, clips)
    assert identify(tmp_path, clips) == whole
    assert identify(tmp_path, clips[1:]) != whole
    (tmp_path / "metadata.csv").write_text("a|One.\nb|Too.\n")
    assert identify(tmp_path, clips) != whole


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere"):
        main([str(tmp_path / "nowhere"), "-o", str(tmp_path / "out")])


def test_missing_gpus_are_named_before_anything_else(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^--num-gpus: 999, but PyTorch finds"):
        main([str(tmp_path / "nowhere"), "-o", str(tmp_path / "out"), "--num-gpus", "999"])
    assert list(tmp_path.iterdir()) == []


def test_the_gain_raises_loud_clips_to_the_level_of_training(tmp_path: Path) -> None:
    clips = [tmp_path / f"{i}.wav" for i in range(21)]  # peaks 0.1 to 0.3, so that the 95th percentile is 0.29
    for i, clip in enumerate(clips):
        soundfile.write(clip, np.array([0.0, 0.1 + 0.01 * i, -0.05]), 22050, subtype="FLOAT")
    assert find_gain_db(clips) == pytest.approx(20 * np.log10(0.95 / 0.29), abs=0.06)
