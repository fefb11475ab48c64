"""Order and number of the inference benchmark's measurements."""

import torch

from benchmarks.inference.rounds import MIN_ROUNDS, Case, Task, measure

CPU = torch.device("cpu")


def task(name, case, calls=None, vocoder=lambda given: given):
    def speak(inputs):
        if calls is not None:
            calls.append((name, id(inputs)))
        return inputs

    return Task("V1", name, "fp32", case, 0.0, speak, vocoder)


def test_tasks_take_turns_and_warm_up_with_the_same_inputs():
    calls = []
    mels = [torch.zeros(80, 3), torch.zeros(80, 5)]
    cases = [Case(mels), Case(mels[:1])]
    measured = measure([task(name, case, calls) for case in cases for name in "ab"], 1, 2, CPU)
    one_round = [(name, id(case.inputs)) for case in cases for name in "ab"]
    assert calls == 3 * one_round
    assert [figures.frames for figures in measured] == [16, 16, 6, 6]  # two rounds, without padding
    assert all(len(figures.vocoding_sec) == 2 for figures in measured)


def test_no_round_begins_when_the_time_is_over():
    (measured,) = measure([task("a", Case([torch.zeros(80, 3)]))], 2, 100, CPU, seconds=0)
    assert len(measured.vocoding_sec) == MIN_ROUNDS
    (measured,) = measure([task("a", Case([torch.zeros(80, 3)]))], 2, 100, CPU, seconds=0, last_sec=0)
    assert len(measured.vocoding_sec) == 1


def test_a_task_that_fails_is_left_out_and_the_others_go_on():
    def run_out(mels):
        raise torch.OutOfMemoryError("CUDA out of memory")

    def fail_later(mels):
        runs.append(len(runs))
        if len(runs) == 3:
            raise RuntimeError("illegal memory access\nand more")
        return mels

    runs, seen = [], []
    case = Case([torch.zeros(80, 3)] * 2)
    tasks = [task("a", case, vocoder=run_out), task("b", case, vocoder=fail_later), task("c", case)]
    measured = measure(tasks, 1, 4, CPU, alive=seen.append)
    assert [times.failure for times in measured] == [
        "2 utterances do not fit into the GPU's memory",
        "illegal memory access",
        "",
    ]
    assert [len(times.vocoding_sec) for times in measured] == [0, 1, 4]
    assert seen.count("V1, batch 2, length 0, a") == 1
    assert seen.count("V1, batch 2, length 0, c") == 5


def test_the_first_call_is_timed_alone_and_its_audio_kept(monkeypatch):
    times = iter(range(0, 100, 1))
    monkeypatch.setattr("benchmarks.inference.rounds.now_sec", lambda device: float(next(times)))
    made = iter([[torch.tensor([float(n)])] for n in range(3)])
    (measured,) = measure([task("a", Case([torch.zeros(80, 3)]), vocoder=lambda mels: next(made))], 1, 2, CPU)
    assert measured.first_sec == 2.0
    assert measured.wavs == [0.0]
    assert measured.vocoding_sec == [1.0, 1.0]
