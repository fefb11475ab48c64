"""Speak one text into a wav file: `python -m voice.say "Hello world." -o hello.wav`. For more, see inference.py."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from common.cli import ArgumentParser, add_flags, flag, from_flags, run
from common.errors import InputError
from voice.folder import DEFAULT_VOICE, find_voice

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class SayConfig:
    """Where the speech goes, and how it sounds."""

    output: str = flag("", "wav file to write", short=("-o",), metavar="PATH", required=True)
    voice: str = flag(
        DEFAULT_VOICE,
        "voice that speaks, a name in pretrained/, a folder or a hub name (org/name)",
        metavar="NAME|PATH",
    )
    pace: float = flag(1.0, "speed, 0.1 to 10; 2 is twice as fast")
    pronunciations: str = flag("", "own words beside the dictionary: a file of lines WORD  P H O N E S", metavar="PATH")
    cuda: bool = flag(False, "run on the GPU (without it: on the CPU)")

    def __post_init__(self) -> None:
        if Path(self.output).suffix.lower() != ".wav" or Path(self.output).is_dir():
            raise InputError(f"-o: {self.output}: only wav files are written; end its name in .wav")


def main(argv: Sequence[str] | None = None) -> int:
    parser = ArgumentParser(
        prog="voice.say",
        description="Speaks a text of any length into a wav file. If the file exists, it is replaced.",
        examples=('"Hello world." -o hello.wav', '"Hello world." -o hello.wav --voice my_voice --pace 0.9'),
    )
    parser.add_argument("text", metavar="TEXT", help="the text to speak")
    add_flags(parser, SayConfig, "speech")
    given = vars(parser.parse_args(argv))
    cfg, text = from_flags(SayConfig, given), given["text"]
    if not text.strip():
        raise InputError("TEXT: is empty; give a text to speak, such as 'Hello.'")
    # Imported here, since PyTorch takes seconds, and flags do not need it.
    from common import distributed
    from voice.speech import Voice

    device = distributed.select_device(cfg.cuda)
    voice = Voice(find_voice(cfg.voice), device)
    voice.save(text, cfg.output, cfg.pace, pronunciations=cfg.pronunciations)
    log.info("%s: spoken by %s", cfg.output, voice.name)
    return 0


def console() -> NoReturn:
    run(main, "voice.say")


if __name__ == "__main__":
    console()
