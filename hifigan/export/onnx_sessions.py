"""Run ONNX files: on CPUs through NumPy, on GPUs on PyTorch's own memory.

Shapes: B batch, M mel bands, L frames, T samples.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from common.errors import InputError
from common.files.exports import EXPORT_METADATA
from hifigan.backend import Run
from hifigan.export.contract import ExportContract

GPU_PROVIDER = "CUDAExecutionProvider"


def load(path: Path, device: torch.device) -> Run:
    """Load a file of `hifigan.export.write`: mel [B, M, L] -> wav [B, T], both on `device`.

    Raises:
        InputError: onnxruntime cannot run it on a GPU here.
    """
    if device.type == "cuda":
        return bound_run(_gpu_session(path, device), device)
    session = _session(path, ["CPUExecutionProvider"])

    def run(mel: Tensor) -> Tensor:
        (wav,) = session.run(None, {"mel": mel.cpu().numpy()})
        return torch.from_numpy(wav)

    return run


def bound_run(session: Any, device: torch.device) -> Run:
    """Let a session read and write tensors of PyTorch where they are, without copies."""
    contract = ExportContract.from_json(session.get_modelmeta().custom_metadata_map[EXPORT_METADATA])
    place = (device.type, device.index or 0, np.float32)

    def run(mel: Tensor) -> Tensor:
        mel = mel.contiguous()
        samples = contract.config.num_samples(mel.size(2))
        if contract.denoising_strength > 0:  # it makes whole hops
            samples -= samples % contract.config.hop_length
        wav = mel.new_empty(mel.size(0), samples)
        binding = session.io_binding()
        for bind, name, tensor in ((binding.bind_input, "mel", mel), (binding.bind_output, "wav", wav)):
            bind(name, *place, tuple(tensor.shape), tensor.data_ptr())
        if device.type == "cuda":  # onnxruntime has a stream of its own, whose end its run waits for
            torch.cuda.current_stream(device).synchronize()
        session.run_with_iobinding(binding)
        return wav

    return run


def _gpu_session(path: Path, device: torch.device) -> Any:
    import onnxruntime

    if GPU_PROVIDER not in onnxruntime.get_available_providers():
        raise InputError(
            "--cuda: the installed onnxruntime runs on CPUs only; pip uninstall onnxruntime, then pip install "
            "onnxruntime-gpu, or leave out --cuda"
        )
    # By default it times all of cuDNN's kernels for each new length.
    options = {"device_id": device.index or 0, "cudnn_conv_algo_search": "HEURISTIC"}
    session = _session(path, [(GPU_PROVIDER, options)])
    if GPU_PROVIDER not in session.get_providers():  # then it would silently compute on the CPU
        raise InputError(
            f"--cuda: onnxruntime-gpu {onnxruntime.__version__} does not find its CUDA libraries; install the release "
            f"for CUDA {torch.version.cuda}, or leave out --cuda"
        )
    return session


def _session(path: Path, providers: list[Any]) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()  # onnxruntime ignores OMP_NUM_THREADS
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=providers)
