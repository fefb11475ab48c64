"""Write the samples that it makes of a mel with a file of ours.

scripts/check_formats.py runs this with the interpreter of an environment that has the other programs. It imports
nothing of this repository, and loads each file with the program's own loader.

    python scripts/peer_samples.py PROGRAM FILE mel.npy samples.npy

Shapes: M mel bands, L frames, T samples.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor


def transformers(path: Path, mel: Tensor) -> Tensor:
    """SpeechT5HifiGan of transformers takes [L, M]."""
    from transformers import SpeechT5HifiGan

    model = SpeechT5HifiGan.from_pretrained(path)
    return model.eval()(mel.T)


def coqui(path: Path, mel: Tensor) -> Tensor:
    """Coqui TTS. Its package would ask for libraries that vocoders do not need."""
    specification = importlib.util.find_spec("TTS")
    assert specification is not None
    package = types.ModuleType("TTS")
    package.__path__ = list(specification.submodule_search_locations or [])
    sys.modules["TTS"] = package
    from TTS.config import load_config
    from TTS.vocoder.models.gan import GAN

    config = load_config(str(path.with_name("config.json")))
    model = GAN.init_from_config(config)
    model.load_checkpoint(config, str(path), eval=True)
    return model(mel[None])


def parallel_wavegan(path: Path, mel: Tensor) -> Tensor:
    """ParallelWaveGAN takes [L, M]. SciPy has moved a window that it imports."""
    import scipy.signal

    scipy.signal.kaiser = scipy.signal.windows.kaiser
    from parallel_wavegan.utils import load_model

    model = load_model(str(path))
    model.remove_weight_norm()
    return model.eval().inference(mel.T, normalize_before=True)


# The value of --format -> the package, and how it is run.
PROGRAMS: dict[str, tuple[str, Callable[[Path, Tensor], Tensor]]] = {
    "transformers": ("transformers", transformers),
    "coqui": ("coqui-tts", coqui),
    "parallel-wavegan": ("parallel_wavegan", parallel_wavegan),
}


def main(arguments: list[str]) -> None:
    program, file, mel, samples = arguments
    package, run = PROGRAMS[program]
    torch.set_num_threads(1)
    with torch.inference_mode():
        wav = run(Path(file).resolve(), torch.from_numpy(np.load(mel)))
    np.save(samples, wav.flatten().numpy())
    print(f"{package} {importlib.metadata.version(package)}, torch {torch.__version__}")


if __name__ == "__main__":
    main(sys.argv[1:])
