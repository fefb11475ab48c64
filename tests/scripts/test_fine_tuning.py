"""The two scripts of fine-tuning: their commands, their errors, and a small run of both."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

import prepare_dataset
import train
from common.audio import AudioConfig
from common.errors import InputError
from common.text import TextProcessor
from common.training.sampling import ClipKey
from fastpitch import FastPitch
from fastpitch.training.recordings import SpeechDataset, collate, read_recordings
from hifigan import Generator
from tests.support.data_sets import write_data_set
from tests.support.models import SMALL_FASTPITCH, TINY
from tests.support.paths import REPOSITORY
from tests.support.programs import train_arguments

MELS = "data/mels-fastpitch-ljs22khz"
PUBLISHED = "pretrained_models/fastpitch/nvidia_fastpitch_210824+cfg.pt"


@pytest.fixture
def tree(tmp_path):
    """A copy of the scripts, with a fake interpreter that records its calls."""
    shutil.copytree(REPOSITORY / "scripts", tmp_path / "scripts")
    program = tmp_path / "python"
    program.write_text(
        "#!/usr/bin/env bash\n"
        'if [[ $1 == -c ]]; then [[ $2 != *device_count* ]] || echo "${FAKE_GPUS:-${NUM_GPUS:-0}}"; exit 0; fi\n'
        'echo "$@" >>calls\n'
    )
    program.chmod(0o755)
    return tmp_path


def add(tree, *files):
    for file in files:
        (tree / file).parent.mkdir(parents=True, exist_ok=True)
        (tree / file).touch()


def call(tree, script, *args, **variables):
    """Return the interpreter's calls as lists of words, and the script's output."""
    environment = {"PATH": os.environ["PATH"], "PYTHON": str(tree / "python"), **variables}
    (tree / "calls").unlink(missing_ok=True)
    done = subprocess.run(
        ["bash", tree / "scripts" / script, *args], env=environment, capture_output=True, text=True, check=True
    )
    return [line.split() for line in (tree / "calls").read_text().splitlines()], done.stdout


def refusal(tree, script, **variables):
    with pytest.raises(subprocess.CalledProcessError) as error:
        call(tree, script, **variables)
    assert error.value.returncode == 1
    lines = error.value.stderr.splitlines()
    assert len(lines) == 1
    assert not (tree / "calls").exists()
    return lines[0]


def get_value(words, flag):
    return words[words.index(flag) + 1]


def test_extraction_as_documented(tree):
    add(tree, PUBLISHED)
    (pitch, mels), _ = call(tree, "extract_fine_tune_mels.sh", "--extra", FAKE_GPUS="1")
    assert (
        pitch
        == (
            "prepare_dataset.py --dataset-path data/LJSpeech-1.1 --wav-text-filelists "
            "data/filelists/ljs_audio_pitch_text.txt --extract-pitch"
        ).split()
    )
    assert (
        mels
        == (
            f"-m fastpitch.extract_mels --fastpitch {PUBLISHED} --dataset-path data/LJSpeech-1.1 --filelists "
            f"data/filelists/ljs_audio_pitch_text.txt --output {MELS} --batch-size 16 --cuda --extra"
        ).split()
    )


def test_variables_of_the_extraction(tree):
    add(tree, "own.pt")
    variables = {
        "FASTPITCH": "own.pt", "DATASET_PATH": "set", "FILELIST": "list.txt", "OUTPUT_DIR": "mels", "BATCH_SIZE": "3",
        "NUM_WORKERS": "2", "AMP": "true", "CMUDICT_PATH": "dict", "EXTRACT_PITCH": "false", "NUM_GPUS": "0",
    }  # fmt: skip
    (words,), _ = call(tree, "extract_fine_tune_mels.sh", **variables)
    flags = "--fastpitch --dataset-path --filelists --output --batch-size --num-workers --cmudict-path".split()
    assert [get_value(words, flag) for flag in flags] == ["own.pt", "set", "list.txt", "mels", "3", "2", "dict"]
    assert "--amp" in words
    assert "--cuda" not in words


@pytest.mark.parametrize(
    ("variables", "processes", "cuda"),
    [({"FAKE_GPUS": "8"}, "8", True), ({"NUM_PROCESSES": "3"}, "3", False), ({"NUM_GPUS": "2"}, "2", True)],
)
def test_several_processes_share_the_extraction(variables, processes, cuda, tree):
    add(tree, PUBLISHED)
    (_, words), _ = call(tree, "extract_fine_tune_mels.sh", **variables)
    launcher = f"-m torch.distributed.run --standalone --nproc-per-node {processes} -m fastpitch.extract_mels"
    assert words[:7] == launcher.split()
    assert ("--cuda" in words) == cuda


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, f"error: FASTPITCH: {PUBLISHED}: no such file; the published one: bash scripts/download_models.sh"),
        ({"NUM_GPUS": "all"}, "error: NUM_GPUS: 'all' is not a whole number"),
        ({"NUM_PROCESSES": "0"}, "error: NUM_PROCESSES: '0' is not a whole number above 0"),
        ({"EXTRACT_PITCH": "no"}, "error: EXTRACT_PITCH: 'no' is not true or false"),
    ],
)
def test_impossible_extractions(variables, message, tree):
    assert refusal(tree, "extract_fine_tune_mels.sh", **variables).startswith(message)


@pytest.mark.parametrize(
    ("files", "chosen", "discriminators"),
    [
        (["output/hifigan_gen_checkpoint_90.pt", "output/hifigan_gen_checkpoint_100.pt"], 1, None),
        (["output/hifigan_gen_checkpoint_90.pt", "output/hifigan_discrim_checkpoint_90.pt"], 0, 1),
        (["output/hifigan_gen_checkpoint_90.pt", "pretrained_models/hifigan/hifigan_gen_checkpoint_6500.pt"], 0, None),
        (
            [
                "pretrained_models/hifigan/hifigan_gen_checkpoint_10000_ft.pt",  # fine-tuned already
                "pretrained_models/hifigan/hifigan_gen_checkpoint_6500.pt",
            ],
            1,
            None,
        ),
        (["pretrained_models/hifigan-lj-v1/generator_LJSpeech.pth.tar"], 0, None),
    ],
)
def test_base_model_of_fine_tuning(files, chosen, discriminators, tree):
    add(tree, f"{MELS}/a.npy", *files)
    (words,), printed = call(tree, "fine_tune.sh", "--extra", FAKE_GPUS="8")
    assert "train.py" in words
    assert get_value(words, "--checkpoint-path-gen") == files[chosen]
    assert ("--checkpoint-path-discrim" in words) == (discriminators is not None)
    if discriminators:
        assert get_value(words, "--checkpoint-path-discrim") == files[discriminators]
    assert printed.startswith(f"fine-tuning {files[chosen]} ")
    settings = "--input-mels-dir --fine-tune-lr-factor --output --epochs --nproc-per-node".split()
    assert [get_value(words, flag) for flag in settings] == [MELS, "3", "output/fine_tuned", "10000", "8"]
    assert words[-1] == "--extra"


def test_variables_of_fine_tuning(tree):
    add(tree, "mine/a.npy", "base/gen.pt")
    variables = {
        "BASE_CHECKPOINT": "base/gen.pt", "FINE_TUNE_DIR": "mine", "FINE_TUNE_LR_FACTOR": "2", "OUTPUT_DIR": "tuned",
        "EPOCHS": "6502", "BATCH_SIZE": "4", "NUM_GPUS": "1",
    }  # fmt: skip
    (words,), _ = call(tree, "fine_tune.sh", "--epochs-this-job", "1", **variables)
    flags = "--checkpoint-path-gen --input-mels-dir --fine-tune-lr-factor --output --epochs --batch-size".split()
    assert [get_value(words, flag) for flag in flags] == ["base/gen.pt", "mine", "2", "tuned", "6502", "4"]
    assert words[-2:] == ["--epochs-this-job", "1"]


@pytest.mark.parametrize(
    ("files", "variables", "message"),
    [
        ([f"{MELS}/a"], {}, "error: BASE_CHECKPOINT: pretrained_models/hifigan-lj-v1/generator_LJSpeech.pth.tar: no"),
        ([f"{MELS}/a"], {"BASE_CHECKPOINT": "none.pt"}, "error: BASE_CHECKPOINT: none.pt: no such file"),
        (["g.pt"], {"BASE_CHECKPOINT": "g.pt"}, f"error: FINE_TUNE_DIR: {MELS}: no such directory; create it with"),
        (
            [f"{MELS}/a", "output/hifigan_gen_checkpoint_9.pt"],
            {"OUTPUT_DIR": "./output/"},
            "error: OUTPUT_DIR: ./output/ contains the base model",
        ),
    ],
)
def test_impossible_fine_tuning(files, variables, message, tree):
    add(tree, *files)
    assert refusal(tree, "fine_tune.sh", **variables).startswith(message)


def overfitted_fastpitch(data_set, path):
    """Write a checkpoint that is overfitted to the recordings of all.txt, so that its mels resemble them."""
    audio = AudioConfig(framing="tacotron")
    recordings = read_recordings([data_set / "all.txt"], data_set, 1)
    dataset = SpeechDataset(recordings, audio, TextProcessor(p_arpabet=0), 214.72203, 65.72038)
    batch = collate([dataset[ClipKey(clip, 0)] for clip in range(len(dataset))], dataset.padding_id)
    torch.manual_seed(0)
    model = FastPitch(dataclasses.replace(SMALL_FASTPITCH, n_speakers=1))
    optimiser = torch.optim.AdamW(model.parameters(), 3e-3)
    for _ in range(500):
        made = model.teacher_forced(batch.ids, batch.mel, batch.mel_lens, batch.pitch, batch.prior).mel
        optimiser.zero_grad()
        (made - batch.mel).square().mean().backward()
        optimiser.step()
    setup = {"symbol_set": "english_basic", "text_cleaners": ["english_cleaners_v2"], "p_arpabet": 0.0}
    content = {"state_dict": model.state_dict(), "config": model.config.to_dict(), "train_setup": setup}
    torch.save(content, path)


def run_script(script, *args, **variables):
    environment = {**os.environ, "PYTHON": sys.executable, "OMP_NUM_THREADS": "1", "NUM_GPUS": "0", **variables}
    return subprocess.run(
        ["bash", REPOSITORY / "scripts" / script, *args], env=environment, capture_output=True, text=True
    )


@pytest.mark.slow
@pytest.mark.alone
def test_extraction_and_fine_tuning_end_to_end(tmp_path):
    data_set = write_data_set(tmp_path / "set", [0.6 + 0.1 * i for i in range(6)])
    names = [f"clip{i:03d}" for i in range(6)]
    rows = "".join(f"wavs/{name}.wav|pitch/{name}.pt|Some words.\n" for name in names)
    (data_set / "all.txt").write_text(rows)
    assert prepare_dataset.main(["-d", str(data_set), "--extract-pitch", "--n-workers", "1"]) == 0
    overfitted_fastpitch(data_set, tmp_path / "fastpitch.pt")
    (data_set / "pitch" / "clip002.pt").unlink()  # for the script to make
    extraction = {
        "FASTPITCH": str(tmp_path / "fastpitch.pt"),
        "DATASET_PATH": str(data_set),
        "FILELIST": str(data_set / "all.txt"),
        "OUTPUT_DIR": str(tmp_path / "mels"),
        "NUM_WORKERS": "1",
    }
    done = run_script("extract_fine_tune_mels.sh", **extraction)
    assert done.returncode == 0, done.stderr
    assert "6 mels written, 0 there already" in done.stderr
    assert np.load(tmp_path / "mels" / "clip003.npy").shape == (80, int(0.9 * 22050) // 256 + 1)

    base = tmp_path / "base" / "hifigan_gen_checkpoint_7.pt"
    base.parent.mkdir()
    content = {"generator": Generator(TINY).state_dict(), "config": TINY.to_dict(), "train_state": {"epoch": 7}}
    torch.save(content, base)
    tuning = {
        "BASE_CHECKPOINT": str(base),
        "FINE_TUNE_DIR": str(tmp_path / "mels"),
        "OUTPUT_DIR": str(tmp_path / "tuned"),
        "DATASET_DIR": str(data_set),
        "TRAIN_FILELIST": str(data_set / "train.txt"),
        "VAL_FILELIST": str(data_set / "val.txt"),
        "BATCH_SIZE": "2",
        "GRAD_ACCUMULATION": "1",
        "EPOCHS": "9",
    }
    words = ("--epochs-this-job", "1", "--segment-size", "2048", "--num-workers", "0")
    done = run_script("fine_tune.sh", *words, **tuning)
    assert done.returncode == 0, done.stderr
    assert f"fine-tuning {base} (discriminators: new ones)" in done.stdout
    lines = (tmp_path / "tuned" / "nvlog.json").read_text().splitlines()
    records = [json.loads(line.removeprefix("DLLL ")) for line in lines]
    steps = [record for record in records if "train_mel_loss" in record["data"]]
    assert [record["step"][:2] for record in steps if len(record["step"]) == 3] == [[8, 1], [8, 2]]
    assert steps[0]["data"]["train_lrate_gen"] == pytest.approx(3 * 3e-4 * 0.9998**7)
    tuned = torch.load(tmp_path / "tuned" / "hifigan_gen_checkpoint_8.pt", weights_only=True)
    assert tuned["train_state"]["epoch"] == 8
    assert [path.name for path in base.parent.iterdir()] == [base.name]

    # Mels that are two frames late are rejected before training.
    for file in (tmp_path / "mels").glob("*.npy"):
        np.save(file, np.roll(np.load(file), 2, axis=1))
    options = {"checkpoint_path_gen": base, "input_mels_dir": tmp_path / "mels", "epochs": 9}
    with pytest.raises(InputError, match=r"frames late \(median of 4 clips\)"):
        train.main(train_arguments(data_set, tmp_path / "late", **options))
    assert not (tmp_path / "late").exists()
