"""Text settings of checkpoints and flags, and phrases as pieces of speech."""

import dataclasses
import random
from pathlib import Path

import pytest
import torch

from common.audio import AudioConfig
from common.errors import InputError
from common.synthesis.phrases import Phrase
from common.text import TextProcessor
from fastpitch import FastPitchConfig
from fastpitch.checkpoint import FastPitchInfo
from fastpitch.synthesis.pieces import SpeechConfig, read_pieces
from fastpitch.synthesis.text_flags import text_processor

DICTIONARY = "HELLO  HH AH0 L OW1\nWORLD  W ER1 L D\nSO  S OW1\nMANY  M EH1 N IY0\nWORDS  W ER1 D Z\n"


def info(setup, **config):
    model = dataclasses.replace(FastPitchConfig(), **config)
    return FastPitchInfo(Path("f.pt"), model, AudioConfig(framing="tacotron"), setup, None, False)


@pytest.fixture
def dictionary(tmp_path):
    (tmp_path / "dictionary").write_text(DICTIONARY)
    return str(tmp_path / "dictionary")


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
    assert cleaned(text_processor(cfg, info(setup))) == expected


def test_other_symbol_sets(dictionary):
    cfg = SpeechConfig(fastpitch="f.pt", cmudict_path=dictionary)
    for symbol_set in ("english_basic_lowercase", "english_expanded"):
        symbols = TextProcessor(symbol_set, p_arpabet=0)
        config = {"n_symbols": len(symbols.symbols), "padding_idx": symbols.padding_id}
        assert text_processor(cfg, info({"symbol_set": symbol_set}, **config)).symbol_set == symbol_set
        chosen = dataclasses.replace(cfg, symbol_set=symbol_set)
        assert text_processor(chosen, info({}, **config)).symbol_set == symbol_set
        with pytest.raises(InputError, match=rf"f.pt: the model has {len(symbols.symbols)} symbols.*--symbol-set"):
            text_processor(cfg, info({}, **config))
    with pytest.raises(InputError, match="padding_idx is 0, but the padding symbol of english_expanded is 20"):
        text_processor(cfg, info({"symbol_set": "english_expanded"}, n_symbols=175))


def pieces(phrases, cfg=None, dataset=Path("nowhere"), **config):
    cfg = cfg or SpeechConfig(fastpitch="f.pt", p_arpabet=0.0)
    model = info({}, **config)
    return read_pieces(phrases, Path("p.tsv"), dataset, cfg, model, text_processor(cfg, model))


LETTERS = TextProcessor(p_arpabet=0)


def test_long_texts_become_pieces_in_order():
    cfg = SpeechConfig(fastpitch="f.pt", p_arpabet=0.0, split_longer_than=20)
    made = pieces([Phrase("a.wav", text="One. " * 10), Phrase("b.wav", text="Two.")], cfg)
    assert [(piece.name, piece.index, piece.count) for piece in made] == [
        *(("a.wav", i, 3) for i in range(3)),
        ("b.wav", 0, 1),
    ]
    assert [LETTERS.decode(piece.ids) for piece in made] == ["one. one. one. one."] * 2 + ["one. one.", "two."]


def test_pieces_without_sound_are_left_out():
    cfg = SpeechConfig(fastpitch="f.pt", p_arpabet=0.0, split_longer_than=10)
    made = pieces([Phrase("a.wav", text="Nine one. ~~~~~~~~~~. Two three. ~~~~~~~~~~")], cfg)
    assert [LETTERS.decode(piece.ids) for piece in made] == ["nine one.", ".", "two three."]
    assert [(piece.index, piece.count) for piece in made] == [(0, 3), (1, 3), (2, 3)]


def test_texts_with_pitch_are_not_split(tmp_path):
    text = "One sentence. Another sentence."
    hz = torch.arange(len(LETTERS.encode(text)), dtype=torch.float32)
    torch.save(hz, tmp_path / "hz.pt")
    cfg = SpeechConfig(fastpitch="f.pt", p_arpabet=0.0, split_longer_than=5)
    (piece,) = pieces([Phrase("a.wav", text=text, pitch="hz.pt")], cfg, tmp_path)
    assert torch.equal(piece.pitch_hz, hz)


def test_speakers():
    cfg = SpeechConfig(fastpitch="f.pt", p_arpabet=0.0, speaker=3)
    phrases = [Phrase("a.wav", text="One."), Phrase("b.wav", text="Two.", speaker="0")]
    assert [piece.speaker for piece in pieces(phrases, cfg, n_speakers=4)] == [3, 0]
    with pytest.raises(InputError, match=r"--speaker: speaker '3' is unknown to f.pt, whose speaker is 0 only"):
        pieces(phrases, cfg)


def test_random_words_depend_on_the_seed_and_the_text_alone(dictionary):
    text = "Hello world, so many words. " * 4
    phrases = [Phrase("a.wav", text=text), Phrase("b.wav", text="Hello hello hello."), Phrase("c.wav", text=text)]

    def ids(seed, *names):
        cfg = SpeechConfig(fastpitch="f.pt", p_arpabet=0.5, cmudict_path=dictionary, seed=seed)
        random.seed()  # what else is random must not matter
        return [piece.ids for piece in pieces([phrase for phrase in phrases if phrase.output[0] in names], cfg)]

    first, second, third = ids(1, *"abc")
    assert first == third != second
    assert ids(1, "b") == [second]
    assert ids(2, "a") != [first]
    assert set(map(len, [first, LETTERS.encode(text)])) != {len(first)}, "no word was replaced"
