"""Train with two processes, whose steps are recorded as CUDA graphs, here emulated, or not."""

import functools
import json
import multiprocessing
import os
import socket
import unittest.mock

import torch

import train
from common import distributed
from common.training import cuda_graphs
from common.training.cuda_graphs import GraphedStep
from hifigan import discriminators
from hifigan.training import state as state_module
from hifigan.training.step_computation import StepComputation
from tests.programs.train.graphs.test_graphs import Failing, new_state, take_steps
from tests.support.gpu.graph_emulator import GraphEmulator
from tests.support.models import thin_layers

STEPS = 4


class AsOnGpus(StepComputation):
    """On a CPU, gradients that are averaged after the backward pass."""

    def __init__(self, *args):
        super().__init__(*args)
        self.graphed = True


def train_in_process(rank, port, connection):
    """Train as one of two processes, in three ways, and send what came of each."""
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "test"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    cuda_graphs.WARM_UP_STEPS = 1
    for name, layer in thin_layers().items():
        setattr(discriminators, name, layer)
    place = distributed.init(cuda=False)
    with unittest.mock.patch.object(distributed, "init", return_value=place):
        ways = [None, GraphEmulator(), Failing() if rank else GraphEmulator()]
        connection.send(json.dumps([train_some_steps(recorder) for recorder in ways]))
    distributed.shutdown()


def train_some_steps(recorder):
    """Return the losses, the norms of all weights, whether steps were recorded, and the warnings."""
    with unittest.mock.patch.object(state_module, "StepComputation", AsOnGpus if recorder else StepComputation):
        state = new_state()
    step = functools.partial(train.both_steps, state)
    if recorder:
        step = GraphedStep(step, state.changing(), state.place.device, recorder, state.computation.exchanges)
    with unittest.mock.patch.object(cuda_graphs.log, "warning") as warning:
        losses = take_steps(state, step, STEPS)
    values = [*state.generator.state_dict().values(), *state.discriminators.state_dict().values()]
    norms = [value.double().norm().item() for value in values]
    return losses, norms, recorder is not None and step.recorded, [call.args[-1] for call in warning.call_args_list]


def train_in_three_ways():
    """Return for each way what each process sent: without graphs, with graphs, and with one that cannot record."""
    context = multiprocessing.get_context("spawn")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    processes, pipes = [], []
    for rank in range(2):
        ours, theirs = context.Pipe()
        processes.append(context.Process(target=train_in_process, args=(rank, port, theirs)))
        processes[-1].start()
        theirs.close()
        pipes.append(ours)
    results = [json.loads(pipe.recv()) for pipe in pipes]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    return list(zip(*results, strict=True))
