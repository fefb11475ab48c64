"""TorchScript and PyTorch's exporters without their warnings: `torch.jit` is deprecated, but works."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn


def script(module: nn.Module) -> torch.jit.ScriptModule:
    """Compile a module, including its control flow."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*torch.jit.*", DeprecationWarning)
        return torch.jit.script(module)


def load(path: Path, device: torch.device) -> torch.jit.ScriptModule:
    """Load a compiled module from a file."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*torch.jit.*", DeprecationWarning)
        return torch.jit.load(path, map_location=device)


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Silence the exporters' progress messages and deprecation warnings."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
