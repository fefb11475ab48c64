"""`inference.py --fastpitch` with small models: waveforms, pitch, pieces, saved mels, and figures."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import inference
from common.audio import AudioConfig
from common.data.mel_files import check_mel_config, read_mel
from fastpitch.pitch_transform import PitchTransform
from fastpitch.synthesis.synthesiser import Synthesiser
from hifigan.synthesis.vocoder import Vocoder
from tests.support.models import make_checkpoint, make_fastpitch
from tests.support.paths import REPOSITORY
from tests.support.programs import summary, wavs
from tests.support.speech import LETTERS, TEXTS, close, expected, lines, speak, words

ONE_STEP = 1 / 32768


def test_batches_speak_what_each_text_gives_alone(models: tuple[Path, Path], tmp_path: Path) -> None:
    alone = {name: expected(models, text)[0] for name, text in TEXTS.items()}
    for more in (["-bs", 1], ["-bs", 3], ["-bs", 4, "--torchscript"]):
        made = speak(models, lines(), tmp_path, *more)
        assert made.keys() == TEXTS.keys()
        for name, wav in made.items():
            close(wav, alone[name])


def test_pitch_pace_and_voice(models: tuple[Path, Path], tmp_path: Path) -> None:
    flags = ["--pace", 0.8, "--speaker", 2, "--pitch-transform-invert", "--pitch-transform-amplify", 1.5]
    flags += ["--pitch_transform_shift", "-20", "--pitch-transform-custom", "max(pitch, mean - std)"]
    transform = PitchTransform(False, True, 1.5, -20.0, "max(pitch, mean - std)")
    for more in ([], ["--torchscript"]):
        made = speak(models, lines(), tmp_path, *flags, *more)
        for name, text in TEXTS.items():
            close(made[name], expected(models, text, transform, 0.8, 2)[0])
    flat = speak(models, lines(), tmp_path, "--pitch-transform-flatten")
    close(flat["b"], expected(models, TEXTS["b"], PitchTransform(flatten=True))[0])
    plain = expected(models, TEXTS["b"])[0]
    assert len(made["b"]) != len(plain)
    assert np.abs(flat["b"] - plain).max() > 1e-3


@pytest.mark.parametrize("more", [[], ["--torchscript"]])
def test_voices_and_pitch_files_in_one_batch(models: tuple[Path, Path], tmp_path: Path, more: list[str]) -> None:
    text = TEXTS["b"]
    hz = 180 + 40 * torch.rand(len(LETTERS.encode(text)), generator=torch.Generator().manual_seed(0))
    hz[3:6] = 0
    np.save(tmp_path / "one.npy", hz.numpy())
    torch.save(hz[None] / 2, tmp_path / "two.pt")
    table = (
        "speaker\ttext\toutput\tpitch\n"
        f"2\t{text}\ta\tone.npy\n"
        f"\t{text}\tb\t\n"
        f"0\t{text}\tc\ttwo.pt\n"
        f"2\tAnother one, which is longer.\td\t\n"
        f"1\t{text}\te\tone.npy\n"
    )
    shift = PitchTransform(shift_hz=10)
    flags = ["--speaker", 1, "-d", tmp_path, "--pitch-transform-shift", 10, *more]
    made = speak(models, table, tmp_path, *flags, "-bs", 5)
    one, two = (torch.where(hz > 0, (values - 200) / 50, 0)[None, None] for values in (hz, hz / 2))
    close(made["a"], expected(models, text, shift, speaker=2, pitch=one)[0])
    close(made["b"], expected(models, text, shift, speaker=1)[0])
    close(made["c"], expected(models, text, shift, speaker=0, pitch=two)[0])
    close(made["d"], expected(models, "Another one, which is longer.", shift, speaker=2)[0])
    close(made["e"], expected(models, text, shift, speaker=1, pitch=one)[0])
    assert np.abs(made["e"] - made["b"]).max() > 1e-3


def test_the_text_column_is_spoken_and_the_mel_ignored(models: tuple[Path, Path], tmp_path: Path) -> None:
    made = speak(models, "mel\toutput\ttext\nabsent.pt\tx\tHello there, Dr. Fox!\n", tmp_path)
    assert list(made) == ["x"]
    close(made["x"], expected(models, TEXTS["b"])[0])


def test_plain_lines_are_numbered_in_order(models: tuple[Path, Path], tmp_path: Path) -> None:
    made = speak(models, "No.\nHello there, Dr. Fox!\nWhy?\n", tmp_path, "-bs", 2)
    for name, text in (("audio_1", "No."), ("audio_2", TEXTS["b"]), ("audio_3", "Why?")):
        close(made[name], expected(models, text)[0])


LONG = "Here is one sentence. Mr. Hall, who was late, had another! And {DH IH1 S} is the third one, the last."


def test_long_texts_are_spoken_in_pieces(models: tuple[Path, Path], tmp_path: Path) -> None:
    pieces = ["Here is one sentence.", "Mr. Hall, who was late, had another!"]
    pieces += ["And {DH IH1 S} is the third one,", "the last."]
    content = lines({"first": "No.", "long": LONG, "last": "Why?"})
    made = speak(models, content, tmp_path, "--split-longer-than", 36, "-bs", 2, "--save-mels")
    assert made.keys() == {"first", "long", "last"}
    close(made["first"], expected(models, "No.")[0])
    close(made["last"], expected(models, "Why?")[0])
    pause, fade = 13 * 256, 220
    place = 0
    for i, piece in enumerate(pieces):
        wav, output = expected(models, piece)
        part = made["long"][place : place + len(wav)]
        # Ends next to a pause fade. The rest is the piece's own output.
        inner = slice(fade if i else 0, len(wav) - fade if i < 3 else None)
        close(part[inner], wav[inner])
        saved = np.load(tmp_path / "out0" / "long.npy")[:, place // 256 :]
        assert np.abs(saved[:, : output.mel.size(2)] - output.mel[0].numpy()).max() < 1e-4
        place += len(wav)
        if i < 3:
            assert not made["long"][place : place + pause].any()
            joint = np.abs(np.diff(made["long"][place - fade : place + pause + fade])).max()
            assert joint <= np.abs(np.diff(wav)).max()
            # At the joint itself the signal steps into the pause by less than any step of a voice.
            assert abs(made["long"][place - 1]) < 2e-3
            place += pause
    assert place == len(made["long"])
    assert summary(tmp_path / "out0")["utterances"] == 3


def test_five_thousand_words(models: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    original = Synthesiser.__call__

    def counted(self: Synthesiser, pieces: list) -> list:
        sizes.append(max(len(piece.ids) for piece in pieces) * len(pieces))
        return original(self, pieces)

    monkeypatch.setattr(Synthesiser, "__call__", counted)
    text = "Now it was said, and heard by many, that all of this went on and on. " * 312  # 4992 words
    made = speak(models, f"{text}and so it did to the end\n", tmp_path, "--pace", 4)
    assert len(sizes) == 13  # 312 sentences, three in a piece, 8 pieces in a batch
    assert max(sizes) <= 8 * 250
    assert len(made["audio_1"]) > 50 * 22050


def test_saved_mels_can_be_vocoded(models: tuple[Path, Path], tmp_path: Path) -> None:
    made = speak(models, lines(), tmp_path, "--save-mels")
    output = tmp_path / "out0"
    saved = {path.relative_to(output).with_suffix("").as_posix(): path for path in output.rglob("*.npy")}
    assert saved.keys() == TEXTS.keys()
    for name, path in saved.items():
        assert np.load(path).dtype == np.float32
        mel = read_mel(path, 80)
        assert torch.allclose(mel, expected(models, TEXTS[name])[1].mel[0], atol=1e-4)
    assert check_mel_config(saved.values(), output, AudioConfig()) == {"tacotron"}
    (tmp_path / "mels.tsv").write_text("mel\toutput\n" + "".join(f"{name}.npy\t{name}\n" for name in saved))
    argv = ["--hifigan", str(models[0]), "-i", str(tmp_path / "mels.tsv"), "-o", str(tmp_path / "again")]
    assert inference.main([*argv, "-d", str(output)]) == 0
    for name, wav in wavs(tmp_path / "again").items():
        # These mels are described as "tacotron"-framed, which moves their audio by half a hop.
        assert len(wav) == len(made[name]) - 256
        assert np.abs(wav - made[name][128:-128]).max() <= ONE_STEP
    # A second run into the same folder succeeds and overwrites nothing.
    assert inference.main(words(models, tmp_path / "phrases.tsv", output, "--save-mels")) == 0


def test_mixed_precision_is_near(models: tuple[Path, Path], tmp_path: Path) -> None:
    speak(models, lines(), tmp_path, "--save-mels")
    speak(models, lines(), tmp_path, "--save-mels", "--amp")
    plain, mixed = (np.load(tmp_path / out / "b.npy") for out in ("out0", "out1"))
    assert abs(plain.shape[1] - mixed.shape[1]) <= 3
    assert not np.array_equal(plain, mixed), "--amp had no effect"
    assert (mixed != torch.from_numpy(mixed).bfloat16().float().numpy()).any(), "the mels are rounded"


def test_measurement(
    models: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = iter(range(10**6))
    # Each stage takes one second.
    monkeypatch.setattr("hifigan.synthesis.run.now_sec", lambda device: float(next(clock)))
    calls: list[tuple[str, int]] = []
    for stage in (Synthesiser, Vocoder):

        def counted(self: object, batch: list, stage: type = stage, original: Callable = stage.__call__) -> list:
            calls.append((stage.__name__[0], len(batch)))
            return original(self, batch)

        monkeypatch.setattr(stage, "__call__", counted)
    made = speak(models, lines(), tmp_path, "-bs", 3, "--repeats", 2, "--warmup-steps", 1)
    sizes = [size for stage, size in calls if stage == "S"]
    assert calls == [(stage, size) for size in sizes for stage in "SV"]
    assert sizes[0] == sizes[1] == sizes[2]  # one run of the first batch to warm up, then two of each
    batch_sizes = sizes[1::2]
    assert sizes[1:] == [size for size in batch_sizes for _ in range(2)]
    assert sum(batch_sizes) == len(made)
    figures = summary(tmp_path / "out0")
    frames = sum(len(wav) for wav in made.values()) / 256
    seconds = 2 * len(batch_sizes)
    assert figures["mel_gen_frames/s"] == pytest.approx(2 * frames / seconds)
    assert figures["hifigan_frames/s"] == pytest.approx(2 * frames / seconds)
    assert figures["hifigan_samples/s"] == pytest.approx(256 * 2 * frames / seconds)
    assert figures["latency_avg"] == figures["latency_99%"] == 2  # from the start of FastPitch to the end of HiFi-GAN
    assert f"mel_gen_frames/s {2 * frames / seconds:.0f} | hifigan_frames/s" in capsys.readouterr().out


def test_random_pronunciations_repeat_whatever_the_batch(tmp_path: Path) -> None:
    (tmp_path / "dictionary").write_text(
        "HELLO  HH AH0 L OW1\nTHERE  DH EH1 R\nLATE  L EY1 T\nAND  AE1 N D\nWE  W IY1\n"
    )
    models = make_checkpoint(tmp_path / "g.pt"), make_fastpitch(tmp_path / "f.pt")
    flags = ["--p-arpabet", 0.5, "--cmudict-path", tmp_path / "dictionary"]
    first = speak(models, lines(), tmp_path, *flags)
    reordered = dict(reversed(TEXTS.items()))
    second = speak(models, lines(reordered), tmp_path, *flags, "-bs", 1)
    for name in TEXTS:
        close(first[name], second[name])
    others = [speak(models, lines(), tmp_path, *flags, "--seed", seed) for seed in (1, 2, 3)]
    assert any(len(other[name]) != len(first[name]) for other in others for name in TEXTS)


@pytest.mark.medium
def test_the_program(models: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("a|Hello 🙂 and ☃ 🙂!\nb|Fine, ☃.\n")

    def program(*more: object) -> subprocess.CompletedProcess[str]:
        argv = words(models, tmp_path / "p.txt", tmp_path / "out", "--torchscript", *more)
        return subprocess.run(
            [sys.executable, REPOSITORY / "inference.py", *argv], capture_output=True, text=True, cwd=REPOSITORY
        )

    done = program("--text-cleaners", "english_cleaners_v2")
    assert done.returncode == 0, done.stderr
    assert re.search(r"2 utterances, \d+\.\d s of audio", done.stdout)
    assert "mel_gen_frames/s" in done.stdout
    # A single warning names the skipped characters.
    assert done.stderr.count("\n") == 1, done.stderr
    assert "are skipped: '🙂' (U+1F642), '☃' (U+2603)" in done.stderr
    assert wavs(tmp_path / "out").keys() == {"a", "b"}
    done = program("--speaker", 9)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "--speaker: speaker '9' is unknown" in done.stderr
