"""HiFi-GAN: generator, discriminators, losses and checkpoints (Kong, Kim and Bae 2020, arXiv:2010.05646)."""

from common.project import VERSION as __version__
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
