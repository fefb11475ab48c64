"""Find the weights of a generator in the folder of any program."""

from __future__ import annotations

from pathlib import Path

from common.errors import InputError
from common.files.model_folders import CONFIG_FILE, MODEL_FILE, find_model_file, is_model_folder

NAMES = (MODEL_FILE, "pytorch_model.bin", "diffusion_pytorch_model.safetensors", "generator.ckpt")
PATTERNS = ("*.nemo", "checkpoint-*.pkl", "*.pkl", "*.pth", "*.pth.tar", "*.ckpt", "*.pt", "g_[0-9]*")
DIFFUSERS = "vocoder"  # folder of the vocoder in a pipeline of diffusers
# What is downloaded from a repository of another program: settings first, then weights.
SETTINGS = (*("config.json", "config.yaml", "config.yml", "hyperparams.yaml", "stats.h5"), f"{DIFFUSERS}/config.json")
WEIGHTS = (*NAMES, "*.nemo", "checkpoint-*.pkl", *(f"{DIFFUSERS}/{name}" for name in NAMES))


def find_weights(path: Path) -> Path:
    """Return the file of weights that a path stands for: itself, or the one in a folder.

    Raises:
        InputError: a folder without weights, or with several files that could be meant.
    """
    if not path.is_dir():
        return path
    if is_model_folder(path):
        return find_model_file(path)
    if not (path / MODEL_FILE).is_file() and (path / DIFFUSERS / CONFIG_FILE).is_file():
        path = path / DIFFUSERS
    for name in NAMES:
        if (path / name).is_file():
            return path / name
    for pattern in PATTERNS:
        found = sorted(file for file in path.glob(pattern) if file.is_file())
        if len(found) > 1:
            raise InputError(f"{path}: {len(found)} files could be the model ({found[0].name}, ...); name one of them")
        if found:
            return found[0]
    raise InputError(
        f"{path}: not the folder of a model: no weights are in it, such as {MODEL_FILE} (for a voice: --voice)"
    )
