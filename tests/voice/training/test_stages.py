"""Finished stages are skipped until something that they depend on changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from voice.training.stages import Stage, StageRecords


class Job:
    """Three stages, each with a setting. `plot` depends on `boil`."""

    def __init__(self, folder: Path) -> None:
        self.records = StageRecords(folder)
        self.settings = {"boil": 1, "plot": 1, "wash": 1}
        self.done: list[str] = []
        self.failing = ""

    def stages(self) -> list[Stage]:
        def do(name: str) -> None:
            if name == self.failing:
                raise OSError(name)
            self.done.append(name)

        after = {"plot": ("boil",)}
        return [
            Stage(name, f"to {name}", lambda name=name: do(name), value, after.get(name, ()))  # type: ignore[misc]
            for name, value in self.settings.items()
        ]

    def run(self) -> list[str]:
        self.done = []
        self.records.run(*self.stages())
        return self.done


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path / "stages")


def test_each_stage_runs_once(job: Job) -> None:
    assert job.run() == ["boil", "plot", "wash"]
    assert job.run() == []
    assert all(job.records.is_finished(stage) for stage in job.stages())
    record = job.records.read("boil")
    assert record["seconds"] >= 0
    assert set(record) == {"key", "seconds", "commit"}


def test_changes_reach_the_stages_that_use_the_result(job: Job) -> None:
    job.run()
    job.settings["boil"] = 2
    assert job.run() == ["boil", "plot"]
    job.settings["wash"] = 2
    assert job.run() == ["wash"]
    job.settings["boil"] = 1
    assert job.run() == ["boil", "plot"]


def test_a_stage_that_fails_is_not_finished(job: Job) -> None:
    job.failing = "plot"
    with pytest.raises(OSError, match="plot"):
        job.run()
    assert job.done == ["boil"]
    job.failing = ""
    assert job.run() == ["plot", "wash"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"key": 1}'])
def test_a_damaged_record_is_no_record(job: Job, text: str) -> None:
    job.run()
    (job.records.folder / "wash.json").write_text(text)
    assert job.run() == ["wash"]


def test_a_folder_is_moved_aside_when_its_data_has_changed(job: Job, tmp_path: Path) -> None:
    folder = tmp_path / "training"
    job.run()
    job.records.keep_apart(folder, "boil")
    (folder / "checkpoint").write_text("1")
    job.settings["wash"] = 2
    job.run()
    job.records.keep_apart(folder, "boil")
    assert (folder / "checkpoint").exists(), "it does not depend on this one"
    job.settings["boil"] = 2
    job.run()
    job.records.keep_apart(folder, "boil")
    assert not (folder / "checkpoint").exists()
    assert (tmp_path / "training-before" / "checkpoint").read_text() == "1"
    job.records.keep_apart(folder, "boil")
    assert (tmp_path / "training-before").exists(), "the same again changes nothing"
