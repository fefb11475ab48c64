"""Command lines of a voice's training: understood by the programs, with the settings of the shipped voice."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from common.cli import ArgumentParser, add_flags, from_flags
from common.errors import InputError
from common.training.best import Best
from fastpitch.training.extract_flags import ExtractConfig
from fastpitch.training.flags import parse_train_config as parse_fastpitch
from hifigan.discriminators import build_discriminators
from hifigan.training.flags import parse_train_config as parse_vocoder
from tests.support.models import TINY_FASTPITCH, make_checkpoint, make_fastpitch
from voice.folder import find_voice
from voice.pack_flags import PackConfig
from voice.training import commands
from voice.training.commands import VoicePaths, override
from voice.training.flags import VoiceTrainingConfig
from voice.training.settings import choose

CLIPS = 1376  # for training, as of the shipped voice


@pytest.fixture
def cfg(tmp_path: Path) -> VoiceTrainingConfig:
    base, speech = make_checkpoint(tmp_path / "base.pt"), make_fastpitch(tmp_path / "speech.pt")
    return VoiceTrainingConfig(output=str(tmp_path / "ann"), vocoder_base=str(base), fastpitch_base=str(speech))


@pytest.fixture
def shipped(cfg: VoiceTrainingConfig) -> VoiceTrainingConfig:
    """As the shipped voice was made: FastPitch from scratch, the vocoder on recordings, then on FastPitch's mels."""
    changes = {"fastpitch_base": "scratch", "vocoder_epochs": 40, "fine_tuning_epochs": 10}
    return choose(dataclasses.replace(cfg, **changes), CLIPS)  # type: ignore[arg-type]


@pytest.fixture
def paths(cfg: VoiceTrainingConfig, tmp_path: Path) -> VoicePaths:
    return VoicePaths.find(str(tmp_path / "set"), cfg)


def write_best(folder: Path, epoch: int, name: str) -> None:
    """Record the best epoch of a training, as `common.training.best` does."""
    Best(epoch, "mel_loss", 0.5).write(folder / name)


def parse_extraction(words: Sequence[str]) -> ExtractConfig:
    parser = ArgumentParser("fastpitch.extract_mels")
    add_flags(parser, ExtractConfig, "extraction")
    return from_flags(ExtractConfig, vars(parser.parse_args(words)))


def test_vocoder_as_shipped(shipped: VoiceTrainingConfig, paths: VoicePaths) -> None:
    command = commands.vocoder_command(paths, shipped)
    assert command[0] == "train.py"
    found = parse_vocoder(command[1:])
    assert found.run.checkpoint_path_gen == str(paths.base)
    assert (found.run.discriminator_width, found.run.epochs, found.run.seed) == (0.125, 40, 1234)
    assert (found.run.checkpoint_interval, found.run.validation_interval, found.run.cuda) == (1, 2, False)
    assert (found.optim.batch_size, found.optim.warmup_steps, found.optim.ema) == (4, 500, 0.999)
    assert (found.optim.learning_rate, found.optim.learning_rate_decay) == (3e-4, 0.93)
    assert (found.data.num_workers, found.data.dataset_cache, found.data.segment_size) == (0, "ram", 8192)
    assert found.data.training_files == (f"{paths.work}/lists/voice_audio_train.txt",)
    assert found.run.output == f"{paths.work}/vocoder"
    v2 = commands.vocoder_command(paths, dataclasses.replace(shipped, vocoder_config="v2"))
    assert v2[v2.index("--hifigan-config") + 1] == "v2"
    scratch = dataclasses.replace(paths, base=None)
    assert "--checkpoint-path-gen" not in commands.vocoder_command(scratch, shipped)


def test_fastpitch_as_shipped(shipped: VoiceTrainingConfig, tmp_path: Path) -> None:
    paths = VoicePaths.find(str(tmp_path / "set"), shipped)
    command = commands.fastpitch_command(paths, shipped)
    assert command[:2] == ["-m", "fastpitch.train"]
    found = parse_fastpitch(command[2:])
    optim = found.optim
    assert (optim.optimizer, optim.learning_rate, optim.warmup_steps) == ("adamw", 0.03, 400)
    assert (optim.batch_size, optim.ema, optim.binarization_warmup_epochs) == (16, 0.998, 10)
    assert (found.run.epochs, found.run.checkpoint_path, found.run.seed) == (80, "", 1234)
    assert (found.data.num_workers, found.data.dataset_cache) == (0, "ram")
    model = found.model
    assert (model.symbols_embedding_dim, model.in_fft_n_layers, model.out_fft_n_layers) == (128, 3, 3)
    assert (model.in_fft_n_heads, model.in_fft_d_head, model.in_fft_conv1d_filter_size) == (2, 32, 512)
    assert (model.p_in_fft_dropatt, model.dur_predictor_filter_size) == (0.0, 128)
    recipe = commands.fastpitch_command(paths, dataclasses.replace(shipped, fastpitch_config="recipe"))
    assert parse_fastpitch(recipe[2:]).model.symbols_embedding_dim == 384


