"""Every flag of train.py exists, shows its default, reaches the configuration, and has an effect."""

import ast
import dataclasses
import json
import os
import re
import subprocess
import sys
import typing

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import train
from common import distributed
from common.errors import InputError
from common.files.dllogger_lines import read_json_lines
from hifigan import Generator, discriminators
from hifigan.training.flags import (
    VocoderDataConfig,
    VocoderOptimConfig,
    VocoderRunConfig,
    VocoderSignalFlags,
    parse_train_config,
)
from hifigan.training.state import VocoderTrainState
from tests.support.data_sets import write_data_set
from tests.support.models import TINY, thin_layers
from tests.support.paths import REPOSITORY
from tests.support.programs import train_arguments

# Flags of the specification and the original document, with the default that --help shows.
DOCUMENTED = {
    "amp": "off",
    "batch_size": "16",
    "benchmark_epochs_num": "0",
    "checkpoint_interval": "10",
    "checkpoint_path_discrim": "none",
    "checkpoint_path_gen": "none",
    "concat_fwd": "off",
    "cuda": "off",
    "dataset_path": "data/LJSpeech-1.1",
    "discriminator_width": "1.0",
    "ema": "0.0",
    "epochs": "1000",
    "epochs_this_job": "0",
    "grad_accumulation": "1",
    "grad_clip_thresh": "0.0",
    "hifigan_config": "v1",
    "keep_milestones": "1000 2000 3000 4000 5000 6000 7000 8000 9000 10000",
    "learning_rate": "0.0003",
    "learning_rate_decay": "0.9998",
    "log_file": "none",
    "no_amp_grouped_conv": "off",
    "output": "./output",
    "resume": "on",
    "samples_interval": "100",
    "seed": "1234",
    "training_files": None,  # required
    "validation_files": None,
    "validation_interval": "10",
    "warmup_steps": "0",
}
SHORT = {"output": "-o", "batch_size": "-bs", "learning_rate": "-lr", "dataset_path": "-d"}
PARTS = (VocoderRunConfig, VocoderOptimConfig, VocoderDataConfig, VocoderSignalFlags)
FIELDS = {field.name: field for part in PARTS for field in dataclasses.fields(part)}
HINTS = {name: hint for part in PARTS for name, hint in typing.get_type_hints(part).items()}
REQUIRED = {"training_files": ["a.txt"], "validation_files": ["b.txt"]}
# Valid values of flags that do not accept any other value than the default.
POSSIBLE = {
    "adam_beta1": ["0.5"],
    "adam_beta2": ["0.5"],
    "checkpoint_path_discrim": ["DIR/discrim.pt"],  # DIR: a folder with these files
    "checkpoint_path_gen": ["DIR/gen.pt"],
    "discriminator_width": ["0.25"],
    "ema": ["0.5"],
    "fast": ["off"],
    "filter_length": ["2048"],
    "hifigan_config": ["v3"],
    "hop_length": ["128"],
    "segment_size": ["4096"],
    "win_length": ["512"],
}
BASE = ["--checkpoint-path-gen", "DIR/gen.pt"]
# Flags that another flag needs.
COMPANIONS = {
    "amp_dtype": ["--amp"],
    "checkpoint_path_discrim": BASE,
    "fine_tune_lr_factor": ["--input-mels-dir", "mels", *BASE],
    "hop_length": ["--hifigan-config", "DIR/hop128.json"],
    "input_mels_dir": BASE,
    "input_mels_framing": ["--input-mels-dir", "mels", *BASE],
    "no_amp_grouped_conv": ["--amp"],
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    (folder / "hop128.json").write_text(json.dumps({**TINY.to_dict(), "upsample_rates": [8, 4, 4]}))
    gen = {"generator": Generator(TINY).state_dict(), "config": TINY.to_dict()}
    torch.save(gen, folder / "gen.pt")
    judges = discriminators.build_discriminators(width=0.125)
    torch.save({name: judge.state_dict() for name, judge in judges.items()}, folder / "discrim.pt")
    return folder


def another_value(name):
    """Return the words of a command line for a value other than the default, and that value."""
    field, hint = FIELDS[name], HINTS[name]
    words = POSSIBLE.get(name)
    if hint is bool:
        return [], not field.default
    if hint in (int, float):
        words = words or [str(field.default + 1)]
        return words, hint(words[0])
    if hint == float | None:
        return ["1000.5"], 1000.5
    if hint is str:
        words = words or [field.metadata["choices"][-1] if field.metadata["choices"] else "a_b-c"]
        return words, words[0]
    kind = typing.get_args(hint)[0]
    words = ["7", "8"] if kind is int else ["a_b", "c-d"]
    return words, tuple(map(kind, words))


def value_in(cfg, name):
    if name == "mel_fmax_loss":
        return cfg.mel_fmax_loss
    return next(getattr(part, name) for part in (cfg.run, cfg.optim, cfg.data, cfg.audio) if hasattr(part, name))


@pytest.mark.parametrize("spelling", ["--with-dashes", "--with_underscores", "--with_equals=", "-short"])
@pytest.mark.parametrize("name", FIELDS)
def test_flag_arrives_in_the_configuration(name, spelling, files):
    words, value = another_value(name)
    assert value != FIELDS[name].default
    word = "no_" * (value is False) + name
    flag = "--" + (word.replace("_", "-") if spelling == "--with-dashes" else word)
    if spelling == "-short":
        if name not in SHORT:
            return
        flag = SHORT[name]
    argv = [f"{flag}={words[0]}", *words[1:]] if spelling.endswith("=") and len(words) == 1 else [flag, *words]
    for other, lists in REQUIRED.items():
        argv += [] if other == name else [f"--{other}", *lists]
    argv += COMPANIONS.get(name, [])
    cfg = parse_train_config([word.replace("DIR", str(files)) for word in argv])
    if isinstance(value, str):
        value = value.replace("DIR", str(files))
    assert value_in(cfg, name) == value
    assert type(value_in(cfg, name)) is type(value)


def test_no_documented_flag_has_vanished():
    assert set(DOCUMENTED) <= set(FIELDS)
    for name, short in SHORT.items():
        assert FIELDS[name].metadata["short"] == (short,)


@pytest.fixture(scope="module")
def help_of_flags():
    """Map each flag to its paragraph of --help, from the program itself."""
    shown = subprocess.run(
        [sys.executable, "train.py", "-h"],
        cwd=REPOSITORY,
        env={**os.environ, "COLUMNS": "400"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    flags = shown.partition("\n\nStart several")[0]
    paragraphs = re.split(r"\n  (?=-)", re.sub(r"\n\n.*:?\n", "\n", flags))[1:]
    return {re.search(r"--([\w-]+)", text)[1].replace("-", "_"): " ".join(text.split()) for text in paragraphs}


@pytest.mark.medium
@pytest.mark.parametrize("name", FIELDS)
def test_help_says_what_a_flag_does_and_its_default(name, help_of_flags):
    text, default = help_of_flags[name], FIELDS[name].default
    if name in SHORT:
        assert text.startswith(SHORT[name])
    assert FIELDS[name].metadata["help"].split("(")[0] in text
    if name in REQUIRED:
        assert text.endswith("(required)")
        return
    switch = {False: "off", True: "on"}[default] if isinstance(default, bool) else str(default)
    shown = DOCUMENTED.get(name, "none" if default in (None, "") else switch)
    assert text.endswith(f"(default: {shown})")


TRAIN_SCRIPTS = [
    "scripts/train_lj22khz.sh",
    *sorted(f"platform/{path.name}" for path in REPOSITORY.glob("platform/*.sh")),
]
ENVIRONMENT = {
    "AMP": "true", "BMARK_EPOCHS_NUM": "2", "CHECKPOINT_INTERVAL": "3", "DATASET_DIR": "set", "EPOCHS": "4",
    "EPOCHS_THIS_JOB": "5", "LEARNING_RATE": "0.25", "LEARNING_RATE_DECAY": "0.5", "LOG_FILE": "log.json",
    "OUTPUT_DIR": "out", "RESUME": "false", "SAMPLES_INTERVAL": "6", "SEED": "7", "TRAIN_FILELIST": "train.txt",
    "VAL_FILELIST": "val.txt", "VAL_INTERVAL": "8",
}  # fmt: skip


@pytest.mark.medium
@pytest.mark.parametrize("script", TRAIN_SCRIPTS)
def test_what_the_scripts_pass_is_understood(script, tmp_path):
    python = tmp_path / "python"
    # It finds 8 GPUs, and records how it starts the program.
    python.write_text(
        f'#!/usr/bin/env bash\nif [[ $1 == -c ]]; then echo 8; else printf "%s\\n" "$@" >{tmp_path}/words; fi\n'
    )
    python.chmod(0o755)
    environment = {"PATH": os.environ["PATH"], "PYTHON": str(python), "NUM_GPUS": "1"}
    if script.startswith("scripts"):
        environment |= ENVIRONMENT
    subprocess.run(["bash", REPOSITORY / script], env=environment, capture_output=True, check=True)
    words = (tmp_path / "words").read_text().splitlines()
    cfg = parse_train_config(words[words.index("train.py") + 1 :])
    assert cfg.run.cuda
    if script.startswith("scripts"):
        expected = (4, 5, 2, 3, 6, 8, 7, "log.json", "out", False, True)
        run = cfg.run
        assert expected == (
            run.epochs, run.epochs_this_job, run.benchmark_epochs_num, run.checkpoint_interval, run.samples_interval,
            run.validation_interval, run.seed, run.log_file, run.output, run.resume, run.amp,
        )  # fmt: skip
        assert (cfg.optim.learning_rate, cfg.optim.learning_rate_decay) == (0.25, 0.5)
        assert cfg.data.training_files + cfg.data.validation_files == ("train.txt", "val.txt")


def test_every_flag_is_read_by_the_program():
    """No flag is only parsed and checked: its field is read somewhere outside validation."""
    read = set()
    for path in [
        REPOSITORY / "train.py",
        *(REPOSITORY / "hifigan").rglob("*.py"),
        *(REPOSITORY / "common").rglob("*.py"),
    ]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.name == "__post_init__":
                node.body = []
        read |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert set(FIELDS) - read == set()


@pytest.fixture
def thin(monkeypatch):
    """Use small discriminators, since flags of the loop do not depend on their size."""
    for name, layer in thin_layers().items():
        monkeypatch.setattr(discriminators, name, layer)


@pytest.mark.slow
def test_intervals_and_limits(tmp_path, thin, capsys):
    """Each interval has a different value, so that none can replace another."""
    data_set = write_data_set(tmp_path / "set", [0.3] * 4)
    output, log_file = tmp_path / "out", tmp_path / "logs" / "own.json"
    argv = train_arguments(
        data_set,
        output,
        epochs=9,
        epochs_this_job=7,
        checkpoint_interval=2,
        validation_interval=3,
        samples_interval=4,
        step_logs_interval=2,
        log_file=log_file,
        learning_rate=1e-3,
        learning_rate_decay=0.5,
    )
    argv += ["--keep-milestones", "2", "9"]
    assert train.main(argv) == 0
    saved = re.findall(r"saved .*hifigan_gen_checkpoint_(\d+)\.pt", capsys.readouterr().out)
    assert saved == ["2", "3", "4", "6", "7"]  # 3, because it is the best so far
    assert {path.name for path in output.glob("hifigan_gen*")} == {f"hifigan_gen_checkpoint_{e}.pt" for e in (2, 6, 7)}
    assert not (output / "nvlog.json").exists()
    lines = read_json_lines(log_file)
    assert [step for step, data in lines if "val_mel_loss" in data] == [[0], [3], [6], [7]]
    rates = {tuple(step): data["train_lrate_gen"] for step, data in lines if "train_lrate_gen" in data}
    assert rates == pytest.approx({(epoch, 2, 2): 1e-3 * 0.5 ** (epoch - 1) for epoch in range(1, 8)})
    board = EventAccumulator(str(output / "test"))
    board.Reload()
    assert [event.step for event in board.Audio("audio/clip002/generated")] == [2 * 4, 2 * 7]
    assert train.main(argv) == 0  # the last two of nine
    assert train.main(argv) == 0
    saved = re.findall(r"saved .*_(\d+)\.pt|(nothing to do)", capsys.readouterr().out)
    assert saved == [("8", ""), ("9", ""), ("", "nothing to do")]


def first_batches(folder, seconds, seed, monkeypatch):
    """Return the segments that an epoch trains on, in order."""
    data_set = write_data_set(folder / "set", [*seconds, 0.3, 0.3])
    seen = []
    whole_batch = train.to_batch

    def noted(segments, state):
        real, mel = whole_batch(segments, state)
        if state.generator.training:
            seen.append(real.numpy().tobytes())
        return real, mel

    with monkeypatch.context() as patch:
        patch.setattr(train, "to_batch", noted)
        assert train.main(train_arguments(data_set, folder / "out", seed=seed)) == 0
    return seen


@pytest.mark.slow
def test_seed_decides_order_crops_and_weights(tmp_path, thin, monkeypatch):
    def both(name, seconds):
        return [first_batches(tmp_path / name / str(seed), seconds, seed, monkeypatch) for seed in (1, 2)]

    whole = both("whole clips", [2048 / 22050] * 4)
    assert whole[0] != whole[1]
    assert sorted(whole[0]) == sorted(whole[1])
    crops = both("crops", [0.3])
    assert crops[0] != crops[1]
    weights = [
        torch.load(tmp_path / "crops" / str(seed) / "out" / "hifigan_gen_checkpoint_1.pt", weights_only=True)[
            "generator"
        ]
        for seed in (1, 2)
    ]
    # Far apart, since one optimiser step changes a weight by 0.0003.
    assert (weights[0]["conv_pre.weight_v"] - weights[1]["conv_pre.weight_v"]).abs().mean() > 0.003


def state_with(*words):
    lists = [word for name, files in REQUIRED.items() for word in (f"--{name}", *files)]
    return VocoderTrainState(
        parse_train_config([*lists, "--hifigan-config", "v3", *words]), distributed.init(cuda=False)
    )


def test_optimiser_settings(thin):
    state = state_with("--adam-beta1", "0.7", "--adam-beta2", "0.95", "--weight-decay", "0.125", "-lr", "0.25")
    for optimiser in (state.optim_g, state.optim_d):
        group = optimiser.param_groups[0]
        assert (group["betas"], group["weight_decay"], group["lr"]) == ((0.7, 0.95), 0.125, 0.25)


@pytest.mark.parametrize(
    ("words", "dtype"),
    [([], torch.float32), (["--amp"], torch.bfloat16), (["--amp", "--amp-dtype", "fp16"], torch.float16)],
)
def test_precision(words, dtype, thin):
    with state_with(*words).autocast():
        assert torch.nn.functional.linear(torch.ones(1, 1), torch.ones(1, 1)).dtype is dtype


def test_grouped_convolutions_stay_in_fp32_when_asked(thin):
    plain, mixed = state_with("--amp", "--no_amp_grouped_conv"), state_with("--amp")
    assert [d.amp_grouped_conv for d in plain.discriminators["msd"].discriminators] == [False] * 3
    assert [d.amp_grouped_conv for d in mixed.discriminators["msd"].discriminators] == [True] * 3


def test_signal_flags_reach_both_spectrograms(thin):
    words = "--sampling-rate 16000 --filter-length 2048 --win-length 800 --num-mels 40 --mel-fmin 20 --mel-fmax 7000"
    state = state_with(*words.split(), "--mel-fmax-loss", "7500")
    for transform, top in ((state.mel, 7000), (state.losses.mel, 7500)):
        expected = {
            "sampling_rate": 16000,
            "filter_length": 2048,
            "win_length": 800,
            "num_mels": 40,
            "mel_fmin": 20,
            "mel_fmax": top,
        }
        assert expected.items() <= dataclasses.asdict(transform.config).items()
    assert state.generator(torch.zeros(1, 40, 3)).shape == (1, 1, 3 * 256)


def test_global_batch_size_sets_the_accumulation():
    assert VocoderOptimConfig(batch_size=16, global_batch_size=128).shared_by(2).grad_accumulation == 4
    assert VocoderOptimConfig(batch_size=16, grad_accumulation=3).shared_by(2).grad_accumulation == 3
    for size in (100, 16):
        with pytest.raises(InputError, match=f"--global-batch-size: {size} is not a multiple of --batch-size 16 x 2"):
            VocoderOptimConfig(batch_size=16, global_batch_size=size).shared_by(2)
    with pytest.raises(InputError, match="--global-batch-size: sets --grad-accumulation"):
        state_with("--global-batch-size", "8", "--grad-accumulation", "2")
