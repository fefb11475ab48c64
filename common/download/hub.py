"""Models on the Hugging Face hub, by names such as org/name. Needs the package huggingface_hub, and nothing else does.

A local file or folder always wins over the hub. The package itself caches downloads, reads its environment variables
(HF_HOME, HF_HUB_OFFLINE, HF_ENDPOINT) and keeps the login for private models (`hf auth login`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from common.errors import InputError, first_line
from common.files.generators.folders import SETTINGS, WEIGHTS, find_weights
from common.files.model_folders import (
    CARD_FILE,
    CONFIG_FILE,
    MODEL_FILE,
    find_model_file,
    is_model_folder,
    read_config,
)

log = logging.getLogger(__name__)

GENERATOR = "generator"  # key of a generator's tensors
INSTALL = "pip install huggingface_hub"
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
# Endings of files. A name with one of them is a file that is missing, not a name on the hub.
_FILE_SUFFIXES = (".pt", ".pth", ".tar", ".ckpt", ".safetensors", ".onnx", ".pt2", ".ts", ".zip", ".json", ".wav")


@dataclasses.dataclass(frozen=True)
class HubOptions:
    """Version and source of a model on the hub.

    Attributes:
        revision: branch, tag or commit. None is the newest version.
        cache_dir: folder for downloads. None is huggingface_hub's own, $HF_HOME/hub.
        local_files_only: take what was downloaded before, without the network.
    """

    revision: str | None = None
    cache_dir: str | Path | None = None
    local_files_only: bool = False


def is_hub_name(words: str) -> bool:
    """Return whether words have the form org/name, and do not look like the path of a file."""
    return bool(_NAME.fullmatch(words)) and not words.lower().endswith(_FILE_SUFFIXES)


def find_generator(words: str) -> str:
    """Return the file that the value of --hifigan stands for: a file, a model's folder, or org/name on the hub.

    Words that are none of these are returned as they are, for the message about the missing file.

    Raises:
        InputError: a folder or repository of another kind, or huggingface_hub is not installed.
        OSError: the hub has no such model, or does not answer.
    """
    return _find_model(words, GENERATOR)


def is_model(words: str) -> bool:
    """Return whether words stand for the folder of a model, here or on the hub, and not for another file or folder."""
    path = Path(words)
    return (path / CONFIG_FILE).is_file() or (not path.exists() and is_hub_name(words))


def find_fastpitch(words: str) -> str:
    """Return the file that the value of --fastpitch stands for, like `find_generator`."""
    return _find_model(words, "state_dict")


def _find_model(words: str, state: str) -> str:
    path = Path(words)
    if (words and path.is_dir()) or (not path.exists() and is_hub_name(words)):
        return str(find_weights(fetch_model(words, state)))
    return words


def fetch_model(name_or_folder: str | Path, state: str = "", options: HubOptions | None = None) -> Path:
    """Return the folder of a model, downloaded if it is a name on the hub. Generators may be of other programs.

    Args:
        name_or_folder: a local folder, or org/name.
        state: key of the tensors that is wanted, see `model_folders.MODELS`.
        options: for names on the hub.

    Raises:
        FileNotFoundError: no such folder, and not a name on the hub.
        InputError: a folder or repository of another kind, or huggingface_hub is not installed.
        OSError: the hub has no such model, or does not answer.
    """
    words, options = str(name_or_folder), options or HubOptions()
    folder = Path(name_or_folder)
    if folder.is_file():
        raise InputError(f"{words}: is a file; give the folder that save_pretrained wrote")
    if not folder.is_dir():
        if not is_hub_name(words):
            raise FileNotFoundError(f"{words}: no such folder, and not a name on the Hugging Face hub (org/name)")
        log.info("%s: no such folder here; loading it from the Hugging Face hub", words)
        found = download_files(words, (*SETTINGS, CARD_FILE), options)
        is_foreign = state == GENERATOR and not is_model_folder(found)
        if not is_foreign:
            read_config(found, words, state)  # before its weights are downloaded
        same = dataclasses.replace(options, revision=found.name)  # the folder is named by the commit
        folder = download_files(words, WEIGHTS if is_foreign else (MODEL_FILE,), same)
    if state == GENERATOR and not is_model_folder(folder):
        find_weights(folder)
    else:
        find_model_file(folder, words, state)
    return folder


def download_files(name: str, files: Sequence[str], options: HubOptions) -> Path:
    """Download files of a repository, unless they are in the cache, and return their folder.

    Raises:
        InputError: huggingface_hub is not installed.
        OSError: the hub has no such repository or revision, or does not answer.
    """
    hub = _import_hub(f"{name}: no such file or folder here; to load it from the Hugging Face hub")
    with _in_one_line(name, options):
        return Path(hub.snapshot_download(name, allow_patterns=list(files), **dataclasses.asdict(options)))


def upload_folder(
    folder: Path, name: str, files: Sequence[str], *, kept: Sequence[str] = (), private: bool | None = None
) -> str:
    """Upload files to a repository, which is created if missing, and return its address.

    Args:
        folder: where the files lie.
        name: org/name.
        files: names of the files.
        kept: files that are only uploaded if the repository lacks them.
        private: whether a new repository is private. None is the hub's default.

    Raises:
        InputError: not a name, or huggingface_hub is not installed.
        OSError: the hub refuses, or does not answer.
    """
    if not is_hub_name(name):
        raise InputError(f"{name}: not a name on the Hugging Face hub (org/name)")
    hub = _import_hub(f"{name}: to upload to the Hugging Face hub")
    with _in_one_line(name, HubOptions()):
        address = hub.create_repo(name, private=private, exist_ok=True)
        sent = [file for file in files if not (file in kept and hub.file_exists(name, file))]
        hub.upload_folder(repo_id=name, folder_path=folder, allow_patterns=sent)
    return str(address)


def _import_hub(need: str) -> Any:
    try:
        import huggingface_hub
    except ImportError as error:
        raise InputError(f"{need}, {INSTALL}") from error
    return huggingface_hub


@contextlib.contextmanager
def _in_one_line(name: str, options: HubOptions) -> Iterator[None]:
    """Turn the exceptions of huggingface_hub, whose messages have many lines, into one line."""
    from huggingface_hub import constants, errors

    try:
        yield
    except errors.RevisionNotFoundError as error:
        raise OSError(f"{name}: {constants.ENDPOINT} has no revision {options.revision!r} of it") from error
    except errors.GatedRepoError as error:
        raise OSError(f"{name}: ask for access at {constants.ENDPOINT}/{name}, then run hf auth login") from error
    except errors.RepositoryNotFoundError as error:
        raise OSError(
            f"{name}: neither a local file or folder, nor a public model at {constants.ENDPOINT}; "
            "private ones need hf auth login"
        ) from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        reason = "the network may not be used" if _is_offline(options) else f"{constants.ENDPOINT} does not answer"
        raise OSError(f"{name}: not a local file or folder; {reason}, and it was not downloaded before") from error
    except Exception as error:  # of the package, of the HTTP library below it, or of the disk
        reason = first_line(error)
        raise OSError(f"{name}: {constants.ENDPOINT}: {reason}") from error


def _is_offline(options: HubOptions) -> bool:
    from huggingface_hub import constants

    return options.local_files_only or constants.HF_HUB_OFFLINE
