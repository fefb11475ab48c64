"""Reading FastPitch checkpoints: {state_dict, config, train_setup}, as published and as saved here."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from common.audio import AudioConfig
from common.errors import InputError
from common.files.checkpoints import check_tensors, dictionary, read_file
from fastpitch.config import FastPitchConfig
from fastpitch.model import FastPitch

ALIGNER_PREFIX = "attention."


@dataclasses.dataclass(frozen=True)
class FastPitchInfo:
    """What a FastPitch file says about itself.

    Attributes:
        path: the file.
        config: architecture.
        audio: signal contract of its mels ("tacotron" framing); LJSpeech defaults where the file says nothing.
        train_setup: the file's `train_setup` (symbol set, text cleaners, p_arpabet, ...), empty where it has none.
        epoch: finished training epochs, None where unknown.
        has_aligner: the file has the aligner, which teacher forcing needs.
    """

    path: Path
    config: FastPitchConfig
    audio: AudioConfig
    train_setup: dict[str, Any]
    epoch: int | None
    has_aligner: bool


def load_fastpitch(
    path: str | Path, device: str | torch.device = "cpu", ema: bool = False
) -> tuple[FastPitch, FastPitchInfo]:
    """Loads FastPitch for inference, with its aligner where the file has one.

    Args:
        path: checkpoint file.
        device: where the model goes.
        ema: take the moving average of the weights, from a run with `--ema`.

    Returns:
        the model in evaluation mode, and what is known about it.

    Raises:
        FileNotFoundError: no such file.
        InputError: damaged, no FastPitch, without configuration, or with missing, extra or misshapen tensors; `ema`
            asked of a file without one.
    """
    path = Path(path)
    content = read_file(path)
    state = _state(path, content, ema)
    stored = dictionary(path, content, "config")
    if not stored:
        raise InputError(f"{path}: a FastPitch checkpoint needs its configuration under 'config', which is missing")
    setup = dictionary(path, content, "train_setup")
    has_aligner = any(name.startswith(ALIGNER_PREFIX) for name in state)
    try:
        config = FastPitchConfig.from_dict(stored)
        audio = AudioConfig.from_dict({**setup, "num_mels": config.n_mel_channels}, framing="tacotron")
        with torch.device("meta"):  # nothing is allocated for a file that does not fit
            model = FastPitch(config, aligner=has_aligner)
        check_tensors(state, model.state_dict(), "FastPitch")
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    model.to_empty(device="cpu").load_state_dict(state)
    epoch = content.get("epoch")
    info = FastPitchInfo(path, config, audio, setup, epoch if isinstance(epoch, int) else None, has_aligner)
    return model.eval().to(device), info


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
    if "generator" in content or any("conv_pre" in str(name) for name in content):
        hint = "; it is a HiFi-GAN generator, which belongs to --hifigan"
    raise InputError(f"{path}: not a FastPitch checkpoint (its keys: {found}){hint}")
