"""Pairs are complete or absent. Files of other runs stay."""

import contextlib
import functools
import os
from pathlib import Path

import pytest
import torch

from common.errors import InputError
from common.training.checkpoint_store import CheckpointStore
from hifigan.training.state import CHECKPOINT_FILES


def pair(steps):
    return {"generator": {}, "train_state": {"steps": steps}}, {"mpd": {}, "train_state": {"steps": steps}}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_last_two_pairs_of_this_run_remain(tmp_path):
    theirs = [
        "hifigan_gen_checkpoint_10000_ft.pt",
        "hifigan_gen_checkpoint_1.pt",
        "hifigan_discrim_checkpoint_1.pt",
        "x.bak",
    ]
    for name in theirs:
        (tmp_path / name).write_text("not written by this run")
    store = CheckpointStore(tmp_path, CHECKPOINT_FILES)
    for epoch in (2, 3, 4):
        store.save(epoch, *pair(epoch))
    assert store.prune([2, 3, 4]) == [3, 4]
    ours = [f"hifigan_{kind}_checkpoint_{epoch}.pt" for kind in ("gen", "discrim") for epoch in (3, 4)]
    assert names(tmp_path) == sorted(theirs + ours)
    store.save(5, *pair(5))
    assert store.prune([3, 4, 5], milestones=[3, 100]) == [3, 4, 5]
    store.save(6, *pair(6))
    assert store.prune([3, 4, 5, 6], milestones=[3]) == [3, 5, 6]
    assert store.epochs() == [1, 3, 5, 6]  # the first belongs to another run
    epoch, (gen, discrim) = store.newest()
    assert (epoch, gen, discrim) == (6, *pair(6))


def test_no_pair_where_there_is_no_directory(tmp_path):
    assert CheckpointStore(tmp_path / "new", CHECKPOINT_FILES).newest() is None


def test_half_a_pair_and_a_mixed_pair_do_not_count(tmp_path, caplog):
    store = CheckpointStore(tmp_path, CHECKPOINT_FILES)
    store.save(1, *pair(10))
    store.save(2, *pair(20))
    torch.save(pair(21)[1], store.paths(2)[1])  # killed between the two renames of a later save
    store.save(3, *pair(30))
    store.paths(3)[0].unlink()
    assert store.newest()[0] == 1
    assert "not saved together" in caplog.text


def test_a_save_that_was_killed_between_its_renames_is_finished(tmp_path, monkeypatch):
    store = CheckpointStore(tmp_path, CHECKPOINT_FILES)
    store.save(1, *pair(10))
    new = Path.replace

    def killed(path, target):
        if "discrim" in path.name:
            raise KeyboardInterrupt
        return new(path, target)

    monkeypatch.setattr(Path, "replace", killed)
    monkeypatch.setattr(Path, "unlink", lambda *args, **kwargs: None)
    with pytest.raises(KeyboardInterrupt):
        store.save(1, *pair(11))
    monkeypatch.undo()
    with pytest.raises(InputError, match="none of its 1 checkpoints"):
        store.newest()
    (tmp_path / ".hifigan_discrim_checkpoint_7.pt.tmp").write_bytes(b"half")
    store.finish_interrupted_save()
    assert store.newest() == (1, pair(11))


def test_one_flipped_bit_is_noticed(tmp_path, caplog):
    store = CheckpointStore(tmp_path, CHECKPOINT_FILES)
    store.save(1, *pair(10))
    gen, discrim = pair(20)
    discrim["mpd"] = {"weight": torch.zeros(10000)}
    store.save(2, gen, discrim)
    path = store.paths(2)[1]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert torch.load(path, weights_only=True)["mpd"]["weight"].any()  # PyTorch itself does not notice
    assert store.newest()[0] == 1
    assert "damaged, the checksum of" in caplog.text


def test_only_damaged_pairs_stop_the_run(tmp_path):
    store = CheckpointStore(tmp_path, CHECKPOINT_FILES)
    store.save(1, *pair(10))
    store.paths(1)[0].write_bytes(b"half")
    with pytest.raises(InputError, match="none of its 1 checkpoints can be used"):
        store.newest()


