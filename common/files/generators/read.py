"""Read generator checkpoints of every known format. To add one, write a module in `programs` and list it here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.files.checkpoints import check_plain, printable, read_file
from common.files.generators import refused
from common.files.generators.file import GeneratorFile, public_names, tensors_in
from common.files.generators.folders import find_weights
from common.files.generators.programs import (
    bshall,
    coqui,
    everyvoice,
    gpt_sovits,
    hifigan_authors,
    natspeech,
    nemo,
    parallel_wavegan,
    speechbrain,
    transformers,
)

Reader = Callable[[Path, Mapping[str, Any]], GeneratorFile | None]
# In the order in which they are tried. Each recognises its format by names that no other has.
READERS: tuple[Reader, ...] = (
    nemo.read,
    parallel_wavegan.read,
    coqui.read,
    everyvoice.read,
    natspeech.read,
    transformers.read,
    speechbrain.read,
    bshall.read,
    gpt_sovits.read,
    hifigan_authors.read,
)


def read_generator(path: str | Path, ema: bool = False) -> GeneratorFile:
    """Read a generator checkpoint.

    Args:
        path: the file, or the folder of a model.
        ema: read the moving average of the weights.

    Raises:
        FileNotFoundError: no such file.
        InputError: damaged, not a generator, one that needs more than a mel, or without a moving average.
    """
    path = find_weights(Path(path))
    return parse_or_refuse(path, read_file(path), ema)


def parse_or_refuse(path: Path, content: Mapping[str, Any], ema: bool = False) -> GeneratorFile:
    """Return the generator in a checkpoint's content.

    Raises:
        InputError: none, one that needs more than a mel, or without a moving average.
    """
    found = parse_generator(path, content, ema)
    if found is None:
        kind = refused.reason(content)
        keys = ", ".join(map(printable, list(content)[:5]))
        raise InputError(f"{path}: not a HiFi-GAN generator" + (f"; it is {kind}" if kind else f" (its keys: {keys})"))
    return found


def parse_generator(path: Path, content: Mapping[str, Any], ema: bool = False) -> GeneratorFile | None:
    """Return the generator in a checkpoint's content, or None if there is none.

    Raises:
        InputError: a generator that cannot be loaded, or `ema` without a moving average.
    """
    if ema:
        average = tensors_in(content.get("gen_ema"))
        if not average:
            raise InputError(f"--ema: {path} has no moving average; it comes from training with --ema")
        content = {**content, "generator": average}
    if refused.reason(content):
        return None
    for read in READERS:
        try:
            found = read(path, content)
        except InputError:
            raise
        except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError) as error:
            raise InputError(f"{path}: settings in it or beside it are of another kind ({error})") from error
        if found is not None:
            try:
                check_plain(found.state)
            except InputError as error:
                raise InputError(f"{path}: {error}") from error
            if kind := refused.output_kind(found.state):
                raise InputError(f"{path}: not a generator of samples: {kind}")
            return found
    return None


__all__ = ["READERS", "GeneratorFile", "parse_generator", "public_names", "read_generator"]
