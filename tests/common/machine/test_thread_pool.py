"""Work shared by single-threaded threads."""

import os
import threading

import pytest
import torch

from common.machine.thread_pool import for_each, share


@pytest.fixture(autouse=True)
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_each_item_is_dealt_with_once_by_threads_that_compute_alone():
    done, inner, here = [], set(), threading.get_ident()
    together = threading.Barrier(3)  # only passed if three items are dealt with at a time

    def work(item):
        together.wait(timeout=60)
        inner.add((torch.get_num_threads(), threading.get_ident() == here, torch.is_inference_mode_enabled()))
        done.append(item)

    for_each(work, range(9))
    assert sorted(done) == list(range(9))
    assert inner == {(1, False, True)}
    assert torch.get_num_threads() == 3
    # What another thread begins with.
    seen = []
    thread = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert seen == [3]


def test_a_single_item_is_left_to_the_caller():
    seen = []
    for_each(lambda item: seen.append((item, threading.get_ident(), torch.get_num_threads())), ["one"])
    assert seen == [("one", threading.get_ident(), 3)]


def test_shared_work_includes_the_caller():
    done, threads = [], set()
    together = threading.Barrier(3)

    def work(item):
        together.wait(timeout=60)
        threads.add(threading.get_ident())
        done.append(item)

    share(work, range(9))
    assert sorted(done) == list(range(9))
    assert len(threads) == 3
    assert threading.get_ident() in threads


@pytest.mark.parametrize("run", [for_each, share])
@pytest.mark.parametrize("failing", [0, 4, 7])
def test_errors_are_raised(run, failing):
    def work(item):
        if item == failing:
            raise ValueError(f"item {failing}")

    with pytest.raises(ValueError, match=f"item {failing}"):
        run(work, range(8))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_after_a_fork():
    """The parent's threads do not exist in the child, which would wait for them forever."""
    for_each(lambda item: None, range(8))
    child = os.fork()
    if child == 0:
        total = []
        for_each(total.append, range(8))
        os._exit(0 if sorted(total) == list(range(8)) else 1)
    _, status = os.waitpid(child, 0)
    assert status == 0
