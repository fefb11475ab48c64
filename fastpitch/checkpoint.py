"""Loading of FastPitch checkpoints: {state_dict, config, train_setup}, published or our own."""

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
from common.files.generator_files import parse_generator
from fastpitch.config import FastPitchConfig
from fastpitch.model import FastPitch

ALIGNER_PREFIX = "attention."


@dataclasses.dataclass(frozen=True)
class FastPitchInfo:
    """Contents of a FastPitch file besides the weights.

    Attributes:
        path: the file.
        config: architecture.
        audio: signal contract of its mels ("tacotron" framing), with LJSpeech defaults for values the file lacks.
        train_setup: the file's `train_setup` (symbol set, text cleaners, p_arpabet, ...), empty if it has none.
        epoch: finished training epochs, or None if unknown.
        has_aligner: whether the file has the aligner, which teacher forcing needs.
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
    """Load FastPitch for inference, with its aligner if the file has one.

    Args:
        path: checkpoint file.
        device: device of the model.
        ema: load the moving average of the weights, from a run with `--ema`.

    Returns:
        The model in evaluation mode, and the file's other contents.

    Raises:
        FileNotFoundError: no such file.
        InputError: damaged, not a FastPitch, without configuration, with missing, extra or misshapen tensors, or
            without the moving average that `ema` asks for.
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
        with torch.device("meta"):  # allocates nothing for a file that does not fit
            model = FastPitch(config, aligner=has_aligner)
        check_tensors(state, model.state_dict(), "FastPitch")
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    # Assigned, since allocating tensors for a model on "meta" would import sympy, which takes half a second.
    expected = model.state_dict()
    model.load_state_dict({name: value.to(expected[name].dtype) for name, value in state.items()}, assign=True)
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
    if parse_generator(path, content):
        hint = "; it is a HiFi-GAN generator, which belongs to --hifigan"
    raise InputError(f"{path}: not a FastPitch checkpoint (its keys: {found}){hint}")
