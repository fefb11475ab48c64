"""Settings and fixtures of all tests."""

import os
import signal
import sys

import pytest
import torch

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # in the background of a script
    signal.signal(signal.SIGINT, signal.default_int_handler)  # programs that tests start must not inherit that
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # kernels for GPUs run in Python. Triton reads it when they are defined.

from common.machine.precision import use_tf32
from tests.support.web.hub_server import serving_hub


def pytest_collection_modifyitems(items):
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="needs a CUDA GPU"))


@pytest.fixture(autouse=True)
def _signals_as_before():
    """Restore the handlers of SIGTERM and SIGINT, which training in this process replaces."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def _no_tf32(request):
    """Compute in exact fp32 on GPUs, as references do, except where TF32 is the subject (marker `tf32`)."""
    if request.node.get_closest_marker("gpu") and not request.node.get_closest_marker("tf32"):
        with use_tf32(convolutions=False, products=False):
            yield
    else:
        yield


@pytest.fixture(params=["highest", "high", "medium"])
def matmul_precision(request):
    """Set PyTorch's precision of fp32 products. "medium" shortens factors to bf16 on CPUs with matrix units."""
    torch.set_float32_matmul_precision(request.param)
    yield request.param
    torch.set_float32_matmul_precision("highest")


@pytest.fixture
def one_thread():
    """Compute on one thread, as in processes that tests start. Results depend on the number of threads by rounding."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def use_hub(tmp_path, monkeypatch):
    """Yield a function that makes the real package huggingface_hub use a server, with an empty cache."""
    pytest.importorskip("huggingface_hub")
    for name in _hub_modules():  # it reads its environment when it is imported
        monkeypatch.delitem(sys.modules, name)
    for variable in ("HF_HUB_OFFLINE", "HF_TOKEN", "HF_HUB_CACHE"):
        monkeypatch.delenv(variable, raising=False)

    def use(url):
        for variable, value in (("HF_ENDPOINT", url), ("HF_HOME", str(tmp_path / "hf")), ("DO_NOT_TRACK", "1")):
            monkeypatch.setenv(variable, value)

    yield use
    for name in _hub_modules():
        del sys.modules[name]


@pytest.fixture
def hub(use_hub):
    """Yield an imitation of the Hugging Face hub, which the real package huggingface_hub uses, with an empty cache."""
    with serving_hub() as hub:
        use_hub(hub.url)
        yield hub


def _hub_modules():
    return [name for name in sys.modules if name.split(".")[0] == "huggingface_hub"]
