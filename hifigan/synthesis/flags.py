"""What `inference.py` can be told about the vocoder's side of its work."""

from __future__ import annotations

import dataclasses
import math

from common.cli import flag, not_negative, positive
from common.errors import InputError
from common.mel_contract import LOG_BASES
from hifigan.engine.select import ALL_PRECISIONS, PRECISION_HELP
from hifigan.export.files import FORMATS

STDOUT = "-"  # as -o
OWN_BACKENDS = ("engine", "eager")  # for checkpoints


@dataclasses.dataclass(frozen=True)
class InferenceConfig:
    """What to synthesise, with which model, and how it is measured."""

    input: str = flag(
        "", "phrase file, or an audio file or folder of them to copy-synthesise (required)", short=("-i",)
    )
    output: str = flag(
        "", "directory for the wav files; with --stream, - is raw 16-bit samples to stdout (required)", short=("-o",)
    )
    hifigan: str = flag("", "generator checkpoint of any public format, or a model of export.py (required)")
    backend: str = flag(
        "engine",
        "what runs --hifigan: engine for a checkpoint, or eager for PyTorch's plain layers; the format of a model of "
        "export.py; or auto to see by the file. An exported model is a program, so run only those that you trust",
        choices=(*OWN_BACKENDS, "auto", *FORMATS),
    )
    precision: str = flag("fp32", PRECISION_HELP, choices=ALL_PRECISIONS)
    hifigan_config: str = flag("", "v1, v2, v3 or a JSON file, for checkpoints without a generator configuration")
    ema: bool = flag(False, "take the generator's moving average of the weights (from training with --ema)")
    dataset_path: str = flag(
        "data/LJSpeech-1.1", "directory that the mel and pitch columns are relative to", short=("-d",)
    )
    mel_framing: str = flag(
        "auto",
        "framing of the mels of files: auto is as their audio_config.json says, else vocoder; the audio of tacotron "
        "framing is moved by half a hop, to where the original was, unless the generator has learned it by fine-tuning",
        choices=("auto", "vocoder", "tacotron"),
    )
    mel_log: str = flag(
        "auto",
        "logarithm of the mels of files: auto is as their audio_config.json says, else ln; log10 is converted",
        choices=("auto", *LOG_BASES),
    )
    cuda: bool = flag(False, "run on the GPU (without it: on the CPU)")
    amp: bool = flag(
        False, "mixed precision: fp16 on the GPU, bf16 on the CPU; FastPitch stays in fp32 with --torchscript"
    )
    torchscript: bool = flag(False, "run the models as TorchScript, the vocoder without the engine")
    batch_size: int = flag(8, "utterances, or pieces of long texts, in one batch", short=("-bs",))
    denoising_strength: float = flag(0.0, "share of the generator's hum that is subtracted; 0.005 to 0.1 is usual")
    fade_out: int = flag(0, "frames over which the end of each utterance fades")
    repeats: int = flag(1, "measured runs of each batch; with more than one, all is made anew")
    warmup_steps: int = flag(0, "runs of the first batch before anything is measured; with any, all is made anew")
    overwrite: bool = flag(False, "make all anew, also what is there from this same job, broken off or not")
    log_file: str = flag("", "DLLogger file; without it, nvlog_infer.json in the output directory")

    def __post_init__(self) -> None:
        for name, short in (("input", "-i"), ("output", "-o"), ("hifigan", "--hifigan")):
            if not getattr(self, name):
                raise InputError(f"{short}: is required (see inference.py --help)")
        positive(batch_size=self.batch_size, repeats=self.repeats)
        if self.denoising_strength == math.inf:
            raise InputError("--denoising-strength: is infinite; 0.005 to 0.1 is usual")
        not_negative(denoising_strength=self.denoising_strength, fade_out=self.fade_out, warmup_steps=self.warmup_steps)
        if self.precision != "fp32" and self.amp:
            raise InputError("--precision: with --amp it is fp16 on GPUs and bf16 on CPUs; leave out one of them")
        if self.precision != "fp32" and self.runs_eagerly:
            raise InputError("--precision: is for the engine; with --torchscript or --backend eager, there is --amp")

    @property
    def runs_eagerly(self) -> bool:
        """Whether a checkpoint is run without the engine."""
        return self.torchscript or self.backend == "eager"
