"""Flags for recordings and their texts."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from common.cli import flag
from common.errors import InputError

DEFAULT_TRANSCRIBER = "small.en"


@dataclasses.dataclass(frozen=True)
class RecordingsConfig:
    """How recordings become clips with texts."""

    language: str = flag("en", "language of the recordings, as a two-letter code")
    transcriber: str = flag(
        "",
        f"Whisper model that writes the texts that are missing: a name, or a folder in CTranslate2 format; without it, "
        f"{DEFAULT_TRANSCRIBER}, in other languages than English {DEFAULT_TRANSCRIBER.partition('.')[0]}",
        metavar="NAME|PATH",
    )
    review: str = flag("", "corrected texts: the file that the review page exported", metavar="PATH")
    prepare_only: bool = flag(False, "stop after the texts and their checks, before the training")

    def __post_init__(self) -> None:
        if self.language != "en" and not self.prepare_only:
            raise InputError(
                f"--language {self.language}: only English voices are trained by this command; with --prepare-only it "
                "prepares recordings of other languages, and docs/other-languages.md says how to go on"
            )
        if self.review and not Path(self.review).is_file():
            raise FileNotFoundError(f"--review: {self.review}: no such file")
