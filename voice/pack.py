"""Pack a generator and a FastPitch model as a voice: `python -m voice.pack --hifigan A --fastpitch B -o DIR`."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from common.cli import check_command_line, from_flags, is_started, run
from voice.pack_flags import PackConfig, make_parser

if is_started(__name__):  # before PyTorch is imported, which takes seconds
    check_command_line(make_parser().parse_args, "voice.pack")

import torch
from torch import Tensor

from common.errors import InputError
from common.files.atomic import replacing, write_whole
from common.files.fingerprints import file_digest
from common.files.locks import lock_folder
from common.files.model_folders import card_metadata
from common.files.safetensors_files import in_half_precision, write_safetensors
from common.project import command
from common.text.languages import find_language_code
from fastpitch.checkpoint import load_fastpitch
from fastpitch.synthesis.job import check_models_fit
from fastpitch.synthesis.text_flags import TextFlags, text_config
from hifigan.checkpoint import load_generator
from hifigan.generator import Generator
from voice.folder import VOICE_TAGS, VoiceFiles, find_voice

ROUNDING_FP16 = 2.0**-11 * 1.01  # largest relative error of a value that is rounded to fp16, and to fp32 elsewhere
SMALLEST_STEP_FP16 = 2.0**-24  # between the values next to zero


def pack(cfg: PackConfig) -> VoiceFiles:
    """Write a voice. Each file is read again and compared before it appears in the folder.

    Raises:
        FileNotFoundError: no such checkpoint.
        InputError: checkpoints that are damaged, do not fit together, or cannot be stored in fp16.
    """
    generator, heard = load_generator(cfg.hifigan, cfg.hifigan_config or None, ema=cfg.hifigan_ema)
    if cfg.hifigan_base:
        average_with_base(generator, cfg)
    model, spoken = load_fastpitch(cfg.fastpitch, ema=cfg.fastpitch_ema)
    with torch.no_grad():  # in a log mel, a gain is a constant
        model.proj.bias.add_(cfg.speech_gain_db / 20 * math.log(10))
    check_models_fit(spoken, heard.path, heard.contract)
    folder = Path(cfg.output)
    text = text_config(TextFlags(), spoken).to_dict()
    audio = {name: value for name, value in dataclasses.asdict(spoken.audio).items() if name != "framing"}
    base = {"base_sha256": file_digest(cfg.hifigan_base), "base_share": cfg.base_share} if cfg.hifigan_base else {}
    vocoder = {
        "config": generator.config.to_dict(),
        "train_setup": {**heard.train_setup, **heard.contract.to_dict()},
        **({} if heard.epoch is None else {"train_state": {"epoch": heard.epoch}}),
        "provenance": {**_provenance(cfg.hifigan, cfg.hifigan_ema, heard.epoch), **base},
    }
    acoustic_model = {
        "config": model.config.to_dict(),
        "train_setup": {**spoken.train_setup, **audio, **text},
        **({} if spoken.epoch is None else {"epoch": spoken.epoch}),
        "provenance": {
            **_provenance(cfg.fastpitch, cfg.fastpitch_ema, spoken.epoch),
            "gain_db": cfg.speech_gain_db,
        },
    }
    files = VoiceFiles(folder.name, folder)
    # Both are written before either gets its name, so an error or a kill does not leave models of two voices.
    with (
        lock_folder(folder, "give another -o"),
        _written(
            files.hifigan,
            "generator",
            generator.state_dict(),
            vocoder,
            cfg,
            lambda p: load_generator(p)[0].state_dict(),
        ),
        _written(
            files.fastpitch,
            "state_dict",
            model.state_dict(),
            acoustic_model,
            cfg,
            lambda p: load_fastpitch(p)[0].state_dict(),
        ),
    ):
        pass
    made = find_voice(folder.resolve())
    if cfg.card:
        if not made.card.exists() or not made.card.samefile(cfg.card):
            write_whole(made.card, Path(cfg.card).read_bytes())
    elif not made.card.exists():
        write_whole(made.card, _short_card(made.name, spoken.audio.sampling_rate, text["text_cleaners"]).encode())
    return made


def average_with_base(generator: Generator, cfg: PackConfig) -> None:
    """Replace the weights by their average with the base's (Wortsman et al., 2022, "Robust fine-tuning", section 3).

    Fine-tuning on little data adds artefacts that the base does not have. Between both sets of weights they fade sooner
    than the likeness to the speaker. Weight norm is removed, so the effective weights are averaged.

    Raises:
        InputError: a base of another architecture.
    """
    base, _ = load_generator(cfg.hifigan_base, generator.config)
    with torch.no_grad():
        for tensor, other in zip(generator.parameters(), base.parameters(), strict=True):
            tensor.lerp_(other, cfg.base_share)


def _provenance(path: str, ema: bool, epoch: int | None) -> dict[str, Any]:
    """Identify the checkpoint that a file was made from."""
    return {"checkpoint_sha256": file_digest(path), "moving_average": ema, "epoch": epoch}


@contextlib.contextmanager
def _written(
    path: Path,
    state: str,
    tensors: Mapping[str, Tensor],
    values: Mapping[str, Any],
    cfg: PackConfig,
    read: Callable[[Path], Mapping[str, Tensor]],
) -> Iterator[None]:
    """Write one file, read it again with its own loader, compare, and name it at the end of the context.

    See `write_safetensors` for the arguments.
    """
    kept: Mapping[str, Tensor] = tensors
    if cfg.precision == "fp16":
        try:
            kept = in_half_precision(tensors)
        except InputError as error:
            raise InputError(f"{path}: {error}; add --precision fp32") from error
    with replacing(path, suffix=".safetensors", sync=True) as temporary:
        write_safetensors(temporary, state, kept, values)
        _compare(path, tensors, read(temporary))
        yield


def _compare(path: Path, wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    """Raise `InputError` unless the tensors are the same but for rounding to fp16."""
    for name, tensor in wanted.items():
        allowed = tensor.abs() * ROUNDING_FP16 + SMALLEST_STEP_FP16 / 2
        if found[name].dtype != tensor.dtype or not torch.all((found[name] - tensor).abs() <= allowed):
            raise InputError(f"{path}: {name} differs from the checkpoint after writing; the checkpoint is damaged")


def _short_card(name: str, sampling_rate: int, cleaners: Sequence[str]) -> str:
    metadata = "\n".join(card_metadata(VOICE_TAGS, language=find_language_code(cleaners)))
    return (
        f"{metadata}\n\n# {name}\n\nA voice of {sampling_rate} Hz: HiFi-GAN and FastPitch.\n\n"
        f"Describe here the speaker, the training data and its licence.\n"
    )


def main(argv: Sequence[str] | None = None) -> int:
    made = pack(from_flags(PackConfig, vars(make_parser().parse_args(argv))))
    files = ", ".join(f"{path.name} {path.stat().st_size / 1e6:.1f} MB" for path in (made.hifigan, made.fastpitch))
    print(f"{made.folder}: {files}; {command('python inference.py')} --voice {made.folder} speaks with it")
    return 0


if __name__ == "__main__":
    run(main, "voice.pack")
