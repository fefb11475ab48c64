"""How texts become symbol ids, as command-line flags and in checkpoints."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from common.config import flag
from common.errors import InputError
from common.text.processing import TextProcessor
from common.text.symbols import symbols_of


@dataclasses.dataclass(frozen=True)
class TextConfig:
    """The text settings that a model was trained with; the names are the keys of published checkpoints.

    Raises:
        InputError: a probability outside [0, 1].
    """

    symbol_set: str = flag("english_basic", "symbols: english_basic, english_basic_lowercase or english_expanded")
    text_cleaners: tuple[str, ...] = flag(("english_cleaners_v2",), "text cleaners, applied in this order")
    p_arpabet: float = flag(1.0, "probability that a word is replaced by its pronunciation")

    def __post_init__(self) -> None:
        if not 0 <= self.p_arpabet <= 1:
            raise InputError(f"--p-arpabet: {self.p_arpabet} is not between 0 and 1")

    @classmethod
    def from_setup(cls, setup: Mapping[str, Any], **changes: Any) -> TextConfig:
        """From a checkpoint's `train_setup`; what it does not say is as in the published recipe."""
        names = [field.name for field in dataclasses.fields(cls)]
        values = {**{name: setup[name] for name in names if name in setup}, **changes}
        cleaners = values.get("text_cleaners", ("english_cleaners_v2",))
        values["text_cleaners"] = (cleaners,) if isinstance(cleaners, str) else tuple(cleaners)
        return cls(**values)

    def symbols(self) -> list[str]:
        """The symbols; ids are positions among them."""
        return list(symbols_of(self.symbol_set))

    def processor(self, cmudict_path: str = "", heteronyms_path: str = "", seed: int = 0) -> TextProcessor:
        """The processor with these settings; empty paths are for the dictionaries found by default."""
        return TextProcessor(
            self.symbol_set,
            self.text_cleaners,
            self.p_arpabet,
            cmudict_path or None,
            heteronyms_path or None,
            seed,
        )
