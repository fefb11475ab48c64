"""The reading of texts that belongs to a model."""

from __future__ import annotations

from common.errors import InputError
from common.text.config import TextConfig
from common.text.processing import TextProcessor
from fastpitch.checkpoint import FastPitchInfo


def fitting_processor(
    info: FastPitchInfo, config: TextConfig, cmudict_path: str = "", heteronyms_path: str = ""
) -> TextProcessor:
    """A text processor whose symbols are those of a model.

    Raises:
        InputError: the symbols are others, or there is no dictionary where one is needed.
    """
    num_symbols = len(config.symbols())
    if num_symbols != info.config.n_symbols:
        remedy = "they do not fit together" if "symbol_set" in info.train_setup else "try another --symbol-set"
        raise InputError(
            f"{info.path}: the model has {info.config.n_symbols} symbols, but the symbol set {config.symbol_set} "
            f"{num_symbols}; {remedy}"
        )
    text = config.processor(cmudict_path, heteronyms_path)
    if text.padding_id != info.config.padding_idx:
        raise InputError(
            f"{info.path}: the model's padding_idx is {info.config.padding_idx}, but the padding symbol of "
            f"{config.symbol_set} is {text.padding_id}"
        )
    return text
