"""Models as folders for sharing: config.json, model.safetensors, and README.md, the model card.

config.json holds what a checkpoint holds beside its tensors, under the same keys. model.safetensors holds the tensors.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import InputError
from common.files.atomic import replacing, write_whole
from common.files.json_files import read_json

# Modules that import PyTorch, which takes seconds, are imported where they are used: --help does not need them.
if TYPE_CHECKING:
    from torch import Tensor

CONFIG_FILE, MODEL_FILE, CARD_FILE = "config.json", "model.safetensors", "README.md"
FORMAT = "format"  # key of config.json that names this format
STATE = "state"  # key of config.json that records the key of a checkpoint's tensors
FORMAT_NAME = "hifigan-recipe"
MODELS = {"generator": "a HiFi-GAN generator", "state_dict": "a FastPitch model"}  # by the key of the tensors
PRECISIONS = ("fp32", "fp16")


def write_model_folder(
    folder: Path, state: str, tensors: Mapping[str, Tensor], values: Mapping[str, Any], precision: str, card: str
) -> None:
    """Write a model's folder. An existing card is kept, and if writing fails, so is an existing model.

    Args:
        folder: created if missing.
        state: key of a checkpoint that holds the tensors, one of `MODELS`.
        tensors: by name.
        values: the checkpoint's other values, which must be plain (JSON).
        precision: of matrices and kernels in the file, one of `PRECISIONS`.
        card: README.md, in Markdown.

    Raises:
        InputError: an unknown precision, a value that fp16 cannot hold, or a folder with other files of these names.
    """
    if precision not in PRECISIONS:
        raise InputError(f"precision: {precision!r} is neither {' nor '.join(PRECISIONS)}")
    from common.files.safetensors_files import in_half_precision, write_tensors

    config = folder / CONFIG_FILE
    for file in (config, folder / MODEL_FILE):
        if file.exists() and not _is_ours(config):
            raise InputError(f"{file}: exists and does not belong to a model of this project; give another folder")
    if precision == "fp16":
        try:
            tensors = in_half_precision(tensors)
        except InputError as error:
            raise InputError(f"{folder}: {error}; save it with precision='fp32'") from error
    content = {FORMAT: FORMAT_NAME, STATE: state, **values}
    # Both are written before either gets its name, so an error leaves what was there. The weights get theirs last: a
    # folder with config.json alone is one of ours, which loading names as incomplete and saving again completes.
    with replacing(folder / MODEL_FILE) as new_model, replacing(config) as new_config:
        write_tensors(new_model, tensors)
        new_config.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    if not (folder / CARD_FILE).exists():
        write_whole(folder / CARD_FILE, card.encode())


def card_metadata(tags: Sequence[str], licence: str = "", language: str = "", base_model: str = "") -> list[str]:
    """Return the lines at the top of a model card that the Hugging Face hub reads (YAML).

    Args:
        tags: what the hub's search finds the model by.
        licence: as the hub spells it, such as "cc-by-4.0". Other descriptions are not metadata, and are left out.
        language: ISO 639-1, such as "en", or "" if unknown.
        base_model: org/name on the hub of the model that this one was trained from, or "".
    """
    if not re.fullmatch(r"[a-z][a-z0-9.+-]*", licence):
        licence = ""
    values = {"license": licence, "language": language, "library_name": FORMAT_NAME, "base_model": base_model}
    lines = [f"{name}: {value}" for name, value in values.items() if value]
    return ["---", *lines, "pipeline_tag: text-to-speech", "tags:", *(f"- {tag}" for tag in tags), "---"]


def find_model_file(folder: Path, name: str = "", state: str = "") -> Path:
    """Return the file with the tensors in a model's folder.

    Args:
        folder: the folder.
        name: what messages call it, by default its path.
        state: key of the tensors that is wanted, by default any of `MODELS`.

    Raises:
        InputError: not the folder of a model, or of the wrong one.
    """
    read_config(folder, name, state)
    if not (folder / MODEL_FILE).is_file():
        raise InputError(f"{name or folder}: {MODEL_FILE} is missing; copy or download the whole folder")
    return folder / MODEL_FILE


def read_config(folder: Path, name: str = "", state: str = "") -> dict[str, Any]:
    """Read config.json of a model's folder. See `find_model_file` for the arguments.

    Raises:
        InputError: not the folder of a model, or of the wrong one.
    """
    name = name or str(folder)
    if not (folder / CONFIG_FILE).is_file():
        raise InputError(
            f"{name}: not the folder of a model: {CONFIG_FILE} is missing "
            "(for a voice: --voice, voice.load_voice, or its hifigan.safetensors)"
        )
    values = read_json(folder / CONFIG_FILE)
    if not isinstance(values, dict) or values.get(FORMAT) != FORMAT_NAME:
        kind = values.get("model_type") if isinstance(values, dict) else None
        found = f"of another program (model_type {kind})" if kind else "of another program"
        raise InputError(f"{name}: {CONFIG_FILE} is {found}; only folders that save_pretrained wrote can be loaded")
    if values.get(STATE) not in list(MODELS):  # a list compares, where a dictionary would hash
        raise InputError(f"{name}: {CONFIG_FILE}: {STATE} is {values.get(STATE)!r}, not {' or '.join(MODELS)}")
    if state and values[STATE] != state:
        raise InputError(f"{name}: holds {MODELS[values[STATE]]}, not {MODELS[state]}")
    return values


def complete_checkpoint(file: Path, content: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a safetensors file as a checkpoint, with the values of the config.json beside it.

    The content of other files is returned unchanged.
    """
    from torch import Tensor

    is_model = file.name == MODEL_FILE and all(isinstance(value, Tensor) for value in content.values())
    if not (is_model and _is_ours(file.with_name(CONFIG_FILE))):
        return content
    values = read_config(file.parent)
    state = values.pop(STATE)
    del values[FORMAT]
    return {**values, state: content}


def is_model_folder(folder: Path) -> bool:
    """Return whether a folder holds a model of this project."""
    return _is_ours(folder / CONFIG_FILE)


def _is_ours(config: Path) -> bool:
    if not config.is_file():
        return False
    try:
        values = read_json(config)
    except InputError:
        return False
    return isinstance(values, dict) and values.get(FORMAT) == FORMAT_NAME
