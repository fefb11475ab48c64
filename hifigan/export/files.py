"""Exported files: read their contract, and load them as a backend.

The contract is JSON inside the file. Zip archives (TorchScript, `torch.export`, AOTInductor, TensorRT) have it as
`extra/hifigan.json`, ONNX files as the metadata property `hifigan`.
"""

from __future__ import annotations

from pathlib import Path

import torch

from common.errors import InputError, first_line
from common.files.exports import check_undamaged, readable_metadata
from common.project import command
from hifigan.backend import Backend
from hifigan.export.contract import ExportContract
from hifigan.export.formats import FORMATS, check_installed


def load_export(
    path: str | Path, device: str | torch.device = "cpu", format: str = "auto"
) -> tuple[Backend, ExportContract]:
    """Load a file that `hifigan.export.write.export` wrote.

    Args:
        path: the file.
        device: where it runs.
        format: the expected format, or "auto" for any.

    Returns:
        the backend, and the file's contract.

    Raises:
        FileNotFoundError: no such file.
        InputError: not an exported file, one of another format, damaged, exported for another device, or a package
            that it needs is not installed.
    """
    path, device = Path(path), torch.device(device)
    contract = read_export_contract(path)
    if contract is None:
        raise InputError(f"{path}: not an exported model, or damaged; make one with: {command('python export.py')}")
    if format not in ("auto", contract.format):
        raise InputError(f"{path}: an export of format {contract.format}, not {format} (--backend)")
    kind = FORMATS[contract.format]
    check_installed(contract.format, kind.reads_with)
    if kind.bound_to_device and device.type != contract.device:
        raise InputError(f"{path}: this {contract.format} file was made for {contract.device}, and runs only there")
    check_undamaged(path)  # with flipped bits in the weights it would load and produce noise
    try:
        run = kind.load(path, device)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except Exception as error:  # each library has its own errors for files that it cannot read
        reason = first_line(error)
        made = f"made with PyTorch {contract.torch_version}, here is {torch.__version__}"
        raise InputError(f"{path}: does not load as {contract.format} ({made}): {reason}") from error
    return Backend(run, contract.config, device, contract.denoising_strength, contract.min_frames), contract


def read_export_contract(path: Path) -> ExportContract | None:
    """Read the contract of an exported file without loading the model. Return None for any other file.

    Raises:
        FileNotFoundError: no such file.
        InputError: the contract is unreadable or of another version.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint or exported model (--hifigan)")
    text = readable_metadata(path)
    if text is None:
        return None
    try:
        contract = ExportContract.from_json(text)
        if contract.format not in FORMATS:
            raise InputError(f"of unknown format {contract.format!r}")
    except InputError as error:
        raise InputError(f"{path}: its contract is {error}; export it again") from error
    return contract
