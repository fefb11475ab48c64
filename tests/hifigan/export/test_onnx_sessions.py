"""ONNX files on GPUs: no copies, the right GPU, and one line if onnxruntime cannot. With a stand-in for sessions."""

import types

import pytest
import torch

from common.errors import InputError
from hifigan.checkpoint import load_generator
from hifigan.export import onnx_sessions
from hifigan.export.files import load_export
from hifigan.export.onnx_sessions import GPU_PROVIDER, bound_run
from hifigan.export.write import export
from tests.support.models import make_checkpoint

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

SECOND_GPU = torch.device("cuda", 1)


@pytest.fixture(scope="module", params=[0.0, 0.05], ids=["plain", "denoiser inside"])
def file(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx")
    generator, info = load_generator(make_checkpoint(folder / "g.pt"))
    export(generator, info, folder / "model.onnx", "onnx", denoising_strength=request.param)
    return folder / "model.onnx"


@pytest.fixture
def gpu_build(monkeypatch):
    """Imitate onnxruntime-gpu: sessions run on the CPU, and record what they were made with."""
    made, real = [], onnxruntime.InferenceSession

    def make(path, options, providers):
        session = real(path, options, providers=["CPUExecutionProvider"])
        made.append(providers)
        found = [GPU_PROVIDER] if monkeypatch.found else ["CPUExecutionProvider"]
        return types.SimpleNamespace(get_providers=lambda: found, get_modelmeta=session.get_modelmeta)

    monkeypatch.found = True
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [GPU_PROVIDER, "CPUExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", make)
    return made


@pytest.mark.medium
def test_bound_tensors_get_the_same_audio(file):
    """For real, on the CPU's provider, which takes the same binding."""
    plain, _ = load_export(file)
    bound = bound_run(onnx_sessions._session(file, ["CPUExecutionProvider"]), torch.device("cpu"))
    for batch, frames in ((1, 9), (2, 30), (1, 31)):
        mel = torch.randn(batch, 80, frames, generator=torch.Generator().manual_seed(frames)) * 2 - 5
        wav = bound(mel.transpose(1, 2).contiguous().transpose(1, 2))  # a mel of another layout
        assert wav.abs().max() > 0.01
        assert torch.equal(wav, plain.run(mel))


class Binding:
    """Records what is bound."""

    def __init__(self):
        self.bound = []

    def bind_input(self, *args):
        self.bound.append(args)

    bind_output = bind_input


def test_a_gpu_is_bound_by_its_number(file, monkeypatch):
    session = onnx_sessions._session(file, ["CPUExecutionProvider"])
    binding, ran, waited = Binding(), [], []
    stand_in = types.SimpleNamespace(
        get_modelmeta=session.get_modelmeta, io_binding=lambda: binding, run_with_iobinding=ran.append
    )
    stream = types.SimpleNamespace(synchronize=lambda: waited.append(len(ran)))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: stream)
    mel = torch.zeros(2, 80, 7)
    wav = bound_run(stand_in, SECOND_GPU)(mel)
    assert [args[:3] + args[4:5] for args in binding.bound] == [
        ("mel", "cuda", 1, (2, 80, 7)),
        ("wav", "cuda", 1, (2, 7 * 256)),
    ]
    assert [args[5] for args in binding.bound] == [mel.data_ptr(), wav.data_ptr()]
    assert ran == [binding]
    assert waited == [0], "for the mel, before the run"


def test_sessions_on_a_gpu(file, gpu_build):
    load_export(file, SECOND_GPU)
    (((provider, options),),) = gpu_build
    assert provider == GPU_PROVIDER
    assert options == {"device_id": 1, "cudnn_conv_algo_search": "HEURISTIC"}


def test_a_session_that_fell_back_to_the_cpu_is_refused(file, gpu_build, monkeypatch):
    monkeypatch.found = False
    with pytest.raises(InputError, match=r"^[^\n]*--cuda: onnxruntime-gpu [\d.]+ does not find its CUDA libraries"):
        load_export(file, SECOND_GPU)


@pytest.mark.skipif(GPU_PROVIDER in onnxruntime.get_available_providers(), reason="onnxruntime-gpu is installed")
def test_the_package_for_cpus_is_refused_on_a_gpu(file):
    with pytest.raises(InputError, match=r"^[^\n]*\.onnx: --cuda: [^\n]* pip install onnxruntime-gpu, or leave out"):
        load_export(file, SECOND_GPU)
