"""How a model reads texts, without speech."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from common.errors import InputError
from common.synthesis.phrases import Phrase
from common.text.describe import print_texts
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
    titles = (f"{source}: line {phrase.line}" if phrase.line else str(source) for phrase in phrases)
    texts = (phrase.text or "" for phrase in phrases)
    problems = print_texts(processor, zip(titles, texts, strict=True))
    if problems:
        raise InputError(f"{source}: {problems} of {len(phrases)} texts cannot be spoken")
