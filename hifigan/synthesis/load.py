"""Load the vocoder that the flags of `inference.py` ask for."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from common import distributed
from common.distributed import Distributed
from common.errors import InputError
from common.files.exports import is_export
from common.machine.hardware import half_precision
from hifigan.backend import Backend, eager_backend
from hifigan.checkpoint import GeneratorInfo, load_generator
from hifigan.engine.select import choose_precision, engine_backend
from hifigan.export.files import load_export
from hifigan.generator import Generator
from hifigan.synthesis.flags import OWN_BACKENDS, InferenceConfig, StreamConfig
from hifigan.synthesis.stream_vocoder import StreamVocoder
from hifigan.synthesis.vocoder import Vocoder


def load_model(cfg: InferenceConfig, device: torch.device, speaks: bool) -> tuple[Generator | Backend, GeneratorInfo]:
    """Load the checkpoint or exported model of --hifigan.

    Args:
        cfg: flags.
        device: where the model goes.
        speaks: there is a FastPitch model, to which --amp and --torchscript apply as well.

    Raises:
        FileNotFoundError: no such file.
        InputError: a file that does not fit --backend, or flags that have no effect on an exported model.
    """
    exported = is_export(Path(cfg.hifigan))
    own = cfg.backend in OWN_BACKENDS
    if own and exported:
        raise InputError(f"--hifigan: {cfg.hifigan} is an exported model, not a checkpoint; add --backend auto")
    if own or (cfg.backend == "auto" and not exported):
        return load_generator(cfg.hifigan, cfg.hifigan_config or None, device, cfg.ema)
    fixed = ["hifigan_config", "ema", *([] if speaks else ["amp", "torchscript"])]
    idle = [name for name in fixed if getattr(cfg, name)]
    if cfg.precision != "fp32":
        idle.append("precision")
    if idle:
        raise InputError(f"--{idle[0].replace('_', '-')}: has no effect on {cfg.hifigan}, an exported model")
    backend, contract = load_export(cfg.hifigan, device, cfg.backend)
    path, convention, rate = Path(cfg.hifigan), contract.convention, contract.output_rate
    return backend, GeneratorInfo(path, contract.config, contract.audio, {}, None, convention, rate)


def resolve_precision(cfg: InferenceConfig, place: Distributed) -> InferenceConfig:
    """Replace --precision auto. The main process measures for all, so that all outputs get the same precision."""
    if cfg.precision != "auto":
        return cfg
    chosen = choose_precision("auto", place.device) if place.is_main else ""
    return dataclasses.replace(cfg, precision=distributed.gather(chosen)[0])


def make_vocoder(
    model: Generator | Backend, info: GeneratorInfo, cfg: InferenceConfig, stream: StreamConfig | None
) -> Vocoder | StreamVocoder:
    """Return the vocoder of whole mels or, with --stream, of chunks."""
    if stream:
        assert isinstance(model, Generator)  # by check_streaming
        return StreamVocoder(model, stream, cfg.amp, eager=cfg.runs_eagerly)
    if isinstance(model, Generator):
        if cfg.runs_eagerly:
            model = eager_backend(model, cfg.torchscript, cfg.amp)
        else:
            model = engine_backend(model, half_precision(model.device) if cfg.amp else cfg.precision)
    return Vocoder(model, cfg.denoising_strength, info.audio.filter_length)
