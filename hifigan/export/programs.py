"""Write a generator as a file of another program, and verify it by reading it back.

Shapes: B batch, M mel bands, L frames, T samples.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from common.errors import InputError
from common.files.generators.write import WRITERS
from common.files.generators.writing import Portable, flat_blocks
from hifigan.checkpoint import load_generator, load_trainable_generator
from hifigan.config import GeneratorConfig

# Weights that the source has plain and the program wants as norm and direction change in the last digit.
LARGEST_DIFFERENCE = 1e-5
COMPARED_FRAMES = 60


def write_for_program(
    source: str | Path,
    path: Path,
    format: str,
    config: GeneratorConfig | str | Path | None = None,
    ema: bool = False,
) -> tuple[float, list[str]]:
    """Write a generator for another program.

    Args:
        source: checkpoint of any format that `load_generator` reads.
        path: file or folder to write. Some programs get further files beside it.
        format: a key of `WRITERS`.
        config: architecture, see `load_generator`.
        ema: write the moving average of the weights.

    Returns:
        The largest difference between the samples of the source and of what was written, and what the user must know.

    Raises:
        FileNotFoundError: no such checkpoint.
        InputError: the program has no such generators, or what was written does not make the same samples.
    """
    writer = WRITERS[format]
    plain, info = load_generator(source, config, ema=ema)
    layered = load_trainable_generator(source, config, ema)[0] if writer.weight_norm else plain
    portable = Portable(
        flat_blocks(layered.state_dict(), len(info.config.resblock_kernel_sizes)),
        info.config.to_dict(),
        info.audio,
        info.convention,
        info.sampling_rate,
    )
    notes = writer.write(path, portable)
    written, _ = load_generator(path)
    difference = _largest_difference(plain, written, info.config.num_mels)
    if not difference <= LARGEST_DIFFERENCE:
        raise InputError(f"{path}: makes other samples than {source}: largest difference {difference:.2g}")
    return difference, notes


def _largest_difference(first: Any, second: Any, num_mels: int) -> float:
    mel = torch.randn(2, num_mels, COMPARED_FRAMES, generator=torch.Generator().manual_seed(0)) * 2 - 5
    with torch.inference_mode():
        return float((first(mel) - second(mel)).abs().max())
