"""Formats of exported files. To add one, write a class with `BaseFormat`'s methods and list it in `_ALL`.

A file that is neither a zip archive nor ONNX also needs `common/files/exports.py`, which recognises exports.

Shapes: B batch, M mel bands, L frames, T = L * hop samples.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import os
import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from common.errors import InputError
from common.files.exports import EXPORT_METADATA, sealed
from common.machine.hardware import PRECISIONS
from hifigan.export.contract import CONTRACT_FILE, ExportContract

# Modules that import PyTorch, which takes seconds, are imported where they are used: --help does not need them.
if TYPE_CHECKING:
    import torch

    from hifigan.backend import Run
    from hifigan.vocoder_module import VocoderModule


class BaseFormat:
    """One format of exported files.

    Attributes:
        name: value of --format and --backend.
        suffix: suffix of its files, in lower case.
        about: a few words for --help, or "".
        precisions: precisions that it can hold and run, some of `PRECISIONS`.
        reads_with: packages beyond PyTorch that running a file needs.
        writes_with: further packages that writing one needs.
        bound_to_device: a file runs only on the kind of device that it was exported on.
    """

    name: str
    suffix: str
    about: str = ""
    precisions: tuple[str, ...] = PRECISIONS
    reads_with: tuple[str, ...] = ()
    writes_with: tuple[str, ...] = ()
    bound_to_device: bool = False

    def check_machine(self, device: torch.device) -> None:
        """Raise `InputError` if the machine lacks something other than packages that writing a file needs."""

    def load(self, path: Path, device: torch.device) -> Run:
        """Load a file that `write` wrote."""
        raise NotImplementedError

    def write(self, module: VocoderModule, contract: ExportContract, path: Path, opset: int | None) -> None:
        """Write a module and its contract. `opset` is the ONNX operator set."""
        raise NotImplementedError


def check_installed(user: str, packages: Sequence[str]) -> None:
    """Raise `InputError` with the pip command if packages that `user` needs are not installed."""
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    if missing:
        names = " ".join(package.replace("_", "-") for package in missing)
        raise InputError(f"{user}: needs packages that are not installed: pip install {names}")


class TorchScript(BaseFormat):
    name = "torchscript"
    suffix = ".ts"

    def load(self, path: Path, device: torch.device) -> Run:
        from common.machine.pytorch import torchscript

        return torchscript.load(path, device)

    def write(self, module: VocoderModule, contract: ExportContract, path: Path, opset: int | None) -> None:
        import torch

        from common.machine.pytorch import torchscript

        content = io.BytesIO()
        torch.jit.save(torchscript.script(module), content, _extra_files={CONTRACT_FILE: contract.to_json()})
        path.write_bytes(content.getvalue())  # PyTorch itself would not raise OSError when the disk is full


class Onnx(BaseFormat):
    name = "onnx"
    suffix = ".onnx"
    precisions = ("fp32", "fp16")
    reads_with = ("onnxruntime",)
    writes_with = ("onnx", "onnxscript")

    def load(self, path: Path, device: torch.device) -> Run:
        from hifigan.export import onnx_sessions

        return onnx_sessions.load(path, device)

    def write(self, module: VocoderModule, contract: ExportContract, path: Path, opset: int | None) -> None:
        import torch

        program = torch.onnx.export(
            _trace(module, contract),
            input_names=["mel"],
            output_names=["wav"],
            opset_version=opset,
            dynamo=True,
            verbose=False,
        )
        assert program is not None
        if opset is not None and program.model.opset_imports[""] != opset:
            raise InputError(f"--opset: this exporter does not know {opset}")
        program.model.metadata_props[EXPORT_METADATA] = contract.to_json()
        path.write_bytes(sealed(program.model_proto.SerializeToString()))


# The `load` functions below pass open files: given a path, PyTorch insists on the suffix .pt2 in lower case.


class TorchExport(BaseFormat):
    name = "torch-export"
    suffix = ".pt2"

    def load(self, path: Path, device: torch.device) -> Run:
        import torch
        from torch.export.passes import move_to_device_pass

        with path.open("rb") as file:
            return move_to_device_pass(torch.export.load(file), device).module()

    def write(self, module: VocoderModule, contract: ExportContract, path: Path, opset: int | None) -> None:
        import torch

        content = io.BytesIO()
        torch.export.save(_trace(module, contract), content, extra_files={CONTRACT_FILE: contract.to_json()})
        path.write_bytes(content.getvalue())


class AotInductor(BaseFormat):
    name = "aoti"
    suffix = ".pt2"
    about = "compiled ahead of time by AOTInductor"
    bound_to_device = True

    def check_machine(self, device: torch.device) -> None:
        if not any(shutil.which(name) for name in (os.environ.get("CXX"), "g++", "clang++") if name):
            raise InputError("--format aoti: compiles C++, and no g++ or clang++ was found; install one or set CXX")

    def load(self, path: Path, device: torch.device) -> Run:
        import torch

        with path.open("rb") as file:
            return torch._inductor.aoti_load_package(file)

    def write(self, module: VocoderModule, contract: ExportContract, path: Path, opset: int | None) -> None:
        import torch

        configs = {"cpp.dynamic_threads": True}  # threads of the machine that runs the file
        with tempfile.TemporaryDirectory() as folder:
            # The archive's root is named after the file. With one name, exports of one model are identical.
            package = Path(folder) / "archive.pt2"
            torch._inductor.aoti_compile_and_package(
                _trace(module, contract), package_path=str(package), inductor_configs=configs
            )
            _add_contract(package, contract)
            shutil.copyfile(package, path)


class TensorRt(BaseFormat):
    name = "tensorrt"
    suffix = ".pt2"
    about = "Torch-TensorRT"
    precisions = ("fp32", "fp16")
    reads_with = ("torch_tensorrt",)
    bound_to_device = True
    # TensorRT optimises for a range of sizes.
    min_batch, best_batch, max_batch = 1, 1, 16
    best_frames, max_frames = 400, 4096

    def check_machine(self, device: torch.device) -> None:
        import torch

        if device.type != "cuda":
            raise InputError("--format tensorrt: runs only on GPUs; add --cuda")
        try:
            importlib.import_module("torch_tensorrt")
        except Exception as error:  # built for another PyTorch, or without TensorRT's libraries
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise InputError(
                f"--format tensorrt: torch_tensorrt does not load ({reason}); install the release for PyTorch "
                f"{torch.__version__}"
            ) from error

    def load(self, path: Path, device: torch.device) -> Run:
        import torch

        importlib.import_module("torch_tensorrt")  # registers the engines' operator
        with path.open("rb") as file:
            return torch.export.load(file).module()

    def write(self, module: VocoderModule, contract: ExportContract, path: Path, opset: int | None) -> None:
        import torch
        import torch_tensorrt

        bands = contract.config.num_mels
        sizes = torch_tensorrt.Input(
            min_shape=(self.min_batch, bands, contract.min_frames),
            opt_shape=(self.best_batch, bands, self.best_frames),
            max_shape=(self.max_batch, bands, self.max_frames),
            dtype=torch.float32,
        )
        traced = _trace(module, contract, self.max_batch, self.max_frames)
        engine = torch_tensorrt.dynamo.compile(traced, inputs=[sizes])
        torch_tensorrt.save(engine, str(path), output_format="exported_program", inputs=[sizes])
        _add_contract(path, contract)


_ALL: tuple[BaseFormat, ...] = (TorchScript(), Onnx(), TorchExport(), AotInductor(), TensorRt())
FORMATS = {format.name: format for format in _ALL}


def _trace(
    module: VocoderModule, contract: ExportContract, max_batch: int | None = None, max_frames: int | None = None
) -> torch.export.ExportedProgram:
    """Trace the module with dynamic batch size and length."""
    import torch

    mel = torch.zeros(2, contract.config.num_mels, 50, device=next(module.parameters()).device)
    batch = torch.export.Dim("batch", min=1, max=max_batch)
    frames = torch.export.Dim("frames", min=contract.min_frames, max=max_frames)
    return torch.export.export(module, (mel,), dynamic_shapes={"mel": {0: batch, 2: frames}})


def _add_contract(path: Path, contract: ExportContract) -> None:
    """Add the contract to an archive, at the place where PyTorch's own archives have it."""
    with zipfile.ZipFile(path, "a") as archive:
        root = archive.namelist()[0].split("/")[0]
        # An explicit ZipInfo has no time of day, so exports of one model are identical.
        archive.writestr(zipfile.ZipInfo(f"{root}/extra/{CONTRACT_FILE}"), contract.to_json())