def test_a_failed_save_leaves_the_old_pair_and_nothing_else(tmp_path, monkeypatch):
    store = CheckpointStore(tmp_path, CHECKPOINT_FILES)
    store.save(1, *pair(10))
    (tmp_path / ".hifigan_gen_checkpoint_9.pt.tmp").write_bytes(b"left by a run that was killed")
    store.save(1, *pair(10))
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}

    def fails(content, file):
        file.write(b"some bytes")
        if "mpd" in content:  # the second file of the pair
            raise RuntimeError("unexpected pos")

    monkeypatch.setattr(torch, "save", fails)
    with pytest.raises(OSError, match="could not be written"):
        store.save(1, *pair(11))
    assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == before


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the program catches it."""


def killed_at(moment, monkeypatch, action):
    """Run `action` and kill it at its `moment`-th file operation. Return whether it got that far."""
    count = 0

    def mortal(operation):
        def call(*args, **kwargs):
            nonlocal count
            count += 1
            if count > moment:
                raise Killed
            return operation(*args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        for owner, name in ((Path, "open"), (Path, "replace"), (Path, "unlink"), (os, "fsync"), (torch, "save")):
            patch.setattr(owner, name, mortal(getattr(owner, name)))
        try:
            action()
        except Killed:
            return True
    return False


def resume(store):
    """Do what a restarted run does, and return the steps of the pair that it resumes from."""
    store.finish_interrupted_save()
    epoch, (gen, discrim) = store.newest()
    assert gen["train_state"] == discrim["train_state"]
    store.remove_leftovers()
    store.prune(range(1, epoch + 1))
    return gen["train_state"]["steps"]


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize(("before", "epoch"), [([1], 1), ([1], 2), ([1, 2], 2), ([1, 2], 3)])
def test_a_save_killed_at_any_moment_leaves_the_old_pair_or_the_new(before, epoch, fails, tmp_path, monkeypatch):
    """With and without overwriting the newest pair (saved in mid-epoch). The restart is killed at any moment too."""

    gen, discrim = pair(99)
    if fails:
        discrim["unwritable"] = lambda: None  # the second file cannot be saved, as on a full disk

    def save_and_prune():
        with contextlib.suppress(Exception if fails else ()):
            store.save(epoch, gen, discrim)
            store.prune([*before, epoch])

    found = set()
    moment = second = 0
    while True:
        folder = tmp_path / f"{moment}.{second}"
        store = CheckpointStore(folder, CHECKPOINT_FILES)
        for old in before:
            store.save(old, *pair(old))
        was_killed = killed_at(moment, monkeypatch, save_and_prune)
        again = killed_at(second, monkeypatch, functools.partial(resume, store))
        steps = resume(store)
        found.add(steps)
        assert steps in (before[-1], 99), (moment, second)
        assert resume(store) == steps
        epochs = sorted({*before, *([epoch] if steps == 99 else [])})[-2:]
        assert store.epochs() == epochs
        half = {f"hifigan_gen_checkpoint_{epoch}.pt"} - {f"hifigan_gen_checkpoint_{e}.pt" for e in epochs}
        whole = {path.name for e in epochs for path in store.paths(e)}
        assert whole <= set(names(folder)) <= whole | half  # no temporary files. Half a pair is written again
        if not was_killed and not again:
            break
        moment, second = (moment, second + 1) if again else (moment + 1, 0)
    assert found == {before[-1], *([] if fails else [99])}
    assert moment > 5


def test_half_a_newer_pair_is_named(tmp_path, caplog):
    store = CheckpointStore(tmp_path, CHECKPOINT_FILES)
    store.save(1, *pair(10))
    store.save(2, *pair(20))
    store.paths(2)[1].unlink()
    assert store.newest()[0] == 1
    assert "a file of checkpoint 2 is missing" in caplog.text


def test_files_of_different_runs_are_no_pair(tmp_path, caplog):
    store = CheckpointStore(tmp_path, CHECKPOINT_FILES)
    store.save(1, *pair(10))
    gen, discrim = pair(20)
    store.save(2, {**gen, "train_setup": {"base_lr": 1}}, {**discrim, "train_setup": {"base_lr": 2}})
    assert store.newest()[0] == 1
    assert "not saved together" in caplog.text
