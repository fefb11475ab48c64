"""Small computations on the simulated GPU. Without the guard, as here, it has neither autograd nor autocast."""

import pytest
import torch

from benchmarks.gpu_simulation.device import DEVICE, simulated_gpu

pytestmark = pytest.mark.medium  # simulating imports PyTorch's compiler


def count(work, answers=None):
    with simulated_gpu(answers) as counter, counter.counting() as tally:
        work()
    return tally


def test_only_operators_on_the_gpu_count():
    def work():
        torch.ones(10) + torch.ones(10)
        torch.ones(10, device=DEVICE) + torch.ones(10, device=DEVICE)

    tally = count(work)
    assert tally.kernels_by_operator == {"ones": 2, "add": 1}
    assert tally.bytes_by_operator == {"ones": 80, "add": 120}
    assert (tally.kernels, tally.launches, tally.moved_bytes) == (3, 3, 200)
    assert (tally.waits, tally.crossings, tally.errors) == ([], [], [])


@pytest.mark.parametrize(
    ("work", "waits", "crossings"),
    [
        (lambda x: x.sum().item(), 1, 0),
        (lambda x: bool(x.sum() > 0), 1, 0),
        (lambda x: x.tolist(), 1, 1),
        (lambda x: x.cpu(), 1, 1),
        (lambda x: x.to("cpu", non_blocking=True), 0, 1),
        (lambda x: torch.ones(3).to(DEVICE), 1, 1),
        (lambda x: torch.ones(3).pin_memory().to(DEVICE, non_blocking=True), 0, 1),
        (lambda x: torch.tensor([1, 2], device=DEVICE), 1, 1),
        (lambda x: x.new_tensor([1.0]), 1, 1),
        (lambda x: torch.cuda.synchronize(), 1, 0),
        (lambda x: torch.where(x > 0, x, 0.0) * 2 + torch.tensor(3.0), 0, 0),
    ],
)
def test_waits_and_crossings(work, waits, crossings):
    tally = count(lambda: work(torch.ones(3, device=DEVICE)))
    assert (len(tally.waits), len(tally.crossings)) == (waits, crossings)
    assert tally.errors == []
    assert all("test_counter.py" in place for place in (*tally.waits, *tally.crossings))


def test_numbers_on_the_cpu_are_no_error():
    tally = count(lambda: torch.ones(3, device=DEVICE).addcmul_(torch.ones(3, device=DEVICE), torch.tensor(2.0)))
    assert tally.errors == []


def test_memory_counts_until_it_is_freed():
    with simulated_gpu() as counter:
        x = torch.empty(1000, device=DEVICE)
        assert counter.live_bytes == 4096  # in whole blocks of 512 bytes
        with counter.counting() as tally:
            y = x + 1
            z = y.view(10, 100)
            del y
            assert counter.live_bytes == 2 * 4096
            del z
            assert counter.live_bytes == 4096
            x + 1
        assert tally.peak_bytes == 2 * 4096
        del x
        assert counter.live_bytes == 0


def test_assumed_numbers():
    def work():
        lengths = torch.ones(3, device=DEVICE, dtype=torch.long)
        assert lengths.max().item() == 7
        assert lengths.tolist() == [1, 1, 1]
        assert lengths.double().sum().item() == 1.0
        assert lengths.equal(lengths)

    assert len(count(work, {"lengths.max": 7}).waits) == 4


def test_a_graph_is_launched_at_once():
    with simulated_gpu() as counter:
        x = torch.ones(1000, device=DEVICE)
        graph = torch.cuda.CUDAGraph()
        with counter.counting() as recording, torch.cuda.graph(graph):
            y = (x + 1) * 2
        assert (recording.kernels, recording.launches) == (0, 0)
        with counter.counting() as replays:
            graph.replay()
            graph.replay()
        assert (replays.kernels, replays.launches, replays.errors) == (4, 2, [])
        assert replays.kernels_by_operator == {"add": 2, "mul": 2}
        assert replays.moved_bytes == 4 * 8000
        assert replays.peak_bytes == 2 * 4096 + 2 * 4096  # x and y, and again what the recording needed
        del y


def test_waiting_while_a_graph_is_recorded_is_an_error():
    with simulated_gpu() as counter:
        x = torch.ones(3, device=DEVICE)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            assert torch.cuda.is_current_stream_capturing()
            x.cpu()
        with counter.counting() as tally:
            graph.replay()
        assert "while a graph is recorded" in tally.errors[0]
