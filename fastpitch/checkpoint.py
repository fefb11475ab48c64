"""Loading of FastPitch checkpoints: {state_dict, config, train_setup}, published or our own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from common.errors import InputError
from common.files.checkpoints import read_file
from common.files.generators.read import parse_generator
from fastpitch.config import FastPitchInfo
from fastpitch.model import FastPitch


def load_fastpitch(
    path: str | Path, device: str | torch.device = "cpu", ema: bool = False
) -> tuple[FastPitch, FastPitchInfo]:
    """Load FastPitch for inference, with its aligner if the file has one.

    Args:
        path: checkpoint file, or the folder of a model (`FastPitch.save_pretrained`).
        device: device of the model.
        ema: load the moving average of the weights, from a run with `--ema`.

    Returns:
        The model in evaluation mode, and the file's other contents, which are also its attribute `info`.

    Raises:
        FileNotFoundError: no such file.
        InputError: damaged, not a FastPitch, without configuration, with missing, extra or misshapen tensors, or
            without the moving average that `ema` asks for.
    """
    path = Path(path)
    content = read_file(path)
    state = _state(path, content, ema)
    try:
        model = FastPitch.from_checkpoint(path, {**content, FastPitch.STATE: state})
    except InputError as error:
        raise error if str(path) in str(error) else InputError(f"{path}: {error}") from error
    assert model.info is not None
    return model.eval().to(device), model.info


def _state(path: Path, content: Mapping[str, Any], ema: bool) -> dict[str, Tensor]:
    state = content.get("ema_state_dict" if ema else "state_dict")
    if ema and state is None:
        raise InputError(f"{path}: it has no moving average, which comes from training with --ema")
    if isinstance(state, Mapping):
        names = {str(name).removeprefix("module."): value for name, value in state.items()}
        wrong = [name for name, value in names.items() if not isinstance(value, Tensor)]
        if "encoder.word_emb.weight" in names and not wrong:
            return names
    found = ", ".join(map(str, list(content)[:5]))
    hint = ""
    if parse_generator(path, content):
        hint = "; it is a HiFi-GAN generator, which belongs to --hifigan"
    raise InputError(f"{path}: not a FastPitch checkpoint (its keys: {found}){hint}")
