"""HiFi-GAN: generator, discriminators, losses and checkpoints (Kong, Kim and Bae 2020, arXiv:2010.05646).

The names below are imported when they are first used, so `import hifigan` and the flags of programs need no PyTorch.
"""

import importlib
from typing import TYPE_CHECKING, Any

from common.project import VERSION as __version__
from hifigan.engine.native.instruction_sets import limit_pytorch

if TYPE_CHECKING:
    from hifigan import checkpoint, losses
    from hifigan.checkpoint import load_generator
    from hifigan.config import GeneratorConfig
    from hifigan.denoiser import Denoiser
    from hifigan.discriminators import MultiPeriodDiscriminator, MultiScaleDiscriminator
    from hifigan.generator import Generator
    from hifigan.streaming import StreamingGenerator
    from hifigan.synthesis.vocoder import Vocoder

__all__ = [
    "Denoiser",
    "Generator",
    "GeneratorConfig",
    "MultiPeriodDiscriminator",
    "MultiScaleDiscriminator",
    "StreamingGenerator",
    "Vocoder",
    "__version__",
    "checkpoint",
    "load_generator",
    "losses",
]

_MODULES = {
    "Denoiser": "hifigan.denoiser",
    "Generator": "hifigan.generator",
    "GeneratorConfig": "hifigan.config",
    "MultiPeriodDiscriminator": "hifigan.discriminators",
    "MultiScaleDiscriminator": "hifigan.discriminators",
    "StreamingGenerator": "hifigan.streaming",
    "Vocoder": "hifigan.synthesis.vocoder",
    "load_generator": "hifigan.checkpoint",
}

limit_pytorch()  # PyTorch must not have computed anything yet


def __getattr__(name: str) -> Any:
    if name in ("checkpoint", "losses"):
        return importlib.import_module(f"hifigan.{name}")
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
