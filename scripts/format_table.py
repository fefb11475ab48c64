"""Print the table of docs/formats.md: what works with the files of each program.

    python -m scripts.format_table

Each row comes from the small file of that program in tests/formats, so it changes with the code. Needs h5py.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from common.audio import MelSpectrogram
from common.errors import InputError
from common.files.generators.folders import find_weights
from common.files.generators.write import WRITERS
from common.markdown import table
from hifigan.checkpoint import load_generator
from hifigan.streaming import StreamingGenerator
from hifigan.vocoder_module import VocoderModule

FORMATS = Path(__file__).parents[1] / "tests" / "formats"
COLUMNS = ("format", "reads", "writes", "front end", "streaming", "CPU engine", "export", "licence of known weights")


@dataclasses.dataclass(frozen=True)
class Row:
    """A format: its name, the fixture that stands for it, the value of --format or "", and the weights' licences."""

    name: str
    fixture: str
    writer: str
    licence: str


ROWS = (
    Row("paper authors, Matcha-TTS, EfficientSpeech, fairseq", "jik876-v1", "hifigan-authors", "MIT"),
    Row("the same, kernel - rate odd", "jik876-odd-kernel", "hifigan-authors", "MIT"),
    Row("torchaudio", "torchaudio-v3", "", "MIT"),
    Row("transformers: SpeechT5HifiGan", "transformers-speecht5", "transformers", "MIT; AudioLDM's CC-BY-NC-SA"),
    Row("transformers: FastSpeech2ConformerHifiGan", "transformers-fastspeech2conformer", "", "Apache-2.0"),
    Row("ParallelWaveGAN", "pwg-v1", "parallel-wavegan", "MIT (the code)"),
    Row("ParallelWaveGAN, odd rates", "pwg-libritts", "parallel-wavegan", "MIT (the code)"),
    Row("ESPnet2, joint models", "espnet2-joint-v1", "", "CC-BY-4.0"),
    Row("Coqui TTS, releases", "coqui-v1-release", "coqui", "Apache-2.0, MIT, CC-BY-SA"),
    Row("Coqui TTS, trainer", "coqui-v1-trainer", "", "your own"),
    Row("NVIDIA NeMo", "nemo-v1", "", "CC-BY-4.0"),
    Row("SpeechBrain", "speechbrain-v1", "", "Apache-2.0"),
    Row("EveryVoice", "everyvoice-v1", "", "your own"),
    Row("NATSpeech, DiffSinger, PortaSpeech", "natspeech-v1", "", "see the project"),
    Row("bshall, releases", "bshall-16k-release", "", "see the project"),
    Row("bshall, training", "bshall-16k", "", "your own"),
    Row("GPT-SoVITS v4", "gptsovits-v4", "", "see the project"),
)


def cells(row: Row) -> tuple[str, ...]:
    """Find out what works with the generator of a row."""
    generator, info = load_generator(find_weights(FORMATS / row.fixture))
    engine = "yes" if generator.config.is_plain else "no, PyTorch"
    made = VocoderModule(generator).eval()
    return (
        row.name,
        "yes",
        f"`{row.writer}`" if row.writer else "-",
        works(lambda: MelSpectrogram(info.audio, info.convention)),
        works(lambda: StreamingGenerator(generator)),
        engine,
        works(lambda: torch.jit.script(made)),
        row.licence,
    )


def works(action: object) -> str:
    """Return "yes", or "no" if the action raises `InputError`."""
    assert callable(action)
    try:
        action()
    except InputError:
        return "no"
    return "yes"


def format_table() -> str:
    """Return the table in Markdown."""
    unknown = {row.writer for row in ROWS} - {"", *WRITERS}
    assert not unknown, unknown
    return "\n".join(table(COLUMNS, map(cells, ROWS)))


if __name__ == "__main__":
    print(format_table())
