"""A voice in place of models, one text on the command line, and one wav file as output."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import inference
from tests.support.data_sets import speechlike
from tests.support.inference import refused
from tests.support.models import make_voice
from tests.support.paths import REPOSITORY
from tests.support.programs import wavs
from voice import choose, folder


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("voices") / "pretrained"
    make_voice(root / "kathleen")
    return root


@pytest.fixture(autouse=True)
def voice(pretrained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The default voice."""
    for module in (folder, choose):
        monkeypatch.setattr(module, "PRETRAINED", pretrained)
    return pretrained / "kathleen"


def clips(root: Path, *names: str) -> Path:
    root.mkdir()
    for number, name in enumerate(names):
        soundfile.write(root / name, speechlike(0.2, seed=number), 22050)
    return root


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_one_text_becomes_one_file(voice: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "new" / "hello.wav"
    assert inference.main(["--text", "Hello world.", "-o", str(target)]) == 0
    output = capsys.readouterr().out
    assert output.startswith("voice: kathleen (pretrained/kathleen); --voice NAME|DIR takes another, ")
    assert f"-> {target}" in output
    assert files(tmp_path) == ["new/hello.wav"]
    # The same models and text in the long form give the same file.
    (tmp_path / "p.txt").write_text("hello|Hello world.\n")
    models = ["--hifigan", str(voice / "hifigan.safetensors"), "--fastpitch", str(voice / "fastpitch.safetensors")]
    inference.main([*models, "-i", str(tmp_path / "p.txt"), "-o", str(tmp_path / "out")])
    assert "voice:" not in capsys.readouterr().out
    assert (tmp_path / "out" / "hello.wav").read_bytes() == target.read_bytes()
    # It is written again whatever is there, and the pace has an effect.
    inference.main(["--text", "Hello world.", "-o", str(target), "--pace", "0.5"])
    assert len(target.read_bytes()) > 1.5 * len((tmp_path / "out" / "hello.wav").read_bytes())


def test_each_kind_of_input_is_served_by_a_voice(
    voice: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    originals = clips(tmp_path / "clips", "a.wav", "b.flac")
    (tmp_path / "p.txt").write_text("One.\nTwo.\n")
    for source, names, more in (
        (tmp_path / "p.txt", ["audio_1", "audio_2"], []),
        (originals, ["a", "b"], []),
        (dataset / "phrases.tsv", ["a", "c", "d", "e", "f", "sub/b"], ["-d", dataset]),
    ):
        output = tmp_path / f"out of {source.stem}"
        inference.main(["--voice", str(voice), "-i", str(source), "-o", str(output), *map(str, more)])
        assert capsys.readouterr().out.startswith(f"voice: {voice} ({Path('pretrained') / 'kathleen'}); --voice ")
        made = wavs(output)
        assert sorted(made) == names
        assert all(np.abs(wav).max() > 0.001 for wav in made.values())
        assert {"synthesis.json", "nvlog_infer.json"} <= set(files(output))


def test_one_clip_becomes_one_file(tmp_path: Path) -> None:
    source = clips(tmp_path / "clips", "a.wav") / "a.wav"
    for number, words in enumerate((["-i", str(source)], ["-i", str(source), "--stream"], ["-i", str(source.parent)])):
        target = tmp_path / f"{number}.WAV"
        assert inference.main([*words, "-o", str(target), "--log-file", str(tmp_path / "log.json")]) == 0
        assert soundfile.info(target).frames == soundfile.info(source).frames
    assert files(tmp_path) == ["0.WAV", "1.WAV", "2.WAV", "clips/a.wav", "log.json"]


def test_a_folder_called_like_a_file_stays_a_folder(tmp_path: Path) -> None:
    (tmp_path / "old.wav").mkdir()
    inference.main(["--text", "Hello.", "-o", str(tmp_path / "old.wav")])
    assert {"audio_1.wav", "synthesis.json"} <= set(files(tmp_path / "old.wav"))


@pytest.mark.medium
def test_one_text_can_be_streamed(voice: Path, tmp_path: Path) -> None:
    (tmp_path / "kathleen").mkdir()
    shutil.copytree(voice, tmp_path / "kathleen", dirs_exist_ok=True)
    words = ["--voice", str(tmp_path / "kathleen"), "--text", "Hello world.", "-o"]
    command = [sys.executable, str(REPOSITORY / "inference.py"), *words]
    done = subprocess.run([*command, "-", "--stream"], cwd=tmp_path, capture_output=True, env=os.environ)
    assert done.returncode == 0, done.stderr.decode()
    assert b"voice: " in done.stderr
    inference.main([*words, str(tmp_path / "a.wav"), "--stream"])
    samples, _ = soundfile.read(tmp_path / "a.wav", dtype="int16")
    streamed = np.frombuffer(done.stdout, "<i2")
    assert len(streamed) == len(samples) > 1000
    assert np.abs(streamed.astype(int) - samples).max() <= 1  # another number of threads rounds differently


def test_contradictions(voice: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    originals = clips(tmp_path / "clips", "a.wav", "b.wav")
    source = str(originals / "a.wav")
    wav, text = str(tmp_path / "x.wav"), ["--text", "Hello."]
    for words, message in (
        ([*text, "-o", wav, "--voice", "kathleen", "--hifigan", "g.pt"], "--voice: is in place of --hifigan"),
        ([*text, "-o", wav, "-i", source], "--text: is in place of -i"),
        ([*text, "-o", wav, "--hifigan", str(voice / "hifigan.safetensors")], "--text: with --hifigan, needs --fastp"),
        ([*text, "-o", wav, "--save-mels"], f"--save-mels: needs a folder; -o {wav} is one file"),
        ([*text, "-o", wav, "-d", "elsewhere"], "--dataset-path: has no effect with --text"),
        ([*text, "-o", wav, "--overwrite"], f"--overwrite: has no effect with -o {wav}"),
        ([*text, "-o", str(tmp_path / "x.mp3")], "x.mp3: only wav files are written"),
        ([*text, "-o", str(tmp_path / "x.flac")], "x.flac: only wav files are written"),
        ([*text, "-o", "-"], "-o -: samples go to stdout as they are made, so add --stream"),
        (text, "-o: is required"),
        (["-o", wav], "-i: is required, or --text"),
        ([*text, "-o", wav, "--mel-framing", "tacotron"], "--mel-framing: has no effect on texts"),
        (["--text", "~", "-o", wav], "--text: nothing can be spoken of the text '~'"),
        (["-i", str(originals), "-o", wav], f"-o: {wav} is one file, but {originals} makes 2 outputs; give a folder"),
        (["-i", str(originals), "-o", str(originals / "c.wav")], "lies in the folder of the originals"),
        (["-i", source, "-o", source], f"-o: {source} is the original, which would be overwritten; give another name"),
        (["-i", source, "-o", wav, "--pace", "2"], f"--pace: has no effect without texts, and {source} has none"),
    ):
        assert message in refused(words, capsys)
    assert files(tmp_path) == ["clips/a.wav", "clips/b.wav"]


def test_damaged_voices(voice: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hifigan, fastpitch = ((voice / f"{name}.safetensors").read_bytes() for name in ("hifigan", "fastpitch"))
    broken = tmp_path / "ann"
    broken.mkdir()
    for first, second, message in (
        (hifigan[:-1], fastpitch, "hifigan.safetensors: not a safetensors file, or damaged ("),
        (hifigan, fastpitch[: len(fastpitch) // 2], "fastpitch.safetensors: not a safetensors file, or damaged ("),
        (b"", fastpitch, "hifigan.safetensors: not a safetensors file, or damaged ("),
        (hifigan, hifigan, "fastpitch.safetensors: not a FastPitch checkpoint"),
        (fastpitch, fastpitch, "hifigan.safetensors: not a HiFi-GAN generator"),
        (hifigan.replace(b"conv_pre.bias", b"conv_pre.bios"), fastpitch, "hifigan.safetensors: damaged, or changed by"),
        (hifigan.replace(b"[8, 8, 4]", b"[8, 8, 2]", 1), fastpitch, "hifigan.safetensors: "),
        (hifigan, fastpitch.replace(b"english_basic", b"elvish__basic"), "fastpitch.safetensors: "),
    ):
        (broken / "hifigan.safetensors").write_bytes(first)
        (broken / "fastpitch.safetensors").write_bytes(second)
        assert (first, second) != (hifigan, fastpitch)
        words = ["--voice", str(broken), "--text", "Hello.", "-o", str(tmp_path / "x.wav")]
        assert str(broken / message) in refused(words, capsys)
    assert not (tmp_path / "x.wav").exists()
