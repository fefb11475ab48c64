"""Text settings of checkpoints and flags."""

import dataclasses

import pytest

from common.errors import InputError
from common.text import TextProcessor
from fastpitch.synthesis.flags import SpeechConfig
from fastpitch.synthesis.text_flags import text_processor
from tests.support.models import fastpitch_info


def cleaned(processor):
    return processor.clean("Dr. Fox, No. 5"), processor.symbol_set, processor.p_arpabet


@pytest.mark.parametrize(
    ("setup", "flags", "expected"),
    [
        ({}, {}, ("doctor fox, number five", "english_basic", 1.0)),
        (
            {"symbol_set": None, "text_cleaners": None, "p_arpabet": None},
            {},
            ("doctor fox, number five", "english_basic", 1),
        ),
        ({"p_arpabet": 0.0}, {}, ("doctor fox, number five", "english_basic", 0.0)),
        ({"p_arpabet": 1.0}, {"p_arpabet": 0.0}, ("doctor fox, number five", "english_basic", 0.0)),
        ({"p_arpabet": 0}, {"p_arpabet": 0.5}, ("doctor fox, number five", "english_basic", 0.5)),
        ({"text_cleaners": ["basic_cleaners"]}, {}, ("dr. fox, no. 5", "english_basic", 1.0)),
        (
            {"text_cleaners": "basic_cleaners"},
            {"text_cleaners": ("basic_cleaners",)},
            ("dr. fox, no. 5", "english_basic", 1),
        ),
        (
            {},
            {"text_cleaners": ("basic_cleaners",), "symbol_set": "english_basic"},
            ("dr. fox, no. 5", "english_basic", 1),
        ),
    ],
)
def test_settings_come_from_the_checkpoint_then_from_flags(setup, flags, expected, dictionary):
    cfg = SpeechConfig(fastpitch="f.pt", cmudict_path=dictionary, **flags)
    assert cleaned(text_processor(cfg, fastpitch_info(setup))) == expected


def test_other_symbol_sets(dictionary):
    cfg = SpeechConfig(fastpitch="f.pt", cmudict_path=dictionary)
    for symbol_set in ("english_basic_lowercase", "english_expanded"):
        symbols = TextProcessor(symbol_set, p_arpabet=0)
        config = {"n_symbols": len(symbols.symbols), "padding_idx": symbols.padding_id}
        assert text_processor(cfg, fastpitch_info({"symbol_set": symbol_set}, **config)).symbol_set == symbol_set
        chosen = dataclasses.replace(cfg, symbol_set=symbol_set)
        assert text_processor(chosen, fastpitch_info({}, **config)).symbol_set == symbol_set
        with pytest.raises(InputError, match=rf"f.pt: the model has {len(symbols.symbols)} symbols.*--symbol-set"):
            text_processor(cfg, fastpitch_info({}, **config))
    with pytest.raises(InputError, match="padding_idx is 0, but the padding symbol of english_expanded is 20"):
        text_processor(cfg, fastpitch_info({"symbol_set": "english_expanded"}, n_symbols=175))