def test_both_models_start_from_the_base(cfg: VoiceTrainingConfig, paths: VoicePaths) -> None:
    """FastPitch has the base's architecture, and the vocoder learns recordings and FastPitch's mels at once."""
    chosen = choose(cfg, 50)
    found = parse_fastpitch(commands.fastpitch_command(paths, chosen)[2:])
    assert found.run.checkpoint_path == str(paths.fastpitch_base)
    assert found.model.symbols_embedding_dim == TINY_FASTPITCH.symbols_embedding_dim
    assert found.run.patience == chosen.patience > 0
    tuned = parse_vocoder(commands.fine_tuning_command(paths, chosen)[1:])
    assert (tuned.run.checkpoint_path_gen, tuned.run.checkpoint_path_discrim) == (str(paths.base), "")
    assert tuned.data.input_mels_dir == str(paths.pairs.mels)
    assert (tuned.run.epochs, tuned.run.patience) == (chosen.fine_tuning_epochs, chosen.patience)
    assert (tuned.optim.learning_rate, tuned.optim.warmup_steps) == (3e-4, chosen.vocoder_warmup_steps)


def test_speakers_are_named_also_for_lists_elsewhere(cfg: VoiceTrainingConfig, paths: VoicePaths) -> None:
    paths.lists.mkdir(parents=True)
    paths.speakers.write_text('{"anna": 0, "ben": 1, "carl": 2, "dora": 3}')
    words = override(commands.fastpitch_command(paths, choose(cfg, 50)), training_files=paths.work / "trial.txt")
    found = parse_fastpitch(words[2:])
    assert found.speakers == {"anna": 0, "ben": 1, "carl": 2, "dora": 3}
    assert found.model.n_speakers == 4


def test_epochs_of_the_base_are_counted_on(cfg: VoiceTrainingConfig, paths: VoicePaths) -> None:
    """`train.py` continues the count of the base's epochs in fine-tuning, also for the decay of the rate."""

    def after_seven_epochs(content: dict) -> None:
        content["train_state"] = {"epoch": 7, "epoch_clips": 0, "steps": 70}

    assert paths.base is not None
    make_checkpoint(paths.base, after_seven_epochs)
    chosen = dataclasses.replace(choose(cfg, 50), vocoder_learning_rate_decay=0.9, fine_tuning_epochs=5)
    found = parse_vocoder(commands.fine_tuning_command(paths, chosen)[1:])
    assert found.run.epochs == 12
    assert found.optim.learning_rate_at(7, 10**6) == pytest.approx(3e-4, rel=1e-5)


def test_gpus_get_full_discriminators_and_larger_batches(cfg: VoiceTrainingConfig, paths: VoicePaths) -> None:
    command = commands.vocoder_command(paths, choose(dataclasses.replace(cfg, num_gpus=2), CLIPS))
    assert command[:5] == ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    assert command[5] == "train.py"
    found = parse_vocoder(command[6:])
    assert (found.run.discriminator_width, found.optim.batch_size, found.run.cuda) == (1.0, 16, True)
    speech = commands.fastpitch_command(paths, choose(dataclasses.replace(cfg, num_gpus=1), CLIPS))
    assert speech[0] == "-m"
    assert parse_fastpitch(speech[2:]).run.cuda


def test_an_overridden_flag_counts(shipped: VoiceTrainingConfig, paths: VoicePaths) -> None:
    changed = override(commands.vocoder_command(paths, shipped), epochs=1, training_files="few.txt")
    found = parse_vocoder(changed[1:])
    assert (found.run.epochs, found.data.training_files) == (1, ("few.txt",))


