"""`inference.py` on mels: waveforms, precision, denoising, batches, and figures."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from common.audio_files import fade_out
from common.synthesis.outputs import SORTED_BATCHES, batches
from common.synthesis.sources import Utterance
from hifigan import load_generator
from hifigan.denoiser import Denoiser
from hifigan.engine.cpu_c import lacks_bf16
from hifigan.synthesis.vocoder import Vocoder
from tests.support.inference import LENGTHS, command, from_mels, random_mel
from tests.support.models import TINY, make_checkpoint
from tests.support.paths import REPOSITORY
from tests.support.programs import summary, wavs


def test_batches_give_what_each_mel_gives_alone(checkpoint: Path, dataset: Path, tmp_path: Path) -> None:
    generator, _ = load_generator(checkpoint)
    for size in (1, 4, 6):
        made = from_mels(checkpoint, dataset, tmp_path / str(size), "--batch-size", size)
        assert made.keys() == LENGTHS.keys()
        for name, frames in LENGTHS.items():
            with torch.no_grad():
                alone = generator(random_mel(frames)[None]).squeeze().numpy()
            assert made[name].shape == (frames * 256,)
            # Half a step of 16 bits on disk is added to the tolerance of 1e-5.
            assert np.abs(made[name] - alone).max() <= 1e-5 + 0.5 / 32768
            assert np.abs(alone).max() > 0.01, "nearly silent: nothing was compared"


def test_torchscript_is_the_same_and_amp_is_near(dataset: Path, tmp_path: Path) -> None:
    # 128 channels in the first stage, since narrow stages stay in fp32.
    checkpoint = make_checkpoint(tmp_path / "wide.pt", config=dataclasses.replace(TINY, upsample_initial_channel=256))
    eager = from_mels(checkpoint, dataset, tmp_path / "eager")
    scripted = from_mels(checkpoint, dataset, tmp_path / "scripted", "--torchscript")
    mixed = from_mels(checkpoint, dataset, tmp_path / "mixed", "--amp")
    for name in LENGTHS:
        assert np.abs(scripted[name] - eager[name]).max() <= 2 / 32768
        assert np.abs(mixed[name] - eager[name]).max() < 0.05
    if not lacks_bf16():
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
    original = Vocoder.__call__

    def counted(self: Vocoder, mels: list) -> list:
        calls.append(len(mels))
        return original(self, mels)

    monkeypatch.setattr(Vocoder, "__call__", counted)
    from_mels(checkpoint, dataset, tmp_path, "--batch-size", 4, "--repeats", 5, "--warmup_steps", 3)
    assert calls == [2] * (3 + 5) + [1] * 5 + [2] * 5 + [1] * 5  # 70 and 45 frames, 23, 3 and 2, 1
    figures = summary(tmp_path)
    frames = sum(LENGTHS.values())
    assert figures["utterances"] == 6
    assert figures["audio_sec"] == pytest.approx(frames * 256 / 22050)
    assert 0 < figures["latency_50%"] <= figures["latency_90%"] <= figures["latency_95%"] <= figures["latency_99%"]
    assert figures["latency_avg"] <= 10 * figures["latency_99%"]
    # Twenty measurements cover all frames five times, without padding.
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
    assert seen == 4 * SORTED_BATCHES  # nothing else is in memory
