"""Packed voices agree with their checkpoints, describe themselves, and can be trained further."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

import train
from common import mel_contract
from common.files.checkpoints import read_file
from fastpitch import load_fastpitch
from fastpitch.training.flags import parse_train_config as parse_fastpitch
from hifigan import load_generator
from tests.support.data_sets import write_data_set
from tests.support.models import TINY, make_checkpoint, make_fastpitch
from tests.support.programs import one_line_of_error, train_arguments
from voice import pack
from voice.pack import main


def checkpoints(folder: Path) -> list[str]:
    def averaged(content: dict) -> None:
        content["gen_ema"] = {name: value * 1.01 for name, value in content["generator"].items()}
        content["train_state"] = {"epoch": 12}

    def averaged_speech(content: dict) -> None:
        content["ema_state_dict"] = {name: value * 1.01 for name, value in content["state_dict"].items()}
        content["epoch"] = 34

    generator = make_checkpoint(folder / "g.pt", averaged, note="kept")
    return ["--hifigan", str(generator), "--fastpitch", str(make_fastpitch(folder / "f.pt", averaged_speech))]


def test_a_voice_agrees_with_its_checkpoints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = checkpoints(tmp_path)
    voice = tmp_path / "ann"
    assert main([*words, "--fastpitch-ema", "-o", str(voice)]) == 0
    assert f"inference.py --voice {voice} speaks with it" in capsys.readouterr().out
    assert sorted(path.name for path in voice.iterdir()) == [
        "README.md",
        "fastpitch.safetensors",
        "hifigan.safetensors",
    ]

    wanted, _ = load_generator(words[1])
    generator, info = load_generator(voice / "hifigan.safetensors")
    assert (info.epoch, info.train_setup["note"], generator.config) == (12, "kept", wanted.config)
    mel = torch.randn(1, 80, 20) - 5
    with torch.no_grad():
        made, exact = generator(mel), wanted(mel)
    assert 0 < (made - exact).abs().max() < 0.01 * exact.abs().max()

    wanted_model, before = load_fastpitch(words[3], ema=True)
    model, after = load_fastpitch(voice / "fastpitch.safetensors")
    assert (after.epoch, after.has_aligner, after.config) == (34, before.has_aligner, before.config)
    assert (after.audio, after.train_setup["text_cleaners"]) == (before.audio, ["english_cleaners_v2"])
    for (name, value), exact in zip(model.state_dict().items(), wanted_model.state_dict().values(), strict=True):
        assert torch.allclose(value, exact, rtol=2**-11, atol=2**-25), name
    assert model.pitch_mean == wanted_model.pitch_mean  # statistics and frequencies stay in fp32

    again = tmp_path / "again"
    main([*words, "--fastpitch-ema", "-o", str(again)])
    for file in ("hifigan.safetensors", "fastpitch.safetensors"):
        assert (again / file).read_bytes() == (voice / file).read_bytes()


def test_moving_average_precision_and_card(tmp_path: Path) -> None:
    words = checkpoints(tmp_path)
    card = tmp_path / "card.md"
    card.write_text("# Ann\n")
    main([*words, "--hifigan-ema", "--precision", "fp32", "--card", str(card), "-o", str(tmp_path / "ann")])
    wanted = load_generator(words[1], ema=True)[0].state_dict()
    made = load_generator(tmp_path / "ann" / "hifigan.safetensors")[0].state_dict()
    assert all(torch.allclose(made[name], value, rtol=1e-6, atol=0) for name, value in wanted.items())
    assert (tmp_path / "ann" / "README.md").read_text() == "# Ann\n"
    provenance = read_file(tmp_path / "ann" / "hifigan.safetensors")["provenance"]
    assert (provenance["moving_average"], provenance["epoch"], len(provenance["checkpoint_sha256"])) == (True, 12, 12)


def test_the_generator_can_be_averaged_with_its_base(tmp_path: Path) -> None:
    words = checkpoints(tmp_path)

    def other(content: dict) -> None:
        content["generator"] = {name: value * 0.9 for name, value in content["generator"].items()}

    base = make_checkpoint(tmp_path / "base.pt", other)
    voice = tmp_path / "ann"
    main([*words, "--hifigan-base", str(base), "--base-share", "0.25", "--precision", "fp32", "-o", str(voice)])
    tuned, first, made = (
        load_generator(path)[0].state_dict() for path in (words[1], base, voice / "hifigan.safetensors")
    )
    assert any(not torch.equal(tuned[name], value) for name, value in first.items())
    for name, value in made.items():
        assert torch.allclose(value, 0.75 * tuned[name] + 0.25 * first[name], rtol=1e-5, atol=1e-7), name
    provenance = read_file(voice / "hifigan.safetensors")["provenance"]
    assert (provenance["base_share"], len(provenance["base_sha256"])) == (0.25, 12)


def test_a_base_that_cannot_be_averaged_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*checkpoints(tmp_path), "-o", str(tmp_path / "ann")]
    wider = dataclasses.replace(TINY, upsample_initial_channel=2 * TINY.upsample_initial_channel)
    words += ["--hifigan-base", str(make_checkpoint(tmp_path / "other.pt", config=wider))]
    error = one_line_of_error(main, words, capsys)
    assert "other.pt: the given generator configuration contradicts the checkpoint's own" in error
    error = one_line_of_error(main, [*words, "--base-share", "1.5"], capsys)
    assert "--base-share: 1.5 is not between 0 and 1" in error
    assert not (tmp_path / "ann").exists()


def test_mel_contract_reads_the_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = checkpoints(tmp_path)
    main([*words, "-o", str(tmp_path / "ann")])
    capsys.readouterr()
    for checkpoint, file in ((words[1], "hifigan"), (words[3], "fastpitch")):
        assert mel_contract.main(["check", checkpoint, str(tmp_path / "ann" / f"{file}.safetensors")]) == 0
    assert "the same mel contract" in capsys.readouterr().out
    found = mel_contract.read_contract(tmp_path / "ann" / "hifigan.safetensors")
    assert found.assumed == ()
    assert found.audio.framing == "vocoder"


@pytest.mark.medium
def test_training_starts_from_the_files(tmp_path: Path) -> None:
    voice = tmp_path / "ann"
    main([*checkpoints(tmp_path), "-o", str(voice)])
    write_data_set(tmp_path / "data", [0.3, 0.3, 0.3])
    words = train_arguments(
        tmp_path / "data", tmp_path / "out", checkpoint_path_gen=voice / "hifigan.safetensors", warmup_steps=999
    )
    train.main([*words, "--discriminator-width", "0.125"])
    start = load_generator(voice / "hifigan.safetensors")[0].state_dict()
    trained = load_generator(tmp_path / "out" / "hifigan_gen_checkpoint_1.pt")[0].state_dict()
    assert all(torch.allclose(trained[name], value, atol=1e-3) for name, value in start.items())
    assert any(not torch.equal(trained[name], value) for name, value in start.items())

    fastpitch = str(voice / "fastpitch.safetensors")
    cfg = parse_fastpitch(["--training-files", "a", "--validation-files", "b", "--checkpoint-path", fastpitch])
    assert cfg.model == load_fastpitch(fastpitch)[1].config


def test_checkpoints_that_cannot_be_packed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = checkpoints(tmp_path)
    other = str(make_checkpoint(tmp_path / "other.pt", sampling_rate=16000))

    def broken(content: dict) -> None:
        content["generator"]["conv_post.weight_v"][:] = float("nan")

    nan = str(make_checkpoint(tmp_path / "nan.pt", broken))
    output = ["-o", str(tmp_path / "ann")]
    for argv, message in (
        (words, "-o: is required"),
        ([*words[:2], *output], "--fastpitch: is required"),
        ([*words, "--card", "none.md", *output], "--card: none.md: no such file"),
        (["--hifigan", other, *words[2:], *output], "do not fit together: sampling_rate"),
        ([*words[2:], "--hifigan", words[3], *output], "f.pt: not a HiFi-GAN generator"),
        (["--hifigan", nan, *words[2:], *output], "conv_post.weight: has a value that fp16 cannot hold"),
        (["--hifigan", nan, *words[2:], *output, "--precision", "fp32"], "conv_post.weight differs from the checkp"),
    ):
        assert message in one_line_of_error(main, argv, capsys)
    assert not list((tmp_path / "ann").glob("*")) if (tmp_path / "ann").exists() else True


def test_a_file_that_reads_otherwise_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison after writing is what guards the voice."""
    monkeypatch.setattr(
        pack, "in_half_precision", lambda tensors: {name: value * 1.01 for name, value in tensors.items()}
    )
    with pytest.raises(ValueError, match=r"hifigan\.safetensors: .* differs from the checkpoint after writing"):
        main([*checkpoints(tmp_path), "-o", str(tmp_path / "ann")])
    assert not (tmp_path / "ann").exists()


def test_a_gain_raises_all_mels_of_the_speech(tmp_path: Path) -> None:
    words = checkpoints(tmp_path)
    for gain in ("0", "9.5"):
        assert main([*words, "--precision", "fp32", "--speech-gain-db", gain, "-o", str(tmp_path / gain)]) == 0
    ids = torch.arange(1, 9)[None]
    with torch.no_grad():
        plain, raised = (load_fastpitch(tmp_path / gain / "fastpitch.safetensors")[0](ids).mel for gain in ("0", "9.5"))
    assert torch.allclose(raised.exp(), plain.exp() * 10 ** (9.5 / 20), rtol=1e-4)


@pytest.mark.parametrize("gain", ["-61", "nan"])
def test_a_gain_that_cannot_be_meant(tmp_path: Path, capsys: pytest.CaptureFixture[str], gain: str) -> None:
    words = [*checkpoints(tmp_path), "--speech-gain-db", gain, "-o", str(tmp_path / "ann")]
    assert "--speech-gain-db" in one_line_of_error(main, words, capsys)