def test_packing_takes_the_averages_of_the_best_epochs(shipped: VoiceTrainingConfig, paths: VoicePaths) -> None:
    for folder, name, best in (
        (paths.vocoder, "hifigan_gen_checkpoint_{}.pt", 39),
        (paths.fine_tuning, "hifigan_gen_checkpoint_{}.pt", 47),
        (paths.fastpitch, "FastPitch_checkpoint_{}.pt", 64),
    ):
        folder.mkdir(parents=True)
        for epoch in (best, 80):
            torch.save({}, folder / name.format(epoch))
        write_best(folder, best, name.format(best))
    paths.levels.write_text('{"gain_db": 9.5}')
    words = commands.pack_command(paths, shipped)
    assert words[words.index("--speech-gain-db") + 1] == "9.5"
    assert words[words.index("--hifigan") + 1] == str(paths.fine_tuning / "hifigan_gen_checkpoint_47.pt")
    untuned = commands.pack_command(paths, dataclasses.replace(shipped, fine_tuning_epochs=0))
    assert untuned[untuned.index("--hifigan") + 1] == str(paths.vocoder / "hifigan_gen_checkpoint_39.pt")
    assert words[words.index("--fastpitch") + 1] == str(paths.fastpitch / "FastPitch_checkpoint_64.pt")
    assert {"--hifigan-ema", "--fastpitch-ema"} <= set(words)
    assert {word[2:].replace("-", "_") for word in words if word.startswith("--")} <= {
        field.name for field in dataclasses.fields(PackConfig)
    }
    assert (words[words.index("--hifigan-base") + 1], words[words.index("--base-share") + 1]) == (
        str(paths.base),
        "0.15",
    )
    assert "--hifigan-base" not in commands.pack_command(paths, dataclasses.replace(shipped, base_share=0.0))
    without = commands.pack_command(paths, dataclasses.replace(shipped, vocoder_ema=0.0, fastpitch_ema=0.0))
    assert not {"--hifigan-ema", "--fastpitch-ema"} & set(without)
    neither = commands.pack_command(paths, dataclasses.replace(shipped, vocoder_epochs=0, fine_tuning_epochs=0))
    assert neither[neither.index("--hifigan") + 1] == str(paths.base)
    assert not {"--hifigan-ema", "--hifigan-base"} & set(neither)


def test_fine_tuning_continues_the_vocoder_on_pairs(shipped: VoiceTrainingConfig, paths: VoicePaths) -> None:
    for folder in (paths.vocoder, paths.fastpitch):
        folder.mkdir(parents=True)
    with pytest.raises(InputError, match=r"vocoder: no best\.json"):
        commands.fine_tuning_command(paths, shipped)
    make_checkpoint(paths.vocoder / "hifigan_gen_checkpoint_38.pt")
    write_best(paths.vocoder, 38, "hifigan_gen_checkpoint_38.pt")
    judges = build_discriminators(width=0.125)
    discriminators = {name: judge.state_dict() for name, judge in judges.items()}
    torch.save(discriminators, paths.vocoder / "hifigan_discrim_checkpoint_38.pt")
    torch.save({}, paths.fastpitch / "FastPitch_checkpoint_80.pt")
    write_best(paths.fastpitch, 80, "FastPitch_checkpoint_80.pt")
    extraction = parse_extraction(commands.predicted_command(paths, shipped)[2:])
    assert extraction.fastpitch == str(paths.fastpitch / "FastPitch_checkpoint_80.pt")
    assert (extraction.ema, extraction.output) == (True, str(paths.predicted))
    assert extraction.filelists == (str(paths.speech_list("train")), str(paths.speech_list("val")))
    found = parse_vocoder(commands.fine_tuning_command(paths, shipped)[1:])
    assert found.data.input_mels_dir == str(paths.pairs.mels)
    assert found.run.checkpoint_path_gen == str(paths.vocoder / "hifigan_gen_checkpoint_38.pt")
    assert found.run.checkpoint_path_discrim == str(paths.vocoder / "hifigan_discrim_checkpoint_38.pt")
    assert (found.run.epochs, found.optim.warmup_steps) == (48, 0)
    # The first epoch has the rate of epoch 0 after 38 decays.
    assert found.optim.learning_rate * found.optim.learning_rate_decay**38 == pytest.approx(1e-4, rel=1e-5)
    assert (found.run.discriminator_width, found.optim.ema) == (0.125, 0.999)
    stages = ["pitch", "fastpitch", "vocoder", "predicted", "fine-tuning"]
    assert [*commands.training_commands(paths, shipped)] == stages


def test_paths(cfg: VoiceTrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs run in the repository, so paths are absolute. The work lies beside the voice."""
    monkeypatch.chdir(tmp_path)
    found = VoicePaths.find("set", VoiceTrainingConfig(output="voices/ann", vocoder_base="hifigan-lj-v2"))
    assert (found.dataset, found.voice.folder) == (tmp_path / "set", tmp_path / "voices" / "ann")
    assert found.work == tmp_path / "voices" / "ann-training"
    assert found.base is not None
    assert (found.base.parent.name, found.base.name) == ("hifigan-lj-v2", "generator_v2")
    assert found.fastpitch_base == find_voice("kathleen").fastpitch
    scratch = VoiceTrainingConfig(output="ann", vocoder_base="scratch", vocoder_epochs=1, fastpitch_base="scratch")
    bases = VoicePaths.find("set", scratch)
    assert (bases.base, bases.fastpitch_base) == (None, None)
    other = VoicePaths.find("set", VoiceTrainingConfig(output="voices/ann", work="elsewhere"))
    assert other.work == tmp_path / "elsewhere"
