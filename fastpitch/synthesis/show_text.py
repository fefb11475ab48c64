"""How a model reads texts, without speech."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from common.errors import InputError
from common.synthesis.phrases import Phrase
from common.text.describe import describe_text
from fastpitch.checkpoint import load_fastpitch
from fastpitch.synthesis.flags import SpeechConfig
from fastpitch.synthesis.text_flags import text_processor


def show_texts(phrases: Sequence[Phrase], source: str | Path, cfg: SpeechConfig) -> None:
    """Print how each phrase is read: words, cleaned, in symbols, and which words are read as letters.

    Raises:
        InputError: texts that cannot be spoken, after the others are shown.
    """
    _, info = load_fastpitch(cfg.fastpitch)
    processor = text_processor(cfg, info)
    problems = 0
    for phrase in phrases:
        text = phrase.text or ""
        print(f"{source}: line {phrase.line}" if phrase.line else source)
        try:
            print("\n".join(describe_text(processor, text)))
        except InputError as error:
            problems += 1
            print(f"text:    {text}\nerror:   {error}")
    if problems:
        raise InputError(f"{source}: {problems} of {len(phrases)} texts cannot be spoken")
