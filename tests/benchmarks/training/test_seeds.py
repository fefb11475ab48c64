"""Runs with several seeds: their commands, the table of their losses, and the summary."""

import csv
import json
import subprocess
from pathlib import Path

import pytest

from benchmarks.training import seeds
from benchmarks.training.seeds import SeedRecord, csv_lines, read_run, summary, train_command
from common.errors import InputError
from hifigan.training.flags import parse_train_config

STEPS_PER_EPOCH = 2


def write_log(folder, mel_losses):
    """Write the log of a run: a validation before the first step, then epochs of two steps with a validation each."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [("PARAMETER", {"seed": 1}), line("val", [0], 90)]
    for step, loss in enumerate(mel_losses):
        epoch, i = step // STEPS_PER_EPOCH + 1, step % STEPS_PER_EPOCH + 1
        lines.append(line("train", [epoch, i, STEPS_PER_EPOCH], loss))
        if i == STEPS_PER_EPOCH:
            lines += [line("avg_train", [epoch], -1), line("val", [epoch], loss + 1)]
    records = (json.dumps({"step": step, "data": data}) for step, data in lines)
    (folder / "nvlog.json").write_text("".join(f"DLLL {record}\n" for record in records))
    return folder / "nvlog.json"


def line(part, step, mel_loss):
    return step, {f"{part}_mel_loss": mel_loss, f"{part}_g_loss": 2 * mel_loss, f"{part}_d_loss": 0.1 * mel_loss}


def test_a_log_is_read(tmp_path):
    log = write_log(tmp_path, [50, 40, 30, 20])
    train = [r for r in read_run(log, 7) if r.part == "train"]
    assert [(r.seed, r.step, r.losses) for r in train] == [
        (7, step, (loss, 2 * loss, 0.1 * loss)) for step, loss in ((1, 50), (2, 40), (3, 30), (4, 20))
    ]
    val = [r for r in read_run(log, 7) if r.part == "val"]
    assert [(r.step, r.losses[0]) for r in val] == [(0, 90), (2, 41), (4, 21)]


def test_the_later_value_of_a_repeated_step_counts(tmp_path):
    log = write_log(tmp_path, [50, 40])
    step, data = line("train", [1, 2, STEPS_PER_EPOCH], 39)
    with log.open("a") as file:
        file.write(f"DLLL {json.dumps({'step': step, 'data': data})}\n")
    assert [r.losses[0] for r in read_run(log, 1) if r.part == "train"] == [50, 39]


def test_the_table_has_four_digits():
    lines = csv_lines([SeedRecord(1, "train", 3, (47.07254, float("nan"), 4.0031))])
    assert lines == ["seed,part,step,mel_loss,g_loss,d_loss", "1,train,3,47.07,nan,4.003"]


def test_summary_by_hand():
    """Of 20 steps the last two count: (30 + 32) / 2 = 31 and (34 + 34) / 2 = 34."""
    records = [SeedRecord(1, "train", step, (99.0, float("inf"), 1.0)) for step in range(1, 19)]
    records += [SeedRecord(1, "train", 19, (30.0, 1.0, 1.0)), SeedRecord(1, "train", 20, (32.0, 3.0, 1.0))]
    records += [SeedRecord(2, "train", step, (34.0, 4.0, 2.0)) for step in range(1, 21)]
    records += [SeedRecord(1, "val", 0, (80.0, 1.0, 1.0)), SeedRecord(1, "val", 20, (36.0, 1.0, 1.0))]
    records += [SeedRecord(2, "val", 20, (35.0, 1.0, 1.0))]
    assert summary(records)[2:] == [
        "| 1 | 31.00 | 2.00 | 1.00 | 36.00 |",
        "| 2 | 34.00 | 4.00 | 2.00 | 35.00 |",
        "| mean | 32.50 | 3.00 | 1.50 | 35.50 |",
        "| largest - smallest | 3.00 | 2.00 | 1.00 | 1.00 |",
        "",
        "Steps with a loss that is not finite: 18 of 40.",
    ]


def test_runs_differ_only_in_their_seed(tmp_path):
    configs = []
    for seed in (1, 2):
        command = train_command(tmp_path / "voice", Path("out"), 12, seed)
        configs.append(parse_train_config(command[1:]))
    first, second = configs
    assert (first.run.seed, second.run.seed) == (1, 2)
    assert (first.run.output, second.run.output) == ("out/seed-1", "out/seed-2")
    assert (first.optim, first.data, first.generator) == (second.optim, second.data, second.generator)
    assert first.data.training_files == ("out/filelists/voice_audio_train.txt",)


def test_all_runs_end_up_in_one_table(tmp_path, monkeypatch, capsys):
    commands = []

    def fake(command):
        commands.append(command[1:])
        if command[1].endswith("train.py"):
            seed = int(command[command.index("--seed") + 1])
            write_log(tmp_path / "out" / f"seed-{seed}", [50 + seed, 40 + seed])
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(seeds.subprocess, "run", fake)
    monkeypatch.setattr(seeds.hardware, "describe", lambda *args: {"machine": "this one"})
    assert seeds.main(["--seeds", "3", "4", "--epochs", "1", "-o", str(tmp_path / "out")]) == 0
    assert [Path(command[0]).name for command in commands] == ["prepare_dataset.py", "train.py", "train.py"]
    with (tmp_path / "out" / "training-seeds.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    train = [(row["seed"], row["step"], row["mel_loss"]) for row in rows if row["part"] == "train"]
    assert train == [("3", "1", "53"), ("3", "2", "43"), ("4", "1", "54"), ("4", "2", "44")]
    assert "| mean | 43.50 |" in capsys.readouterr().out


def test_a_failed_program_ends_it(tmp_path, monkeypatch):
    monkeypatch.setattr(seeds.subprocess, "run", lambda command: subprocess.CompletedProcess(command, 3))
    with pytest.raises(InputError, match=r"prepare_dataset\.py failed"):
        seeds.main(["-o", str(tmp_path)])
