"""Networks that are saved to folders, loaded from folders or the Hugging Face hub, and uploaded to the hub."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from common.download.hub import HubOptions, fetch_model, upload_folder
from common.errors import InputError
from common.files.checkpoints import read_file
from common.files.generators.folders import find_weights
from common.files.model_folders import CARD_FILE, CONFIG_FILE, MODEL_FILE, card_metadata, write_model_folder
from common.markdown import table
from common.text.languages import find_language_code

Model = TypeVar("Model", bound="PretrainedModel")


class PretrainedModel(nn.Module):
    """Base class of the networks that can be shared.

    Attributes:
        STATE: key of a checkpoint that holds the network's tensors.
        TITLE: what the network is, for the model card.
    """

    STATE = ""
    TITLE = ""

    @classmethod
    def from_pretrained(
        cls: type[Model],
        name_or_folder: str | Path,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        device: str | torch.device = "cpu",
        trainable: bool = False,
    ) -> Model:
        """Load a model from a folder that `save_pretrained` wrote, or from the Hugging Face hub.

        A generator may be of another program (docs/formats.md).

        Args:
            name_or_folder: a local folder, which always wins, or org/name on the hub (needs the package
                huggingface_hub).
            revision: branch, tag or commit on the hub. None is the newest version.
            cache_dir: folder for downloads. None is the hub's own.
            local_files_only: take what was downloaded before, without the network.
            device: where to put the model.
            trainable: for further training: in training mode, and a generator with weight norm.

        Returns:
            The model, in evaluation mode unless `trainable`. Its attribute `info` describes the signal settings.

        Raises:
            FileNotFoundError: no such folder, and not a name on the hub.
            InputError: a damaged model, a folder or repository of another kind, or huggingface_hub is not installed.
            OSError: the hub has no such model, or does not answer.
        """
        folder = fetch_model(name_or_folder, cls.STATE, HubOptions(revision, cache_dir, local_files_only))
        file = find_weights(folder)
        try:
            model = cls.from_checkpoint(file, read_file(file), trainable)
        except InputError as error:
            raise error if str(error).startswith(str(folder)) else InputError(f"{folder}: {error}") from error
        return model.train(trainable).to(device)

    @classmethod
    def from_checkpoint(cls: type[Model], file: Path, content: Mapping[str, Any], trainable: bool = False) -> Model:
        """Build the model from the content of a checkpoint, on the CPU.

        Args:
            file: where the content comes from.
            content: the tensors under the key `STATE`, `config`, and `train_setup`.
            trainable: a generator with weight norm.

        Raises:
            InputError: content that does not fit.
        """
        raise NotImplementedError

    def save_pretrained(
        self,
        folder: str | Path,
        setup: Mapping[str, Any] | None = None,
        precision: str = "fp32",
        licence: str = "",
        origin: str = "",
        base_model: str = "",
    ) -> Path:
        """Save the model as a folder: config.json, model.safetensors, and README.md unless there is one already.

        Args:
            folder: created if missing.
            setup: signal settings, and for FastPitch text settings, by the names of a checkpoint's `train_setup`. Only
                a model that was not loaded from a file needs them.
            precision: of matrices and kernels in the file, "fp32" or "fp16".
            licence: of the weights, as the hub spells it, such as "cc-by-4.0".
            origin: where the model comes from: training data, author, address.
            base_model: org/name on the hub of the model that this one was trained from.

        Returns:
            The folder.

        Raises:
            InputError: unknown signal settings or precision, a value that fp16 cannot hold, or a folder with other
                files of these names.
        """
        folder = Path(folder)
        values = self._checkpoint_values(setup)
        if licence:
            values["licence"] = licence
        if origin:
            values["origin"] = origin
        if base_model:
            values["base_model"] = base_model
        card = self._card(values)
        write_model_folder(folder, self.STATE, self.state_dict(), values, precision, card)
        return folder

    def push_to_hub(
        self,
        name: str,
        setup: Mapping[str, Any] | None = None,
        precision: str = "fp32",
        licence: str = "",
        origin: str = "",
        base_model: str = "",
        private: bool | None = None,
    ) -> str:
        """Upload the model to the Hugging Face hub. Needs the package huggingface_hub and a login (`hf auth login`).

        Args:
            name: org/name. A missing repository is created. The README.md of an existing one is kept.
            setup, precision, licence, origin, base_model: as for `save_pretrained`.
            private: whether a new repository is private. None is the hub's default.

        Returns:
            The address of the repository.

        Raises:
            InputError: see `save_pretrained`. Also not a name, or huggingface_hub is not installed.
            OSError: the hub refuses, or does not answer.
        """
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder, setup, precision, licence, origin, base_model)
            files = (CONFIG_FILE, MODEL_FILE, CARD_FILE)
            return upload_folder(Path(folder), name, files, kept=(CARD_FILE,), private=private)

    def _checkpoint_values(self, setup: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the plain values of the model's checkpoint: `config`, `train_setup` and, if known, the epoch."""
        raise NotImplementedError

    def _card(self, values: Mapping[str, Any]) -> str:
        """Return a model card, with the metadata that the hub reads at its top."""
        licence, origin = values.get("licence", ""), values.get("origin", "")
        signal = [
            (name, value) for name, value in values["train_setup"].items() if isinstance(value, str | int | float)
        ]
        language = find_language_code(values["train_setup"].get("text_cleaners", ()))
        kind = type(self).__name__
        package = type(self).__module__.split(".")[0]
        parts = [
            card_metadata((package, "speech-synthesis"), licence, language, values.get("base_model", "")),
            [""],
            [f"# {self.TITLE}", "", f"- Origin: {origin or 'describe here the training data and the authors'}"],
            [f"- Licence: {licence or 'state it here, before you share this model'}"],
            [f"- Parameters: {sum(p.numel() for p in self.parameters()) / 1e6:.2f} M", "", "```python"],
            [f"from {package} import {kind}", "", f'model = {kind}.from_pretrained("FOLDER or org/name")', "```", ""],
            ["Mels and training:", "", *table(("setting", "value"), signal)],
        ]
        return "\n".join(line for part in parts for line in part) + "\n"


def unknown_settings(model: nn.Module) -> InputError:
    """Return the error of a model that is to be saved, but has neither been loaded from a file nor been described."""
    return InputError(
        f"{type(model).__name__}.save_pretrained: its signal settings are unknown, since it was not loaded from a "
        "file; give setup={'sampling_rate': ..., 'hop_length': ..., ...}"
    )
