"""TorchScript: `torch.jit` is deprecated but works; its warnings stop here."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import nn


def script(module: nn.Module) -> torch.jit.ScriptModule:
    """Compiles a module with its control flow."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*torch.jit.*", DeprecationWarning)
        return torch.jit.script(module)


def load(path: Path, device: torch.device) -> torch.jit.ScriptModule:
    """Loads a compiled module from a file."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*torch.jit.*", DeprecationWarning)
        return torch.jit.load(path, map_location=device)
